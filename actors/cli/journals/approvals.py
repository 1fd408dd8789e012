"""``callboard approvals``: the calls that wait for a person, in whichever program, and what the person says."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cyclopts import App

from ...core.base.errors import CallboardError
from ..parts.caller import caller_of
from ..parts.printed import plain, print_json, say

if TYPE_CHECKING:
    from ...agents.caller import Caller
    from ...agents.events import ApprovalRequested
    from ...agents.turns.rules import Limits

PATIENCE: Final = 10.0
"""Seconds for which a program that holds the conversation may take the decision, before it is reported as waiting."""

approvals = App(
    name="approvals",
    help="The calls that wait for a person. JOURNAL is a file, or postgresql://user@host/database.",
)


class NoLimits(CallboardError):
    """What a run is to be given is none of what runs may use."""


@approvals.command(name="list")
def show(journal: str, /, *, user: str | None = None, tenant: str = "", json: bool = False) -> int:
    """List the calls that wait, of all programs that share the journal, running or not.

    Exits with 1 where a conversation could not be read.

    Args:
        journal: the journal.
        user: only those of this user's runs.
        tenant: the customer the user belongs to.
        json: print them as JSON.
    """
    import asyncio

    from ...agents.runs.coordination.elsewhere import waiting
    from ...agents.runs.runtime.approvals import may_decide
    from ...journal.errors import JournalError
    from .stores import opened

    by = caller_of(user, tenant)
    unreadable: list[JournalError] = []

    async def found() -> list[ApprovalRequested]:
        async with opened(journal) as kept:
            return [one.request for one in await waiting(kept, unreadable)]

    requests = [one for one in asyncio.run(found()) if by is None or may_decide(by, one.caller)]
    if json:
        print_json([_shown(request) for request in requests])
    else:
        for request in requests:
            say(plain(_line(request)))
        if not requests:
            say("nothing waits for a person")
    for error in unreadable:
        sys.stderr.write(f"callboard: passed over: {plain(str(error))}; see callboard journal check\n")
    return 1 if unreadable else 0


@approvals.command
def approve(
    journal: str,
    approval: str,
    /,
    *,
    arguments: str | None = None,
    limits: str | None = None,
    user: str | None = None,
    tenant: str = "",
    json: bool = False,
) -> int:
    """Let a call run: at once where its program runs, otherwise when the next one goes on with it.

    Args:
        journal: the journal.
        approval: its id, see callboard approvals list.
        arguments: a JSON object in place of what the model wrote.
        limits: what a run may use in all that waits for more, as a JSON object of steps, tokens or cost.
        user: who decides; only what was asked for in this user's runs. By default whoever may use the journal.
        tenant: the customer the user belongs to.
        json: print what came of it as JSON.
    """
    return _decide(journal, approval, True, arguments, "", caller_of(user, tenant), json, _limits(limits))


@approvals.command
def deny(
    journal: str,
    approval: str,
    /,
    *,
    reason: str = "",
    user: str | None = None,
    tenant: str = "",
    json: bool = False,
) -> int:
    """Refuse a call.

    Args:
        journal: the journal.
        approval: its id, see callboard approvals list.
        reason: told to the model.
        user: who decides; only what was asked for in this user's runs. By default whoever may use the journal.
        tenant: the customer the user belongs to.
        json: print what came of it as JSON.
    """
    return _decide(journal, approval, False, None, reason, caller_of(user, tenant), json)


def _decide(
    journal: str,
    approval: str,
    approved: bool,
    arguments: str | None,
    reason: str,
    by: Caller | None,
    as_json: bool,
    limits: Limits | None = None,
) -> int:
    import asyncio

    from ...agents.runs.coordination.elsewhere import decide, taken
    from .stores import opened

    async def decided() -> tuple[ApprovalRequested, bool]:
        async with opened(journal) as kept:
            waited = await decide(kept, approval, approved, arguments, reason, by, limits)
            was = bool(waited.owner) and await taken(kept, waited, approved, PATIENCE)
            return waited.request, was

    request, was_taken = asyncio.run(decided())
    if as_json:
        print_json({"approval": approval, "approved": approved, "taken": was_taken})
    else:
        what = f"{'approved' if approved else 'denied'} {request.tool or 'more'}"
        then = "it has been taken" if was_taken else "it is taken when a program goes on with it"
        say(plain(f"{what} of {request.agent}/{request.conversation}; {then}"))
    return 0


def _limits(text: str | None) -> Limits | None:
    from ...agents.turns.rules import Limits

    if text is None:
        return None
    try:
        return Limits(**{"steps": None, "seconds": None, **json.loads(text)})
    except (TypeError, ValueError):
        raise NoLimits(f"--limits {text:.80} is no JSON object of steps, tokens or cost") from None


def _line(request: ApprovalRequested) -> str:
    from ...agents.rendering.flow import arguments_in_words

    caller = request.caller
    whose = f"for {caller.user}{f' of {caller.tenant}' * bool(caller.tenant)}" if caller.user else "for nobody named"
    until = "for ever"
    if request.expires_at is not None:
        until = f"until {datetime.fromtimestamp(request.expires_at).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    arguments = arguments_in_words(request.arguments)
    call = f"{request.tool}({arguments})" if request.tool else f"waits for more: {arguments}"
    why = f"  ({request.why})" if request.why else ""
    return f"{request.approval}  {request.agent}/{request.conversation}  {call}  {whose}, {until}{why}"


def _shown(request: ApprovalRequested) -> dict[str, object]:
    return {
        "approval": request.approval,
        "agent": request.agent,
        "conversation": request.conversation,
        "run": request.run,
        "root": request.root,
        "tool": request.tool,
        "arguments": request.arguments,
        "user": request.caller.user,
        "tenant": request.caller.tenant,
        "expires_at": request.expires_at,
        "why": request.why,
    }
