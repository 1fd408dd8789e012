"""What an agent's own functions decide between two steps: whether the run is to end, and what the next one is like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .....providers.messages import Request, ToolCall
from ....core.base.send_context import active
from ...errors import DefinitionError, RunFailed, said
from ...turns.loop.stopping import RunSoFar, StepPlan
from ...turns.steps import Completed, CompletionFailed, Stopped
from .calling import raised_by
from .session import Happened, Session
from .showing import shown_history, strategy_of


def stopped(session: Session, happened: Happened) -> bool:
    """Whether the agent's condition has ended the run, after at least one step."""
    condition, turn = session.prepared.agent.stop_when, session.state.turn
    if condition is None or not turn.steps:
        return False
    try:
        stop = _called(session, "stop_when", condition)
        if not isinstance(stop, bool):
            raise RunFailed(f"stop_when of {session.prepared.name} returned {type(stop).__name__}, not True or False")
    except RunFailed as error:
        happened(session, CompletionFailed(error))
        return True
    if stop:
        named = getattr(condition, "__name__", "") or repr(condition)
        happened(session, Stopped(named))
    return stop


def planned(session: Session, request: Request) -> Request:
    """The request of the next step as the agent wants it.

    Raises:
        RunFailed: its function raised, or what it returned cannot be.
    """
    prepared = session.prepared
    if session.prompt is None:
        session.offered = None
    prepare = prepared.agent.prepare_step
    assert prepare is not None
    plan: Any = _called(session, "prepare_step", prepare)
    if plan is None:
        return request
    if not isinstance(plan, StepPlan):
        raise RunFailed(f"prepare_step of {prepared.name} returned {type(plan).__name__}, not a StepPlan")
    changes: dict[str, Any] = dict(plan.settings or {})
    if plan.model is not None:
        changes["model"] = plan.model
    if plan.tools is not None:
        offered = {spec.name: spec for spec in request.tools}
        known = {spec.name for spec in session.runtime.directory.prepared(prepared.name).specs}  # scoped ones too
        unknown = [name for name in plan.tools if name not in offered and name not in known]
        if session.prompt is not None:
            unknown = []  # what the prompt function does not make in this step it may make in another
        if unknown:
            there = ", ".join(offered) or "none"
            raise RunFailed(f"prepare_step of {prepared.name} wants the tool {unknown[0]!r}; there are: {there}")
        changes["tools"] = tuple(spec for name, spec in offered.items() if name in plan.tools)
        session.offered = tuple(spec.name for spec in changes["tools"])
    if plan.instructions is not None:
        history = shown_history(session, strategy_of(session))
        changes["messages"] = prepared.messages(prepared.system_message(plan.instructions), history)
    try:
        return replace(request, **changes)
    except TypeError as error:
        raise RunFailed(
            f"prepare_step of {prepared.name}: StepPlan.settings are fields of a request: {error}"
        ) from None


def not_offered(session: Session, call: ToolCall) -> str:
    """Why a call is not carried out that the step did not offer; empty where it did. What was offered is recorded: a
    call that is made again after a crash is judged by it."""
    if session.prompt is None and session.prepared.agent.prepare_step is None:
        return ""
    last = None
    for one in reversed(session.state.turn.trail):  # by `next` of a generator it takes 0.5 µs more, for each call
        if isinstance(one, Completed):
            last = one
            break
    if last is None or last.offered is None or call.name in last.offered:
        return ""
    return f"{call.name!r} cannot be called now; there are: {', '.join(last.offered) or 'none'}"


def _called(session: Session, name: str, function: Callable[[RunSoFar], Any]) -> Any:
    token = active.set(session.send_context)
    try:
        return function(RunSoFar(session.context, session.state.turn))
    except DefinitionError as error:
        raise RunFailed(f"{name} of {session.prepared.name}: {said(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise raised_by(f"{name} of {session.prepared.name}", error) from error
    finally:
        active.reset(token)
