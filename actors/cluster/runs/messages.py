"""What nodes say to each other of runs."""

from __future__ import annotations

from typing import NamedTuple

from ...agents.events import RunEvent
from ...agents.turns.outcome import Outcome
from ...agents.turns.records import RunRequest


class Make(NamedTuple):
    """Make a run; answered by a stream of what happens: `Recorded`, events, and last `Made` or `Refused`.

    Args:
        run: the request.
        first: whether no other node was asked before.
        listens: whether somebody wants the events.
        waited: seconds since it was asked for: clocks of machines differ.
    """

    run: RunRequest
    first: bool
    listens: bool
    waited: float = 0.0


class Cancel(NamedTuple):
    """Have a run ended that was sent here; see `RunRegister.cancel`."""

    run: str
    reason: str
    rollback: bool
    given_up: bool


class Recorded(NamedTuple):
    """The run is in the journal."""


class Event(NamedTuple):
    """Something happened in the run."""

    event: RunEvent


class Made(NamedTuple):
    """The run has its outcome."""

    outcome: Outcome


class Refused(NamedTuple):
    """The run is not made here, or not made to its end: another node is to go on with it."""

    why: str
