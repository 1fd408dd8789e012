"""Calls that a tool call makes: the side of the conversation, which decides about each, records it, and answers it.

What is recorded of one, and when: that it was made, with the first other record of it; that it may have had an effect,
before it begins, unless it may be made again; that a person was asked, and what the person said; and its result. The
outer call is told of a result after it was handed to the journal, in the same order. In a later incarnation it is told
of recorded results in that order, too, and of each once it has made as many calls as it had then: so a call whose code
does the same goes the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ......providers.messages import ToolCall, shown
from ......tools import Tool, ToolError, ToolResult
from ......tools.errors import CallChanged, UnknownTool
from .....journal.errors import EventNotWritable
from ....caller import as_owner
from ....errors import GuardrailTripped, LabelRefused, RunFailed, named, said
from ....events import ToolFinished, ToolStarted
from ....prompts.functions.agent_function import AgentFunction
from ....turns.inner import InnerCalled, InnerDecided, outer_of, result_of, returned
from ....turns.labels import explicit
from ....turns.records import ToolsStarted
from ....turns.steps import AskApproval, Decided, Interrupted, denial
from ...runtime.register import not_kept
from ..handoffs.delegation import FATAL
from ..known.within import InnerAtWork
from ..reports import InnerAsked, InnerDone, InnerLeft, InnerStalled
from ..session import Happened, Session
from ..spending import settle
from .inner_agents import agent_spent, stop_agent
from .tool_calls import INTERRUPTED, ask_approval, with_changes, with_done_before
from .tool_context import secrets_of

STALLED: Final = 60.0
"""Seconds that a call that was begun again may take to make the calls that it had made before, one after another."""


def inner_asked(message: InnerAsked, happened: Happened) -> None:
    """A tool call wants to make a call."""
    session, inner = message
    state, call = session.state, inner.call
    if state.turn.phase == "ended" or inner.go.done():
        inner.cancel()
        return
    session.within.calls[call.id] = inner
    session.within.made[outer_of(call.id)] = int(call.id.rpartition("/")[2])
    known = state.inner.get(call.id) if state.inner is not None else None
    if known is not None and (known.called.name, known.called.arguments) != (call.name, call.arguments):
        del session.within.calls[call.id]
        inner.fail(_changed(call, known.called))
    elif known is not None and known.returned is not None:
        inner.recorded = True
        key = f"stalled {call.id}"
        session.jobs[key] = session.runtime.clock.call_at(
            session.time() + STALLED, session.send, InnerStalled(session, inner)
        )
    else:
        inner.recorded = known is not None
        _decide_first(session, inner, happened)
    _tell_recorded(session, outer_of(call.id))


def inner_decided(session: Session, said: Decided, happened: Happened) -> None:
    """A person has decided about an inner call."""
    inner = session.within.calls[said.call_id]
    inner.resume(session.within.calls.values())
    decision = InnerDecided(said.call_id, said.approved, said.arguments, said.reason)
    if said.approved:
        _begin(session, inner, happened, decision)
    else:
        _record_result(session, inner, ToolResult(denial(said.reason), True), happened, decision)


def inner_done(message: InnerDone, happened: Happened) -> None:
    """An inner call has come to its end."""
    session, inner, outcome = message
    if session.within.calls.get(inner.call.id) is not inner:
        return
    settle(session, happened)
    error = outcome.error
    if isinstance(error, (GuardrailTripped, RunFailed, *FATAL)):
        happened(session, Interrupted(error))
    elif error is not None:
        _record_result(session, inner, ToolResult(named(error), True), happened)
    else:
        assert outcome.value is not None
        _record_result(session, inner, outcome.value, happened)


def inner_left(message: InnerLeft, happened: Happened) -> None:
    """Nobody waits for an inner call any more: it has been told its result, or the outer call has ended without."""
    session, inner = message
    call_id = inner.call.id
    if session.within.calls.get(call_id) is not inner:
        return
    del session.within.calls[call_id]
    if session.cells is not None:
        session.cells.drop(call_id)
    if call_id in session.delegations:
        happened(session, stop_agent(session, inner))
    if inner.waits:
        inner.resume(session.within.calls.values())
        request = session.waiting.pop(call_id, None)
        alarm = session.jobs.pop(call_id, None)
        if alarm is not None:
            alarm.cancel()
        if request is not None:
            session.runtime.approvals.forget(request)
            session.unpause(request.approval)


def inner_stalled(message: InnerStalled, happened: Happened) -> None:
    """A call that was begun again has not made the calls again that it had made before."""
    session, inner = message
    if session.within.calls.get(inner.call.id) is inner and not inner.go.done():
        outer = outer_of(inner.call.id)
        inner.fail(
            CallChanged(f"the call {outer!r} was begun again and did not make the calls that it had made before")
        )


def _decide_first(session: Session, inner: InnerAtWork, happened: Happened) -> None:
    """What comes first of a call that has no result: a refusal, a question, or the call itself."""
    state, call, tool = session.state, inner.call, inner.tool
    agent = session.prepared.agent
    known = state.inner.get(call.id) if state.inner is not None else None
    asked = (state.approvals or {}).get(call.id)
    if not agent.may_use(session.run.caller, tool.scope):
        missing = UnknownTool(f"there is no tool named {call.name!r}")
        _record_result(session, inner, ToolResult.failure(missing), happened)
    elif known is not None and known.decided is not None:
        inner.call = _as_decided(call, known.decided)
        _begin(session, inner, happened)
    elif asked is not None:
        _ask(session, inner, happened)
    elif (barred := session.labels.barred(session.prepared, call)) is not None:
        _barred(session, inner, barred, happened)
    elif known is None and _asks_person(session, inner) and (wrong := _misfit(tool, call)) is not None:
        _record_result(session, inner, ToolResult.failure(wrong), happened)  # there is nothing to decide about it
    elif known is None and _asks_person(session, inner):
        owner = as_owner(agent.owner, agent.name)
        approval = session.runtime.approvals.new(
            call.id, time.time(), tool.approved_by, owner, session.reason_to_ask(call), tool
        )
        _recorded(session, inner, happened, (approval,), then=partial(_ask, session, inner, happened))
    else:
        _begin(session, inner, happened)


def _asks_person(session: Session, inner: InnerAtWork) -> bool:
    """Whether a person is asked about a call; what cannot run waits for nobody."""
    wanted = session.prepared.agent.autonomy in inner.tool.approval
    return wanted or bool(session.reason_to_ask(inner.call))


def _barred(session: Session, inner: InnerAtWork, barred: LabelRefused, happened: Happened) -> None:
    """A call is not made, since labelled text may not cause it."""
    if session.labels.ends:
        happened(session, Interrupted(barred))
    else:
        _record_result(session, inner, ToolResult(f"Refused: {said(barred)}", True), happened)


def _misfit(tool: Tool, call: ToolCall) -> ToolError | None:
    """Why a call cannot run."""
    try:
        tool.check(call.arguments)
    except ToolError as wrong:
        return wrong
    return None


def _ask(session: Session, inner: InnerAtWork, happened: Happened) -> None:
    if session.within.calls.get(inner.call.id) is inner:
        inner.pause()
        ask_approval(session, AskApproval(inner.call), happened)


def _begin(session: Session, inner: InnerAtWork, happened: Happened, said: InnerDecided | None = None) -> None:
    """Let the call be made, once it is recorded that it may have had an effect."""
    call, tool = inner.call, inner.tool
    session.since[call.id] = session.time()
    if session.runtime.bus.active:
        arguments = call.arguments if said is None or said.arguments is None else said.arguments
        session.emit(ToolStarted, call_id=call.id, tool=call.name, arguments=arguments)
    if call.id in session.interrupted and not tool.idempotent and not tool.resumable:
        _record_result(session, inner, ToolResult(INTERRUPTED, True), happened)
        return
    events: list[Any] = [] if said is None else [said]
    if not tool.idempotent and not tool.resumable:
        events.append(ToolsStarted((call.id,)))
    if said is not None:
        inner.call = _as_decided(call, said)
    # What an agent is asked is recorded first: a call that is begun again must not find the run of another one.
    if not events and (inner.recorded or not isinstance(tool, AgentFunction)):
        _go(inner)
    else:
        _recorded(session, inner, happened, events, then=partial(_go, inner))


def _go(inner: InnerAtWork) -> None:
    if not inner.go.done():
        inner.go.set_result(inner.call)


def _as_decided(call: ToolCall, said: InnerDecided) -> ToolCall:
    return call if said.arguments is None else ToolCall(call.id, call.name, said.arguments)


def _record_result(
    session: Session, inner: InnerAtWork, result: ToolResult, happened: Happened, said: InnerDecided | None = None
) -> None:
    """Record a result, with what the call has set, and tell the outer call of it."""
    call = inner.call
    content, is_error = result.content, result.is_error
    if session.cells is not None:
        # What the functions around an agent have set counts although its run has failed.
        fails = is_error and not isinstance(inner.tool, AgentFunction)
        content, failed = with_changes(session, session.cells, call, content, fails)
        is_error = is_error or failed
    if is_error:
        content = with_done_before(session, call, content)
    changed, session.changed = session.changed, None
    if secrets := secrets_of(session):
        content = secrets.blot_content(content)
    if (content, is_error) != (result.content, result.is_error):
        value = content if isinstance(result.value, str) or is_error else result.value
        result = ToolResult(content, is_error, None if is_error else value, from_value=result.from_value)
    labels = result.labels if result.labels is not None else inner.tool.labels
    result = replace(result, labels=explicit(labels | session.labels.heard, call.name))
    outer = outer_of(call.id)
    came = returned(call.id, result, session.within.made[outer], session.stopwatch.used())
    if secrets:
        came = came._replace(value=secrets.blot(came.value))
    since = session.since.pop(call.id, None)
    if session.runtime.bus.active and since is not None:
        seconds = session.time() - since
        told = {"tool": call.name, "content": shown(content), "is_error": is_error}
        session.emit(ToolFinished, call_id=call.id, seconds=seconds, **told)
    events = [*([said] if said is not None else ()), *([changed] if changed is not None else ())]
    made = session.delegations.get(call.id)
    if made is not None:
        events.append(agent_spent(session, inner, made))
    if _recorded(session, inner, happened, (*events, came)):
        if made is not None:
            del session.delegations[call.id]
            session.runtime.register.forget(made.run.id)
        session.runtime.crashes.pop(session.stream, None)  # it has got a step further
        _tell_recorded(session, outer)


def _recorded(
    session: Session,
    inner: InnerAtWork,
    happened: Happened,
    events: Sequence[Any],
    then: Callable[[], object] | None = None,
) -> bool:
    """Record events about a call, before them that it was made, unless that is known; whether that could be done."""
    call = inner.call
    if not inner.recorded:
        made = InnerCalled(call.id, call.name, call.arguments, inner.context.began_at)
        events = (made, *events)
    try:
        session.record(events, then)
    except EventNotWritable as error:
        happened(session, Interrupted(not_kept(error)))
        return False
    inner.recorded = True
    return True


def _tell_recorded(session: Session, outer: str) -> None:
    """Tell an outer call of the results of those it made, in the order in which they came, as far as it has come."""
    inner, within = session.state.inner, session.within
    if inner is None:
        return
    for came in inner.returned(outer):
        if came.call_id in within.told:
            continue
        waiting = within.calls.get(came.call_id)
        if waiting is None or came.asked > within.made[outer]:
            return
        within.told |= {came.call_id}
        alarm = session.jobs.pop(f"stalled {came.call_id}", None)
        if alarm is not None:
            alarm.cancel()
        waiting.answer(result_of(came))


def _changed(call: ToolCall, before: InnerCalled) -> CallChanged:
    what = f"another call of {call.name}" if before.name == call.name else f"a call of {call.name}"
    return CallChanged(
        f"the call {outer_of(call.id)!r} was begun again after a crash, and where it had called {before.name} it now "
        f"makes {what}: what it calls must follow from its arguments and from what its calls return"
    )
