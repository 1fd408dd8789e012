"""The messages that agents' actors take besides `Run`, and pass on to the conversation's."""

from __future__ import annotations

from typing import NamedTuple


class Cancel(NamedTuple):
    """End a run that is waiting or under way."""

    conversation: str
    run: str
    reason: str = "cancelled by the caller"


class Decision(NamedTuple):
    """What a person says to a call that waits for approval."""

    conversation: str
    run: str
    call_id: str
    approved: bool
    arguments: str | None = None
    reason: str = ""


class Release(NamedTuple):
    """Forget a conversation: stop its actor, drop its journal. The answer comes when that is done."""

    conversation: str
