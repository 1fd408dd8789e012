"""Carrying out what the turn machine wants done: completions, tool calls, approvals, handoffs.

Each works beside the mailbox and comes back as one of the messages in `active`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ...providers.messages import Completion, Delta, Message, Request, ToolCall
from ...tools import ToolResult
from ..core.actor import Actor
from ..core.base.errors import CoreError
from ..core.base.events import Outcome
from ..core.base.scope import active as active_scope
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from .active import Active, Answered, HandedBack, Nested, Prepared, Refused, TimeUp, ToolDone
from .answer import Answer
from .desk import Desk
from .errors import AgentError, GuardrailTripped, HandoffError, HandoffLimit, RunFailed
from .events import (
    ApprovalRequested,
    CompletionFinished,
    CompletionStarted,
    HandoffStarted,
    HookFailed,
    ReasoningDelta,
    RunEvent,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from .handoff import Handoff, HandoffTo, check_chain, read_call
from .hooks import Hook, HookContext, HookEvent, run_hooks
from .turn import (
    AskApproval,
    CallTool,
    Commands,
    Complete,
    CompletionFailed,
    HandOff,
    Input,
    Interrupted,
    Turn,
    cut,
    transferred,
)
from .turn import ToolFinished as ToolReturned

logger = logging.getLogger("callboard")

INTERRUPTED = (
    "Interrupted: the tool was running when its agent was restarted. It may have had its effect; "
    "check before you call it again."
)


class Carrier(Actor):
    """The half of a conversation that works; `Conversation` is the half that decides."""

    _desk: Desk
    _agent: str
    _id: str
    _stream: str
    _turn: Turn
    _active: Active | None
    _interrupted: frozenset[str]
    _time: Callable[[], float]

    def _apply(self, active: Active, happened: Input) -> None:
        raise NotImplementedError

    def _on_refused(self, message: Refused) -> None:
        raise NotImplementedError

    # -- what the machine wants done -----------------------------------------------------------------------------------

    def _carry(self, active: Active, commands: Commands) -> None:
        for command in commands:
            if active is not self._active:
                return  # an earlier command has ended the run
            _COMMANDS[type(command)](self, active, command)

    def _complete(self, active: Active, command: Complete) -> None:
        active.attempts = 0
        active.step_started = self._now()
        if self._desk.bus.active:
            self._emit(active, CompletionStarted, step=self._turn.steps + 1)
        self._ask_model(active)

    def _ask_model(self, active: Active) -> None:
        desk = self._desk
        profile = active.profile
        named = profile.agent.model
        model = active.model = desk.model if isinstance(named, str) else named
        active.seen = False
        if model is None:
            self._apply(active, CompletionFailed(RunFailed("there is no model: give the agency a pool or a model")))
            return
        schema = active.output.schema if active.output is not None else None
        request = profile.request(self._turn.history, active.context, active.run.external, schema, desk.model_name)
        hooks = profile.hooks
        token = active_scope.set(active.scope)
        if active.run.stream or (hooks and ("request" in hooks or "response" in hooks)):
            coro = self._completion(active, model, request)
            active.ask = self.pipe(coro, lambda outcome: Answered(active, outcome))
            active_scope.reset(token)
            return
        ask = active.ask = model.ask(request)
        active_scope.reset(token)
        ask.when_done(partial(self._when_answered, active))

    def _when_answered(self, active: Active, ask: Future[Completion]) -> None:
        if not ask.cancelled():
            self._send(Answered(active, ask))

    async def _completion(self, active: Active, model: ActorRef[Any], request: Request) -> Completion:
        """A completion as a stream, or with hooks around it."""
        before = await self._hooked(active, "request", model_request=request)
        request = before.model_request or request
        if active.run.stream:
            completion = await self._streamed(active, model, request)
        else:
            completion = await model.ask(request)
        after = await self._hooked(active, "response", model_request=request, completion=completion)
        return after.completion or completion

    async def _streamed(self, active: Active, model: ActorRef[Any], request: Request) -> Completion:
        completion: Completion | None = None
        chunk_hooks = "chunk" in active.profile.hooks
        async with model.stream(request) as deltas:
            async for piece in deltas:
                delta: Delta | None = piece
                completion = piece.completion or completion
                if chunk_hooks:
                    delta = (await self._hooked(active, "chunk", chunk=piece)).chunk
                if delta is None:
                    continue
                if delta.text:
                    active.seen = True
                    self._emit(active, TextDelta, text=delta.text)
                if delta.reasoning:
                    self._emit(active, ReasoningDelta, text=delta.reasoning)
        if completion is None:
            raise RunFailed("the model's stream ended without a completion")
        return completion

    async def _hooked(self, active: Active, event: HookEvent, **fields: Any) -> HookContext:
        """Call the hooks of an event, if there are any."""
        context = HookContext(event, active.context, active.state, **fields)
        hooks = active.profile.hooks.get(event)
        if hooks is None:
            return context

        def report(failed: Hook, error: Exception) -> None:
            self._emit(active, HookFailed, hook=failed.name, error=f"{type(error).__name__}: {error}")

        return await run_hooks(hooks, context, report)

    def _record(self, active: Active, completion: Completion) -> None:
        active.used(completion)
        if not self._desk.bus.active:
            return
        if completion.message.reasoning and not active.run.stream:
            self._emit(active, ReasoningDelta, text=completion.message.reasoning)
        self._emit(
            active,
            CompletionFinished,
            step=self._turn.steps + 1,
            usage=completion.usage,
            cost=completion.cost,
            seconds=self._now() - active.step_started,
            model=completion.model,
            provider=completion.provider,
            notes=completion.notes,
        )

    def _call_tool(self, active: Active, command: CallTool) -> None:
        call = command.call
        tool = active.profile.tools.get(call.name)
        active.since[call.id] = self._now()
        if self._desk.bus.active:
            self._emit(active, ToolStarted, call_id=call.id, tool=call.name, arguments=call.arguments)
        if tool is None:
            names = ", ".join(active.profile.tools) or "none"
            self._tool_returned(active, call, f"no tool is called {call.name!r}; there are: {names}", True)
            return
        if call.id in self._interrupted and not tool.idempotent:
            self._tool_returned(active, call, INTERRUPTED, True)
            return
        token = active_scope.set(active.scope)
        if "toolcall" in active.profile.hooks:
            work = self._tool(active, call)
            active.jobs[call.id] = self.pipe(work, lambda outcome: ToolDone(active, call, outcome))
        else:
            # Not piped: a call has a task of its own already.
            ended = partial(self._when_returned, active, call)
            active.jobs[call.id] = self._desk.start_call(active.run.id, tool, call.arguments, ended)
        active_scope.reset(token)

    def _when_returned(self, active: Active, call: ToolCall, result: ToolResult) -> None:
        if active is self._active:
            self._send(ToolDone(active, call, Outcome(result, None)))

    async def _tool(self, active: Active, call: ToolCall) -> ToolResult:
        """A tool call with hooks before it."""
        context = await self._hooked(active, "toolcall", call=call)
        if context.result is not None:
            return context.result
        call = context.call or call
        tool = active.profile.tools.get(call.name)
        if tool is None:
            return ToolResult(f"no tool is called {call.name!r}", True)
        return await tool.run(call.arguments)

    def _tool_returned(self, active: Active, call: ToolCall, content: str, is_error: bool) -> None:
        self._desk.crashes.pop(self._stream, None)
        seconds = self._now() - active.since.pop(call.id, active.started)
        if self._desk.bus.active:
            told = {"tool": call.name, "content": content, "is_error": is_error}
            self._emit(active, ToolFinished, call_id=call.id, seconds=seconds, **told)
        self._apply(active, ToolReturned(call.id, content, is_error))

    def _ask_approval(self, active: Active, command: AskApproval) -> None:
        call = command.call
        run, bus = active.run, self._desk.bus
        at = (run.root, run.id, self._agent, self._id, run.chain, self._now())
        request = ApprovalRequested(*at, call.id, call.name, call.arguments)
        active.waiting[call.id] = self._desk.approvals[request.approval] = request
        self._stop_clock(active)
        if bus.active:
            bus.emit(request)

    def _hand_off(self, active: Active, command: HandOff) -> None:
        call, desk, profile = command.call, self._desk, active.profile
        try:
            handoff = read_call(call, self._agent, profile.handoffs, profile.reachable)
            check_chain(active.run.chain, active.run.tasks, handoff, desk.handoff_limits)
            if desk.count_handoff(active.run.root) > desk.handoff_limits.total:
                raise HandoffLimit(f"more than {desk.handoff_limits.total} handoffs in one run")
        except HandoffError as error:
            self._send(Refused(active, call, error))
            return
        offered = profile.handoffs.get(call.name)
        if "handoff" in profile.hooks or (offered is not None and offered.on_handoff is not None):
            job = self.pipe(self._prepare(active, handoff, offered), lambda outcome: Prepared(active, command, outcome))
            active.jobs[call.id] = job
            return
        self._send_handoff(active, command, handoff)

    async def _prepare(self, active: Active, handoff: Handoff, offered: HandoffTo | None) -> Handoff:
        if offered is not None and offered.on_handoff is not None:
            noted = offered.on_handoff(handoff)
            if inspect.isawaitable(noted):
                await noted
        context = await self._hooked(active, "handoff", handoff=handoff)
        return context.handoff or handoff

    def _on_prepared(self, message: Prepared) -> None:
        active, command, outcome = message
        if active is not self._active:
            return
        active.jobs.pop(command.call.id, None)
        try:
            handoff = outcome.unwrap()
        except GuardrailTripped as error:
            self._apply(active, Interrupted(error))
        except Exception as error:
            self._on_refused(Refused(active, command.call, error))
        else:
            self._send_handoff(active, command, handoff)

    def _send_handoff(self, active: Active, command: HandOff, handoff: Handoff) -> None:
        call, run = command.call, active.run
        offered = active.profile.handoffs.get(call.name)
        if self._desk.bus.active:
            to = {"target": handoff.target, "kind": handoff.kind, "task": handoff.task}
            self._emit(active, HandoffStarted, call_id=call.id, **to)
        messages: tuple[Message, ...] = (handoff.as_message(),)
        if command.transfer:
            chosen = offered.history_filter if offered is not None else None
            messages = tuple(chosen(cut(self._turn))) if chosen else transferred(self._turn, active.rules)
        stages = offered.stages if offered is not None and offered.stages else (handoff.target,)
        # The id follows from the journal: a restarted conversation finds the run it had sent.
        nested_id = f"{run.id}.{self._turn.steps}.{call.id}"
        nested = run._replace(
            id=nested_id,
            agent=stages[0],
            conversation=nested_id,
            messages=messages,
            chain=(*run.chain, handoff.target),
            tasks=(*run.tasks, f"{handoff.target}: {handoff.task}") if not command.transfer else run.tasks,
            limits=None,
            external=(),
            handoff=handoff,
            once=not command.transfer,
        )
        under_way = Nested(nested, handoff, command.transfer, self._now(), stages[1:])
        if offered is not None and offered.work is not None:
            active.nested[call.id] = under_way
            self._work_outside(active, call.id, offered.work, handoff)
            return
        self._submit(active, call.id, under_way)

    def _submit(self, active: Active, call_id: str, nested: Nested) -> None:
        active.nested[call_id] = nested
        self._desk.submit(nested.run).when_done(partial(self._when_handed_back, active, call_id))

    def _when_handed_back(self, active: Active, call_id: str, reply: Future[Answer]) -> None:
        self._send(HandedBack(active, call_id, reply))

    def _work_outside(
        self, active: Active, call_id: str, work: Callable[[Handoff], Awaitable[Answer]], handoff: Handoff
    ) -> None:
        async def answered() -> Answer:
            try:
                return await work(handoff)
            except AgentError:
                raise
            except Exception as error:
                raise RunFailed(f"{type(error).__name__}: {error}") from error

        def message(outcome: Outcome[Answer]) -> HandedBack:
            active.jobs.pop(call_id, None)
            reply: Future[Answer] = Future()
            if outcome.error is not None:
                reply.set_exception(outcome.error)
            else:
                reply.set(outcome.value)
            return HandedBack(active, call_id, reply)

        active.jobs[call_id] = self.pipe(answered(), message)

    def _next_stage(self, active: Active, call_id: str, nested: Nested, answer: Answer) -> None:
        """A pipeline goes on: the next agent is given what this one answered."""
        assert nested.handoff is not None
        done = (*nested.before, answer)
        target = nested.rest[0]
        handoff = replace(nested.handoff, task=answer.text)
        run_id = f"{nested.run.id.partition('~')[0]}~{len(done)}"
        run = nested.run._replace(
            id=run_id, agent=target, conversation=run_id, messages=(handoff.as_message(),), handoff=handoff
        )
        self._submit(active, call_id, nested._replace(run=run, rest=nested.rest[1:], before=done))

    def _forward(self, active: Active, owner: tuple[str, str]) -> None:
        """The conversation was transferred: its new owner answers."""
        run = active.run
        forwarded = run._replace(
            id=f"{run.id}>", agent=owner[0], conversation=owner[1], chain=(*run.chain, owner[0]), once=False
        )
        active.forward = Nested(forwarded, None, True, self._now())
        self._submit(active, "", active.forward)

    # -- small things --------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._time()

    def _send(self, message: Any) -> None:
        """A message to itself from a callback; if the actor has ended, the next incarnation finds out by itself."""
        try:
            self.ref.tell(message)
        except CoreError:
            logger.debug("%s has ended; %s is not needed any more", self._stream, type(message).__name__)

    def _emit(self, active: Active, event: type[RunEvent], /, **fields: Any) -> None:
        bus = self._desk.bus
        if bus.active:
            run = active.run
            bus.emit(event(run.root, run.id, self._agent, self._id, run.chain, self._now(), **fields))

    def _start_clock(self, active: Active) -> None:
        seconds = active.rules.limits.seconds
        if seconds is not None and active.timer is None:
            left = seconds - active.elapsed
            active.clock_started = self._now()
            active.timer = self._desk.clock.call_at(active.clock_started + left, self._send, TimeUp(active))

    def _stop_clock(self, active: Active) -> None:
        """While a person thinks, the run's time stands still."""
        if active.timer is not None:
            active.timer.cancel()
            active.timer = None
            active.elapsed += self._now() - active.clock_started


_COMMANDS: dict[type, Callable[[Carrier, Active, Any], None]] = {
    Complete: Carrier._complete,
    CallTool: Carrier._call_tool,
    HandOff: Carrier._hand_off,
    AskApproval: Carrier._ask_approval,
}
