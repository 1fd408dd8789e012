"""The life of an actor: one table of phases, and the only function that changes one.

::

    new ──start──▶ starting ──started──▶ running ──fail──▶ failing ──down──▶ restarting ──start──▶ starting
                      │                     │                 │                  │
                      └─fail─▶ failing      └─stop─▶ stopping ◀─stop─────────────┴─▶ … ──ended──▶ dead

``failing`` is a crashed incarnation being cleaned up; ``restarting`` has no incarnation: the mailbox waits.
``suspending`` ends a healthy incarnation that a supervisor will start again (``one_for_all``, ``rest_for_one``).
A stop is possible in every phase but ``dead`` and always wins over a pending restart.
"""

from __future__ import annotations

from typing import Final, Protocol


class Phase:
    """Where an actor is in its life. Plain numbers: an enum's members cost a crash and restart a third of its time."""

    NEW: Final = 0
    STARTING: Final = 1
    RUNNING: Final = 2
    FAILING: Final = 3
    SUSPENDING: Final = 4
    RESTARTING: Final = 5
    STOPPING: Final = 6
    DEAD: Final = 7


NAMES: Final = ("new", "starting", "running", "failing", "suspending", "restarting", "stopping", "dead")

TRANSITIONS: dict[tuple[int, str], int] = {
    (Phase.NEW, "start"): Phase.STARTING,
    (Phase.STARTING, "started"): Phase.RUNNING,
    (Phase.STARTING, "fail"): Phase.FAILING,
    (Phase.RUNNING, "fail"): Phase.FAILING,
    (Phase.FAILING, "down"): Phase.RESTARTING,
    (Phase.STARTING, "suspend"): Phase.SUSPENDING,
    (Phase.RUNNING, "suspend"): Phase.SUSPENDING,
    (Phase.SUSPENDING, "down"): Phase.RESTARTING,
    (Phase.RESTARTING, "start"): Phase.STARTING,
    (Phase.NEW, "stop"): Phase.STOPPING,
    (Phase.STARTING, "stop"): Phase.STOPPING,
    (Phase.RUNNING, "stop"): Phase.STOPPING,
    (Phase.FAILING, "stop"): Phase.STOPPING,
    (Phase.SUSPENDING, "stop"): Phase.STOPPING,
    (Phase.RESTARTING, "stop"): Phase.STOPPING,
    (Phase.STOPPING, "ended"): Phase.DEAD,
}


class Alive(Protocol):
    """What has a phase."""

    phase: int


def move(cell: Alive, event: str) -> None:
    """Put an actor into the phase that follows on ``event``.

    Raises:
        LookupError: the table has no such transition; a caller should have checked.
    """
    try:
        cell.phase = TRANSITIONS[cell.phase, event]
    except KeyError:
        raise LookupError(f"an actor that is {NAMES[cell.phase]} cannot {event}") from None


def allows(phase: int, event: str) -> bool:
    """Whether the table has a transition for ``event`` in ``phase``."""
    return (phase, event) in TRANSITIONS
