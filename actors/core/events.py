"""What the runtime tells: lifecycle facts, dead letters, and the messages it sends to actors itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .ref import ActorRef

T = TypeVar("T")


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
class Terminated:
    """Sent once to an actor that watches another, when that one is dead for good.

    Args:
        ref: the actor that ended.
        reason: ``stopped``, or what it failed with.
    """

    ref: ActorRef[Any]
    reason: str


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
