"""What the runtime tells about itself, as plain values: lifecycle facts, dead letters, outcomes, the tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar
from weakref import WeakSet

T = TypeVar("T")
K = TypeVar("K", bound=type)

SUPPRESSED: Final[WeakSet[type]] = WeakSet()
"""The types of messages that are nobody's loss where no handler processes them."""


def suppress_dead_letter(kind: K) -> K:
    """Declare a type of messages that make no dead letter: those by which an actor's own work tells it how it goes,
    once the actor has ended. (Pekko's `DeadLetterSuppression`.) The actor's metrics count them as any other."""
    SUPPRESSED.add(kind)
    return kind


@dataclass(frozen=True, slots=True)
class Event:
    """A rare fact of an actor's life.

    Args:
        kind: ``started``, ``crashed``, ``restarted``, ``stopped``, ``escalated``, ``dead_letter``, ``system_stopped``.
        actor: the actor's path.
        time: the event loop's time in seconds.
        detail: what happened, in a line.
    """

    kind: str
    actor: str
    time: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no handler will ever process.

    Args:
        message: what was sent.
        recipient: the path of the actor it was sent to.
        reason: why it was not processed.
    """

    message: Any
    recipient: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a piece of work beside the mailbox ended: a value, or an error."""

    value: T | None = None
    error: BaseException | None = None

    def unwrap(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


ActorState: TypeAlias = tuple[str, str, str, int, float, int]
"""An actor as `System.survey` shows it: its path, and its kind, phase, waiting, age and restarts as in `Node`.

A plain tuple of plain values: the garbage collector looks at those once, and at objects of any class again and again.
10,000 of these made each second would have it go through all objects of the process every few seconds.
"""


@dataclass(frozen=True, slots=True)
class Node:
    """An actor as `System.tree` shows it.

    Args:
        name: unique among its siblings.
        kind: the name of its class.
        phase: ``running``, or ``starting``, ``failing``, ``suspending``, ``restarting``, ``stopping``.
        waiting: messages in its mailbox.
        restarts: how often it has been restarted.
        children: in start order.
        age: seconds that the oldest of these messages has waited, at least; 0 while nobody measures the system.
    """

    name: str
    kind: str
    phase: str
    waiting: int
    restarts: int
    children: tuple[Node, ...]
    age: float = 0.0
