"""What a tool is told of its call and its run, and what it says of them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ......providers.messages import ToolCall
from ......tools.context import CallContext, OnProgress
from ......tools.secrets import Secrets
from ......tools.threads import call_in_loop
from .....core.base.foreign import awaited, is_ours
from .....core.base.send_context import active as active_context
from ....caller import Caller
from ....context import NO_DEPS, ToolContext
from ....events import ToolProgress, ToolSpent
from ....turns.history import last_tool
from ....turns.records import CredentialGiven
from ....turns.steps import Spent
from ...runtime.register import Entry
from ...runtime.runtime import AgencyRuntime
from ..calling import raised_by
from ..reports import CredentialTaken, MoneySpent
from ..session import Happened, Session
from .inner_calls import make_call


class _Making:
    """What tools depend on is being made by the agency's function."""

    __slots__ = ("task",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        task.add_done_callback(_looked_at)


def tool_context(session: Session, call: ToolCall) -> ToolContext[Any] | None:
    """The context of a call; None where what the tool depends on has to be made first: see `made_context`."""
    deps = session.holder().deps
    if deps is NO_DEPS:
        if session.runtime.makes_deps:
            return None
        deps = session.runtime.deps
    return None if type(deps) is _Making else _context(session, call, deps)


async def made_context(session: Session, call: ToolCall) -> ToolContext[Any]:
    """The context of a call, with what the tool depends on made by the agency's function. It is asked once for a run
    that a caller has started, and all that work for it.

    Raises:
        RunFailed: the function raised.
    """
    ready = tool_context(session, call)
    if ready is not None:
        return ready
    holder = session.holder()
    if holder.deps is NO_DEPS:
        making = _called(session.runtime.deps, session.run.caller)
        holder.deps = _Making(asyncio.get_running_loop().create_task(making, name=f"deps of {session.run.root}"))
    making = holder.deps
    if type(making) is _Making:
        # Shielded: others may wait for the same.
        deps = await asyncio.shield(making.task)
        if holder.deps is making:
            holder.deps = deps
    return _context(session, call, holder.deps)


def secrets_of(session: Session) -> Secrets | None:
    """What tools that work for a caller's run were given, and is to be kept out of what all of them show."""
    return session.holder().secrets


def has_to_recall(session: Session) -> bool:
    """Whether tools were given secrets, by an earlier incarnation or in an earlier run, that are not known here."""
    return not session.recalled and session.runtime.credentials is not None and bool(_unknown(session))


async def recall(session: Session) -> None:
    """Ask again for what tools were given before a restart, or in an earlier run: it may turn up in what they show."""
    secrets, holder = _kept_secrets(session), session.holder()
    for given in dict.fromkeys(_unknown(session)):  # the runs that it works for have it, too
        with suppress(Exception):  # what is not to be had any more cannot be known
            secret = await _look_up(session, given.caller, given.name)
            if isinstance(secret, str) and secret.strip():
                secrets.add(given.name, secret)
                holder.known |= {given}
    session.recalled = True


def _unknown(session: Session) -> list[CredentialGiven]:
    known = session.holder().known
    return [given for one in session.upward() for given in one.state.credentials if given not in known]


def _kept_secrets(session: Session) -> Secrets:
    holder = session.holder()
    if holder.secrets is None:
        holder.secrets = Secrets()
    return holder.secrets


async def _credential(session: Session, holder: Entry | Session, name: str) -> Any:
    """What the agency's function gives; that it was given is recorded in the conversations that it may turn up in."""
    caller = session.run.caller
    secret = await _look_up(session, caller, name)
    if secret is not None:
        given = CredentialGiven(name, Caller(caller.user, caller.tenant))
        holder.known |= {given}
        for one in session.upward():
            if given not in one.state.credentials:
                one.send(CredentialTaken(one, given))
    return secret


async def _look_up(session: Session, caller: Caller, name: str) -> Any:
    """What the agency's function has for a caller."""
    credential = session.runtime.credentials
    assert credential is not None
    found = credential(caller, name)
    return await found if inspect.isawaitable(found) else found


def credential_taken(message: CredentialTaken, happened: Happened) -> None:
    """Record that a tool was given a secret."""
    session, given = message
    state = session.state
    if state.begun and state.turn.phase != "ended" and given not in state.credentials:
        session.record((given,))


def money_spent(message: MoneySpent, happened: Happened) -> None:
    """Take what a tool has spent."""
    session, tool, spent = message
    session.emit(ToolSpent, call_id=spent.call_id, tool=tool, amount=spent.amount, reason=spent.reason)
    happened(session, spent)


async def context_beside(
    runtime: AgencyRuntime, caller: Caller, call_id: str, tool: str, on_progress: OnProgress | None
) -> ToolContext[Any]:
    """The context of a call that belongs to no run; see `Agency.tool_context`."""
    deps = await _called(runtime.deps, caller) if runtime.makes_deps else runtime.deps
    credentials = runtime.credentials
    return ToolContext(
        call_id,
        tool,
        deps=deps,
        caller=caller,
        on_progress=on_progress,
        began_at=time.time(),
        credentials=None if credentials is None else partial(credentials, caller),
    )


async def _called(function: Callable[[Caller], Any], caller: Caller) -> Any:
    token = active_context.set(None)  # it is nobody's call in particular
    task = asyncio.current_task()
    what = "the function that makes the agency's deps"
    try:
        return await awaited(what, function, caller)
    except BaseException as error:
        if is_ours(error, task):
            raise
        raise raised_by(what, error) from error
    finally:
        active_context.reset(token)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Nobody may be left to be told that it failed."""
    if not task.cancelled():
        task.exception()


def _context(session: Session, call: ToolCall, deps: Any) -> ToolContext[Any]:
    turn, run = session.state.turn, session.run
    runtime = session.runtime
    context = ToolContext(
        call.id,
        call.name,
        deps=deps,
        messages=turn.history,
        caller=run.caller,
        step=turn.steps,
        last_tool=last_tool(turn.history, turn.start),
        agent=run.agent,
        conversation=run.conversation,
        run=run.id,
        started_at=run.asked_at,
        streaming=run.stream,
        on_progress=partial(_on_progress, session),
        on_usage=partial(_on_usage, session),
        on_call=partial(make_call, session),
        began_at=_began_at(session, call),
        labels=session.labels.joined(call.id),
        credentials=None if runtime.credentials is None else partial(_credential, session, session.holder()),
    )
    if runtime.credentials is not None:
        context.secrets = _kept_secrets(session)  # what one tool was given another may return
    return context


def _began_at(session: Session, call: ToolCall) -> float:
    """When a call began, in seconds since 1970; of one that made calls before a crash, when it did so first."""
    inner = session.state.inner
    first = next(inner.of(call.id), None) if inner is not None else None
    return first.called.began_at if first is not None else time.time()


def _on_progress(session: Session, context: CallContext, text: str, fraction: float | None) -> None:
    told = {"call_id": context.call_id, "tool": context.tool, "text": text, "fraction": fraction}
    _in_loop(session, partial(_tell, session, told))


def _tell(session: Session, told: Mapping[str, Any]) -> None:
    if not session.over:
        session.emit(ToolProgress, **told)


def _on_usage(session: Session, context: CallContext, amount: float, reason: str, metadata: Mapping[str, Any]) -> None:
    outer: CallContext = context
    while outer.outer is not None:  # it is counted with the call that the model made
        outer = outer.outer
    message = MoneySpent(session, context.tool, Spent(outer.call_id, amount, reason, metadata))
    _in_loop(session, partial(session.send, message))


def _in_loop(session: Session, call: Callable[[], object]) -> None:
    """A tool may work in a thread."""
    system = session.runtime.system
    assert system is not None
    try:
        here = asyncio.get_running_loop() is system.loop
    except RuntimeError:
        here = False
    if here:
        call()
    else:
        call_in_loop(system.loop, call)
