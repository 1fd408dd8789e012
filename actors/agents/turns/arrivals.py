"""What becomes of what is said to a conversation that is at work: a further run, a message to the run under way.

Pure functions of the conversation's state.

==============  ========================================================================================================
``when_busy``   what becomes of a run that comes while others have not ended
==============  ========================================================================================================
``queue``       it is worked on after them
``reject``      it is refused, and nothing of it is kept
``interrupt``   the run under way is ended; what it has completed stays in the history
``rollback``    the run under way is ended, and all of its messages are taken out of the history
==============  ========================================================================================================

A run that came to take the place of the one under way, and still waits, is ended by the next one that comes for the
same. One that came to wait for its turn keeps it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from .records import Rewound, RunRequest, WhenBusy
from .state import ConversationState

WHEN_BUSY: Final = get_args(WhenBusy)
NEWER: Final = "interrupted by a newer message"

Hearing: TypeAlias = Literal["now", "later", "never"]


class Arrival(NamedTuple):
    """What is to be done about a run that comes.

    Args:
        accepted: whether it is taken up.
        interrupted: the run under way, where it is to be ended.
        rollback: whether the messages of that one are taken out of the history.
        overtaken: runs that wait, and are to be ended.
    """

    accepted: bool = True
    interrupted: RunRequest | None = None
    rollback: bool = False
    overtaken: tuple[RunRequest, ...] = ()


def arrive(state: ConversationState, run: RunRequest) -> Arrival:
    """What is to be done about a run that comes, before it is taken up."""
    queue = state.queue
    if not queue or run.when_busy == "queue":
        return Arrival()
    if run.when_busy == "reject":
        return Arrival(accepted=False)
    ending = state.begun and state.turn.phase == "ended"  # its outcome is being looked at
    overtaken = tuple(one for one in queue[1:] if one.when_busy in ("interrupt", "rollback"))
    return Arrival(True, None if ending else queue[0], run.when_busy == "rollback", overtaken)


def hearing(state: ConversationState) -> Hearing:
    """Whether somebody hears now what is said to the run under way, or a run that is about to begin will."""
    if not state.queue:
        return "never"
    if not state.begun:
        return "later"
    if state.turn.phase != "ended":
        return "now"
    return "later" if len(state.queue) > 1 else "never"


def taken_back(state: ConversationState) -> tuple[Rewound, ...]:
    """What is to be recorded with the end of the run under way, where its messages are taken out of the history."""
    return (Rewound(state.turn.start),) if state.rollback else ()
