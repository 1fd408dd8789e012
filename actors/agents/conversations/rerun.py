"""Going through a conversation again with the agents as they are today, and nothing bought.

Each recorded step is judged by itself, from the state that the record has before it: what today's hooks, instructions,
output type, tools, handoffs, approvals and limits would make of it is compared with what the record has next. So one
difference does not hide what comes after it. Hooks and instructions are called for real, because they are what is to be
looked at; models, tools, responders, other agents and ``on_handoff`` are not. Chunk hooks are not called either: pieces
of a stream are not kept. Time does not pass, so `Limits.seconds` ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any, Final

from ....providers.messages import Request, ToolCall
from ...core.base.scope import Scope
from ...core.base.scope import active as active_scope
from ...journal.store import Record
from ..context import KEY, RequestContext, UsageRecord
from ..errors import GuardrailTripped, HandoffError, LimitReached, UnknownRun
from ..handoffs.call import read_call
from ..handoffs.limits import check_chain
from ..hooks import HookContext, HookEvent, run_hooks
from ..output import Output
from ..runs.runtime.runtime import AgencyRuntime
from ..team.prepared import PreparedAgent
from ..turns.budget import narrowed
from ..turns.machine import advance
from ..turns.outcome import finished
from ..turns.records import Accepted, ApprovalAsked, Ended, RunRequest, ToolsStarted
from ..turns.replay import ReplayStep, replay
from ..turns.steps import (
    INPUTS,
    Begin,
    Completed,
    CompletionFailed,
    Fail,
    Finish,
    HandoffReturned,
    Interrupted,
    ToolReturned,
)
from .history import StreamHistory
from .reading import Lineage
from .view import DifferenceKind, ReplayDifference, ReplayedRequest, ReplayReport

NO_TOOL: Final = "no tool is called"
"""How the result begins of a call of a tool that was not there."""

_AHEAD: Final = (Begin, Completed, CompletionFailed)
"""Events that begin a step, or are what it begins with."""

_CALL: Final[DifferenceKind] = "call"
_HANDOFF: Final[DifferenceKind] = "handoff"


async def rerun(runtime: AgencyRuntime, lineage: Lineage, run: str | None) -> ReplayReport:
    """Go through a conversation's runs, or one of them.

    Raises:
        UnknownRun: the conversation has none of that id.
    """
    first, names = lineage.streams[0], lineage.names
    if run is not None and run not in first.runs:
        there = ", ".join(first.runs) or "none"
        raise UnknownRun(f"conversation {first.state.conversation!r:.100} has no run {run!r:.100}; there are: {there}")
    report = _Report(names, run)
    before = 0
    for stream, records in zip(lineage.streams, lineage.records, strict=True):
        await _Stream(runtime, report, stream, before).go_through(records)
        before += len(stream.steps)
    runs = tuple(id for id in first.runs if run in (None, id))
    return ReplayReport(
        first.state.agent,
        first.state.conversation,
        runs,
        report.steps,
        tuple(report.requests),
        tuple(report.differences),
    )


class _Report:
    """What has been found so far."""

    def __init__(self, names: dict[str, str], only: str | None) -> None:
        self.names = names
        self.only = only
        self.steps = 0
        self.requests: list[ReplayedRequest] = []
        self.differences: list[ReplayDifference] = []

    def wants(self, run: str) -> bool:
        return self.only is None or self.names.get(run, run) == self.only


class _Run:
    """One run under today's rules."""

    def __init__(self, prepared: PreparedAgent, request: RunRequest) -> None:
        self.request = request
        self.prepared = prepared
        limits = replace(narrowed(prepared.agent.limits, request.limits), seconds=None)
        self.rules = prepared.rules(limits, request.external)
        self.output = prepared.output
        if request.output is not None:
            self.output, _ = Output.known(*request.output)
        self.context = RequestContext(
            request.root,
            request.id,
            request.agent,
            request.conversation,
            request.chain,
            request.caller,
            request.values,
            [],
        )
        self.state: dict[str, Any] = {}
        self.over_limit = False
        self.verdict: Finish | Fail | None = None
        self.scope = Scope(None, {KEY: self.context})

    async def hooked(self, event: HookEvent, **fields: Any) -> HookContext:
        """Call today's hooks of an event."""
        context = HookContext(event, self.context, self.state, **fields)
        hooks = self.prepared.hooks.get(event)
        if hooks is None:
            return context
        token = active_scope.set(self.scope)
        try:
            return await run_hooks(hooks, context, lambda failed, error: None)
        finally:
            active_scope.reset(token)


class _Stream:
    """One stream of the conversation being gone through."""

    def __init__(self, runtime: AgencyRuntime, report: _Report, stream: StreamHistory, before: int) -> None:
        self._runtime = runtime
        self._report = report
        self._agent = stream.state.agent
        self._history = StreamHistory(stream.state.agent, stream.state.conversation, ())
        self._before = before
        self._requests: dict[str, RunRequest] = {}
        self._run: _Run | None = None
        self._number = before

    async def go_through(self, records: Sequence[Record]) -> None:
        """Judge each event."""
        steps = list(replay([record.event for record in records], self._agent))
        for place, (step, record) in enumerate(zip(steps, records, strict=False)):
            self._number = self._before + len(self._history.steps) + isinstance(step.event, _AHEAD)
            if step.divergence and self._report.wants(step.run):
                self._differs(step.run, "record", f"event {step.number}: {step.divergence}")
            if type(step.event) is Accepted:
                self._requests[step.run] = step.event.run
            run = self._at_work(step)
            if run is not None and not step.divergence:
                await self._judge(run, step, _following(steps, place))
            if not step.divergence:
                self._history.apply(record)
            if run is not None and type(step.event) is Ended:
                await self._ended(run, step)

    def _at_work(self, step: ReplayStep) -> _Run | None:
        """The run that an event belongs to, if it is to be looked at."""
        if type(step.event) is Accepted or not step.run or not self._report.wants(step.run):
            return None
        if self._run is not None and self._run.request.id == step.run:
            return self._run
        request = self._requests.get(step.run)
        if request is None or type(step.event) is Ended:  # it never began, or was answered by others
            return None
        prepared = self._runtime.directory.prepared.get(request.agent)
        if prepared is None:
            if type(step.event) is Begin:
                there = ", ".join(self._runtime.directory.agents)
                self._differs(step.run, "agent", f"no agent is called {request.agent!r} any more; there are {there}")
            return None
        self._run = _Run(prepared, request)
        return self._run

    async def _judge(self, run: _Run, step: ReplayStep, after: Iterator[Any]) -> None:
        event = step.event
        if type(event) is Begin:
            await self._begun(run, event, next(after, None))
        elif type(event) is Completed:
            await self._completed(run, step, await self._asked(run, step), after)
        elif type(event) is CompletionFailed:
            await self._asked(run, step)
        elif type(event) is ToolReturned:
            await self._returned(run, step)
        elif type(event) is HandoffReturned:
            await self._handed_off(run, step)
        elif type(event) is Interrupted and isinstance(event.error, GuardrailTripped) and step.before.message:
            await self._refused(run, step)
        recorded = step.commands[-1] if step.commands else None
        if isinstance(recorded, Finish | Fail):
            run.verdict = recorded
        if isinstance(event, INPUTS) and type(event) is not Begin and not run.over_limit:
            _, commands = advance(step.before, event, run.rules)
            last = commands[-1] if commands else None
            if isinstance(last, Fail) and isinstance(last.error, LimitReached) and not isinstance(recorded, Fail):
                run.over_limit = True
                self._differs(run.request.id, "limits", f"{type(last.error).__name__}: {last.error}")

    # -- what is asked ---------------------------------------------------------------------------------------------

    async def _begun(self, run: _Run, event: Begin, following: Any) -> None:
        said = run.request.messages
        refused = isinstance(following, Interrupted) and isinstance(following.error, GuardrailTripped)
        refused = refused and event.messages == ()
        try:
            now = (await run.hooked("connection", messages=said)).messages
        except GuardrailTripped as error:
            if not refused:
                self._differs(run.request.id, "input", f"{error}")
            return
        recorded = said if event.messages is None else event.messages
        if refused:
            self._differs(run.request.id, "input", "what was said was refused then, and is not now")
        elif now != recorded:
            text = f"the run would begin with {_brief(now)}, and began with {_brief(recorded)}"
            self._differs(run.request.id, "input", text)

    async def _asked(self, run: _Run, step: ReplayStep) -> Request | None:
        """What the model would be asked for the completion that is recorded; None if it would not be asked."""
        prepared, asked, event = run.prepared, run.request, step.event
        schema = run.output.schema if run.output is not None else None
        token = active_scope.set(run.scope)
        try:
            request = prepared.request(
                step.before.history, run.context, asked.external, schema, self._runtime.model_name
            )
        except Exception as error:
            text = f"the instructions of {prepared.name} raise {type(error).__name__}: {error}"
            self._differs(asked.id, "request", text)
            return None
        finally:
            active_scope.reset(token)
        failed = type(event) is CompletionFailed
        then = failed and isinstance(event.error, GuardrailTripped)
        try:
            context = await run.hooked("request", model_request=request)
        except GuardrailTripped as error:
            if not then:
                self._differs(asked.id, "request", f"{error}")
            return None
        if then and "response" not in prepared.hooks:
            self._differs(asked.id, "request", "it was refused then, and is not now")
        shown: Request = context.model_request or request
        self._report.requests.append(ReplayedRequest(self._name(asked.id), self._number, asked.agent, shown))
        return shown

    # -- what came back --------------------------------------------------------------------------------------------

    async def _completed(self, run: _Run, step: ReplayStep, asked: Request | None, after: Iterator[Any]) -> None:
        event: Completed = step.event
        id, completion = run.request.id, event.completion
        self._report.steps += 1
        record = UsageRecord(
            run.request.agent, completion.model, completion.provider, completion.usage, completion.cost
        )
        run.context.usage.append(record)
        try:
            context = await run.hooked("response", model_request=asked, completion=completion)
        except GuardrailTripped as error:
            self._differs(id, "completion", f"{error}")
        else:
            if context.completion is not None and context.completion != completion:
                now = _shorten(context.completion.message.text)
                self._differs(id, "completion", f"a hook would make it {now!r}")
        if not completion.message.tool_calls:
            self._checked(run, event)
            return
        message = step.after.message or next(
            (one for one in reversed(step.after.history) if one.tool_calls), completion.message
        )
        following = list(takewhile(lambda later: type(later) not in (Completed, CompletionFailed, Ended), after))
        for call in message.tool_calls:
            self._called(run, call, following)

    def _checked(self, run: _Run, event: Completed) -> None:
        problem = ""
        if run.output is not None:
            try:
                _, problem = run.output.read(event.completion.message.text)
            except Exception as error:  # a validator of the user's
                problem = f"checking it raises {type(error).__name__}: {error}"
        recorded = event.problem or (str(event.broken) if event.broken is not None else "")
        if bool(problem) != bool(recorded):
            text = problem or "it fits the requested type now, and did not then: " + recorded
            self._differs(run.request.id, "completion", text)

    def _called(self, run: _Run, call: ToolCall, following: Sequence[Any]) -> None:
        """How a call would be treated now, and was then."""
        prepared, rules, id = run.prepared, run.rules, run.request.id
        handed = any(type(one) is HandoffReturned and one.call_id == call.id for one in following)
        asked = any(type(one) is ApprovalAsked and one.call_id == call.id for one in following)
        started = any(type(one) is ToolsStarted and call.id in one.call_ids for one in following)
        result = next((one for one in following if type(one) is ToolReturned and one.call_id == call.id), None)
        if call.name in rules.external or not (handed or asked or started or result is not None):
            return
        handoff = call.name in rules.delegates or call.name in rules.transfers
        tool = prepared.tools.get(call.name)
        text, kind = "", _CALL
        if handoff or handed:
            kind = _HANDOFF
            if not handoff:
                text = f"{call.name} handed off to another agent, and {prepared.name} has no such handoff any more"
            elif not handed:
                text = f"{call.name} was a tool, and would hand off to another agent"
        elif tool is None:
            if result is None or not result.content.startswith(NO_TOOL):
                text = f"no tool is called {call.name!r} any more"
        elif rules.needs_approval(call) and not asked:
            text = f"{call.name} would wait for a person's approval"
        elif asked and not rules.needs_approval(call):
            text = f"{call.name} waited for a person's approval, and would not now"
        elif result is not None and not result.is_error and (wrong := _misfit(tool, call)):
            text = f"the arguments of {call.name} do not fit any more: {wrong}"
        if text:
            self._differs(id, kind, text)

    async def _returned(self, run: _Run, step: ReplayStep) -> None:
        event: ToolReturned = step.event
        call = _call_of(step, event.call_id)
        if call is None or call.name not in run.prepared.tools:
            return
        try:
            context = await run.hooked("toolcall", call=call)
        except GuardrailTripped as error:
            self._differs(run.request.id, "call", f"{error}")
            return
        if context.result is not None and context.result.content != event.content:
            now = _shorten(context.result.content)
            self._differs(run.request.id, "call", f"a hook would answer {call.name} with {now!r}")

    async def _handed_off(self, run: _Run, step: ReplayStep) -> None:
        event: HandoffReturned = step.event
        call = _call_of(step, event.call_id)
        if call is None or call.name not in run.rules.delegates | run.rules.transfers:
            return
        why = await self._refusal(run, call)
        refused = event.content.startswith("Refused: ")
        if why and not refused:
            self._differs(run.request.id, "handoff", why)
        elif refused and not why:
            text = f"{call.name} was refused then, and would not be now: {_shorten(event.content)}"
            self._differs(run.request.id, "handoff", text)

    async def _refusal(self, run: _Run, call: ToolCall) -> str:
        request, prepared = run.request, run.prepared
        try:
            handoff = read_call(call, request.agent, prepared.handoffs, prepared.reachable)
            check_chain(request.chain, request.tasks, handoff, self._runtime.handoff_limits)
            await run.hooked("handoff", handoff=handoff)
        except (HandoffError, GuardrailTripped) as error:
            return str(error)
        return ""

    async def _refused(self, run: _Run, step: ReplayStep) -> None:
        """A guardrail refused a call or a handoff then: does one now?"""
        message = step.before.message
        assert message is not None
        for call, result in zip(message.tool_calls, step.before.results, strict=True):
            if result is not None:
                continue
            if call.name in run.rules.delegates | run.rules.transfers:
                if await self._refusal(run, call):
                    return
                continue
            try:
                await run.hooked("toolcall", call=call)
            except GuardrailTripped:
                return
        self._differs(run.request.id, "call", "a guardrail refused it then, and none does now")

    async def _ended(self, run: _Run, step: ReplayStep) -> None:
        event: Ended = step.event
        self._run = None
        ran = self._history.runs.get(event.run)
        verdict = run.verdict
        if verdict is None or ran is None or ran.answer is None:
            return
        answer = finished(run.request, step.before, verdict, event.seconds, agent=event.agent, value=event.value).answer
        failed = verdict.error if isinstance(verdict, Fail) else None
        try:
            context = await run.hooked("finalize", answer=answer, error=failed)
        except GuardrailTripped as error:
            if event.error is None:
                self._differs(event.run, "answer", f"{error}")
            return
        if failed is None and isinstance(event.error, GuardrailTripped):
            self._differs(event.run, "answer", f"it was refused then, and would not be now: {event.error}")
            return
        now = (context.answer or answer).text
        if event.error is None and now != ran.answer.text:
            text = f"it would be {_shorten(now)!r}, and was {_shorten(ran.answer.text)!r}"
            self._differs(event.run, "answer", text)

    # -- telling ---------------------------------------------------------------------------------------------------

    def _differs(self, run: str, kind: DifferenceKind, text: str) -> None:
        self._report.differences.append(ReplayDifference(self._name(run), self._number, self._agent, kind, text))

    def _name(self, run: str) -> str:
        return self._report.names.get(run, run)


def _following(steps: Sequence[ReplayStep], place: int) -> Iterator[Any]:
    """The events of a run behind one of them, to its end."""
    run = steps[place].run
    for step in islice(steps, place + 1, None):
        if step.run == run:
            yield step.event
            if type(step.event) is Ended:
                return


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
    except Exception as error:
        return _shorten(str(error))
    return ""


def _brief(messages: Sequence[Any]) -> str:
    return repr(_shorten(" / ".join(message.text for message in messages)))


def _shorten(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
