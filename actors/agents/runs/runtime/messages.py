"""The messages that agents' actors take besides `RunRequest`, `Cancel` and `Decision`, and pass on to conversations."""

from __future__ import annotations

from typing import NamedTuple

from ....core.base.events import suppress_dead_letter
from ....journal.store import Post
from ...turns.records import RunRequest

suppress_dead_letter(RunRequest)  # whoever waits for a run is told how it ends by the register, not by this message


@suppress_dead_letter
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


@suppress_dead_letter
class TakeUp(NamedTuple):
    """Go on with what the conversation's journal says is unfinished."""

    conversation: str


class AddAgent(NamedTuple):
    """Start the actor of an agent that the directory knows."""

    agent: str


@suppress_dead_letter
class Idle(NamedTuple):
    """The conversation has had nothing to do for a while: it may leave memory."""

    conversation: str


@suppress_dead_letter
class Posted(NamedTuple):
    """Something that was said by way of the journal, in another process or before this one began."""

    conversation: str
    post: Post


@suppress_dead_letter
class GoneFromJournal(NamedTuple):
    """The journal refused what the conversation appended: somebody else has it, or its streams are closed."""

    error: BaseException
