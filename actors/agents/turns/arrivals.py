"""What becomes of what is said to a conversation that is at work: a further run, a message to the run under way.

Pure functions of what is known of the conversation.

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

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

from .records import RunRequest, WhenBusy

WHEN_BUSY: Final = get_args(WhenBusy)
REPLACING: Final = ("interrupt", "rollback")
NEWER: Final = "interrupted by a newer message"

Hearing: TypeAlias = Literal["now", "later", "never"]


def rejected(queue: Sequence[RunRequest], run: RunRequest) -> bool:
    """Whether a run that comes is refused.

    Args:
        queue: the runs that have not ended, the one under way first.
        run: the one that comes.
    """
    return bool(queue) and run.when_busy == "reject"


def replaced(queue: Sequence[RunRequest], ending: bool, run: RunRequest) -> tuple[RunRequest, ...]:
    """The runs that one that comes puts an end to.

    Args:
        queue: the runs that have not ended, the one under way first.
        ending: whether that one has its outcome, and hooks look at it.
        run: the one that comes.
    """
    if not queue or run.when_busy not in REPLACING:
        return ()
    overtaken = tuple(one for one in queue[1:] if one.when_busy in REPLACING)
    return overtaken if ending else (queue[0], *overtaken)


def hearing(queue: Sequence[RunRequest], begun: bool, ending: bool) -> Hearing:
    """Whether somebody hears now what is said to the run under way, or a run that is about to begin will.

    Args:
        queue: the runs that have not ended, the one under way first.
        begun: whether that one has begun.
        ending: whether it has its outcome, and hooks look at it.
    """
    if not queue:
        return "never"
    if not begun:
        return "later"
    if not ending:
        return "now"
    return "later" if len(queue) > 1 else "never"
