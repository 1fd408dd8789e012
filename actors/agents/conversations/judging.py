"""What today's hooks, instructions, output type, tools, handoffs, approvals and limits would make of a recorded run.

Each event is judged by itself, from the state that the record has before it: see `rerun` for what is called for that,
and what is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from inspect import isawaitable
from itertools import takewhile
from typing import Any, Final

from ....providers.messages import Message, Request, ToolCall, shown
from ...core.base.send_context import SendContext
from ...core.base.send_context import active as active_context
from ..context import KEY, REPLAY, RequestContext, UsageRecord
from ..errors import GuardrailTripped, LabelRefused, LimitReached, named, said
from ..handoffs.call import offer_of, read_call
from ..handoffs.limits import check_chain
from ..hooks import HookContext, HookEvent, reason_to_ask, run_hooks
from ..output import Output
from ..prompts.rendering import StepFacts, render
from ..prompts.spec import PromptSpec
from ..prompts.state.cells import Cells
from ..runs.execution.handoffs.preparing import shown_to_target
from ..runs.runtime.runtime import AgencyRuntime
from ..team.prepared import PreparedAgent
from ..turns.history import last_tool
from ..turns.loop.budget import narrowed
from ..turns.loop.machine import advance
from ..turns.loop.turn import Turn
from ..turns.outcome import finished
from ..turns.records import ApprovalAsked, Ended, RunRequest, ToolsStarted
from ..turns.replay import ReplayStep
from ..turns.shape import shown as shown_history
from ..turns.steps import (
    INPUTS,
    Begin,
    Completed,
    CompletionFailed,
    Fail,
    Finish,
    HandoffReturned,
    Interrupted,
    Spent,
    ToolReturned,
)
from .findings import Findings
from .history import Run
from .labelled import REFUSED, LabelsToday
from .view import DifferenceKind

NO_TOOL: Final = "no tool is called"
"""How the result begins of a call of a tool that was not there."""

_CALL: Final[DifferenceKind] = "call"
_HANDOFF: Final[DifferenceKind] = "handoff"


class RunToday:
    """One recorded run, judged event by event under today's rules.

    Args:
        runtime: what the agency's actors share.
        findings: what is found is said to these.
        prepared: the agent, as it is now.
        request: what was asked then.
    """

    def __init__(
        self, runtime: AgencyRuntime, findings: Findings, prepared: PreparedAgent, request: RunRequest
    ) -> None:
        self._runtime = runtime
        self._findings = findings
        self.request = request
        self._agent = self._prepared = prepared
        self._limits = limits = replace(narrowed(prepared.agent.limits, request.limits), seconds=None)
        self._rules = prepared.rules(limits, request.external)
        self._output = prepared.output
        if request.output is not None:
            self._output, _ = Output.known(*request.output)
        self._context = RequestContext(
            request.root,
            request.id,
            request.agent,
            request.conversation,
            request.chain,
            request.caller,
            request.metadata,
            [],
        )
        self._state: dict[str, Any] = {}
        self._over_limit = False
        self._verdict: Finish | Fail | None = None
        self._labels = LabelsToday(runtime.directory, request)
        self._send_context = SendContext(None, {KEY: self._context, REPLAY: True})

    async def _hooked(self, event: HookEvent, **fields: Any) -> HookContext:
        """Call today's hooks of an event."""
        context = HookContext(event, self._context, self._state, **fields)
        hooks = self._prepared.hooks.get(event)
        if hooks is None:
            return context
        token = active_context.set(self._send_context)
        try:
            return await run_hooks(hooks, context, lambda failed, error: None)
        finally:
            active_context.reset(token)

    def _reason_to_ask(self, call: ToolCall, history: Sequence[Message]) -> bool:
        """Whether today's hooks want a person to be asked about a call."""
        hooks = self._prepared.hooks.get("approval")
        if hooks is None or not self._prepared.can_be_carried_out(call):
            return False
        hands_off = call.name in self._rules.delegates | self._rules.transfers
        told: dict[str, Any] = {"call": call, "hands_off": hands_off, "messages": tuple(history)}
        context = HookContext("approval", self._context, self._state, **told)
        return bool(reason_to_ask(hooks, context, lambda failed, error: None))

    async def judge(self, step: ReplayStep, after: Iterator[Any]) -> None:
        """Compare what an event leads to with what the record has behind it.

        Args:
            step: the event, and the state before it.
            after: the run's events behind it.
        """
        event = step.event
        if self._agent.agent.prompt_spec is not None and type(event) in (Completed, CompletionFailed):
            await self._render(self._agent.agent.prompt_spec, step)
        if type(event) is Begin:
            await self._begun(event, next((one for one in after if type(one) is not Spent), None))
        elif type(event) is Completed:
            await self._completed(step, await self._asked(step), after)
        elif type(event) is CompletionFailed:
            await self._asked(step)
        elif type(event) is ToolReturned:
            await self._returned(step)
        elif type(event) is HandoffReturned:
            await self._handed_off(step)
        elif type(event) is Interrupted and isinstance(event.error, GuardrailTripped) and step.before.message:
            await self._refused(step)
        elif type(event) is Interrupted and isinstance(event.error, LabelRefused) and step.before.message:
            self._barred(step.before, step.before.message)
        recorded = step.commands[-1] if step.commands else None
        if isinstance(recorded, Finish | Fail):
            self._verdict = recorded
        if isinstance(event, INPUTS) and type(event) is not Begin and not self._over_limit:
            _, commands = advance(step.before, event, self._rules)
            last = commands[-1] if commands else None
            if isinstance(last, Fail) and isinstance(last.error, LimitReached) and not isinstance(recorded, Fail):
                self._over_limit = True
                self._differs("limits", f"{type(last.error).__name__}: {last.error}")

    # -- what is asked ---------------------------------------------------------------------------------------------

    async def _begun(self, event: Begin, following: Any) -> None:
        said = self.request.messages
        refused = isinstance(following, Interrupted) and isinstance(following.error, GuardrailTripped)
        refused = refused and event.messages == ()
        try:
            now = (await self._hooked("connection", messages=said)).messages
        except GuardrailTripped as error:
            if not refused:
                self._differs("input", f"{error}")
            return
        recorded = said if event.messages is None else event.messages
        if refused:
            self._differs("input", "what was said was refused then, and is not now")
        elif now != recorded:
            text = f"the run would begin with {_brief(now)}, and began with {_brief(recorded)}"
            self._differs("input", text)

    async def _render(self, spec: PromptSpec, step: ReplayStep) -> None:
        """Have the prompt function define a step anew, from the state that it was rendered from; effects do not run."""
        history, turn = step.before.history, step.before
        facts = StepFacts(
            history.as_tuple(), turn.steps + 1, last_tool(history, turn.start), self._context, self._agent.specs
        )
        kept, shown = step.remembered.before(len(history)), step.remembered.shown(len(history))
        token = active_context.set(self._send_context)
        try:
            made = render(spec, Cells(shown, kept.effects), facts, before=shown)
            rendered = await made if isawaitable(made) else made
            self._prepared = self._agent.with_prompt(rendered, self.request.caller)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._prepared = self._agent
            self._differs("request", f"the prompt function {spec.name} raises {named(error)}")
        finally:
            active_context.reset(token)
        self._rules = self._prepared.rules(self._limits, self.request.external)

    async def _asked(self, step: ReplayStep) -> Request | None:
        """What the model would be asked for the completion that is recorded; None if it would not be asked."""
        prepared, asked, event = self._prepared, self.request, step.event
        if prepared.answer is not None:
            return None  # it answers by itself
        schema = self._output.schema if self._output is not None else None
        token = active_context.set(self._send_context)
        try:
            request = prepared.request(
                step.before.history,
                self._context,
                asked.external,
                schema,
                self._runtime.model_for(prepared.name),
                shown_history(step.before.history, step.shape),
            )
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            text = f"the instructions of {prepared.name} raise {named(error)}"
            self._differs("request", text)
            return None
        finally:
            active_context.reset(token)
        failed = type(event) is CompletionFailed
        then = failed and isinstance(event.error, GuardrailTripped)
        try:
            context = await self._hooked("request", model_request=request)
        except GuardrailTripped as error:
            if not then:
                self._differs("request", f"{error}")
            return None
        if then and "response" not in prepared.hooks:
            self._differs("request", "it was refused then, and is not now")
        shown: Request = context.model_request or request
        self._findings.requested(asked, shown)
        return shown

    # -- what came back --------------------------------------------------------------------------------------------

    async def _completed(self, step: ReplayStep, asked: Request | None, after: Iterator[Any]) -> None:
        event: Completed = step.event
        completion = event.completion
        self._findings.steps += 1
        record = UsageRecord(
            self.request.agent, completion.model, completion.provider, completion.usage, completion.cost
        )
        self._context.usage.append(record)
        try:
            context = await self._hooked("response", model_request=asked, completion=completion)
        except GuardrailTripped as error:
            self._differs("completion", f"{error}")
        else:
            if context.completion is not None and context.completion != completion:
                now = _shorten(context.completion.message.text)
                self._differs("completion", f"a hook would make it {now!r}")
        if not completion.message.tool_calls:
            self._checked(event)
            return
        message = step.after.message or next(
            (one for one in reversed(step.after.history) if one.tool_calls), completion.message
        )
        following = list(takewhile(lambda later: type(later) not in (Completed, CompletionFailed, Ended), after))
        for call in message.tool_calls:
            self._called(call, message, following, step.before.history)

    def _checked(self, event: Completed) -> None:
        problem = ""
        if self._output is not None:
            try:
                _, problem = self._output.read(event.completion.message.text)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a validator of the user's
                problem = f"checking it raises {named(error)}"
        recorded = event.problem or (str(event.broken) if event.broken is not None else "")
        if bool(problem) != bool(recorded):
            text = problem or "it fits the requested type now, and did not then: " + recorded
            self._differs("completion", text)

    def _called(self, call: ToolCall, message: Message, following: Sequence[Any], history: Sequence[Message]) -> None:
        """How a call would be treated now, and was then."""
        prepared, rules = self._prepared, self._rules
        handed = any(type(one) is HandoffReturned and one.call_id == call.id for one in following)
        asked = any(type(one) is ApprovalAsked and one.call_id == call.id for one in following)
        started = any(type(one) is ToolsStarted and call.id in one.call_ids for one in following)
        result = next((one for one in following if type(one) is ToolReturned and one.call_id == call.id), None)
        if call.name in rules.external or not (handed or asked or started or result is not None):
            return
        handoff = call.name in rules.delegates or call.name in rules.transfers
        tool = prepared.tool(call.name)
        barred = self._labels.of(prepared, call, message, history)
        needed = rules.needs_approval(call) or barred.asks or self._reason_to_ask(call, history)
        needed = needed and not prepared.is_harmless(call, history)
        text, kind = "", _CALL
        if handoff or handed:
            kind = _HANDOFF
            if not handoff:
                text = f"{call.name} handed off to another agent, and {prepared.name} has no such handoff any more"
            elif not handed and not asked:
                text = f"{call.name} was a tool, and would hand off to another agent"
            else:
                text = _waiting_differs(call, needed, asked)
        elif tool is None:
            if result is None or not shown(result.content).startswith(NO_TOOL):
                text = f"no tool is called {call.name!r} any more"
        elif differs := _waiting_differs(call, needed, asked) or barred.differs(call, result, asked):
            text = differs
        elif result is not None and not result.is_error and (wrong := _misfit(tool, call)):
            text = f"the arguments of {call.name} do not fit any more: {wrong}"
        if text:
            self._differs(kind, text)

    async def _returned(self, step: ReplayStep) -> None:
        event: ToolReturned = step.event
        call = _call_of(step, event.call_id)
        if call is None or call.name not in self._prepared.tools:
            return
        try:
            context = await self._hooked("toolcall", call=call)
        except GuardrailTripped as error:
            self._differs("call", f"{error}")
            return
        if context.result is not None and context.result.content != event.content:
            now = _shorten(context.result.text)
            self._differs("call", f"a hook would answer {call.name} with {now!r}")

    async def _handed_off(self, step: ReplayStep) -> None:
        event: HandoffReturned = step.event
        call = _call_of(step, event.call_id)
        if call is None or call.name not in self._rules.delegates | self._rules.transfers:
            return
        if call.name in self._prepared.agents:
            return  # functions decide, and are not called
        why = await self._refusal(call, step.before)
        refused = event.content.startswith(REFUSED)
        if why and not refused:
            self._differs("handoff", why)
        elif refused and not why:
            text = f"{call.name} was refused then, and would not be now: {_shorten(event.content)}"
            self._differs("handoff", text)

    async def _refusal(self, call: ToolCall, turn: Turn) -> str:
        request, prepared = self.request, self._prepared
        if (offered := prepared.handoffs.get(call.name)) is not None and offered.chooses is not None:
            return ""  # a function chooses, and is not called
        try:
            handoff = read_call(call, request.agent, prepared.handoffs, prepared.reachable)
            check_chain(request.chain, request.tasks, handoff, self._runtime.handoff_limits)
            messages = shown_to_target(turn, self._rules, prepared.handoffs.get(call.name), handoff)
            changed = (await self._hooked("handoff", handoff=handoff, messages=messages)).handoff or handoff
            if changed is not handoff:
                offer_of(changed, handoff, prepared.handoffs.get(call.name), prepared.handoffs, prepared.reachable)
                check_chain(request.chain, request.tasks, changed, self._runtime.handoff_limits)
        except Exception as error:  # also what a history filter raises
            return said(error)
        assert turn.message is not None
        barred = self._labels.of(prepared, call, turn.message, turn.history)
        return barred.why if barred.refuses and call.id not in turn.approved else ""

    async def _refused(self, step: ReplayStep) -> None:
        """A guardrail refused a call or a handoff then: does one now?"""
        message = step.before.message
        assert message is not None
        for call, result in zip(message.tool_calls, step.before.results, strict=True):
            if result is not None:
                continue
            if call.name in self._rules.delegates | self._rules.transfers:
                if await self._refusal(call, step.before):
                    return
                continue
            try:
                await self._hooked("toolcall", call=call)
            except GuardrailTripped:
                return
        self._differs("call", "a guardrail refused it then, and none does now")

    def _barred(self, turn: Turn, message: Message) -> None:
        """Labels ended the run then: do they now?"""
        calls = [self._labels.of(self._prepared, call, message, turn.history) for call in message.tool_calls]
        if not any(barred.refuses for barred in calls):
            self._differs("call", "labels barred it then, and would not now")

    async def ended(self, step: ReplayStep, ran: Run | None) -> None:
        """Compare the run's end, of which the history has what is kept."""
        event: Ended = step.event
        verdict = self._verdict
        if verdict is None or ran is None or ran.answer is None:
            return
        answer = finished(
            self.request, step.before, verdict, event.seconds, agent=event.agent, value=event.value
        ).answer
        failed = verdict.error if isinstance(verdict, Fail) else None
        try:
            said = answer.messages[step.before.start :]
            context = await self._hooked("finalize", answer=answer, error=failed, messages=said)
        except GuardrailTripped as error:
            if event.error is None:
                self._differs("answer", f"{error}")
            return
        if failed is None and isinstance(event.error, GuardrailTripped):
            self._differs("answer", f"it was refused then, and would not be now: {event.error}")
            return
        now = (context.answer or answer).text
        if event.error is None and now != ran.answer.text:
            text = f"it would be {_shorten(now)!r}, and was {_shorten(ran.answer.text)!r}"
            self._differs("answer", text)

    def _differs(self, kind: DifferenceKind, text: str) -> None:
        self._findings.differs(self.request.id, kind, text)


def _waiting_differs(call: ToolCall, needed: bool, asked: bool) -> str:
    """How today differs on whether a call waits for a person, if it does."""
    if needed == asked:
        return ""
    if needed:
        return f"{call.name} would wait for a person's approval"
    return f"{call.name} waited for a person's approval, and would not now"


def _call_of(step: ReplayStep, call_id: str) -> ToolCall | None:
    message = step.before.message
    if message is None:
        return None
    return next((call for call in message.tool_calls if call.id == call_id), None)


def _misfit(tool: Any, call: ToolCall) -> str:
    """Why a tool would not take the arguments, if it would not."""
    check = getattr(tool, "check", None)
    if check is None:
        return ""
    try:
        check(call.arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of a validator of the user's
        return _shorten(said(error))
    return ""


def _brief(messages: Sequence[Any]) -> str:
    return repr(_shorten(" / ".join(message.text for message in messages)))


def _shorten(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
