"""Calling tools, asking a person first where the rules say so, and what comes of it."""

from __future__ import annotations

from functools import partial

from ....providers.messages import ToolCall
from ....tools import ToolResult
from ...core.base.events import Outcome
from ...core.base.scope import active as active_scope
from ..errors import GuardrailTripped
from ..events import ApprovalDecided, ApprovalRequested, ToolFinished, ToolStarted
from ..turns.steps import AskApproval, CallTool, Decided, Interrupted
from ..turns.steps import ToolFinished as ToolReturned
from .messages import Decision
from .session import Happened, Session, ToolDone

INTERRUPTED = (
    "Interrupted: the tool was running when its agent was restarted. It may have had its effect; "
    "check before you call it again."
)


def call_tool(session: Session, command: CallTool, happened: Happened) -> None:
    """Start a tool call."""
    call = command.call
    tool = session.prepared.tools.get(call.name)
    session.since[call.id] = session.time()
    if session.runtime.bus.active:
        session.emit(ToolStarted, call_id=call.id, tool=call.name, arguments=call.arguments)
    if tool is None:
        names = ", ".join(session.prepared.tools) or "none"
        _returned(session, call, f"no tool is called {call.name!r}; there are: {names}", True, happened)
        return
    if call.id in session.state.interrupted and not tool.idempotent:
        _returned(session, call, INTERRUPTED, True, happened)
        return
    token = active_scope.set(session.scope)
    if "toolcall" in session.prepared.hooks:
        work = _hooked_call(session, call)
        session.jobs[call.id] = session.actor.pipe(work, lambda outcome: ToolDone(session, call, outcome))
    else:
        # Not piped: a call has a task of its own already.
        ended = partial(_when_returned, session, call)
        session.jobs[call.id] = session.runtime.tool_tasks.start(session.run.id, tool, call.arguments, ended)
    active_scope.reset(token)


def tool_done(message: ToolDone, happened: Happened) -> None:
    """Take a tool's result."""
    session, call, outcome = message
    session.jobs.pop(call.id, None)
    try:
        result = outcome.unwrap()
    except GuardrailTripped as error:
        happened(session, Interrupted(error))
    except Exception as error:  # a tool of another make than ours, which reports failures as results
        _returned(session, call, f"{type(error).__name__}: {error}", True, happened)
    else:
        _returned(session, call, result.content, result.is_error, happened)


def ask_approval(session: Session, command: AskApproval, happened: Happened) -> None:
    """Ask a person whether the call may run."""
    call = command.call
    run, bus = session.run, session.runtime.bus
    at = (run.root, run.id, run.agent, run.conversation, run.chain, session.time())
    request = ApprovalRequested(*at, call.id, call.name, call.arguments)
    session.waiting[call.id] = session.runtime.approvals[request.approval] = request
    session.stop_clock()
    if bus.active:
        bus.emit(request)


def decided(session: Session, decision: Decision, happened: Happened) -> None:
    """Take a person's decision; of a call that does not wait for one nothing comes."""
    request = session.waiting.pop(decision.call_id, None)
    if request is None:
        return
    session.runtime.approvals.pop(request.approval, None)
    session.emit(
        ApprovalDecided,
        call_id=decision.call_id,
        tool=request.tool,
        approved=decision.approved,
        reason=decision.reason,
    )
    if not session.waiting:
        session.start_clock()
    _, _, call_id, approved, arguments, reason = decision
    happened(session, Decided(call_id, approved, arguments, reason))


def _when_returned(session: Session, call: ToolCall, result: ToolResult) -> None:
    if not session.over:
        session.send(ToolDone(session, call, Outcome(result, None)))


async def _hooked_call(session: Session, call: ToolCall) -> ToolResult:
    """A tool call with hooks before it."""
    context = await session.hooked("toolcall", call=call)
    if context.result is not None:
        return context.result
    call = context.call or call
    tool = session.prepared.tools.get(call.name)
    if tool is None:
        return ToolResult(f"no tool is called {call.name!r}", True)
    return await tool.run(call.arguments)


def _returned(session: Session, call: ToolCall, content: str, is_error: bool, happened: Happened) -> None:
    session.runtime.crashes.pop(session.stream, None)
    seconds = session.time() - session.since.pop(call.id, session.started)
    if session.runtime.bus.active:
        told = {"tool": call.name, "content": content, "is_error": is_error}
        session.emit(ToolFinished, call_id=call.id, seconds=seconds, **told)
    happened(session, ToolReturned(call.id, content, is_error))
