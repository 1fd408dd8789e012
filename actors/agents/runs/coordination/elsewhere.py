"""Calls that wait for a person in whichever process: found in the journal, decided by leaving word there.

Whoever owns the conversation takes the decision at once; where nobody does, whoever goes on with it next. What is
recorded counts: of two decisions the first that its owner takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from .....providers.messages import ToolCall
from ....core.base.log import logger_of
from ....core.mail.future import Future
from ....journal.errors import JournalError
from ....journal.store import Header, Journal, at_hand
from ...caller import NOBODY, Caller
from ...errors import DefinitionError, UnknownApproval
from ...events import ApprovalRequested
from ...turns.inner import InnerDecided
from ...turns.loop.machine import outstanding
from ...turns.records import Accepted, ApprovalAsked, Decision, Ended, RunRequest
from ...turns.rules import Limits
from ...turns.state import ConversationState, rules_of
from ...turns.steps import AskApproval, Decided, Raised
from ..reading.folding import Read, header_of, is_conversation, read
from ..runtime.approvals import (
    ToolOf,
    check_decision,
    check_may_decide,
    decision_about,
    has_expired,
    key_of,
    nobodys,
)
from ..runtime.closing import serving
from ..runtime.runtime import AgencyRuntime

logger = logger_of()

PAGE: Final = 500
"""Headers that are read at once."""

PATIENCE: Final = 10.0
"""Seconds that this very process may take to record a decision."""

LOOK: Final = 0.05
"""Seconds between two looks at whether a decision has been taken."""


class Waiting(NamedTuple):
    """A call that waits for a person, as the journal has it.

    Args:
        stream: of its conversation.
        owner: the worker that holds the conversation; empty where nobody alive does.
        request: as subscribers are told of it; its ``at`` is 0.
        version: of the last event that was read.
    """

    stream: str
    owner: str
    request: ApprovalRequested
    version: int


async def waiting(journal: Journal, unreadable: list[JournalError] | None = None) -> list[Waiting]:
    """The calls that wait, of all processes that share a journal: asked for, not expired, and not decided.

    Args:
        journal: theirs.
        unreadable: is given why a conversation could not be read; it is passed over.
    """
    found: list[Waiting] = []
    async for header in _unfinished(journal):
        try:
            kept = await read(journal, header.name)
        except JournalError as error:
            if unreadable is not None:
                unreadable.append(error)
            continue
        asked = [one for one in (kept.state.approvals or {}).values() if not has_expired(one.expires_at)]
        if not asked:
            continue
        decided = {decision.approval for _, decision in await _posted(journal, header.name)}
        for one in asked:
            request = _request(kept.state, one)
            if request is not None and one.approval not in decided:
                found.append(Waiting(header.name, header.owner, request, len(kept.records)))
    return found


async def decide(
    journal: Journal,
    approval: str,
    approved: bool,
    arguments: str | None = None,
    reason: str = "",
    by: Caller | None = None,
    limits: Limits | None = None,
    tool_of: ToolOf = nobodys,
) -> Waiting:
    """Decide a call that waits in whichever process. When this returns, the decision is in the journal.

    Args:
        journal: the one that the processes share.
        approval: the id.
        approved: whether the call may run.
        arguments: JSON text in place of what the model wrote.
        reason: told to the model.
        by: who decides; None for the application itself.
        limits: what a run is given that waits for more.
        tool_of: finds the tool of an agent.

    Returns:
        the call as it waited.

    Raises:
        UnknownApproval: nothing waits under that id: it was decided, has expired, or never was.
        NotAllowed: it belongs to somebody else.
        DefinitionError: the arguments are no text, or no JSON object; limits for a call, or none for a run that waits
            for more.
        UnfitArguments: the arguments do not fit the tool.
        JournalError: the conversation cannot be read.
    """
    check_decision(arguments, reason)
    waits = await _waits(journal, approval, by)
    stream = waits.stream
    decision = decision_about(waits.request, approved, arguments, reason, by, limits, tool_of)
    await _refuse_second(journal, stream, decision, mine=False)
    await at_hand(journal.post(stream, decision))
    await _refuse_second(journal, stream, decision, mine=True)
    header = await header_of(journal, stream)
    return waits._replace(owner=header.owner if header is not None else "")


async def _waits(journal: Journal, approval: str, by: Caller | None) -> Waiting:
    """The call that waits under an id, as the journal has it; its owner is not looked for."""
    stream = await at_hand(journal.find(approval))
    kept = await read(journal, stream) if stream is not None else None
    found = _find(kept, approval) if kept is not None else None
    if stream is None or kept is None or found is None:
        raise UnknownApproval(f"the approval {approval!r:.80} was never asked for, or its conversation is kept no more")
    check_may_decide(by, found.caller, found.asked)
    request = _request(kept.state, found.asked)
    if found.outcome or request is None:
        raise UnknownApproval(f"the approval {approval!r:.80} {found.outcome or 'belongs to no call'}")
    return Waiting(stream, "", request, len(kept.records))


async def taken(journal: Journal, decided: Waiting, approved: bool, seconds: float) -> bool:
    """Wait until a decision is recorded.

    Args:
        journal: the one it was left in.
        decided: the call as it waited.
        approved: what was decided.
        seconds: how long at most.

    Returns:
        whether it was recorded in time; otherwise it still lies in the journal.

    Raises:
        UnknownApproval: something else was recorded before.
    """
    approval = decided.request.approval
    deadline = time.monotonic() + seconds
    while any(one.approval == approval for _, one in await _posted(journal, decided.stream)):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOOK)
    for record in await at_hand(journal.read(decided.stream, after=decided.version)):
        event = record.event
        said = _decided(event, decided.request.call_id)
        if said is not None:
            if said[0] is not approved:
                raise UnknownApproval(f"the approval {approval!r} {_said(*said)} meanwhile")
            return True
        if type(event) is Raised and not decided.request.call_id:
            return True
        if type(event) is Ended:
            break
    if await header_of(journal, decided.stream) is None:
        ended = "its run has ended, and is kept no more"
        raise UnknownApproval(f"nobody can say whether the decision about {approval!r} came in time: {ended}")
    raise UnknownApproval(f"the approval {approval!r} came too late: its run has ended meanwhile")


def decide_anywhere(
    runtime: AgencyRuntime,
    approval: ApprovalRequested | str,
    approved: bool,
    arguments: str | None = None,
    reason: str = "",
    by: Caller | None = None,
    limits: Limits | None = None,
) -> Future[None]:
    """Decide a call that waits here, at once, or else one that waits in another process, by way of the journal.

    Returns:
        done once it is decided, or the decision is in the journal. It fails as `decide` does, and in `AgencyClosed`
        where the agency stops meanwhile.

    Raises:
        UnknownApproval, NotAllowed, DefinitionError: as `decide`, where that is known without the journal.
    """
    if by is not None and not isinstance(by, Caller):
        raise DefinitionError(f"caller is a Caller(user, tenant, scopes), or None, not {by!r:.80}")
    approvals = runtime.approvals
    key = key_of(approval)
    done: Future[None] = Future()
    if key is None or key in approvals or not runtime.shared:
        approvals.decide(approval, approved, arguments, reason, by, limits)
        done.set(None)
        return done
    runtime.following.check()
    check_decision(arguments, reason)

    async def post() -> None:
        try:
            with serving(runtime.register):
                decided = await decide(runtime.journal, key, approved, arguments, reason, by, limits, approvals.tool_of)
                if decided.owner == runtime.journal.worker:  # it waits here after all, or was decided this moment
                    await taken(runtime.journal, decided, approved, PATIENCE)
        except Exception as error:
            logger.warning("a decision was refused: %s", error)  # perhaps nobody awaits it
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set(None)

    task = asyncio.get_running_loop().create_task(post(), name=f"decide {key}")
    approvals.posting.add(task)
    task.add_done_callback(approvals.posting.discard)
    return done


async def waiting_anywhere(runtime: AgencyRuntime) -> tuple[ApprovalRequested, ...]:
    """The calls that wait here, in the order asked for, and then those of other processes with the same journal."""
    here = runtime.approvals.waiting
    if not runtime.shared:
        return here
    runtime.following.check()
    unreadable: list[JournalError] = []
    found = await waiting(runtime.journal, unreadable)
    for error in unreadable:
        logger.warning("approvals are passed over: %s", error)
    here = runtime.approvals.waiting
    return (*here, *(one.request for one in found if one.request.approval not in runtime.approvals))


async def waits_anywhere(runtime: AgencyRuntime, approval: str, by: Caller | None) -> ApprovalRequested:
    """The call that waits under an id, here or in another process with the same journal.

    Args:
        runtime: of the agency.
        approval: the id.
        by: who wants to know; None for the application itself.

    Raises:
        UnknownApproval: nothing waits under that id.
        NotAllowed: it belongs to somebody else.
        JournalError: the conversation cannot be read.
    """
    here = next((one for one in runtime.approvals.waiting if one.approval == approval), None)
    if here is not None:
        check_may_decide(by, here.caller, here)
        return here
    if not runtime.shared or approval in runtime.approvals:
        raise UnknownApproval(f"the approval {approval!r:.80} does not wait: decided, expired, or never asked")
    found = await _waits(runtime.journal, approval, by)
    if has_expired(found.request.expires_at) or await decisions_left(runtime.journal, found.stream, approval):
        raise UnknownApproval(f"the approval {approval!r:.80} does not wait any more")
    return found.request


async def _unfinished(journal: Journal) -> AsyncIterator[Header]:
    after = ""
    while True:
        headers = await at_hand(journal.headers(unfinished=True, after=after, limit=PAGE))
        for header in headers:
            if not header.damaged and is_conversation(header):
                yield header
        if len(headers) < PAGE:
            return
        after = headers[-1].name


async def decisions_left(journal: Journal, stream: str, approval: str) -> list[tuple[int, Decision]]:
    """The decisions about a call that wait to be taken, with the posts by which they came; the first one counts."""
    return [(post, decision) for post, decision in await _posted(journal, stream) if decision.approval == approval]


async def _posted(journal: Journal, stream: str) -> list[tuple[int, Decision]]:
    posts = await at_hand(journal.posts(stream))
    return [(post.id, post.event) for post in posts if type(post.event) is Decision]


async def _refuse_second(journal: Journal, stream: str, decision: Decision, *, mine: bool) -> None:
    """Raise where somebody else's decision waits to be taken, before ``mine``."""
    left = await decisions_left(journal, stream, decision.approval)
    if not left or (mine and left[0][1] == decision):
        return
    if mine:
        journal.discard(*[post for post, other in left if other == decision][-1:])
    said = _said(left[0][1].approved, left[0][1].reason)
    raise UnknownApproval(f"the approval {decision.approval!r} {said} already, and waits to be taken")


class _Asked(NamedTuple):
    asked: ApprovalAsked
    caller: Caller
    outcome: str
    """What became of it; empty where it waits."""


def _find(kept: Read, approval: str) -> _Asked | None:
    runs: list[RunRequest] = []
    asked: ApprovalAsked | None = None
    caller = NOBODY
    for record in kept.records:
        event = record.event
        if type(event) is Accepted:
            runs.append(event.run)
        elif asked is not None and (said := _decided(event, asked.call_id)) is not None:
            return _Asked(asked, caller, _said(*said))
        elif asked is not None and type(event) is Ended and runs and event.run == runs[0].id:
            break
        elif type(event) is Ended:
            runs = [run for run in runs if run.id != event.run]
        elif type(event) is ApprovalAsked and event.approval == approval:
            asked, caller = event, runs[0].caller if runs else NOBODY
    if asked is None:
        return None
    waits = asked in (kept.state.approvals or {}).values()
    return _Asked(asked, caller, "" if waits else "is not needed any more: its run has ended")


def _request(state: ConversationState, asked: ApprovalAsked) -> ApprovalRequested | None:
    if not state.queue:
        return None
    run, message = state.queue[0], state.turn.message
    if not asked.call_id:  # the run waits for more
        calls = [command.call for command in outstanding(state.turn, rules_of(run)) if type(command) is AskApproval]
    elif state.inner is not None and (inner := state.inner.get(asked.call_id)) is not None:
        calls = [ToolCall(asked.call_id, inner.called.name, inner.called.arguments)]
    else:
        calls = [call for call in (message.tool_calls if message is not None else ()) if call.id == asked.call_id]
    if not calls:
        return None
    call = calls[0]
    at = (run.root, run.id, run.agent, run.conversation, run.chain, 0.0)
    said = (asked.approval, run.caller, asked.expires_at, asked.approvers, asked.owner, asked.why)
    return ApprovalRequested(*at, call.id, call.name, call.arguments, *said, schema=asked.schema)


def _decided(event: Any, call_id: str) -> tuple[bool, str] | None:
    """Whether an event is a decision about a call: approved or not, and why."""
    if (type(event) is Decided or type(event) is InnerDecided) and event.call_id == call_id:
        return event.approved, event.reason
    return (True, "") if type(event) is Raised and not call_id else None


def _said(approved: bool, reason: str) -> str:
    if approved:
        return "was approved"
    return f"was denied ({reason!r:.200})" if reason else "was denied"
