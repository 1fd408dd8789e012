"""Calling tools, asking a person first where the rules say so, and what comes of it."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from ......providers.messages import Labels, Part, ToolCall, shown
from ......tools import Tool, ToolResult
from .....core.base.events import Outcome
from .....core.base.log import logger_of
from .....core.base.send_context import active as active_context
from ....caller import as_owner
from ....errors import GuardrailTripped, RunFailed, named, said
from ....events import ApprovalDecided, ApprovalRequested, ToolFinished, ToolStarted
from ....prompts.state.cells import Cells
from ....turns.history import was_interrupted
from ....turns.labels import explicit
from ....turns.records import ApprovalAsked, Decision
from ....turns.steps import (
    NOBODY_DECIDED,
    AskApproval,
    CallTool,
    Commands,
    Decided,
    Interrupted,
    Raised,
    ToolReturned,
)
from ...coordination.elsewhere import decisions_left
from ..planning import not_offered
from ..reports import ApprovalExpired, PostsSeen, ToolDone
from ..session import Happened, Session
from ..spending import settle, spent_above
from .inner_calls import tell_simulation
from .tool_context import has_to_recall, made_context, recall, secrets_of, tool_context

logger = logger_of()

INTERRUPTED = (
    "Interrupted: the tool was running when its agent was restarted. It may have had its effect; "
    "check before you call it again."
)

WAS_INTERRUPTED = (
    "the same call, with the same arguments, was running before when its process ended: it may have had its effect, "
    "so look before you approve it again"
)
"""What a person is told who is asked about a call that may have been made."""


def call_tool(session: Session, command: CallTool, happened: Happened) -> None:
    """Start a tool call."""
    call = command.call
    tool = session.prepared.tool(call.name)
    session.since[call.id] = session.time()
    if session.runtime.bus.active:
        session.emit(ToolStarted, call_id=call.id, tool=call.name, arguments=call.arguments)
    if tool is None:
        prepared = session.prepared
        names = ", ".join([*prepared.tools, *prepared.handoffs, *prepared.agents]) or "none"
        _returned(session, call, f"no tool is called {call.name!r:.80}; there are: {names}", True, happened)
        return
    hidden = session.prepared.deferred
    if hidden is not None and hidden.is_hidden(call.name, session.state.turn.history):
        _returned(session, call, hidden.introduced(call.name), True, happened)
        return
    if why := not_offered(session, call):
        _returned(session, call, why, True, happened)
        return
    if session.labels.policy is not None and call.id not in session.state.turn.approved:
        barred = session.labels.barred(session.prepared, call)
        if barred is not None:
            if session.labels.ends:
                happened(session, Interrupted(barred))
            else:
                _returned(session, call, f"Refused: {said(barred)}", True, happened)
            return
    if call.id in session.interrupted and not (tool.idempotent or tool.resumable):
        _returned(session, call, INTERRUPTED, True, happened)
        return
    if session.cells is None:
        _start(session, call, tool)
    else:
        with session.cells.open(call.id):
            _start(session, call, tool)


def _start(session: Session, call: ToolCall, tool: Tool) -> None:
    spans = session.spans
    at = None if spans is None else spans.at(call.id)
    current = None if at is None else at.attach()
    token = active_context.set(session.send_context if at is None else at.sent)
    wanted = tool.context
    context = None
    hooks = session.prepared.hooks
    waits = "toolcall" in hooks or "toolresult" in hooks or has_to_recall(session)
    if wanted is not None and not waits:
        context = tool_context(session, call)
        waits = context is None
    if waits:
        work = _hooked_call(session, call)
        session.jobs[call.id] = session.actor.pipe(work, lambda outcome: ToolDone(session, call, outcome))
    else:
        # Not piped: a call has a task of its own already.
        ended = partial(_when_returned, session, call)
        tell_simulation(session, call, tool)
        session.jobs[call.id] = session.runtime.tool_tasks.start(tool, call.arguments, ended, context)
    active_context.reset(token)
    if at is not None and current is not None:
        at.writer.detach(current)


def tool_done(message: ToolDone, happened: Happened) -> None:
    """Take a tool's result."""
    session, call, outcome = message
    session.jobs.pop(call.id, None)
    if session.owed:
        settle(session, happened)
    try:
        result = outcome.unwrap()
    except (GuardrailTripped, RunFailed) as error:
        happened(session, Interrupted(error))
    except Exception as error:  # a tool of another make than ours, which reports failures as results
        _returned(session, call, named(error), True, happened)
    else:
        _returned(session, call, result.content, result.is_error, happened, _labels_of(session, call, result))


def _labels_of(session: Session, call: ToolCall, result: ToolResult) -> Labels | None:
    """The labels of a result that are kept: the tool's, unless it said others, and those of what its calls returned and
    of what agents answered whom it asked."""
    labels, inner, heard = result.labels, session.state.inner, session.labels.heard
    if labels is None:
        tool = session.prepared.tool(call.name)
        if tool is None or (inner is None and not heard):
            return None if tool is None else tool.own_labels
        labels = tool.labels
    labels |= heard
    if inner is not None:
        labels |= inner.labels(call.id)
    return explicit(labels, call.name)


def asked(session: Session, commands: Commands) -> list[ApprovalAsked]:
    """What is to be recorded of the approvals that are asked for now."""
    known = session.state.approvals or {}
    calls = [one.call for one in commands if type(one) is AskApproval and one.call.id not in known]
    if not calls:
        return []
    prepared, approvals, now = session.prepared, session.runtime.approvals, time.time()
    owner = as_owner(prepared.agent.owner, prepared.name)
    return [
        approvals.new(
            call.id,
            now,
            prepared.approvers(call.name),
            owner,
            _reason_to_ask(session, call) if call.id else "",
            prepared.tool(call.name),
        )
        for call in calls
    ]


def _reason_to_ask(session: Session, call: ToolCall) -> str:
    """What whoever decides is told of a call besides what it is."""
    why = session.reason_to_ask(call)
    if not was_interrupted(session.state.turn.history.as_tuple(), call, INTERRUPTED):
        return why
    return f"{WAS_INTERRUPTED}; {why}" if why else WAS_INTERRUPTED


def ask_approval(session: Session, command: AskApproval, happened: Happened) -> None:
    """Ask a person whether the call may run, or the run may have more."""
    call, run, runtime = command.call, session.run, session.runtime
    if not call.id and run.parent and (over := spent_above(session)) is not None:
        happened(session, Interrupted(over))  # more of its own would be of no use
        return
    known = (session.state.approvals or {})[call.id]
    at = (run.root, run.id, run.agent, run.conversation, run.chain, session.time())
    said = (known.approval, run.caller, known.expires_at, known.approvers, known.owner, known.why)
    request = ApprovalRequested(*at, call.id, call.name, call.arguments, *said, schema=known.schema)
    if known.expires_at is not None:
        left = max(0.0, known.expires_at - time.time())
        session.jobs[call.id] = runtime.clock.call_at(
            session.time() + left, session.send, ApprovalExpired(session, call)
        )
    session.waiting[call.id] = request
    session.pause(request.approval)
    decision = runtime.approvals.ask(request)
    if decision is not None:
        session.send(decision)
        return
    if session.spans is not None:
        session.spans.approval_requested(call.id, call.name, known.asked_at)
    if runtime.bus.everything:
        runtime.bus.emit(request)
    if session.state.resumed and runtime.shared:  # it may have been decided while nobody worked on this
        _look_for_decision(session, call, expired=False)


def decided(session: Session, decision: Decision, happened: Happened) -> bool:
    """Take a person's decision; returns whether a call waits for it."""
    for call_id, request in session.waiting.items():
        if request.approval == decision.approval:
            _decide(session, call_id, request, decision, happened)
            return True
    return False


def approval_expired(message: ApprovalExpired, happened: Happened) -> None:
    """Nobody has decided in time: the call does not run."""
    session, call = message
    if session.runtime.shared:  # what was left in the journal by now was left in time
        _look_for_decision(session, call, expired=True)
    else:
        _settle(session, call, [], True, happened)


def posts_seen(message: PostsSeen, happened: Happened) -> None:
    """Take what another process has decided."""
    session, call, expired, outcome = message
    if outcome.error is not None:
        logger.warning("the journal could not be looked at for decisions", exc_info=outcome.error)
    _settle(session, call, outcome.value or [], expired, happened)


def _look_for_decision(session: Session, call: ToolCall, *, expired: bool) -> None:
    request = session.waiting.get(call.id)
    if request is not None:
        looking = decisions_left(session.runtime.journal, session.stream, request.approval)
        key = f"decision about {call.id}"
        session.jobs[key] = session.actor.pipe(looking, lambda outcome: PostsSeen(session, call, expired, outcome))


def _settle(
    session: Session, call: ToolCall, left: list[tuple[int, Decision]], expired: bool, happened: Happened
) -> None:
    """Take the decision that there is about a call; where there is none and it has expired, it does not run."""
    request, approvals = session.waiting.get(call.id), session.runtime.approvals
    if request is None:
        return
    decision = approvals.decisions.get(request.approval)
    if decision is None and left:
        approvals.posts[request.approval], decision = left[0]
    if decision is None and expired:
        decision = Decision(request.conversation, request.approval, False, None, NOBODY_DECIDED)
    if decision is not None:
        _decide(session, call.id, request, decision, happened)
        post = approvals.recorded(request.approval)
        if post is not None:
            session.runtime.journal.discard(post)


def _decide(session: Session, call_id: str, request: ApprovalRequested, decision: Decision, happened: Happened) -> None:
    del session.waiting[call_id]
    if request.approval in session.runtime.approvals.posts:
        session.runtime.lingering.decided(session.stream)
    alarm = session.jobs.pop(call_id, None)
    if alarm is not None:
        alarm.cancel()
    session.emit(
        ApprovalDecided,
        call_id=call_id,
        tool=request.tool,
        approved=decision.approved,
        reason=decision.reason,
    )
    session.unpause(request.approval)
    if not call_id and decision.approved and decision.limits is not None:
        happened(session, Raised(decision.limits))
    else:
        happened(session, Decided(call_id, decision.approved, decision.arguments, decision.reason))


def _when_returned(session: Session, call: ToolCall, result: ToolResult) -> None:
    if not session.over:
        session.send(ToolDone(session, call, Outcome(result, None)))


async def _hooked_call(session: Session, call: ToolCall) -> ToolResult:
    """A tool call with hooks before it, or whose context has to be made."""
    context = await session.hooked("toolcall", call=call)
    if context.result is not None:
        return await session.looked_at(call, context.result)
    call = context.call or call
    tool = session.prepared.tool(call.name)
    if tool is None:
        return ToolResult(f"no tool is called {call.name!r}", True)
    if has_to_recall(session):
        await recall(session)
    made = await made_context(session, call) if tool.context is not None else None
    tell_simulation(session, call, tool)
    result = await tool.run(call.arguments, context=made)
    if result.labels is None:
        result = replace(result, labels=tool.labels)
    return await session.looked_at(call, result)


def with_changes(
    session: Session, cells: Cells, call: ToolCall, content: str | tuple[Part, ...], is_error: bool
) -> tuple[str | tuple[Part, ...], bool]:
    """A call's result, and whether it is an error, once what the call has set counts for the conversation; a call that
    fails has set nothing."""
    if is_error:
        cells.drop(call.id)
        return content, True
    try:
        session.changed = cells.take(call.id, session.blot())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a function of the value before, which others have changed meanwhile
        return f"{call.name} set nothing, since what it sets with raised {named(error)}", True
    return content, False


def with_done_before(session: Session, call: ToolCall, content: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
    """The result of a call that failed, and where it was begun again what it had done before: that is not to be
    lost."""
    inner = session.state.inner
    if inner is None:
        return content
    done = inner.done_before(call.id, session.within.told, session.interrupted)
    return f"{shown(content)}\n{done}" if done else content


def _returned(
    session: Session,
    call: ToolCall,
    content: str | tuple[Part, ...],
    is_error: bool,
    happened: Happened,
    labels: Labels | None = None,
) -> None:
    if is_error:
        content = with_done_before(session, call, content)
    if session.cells is not None:
        content, is_error = with_changes(session, session.cells, call, content, is_error)
    if secrets := secrets_of(session):
        content = secrets.blot_content(content)
    seconds = session.time() - session.since.pop(call.id, session.started)
    if session.runtime.bus.active:
        text = content if isinstance(content, str) else shown(content)
        told = {"tool": call.name, "content": text, "is_error": is_error}
        session.emit(ToolFinished, call_id=call.id, seconds=seconds, **told)
    happened(session, ToolReturned(call.id, content, is_error, session.stopwatch.used(), labels))
