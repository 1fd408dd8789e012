"""The messages that agents' actors take besides `RunRequest`, `Cancel` and `Decision`, and pass on to conversations."""

from __future__ import annotations

from typing import NamedTuple

from ....journal.store import Post


class Release(NamedTuple):
    """Forget a conversation: stop its actor, drop its journal. The answer comes when that is done."""

    conversation: str


class Rewind(NamedTuple):
    """Go on from an earlier point. The answer is ``done``, ``busy`` where a run is under way, ``elsewhere`` where
    another process has the conversation, or ``moved``.

    Args:
        conversation: its id.
        messages: how many messages of its history it keeps.
        version: of the conversation's stream when that was worked out; at another one nothing is done.
    """

    conversation: str
    messages: int
    version: int


class TakeUp(NamedTuple):
    """Go on with what the conversation's journal says is unfinished."""

    conversation: str


class AddAgent(NamedTuple):
    """Start the actor of an agent that the directory knows."""

    agent: str


class Idle(NamedTuple):
    """The conversation has had nothing to do for a while: it may leave memory."""

    conversation: str


class Posted(NamedTuple):
    """Something that was said by way of the journal, in another process or before this one began."""

    conversation: str
    post: Post


class GoneFromJournal(NamedTuple):
    """The journal refused what the conversation appended: somebody else has it, or its streams are closed."""

    error: BaseException
