"""Handing the message at work on to another actor, and seeing how busy that one is.

A forwarded ask is answered by whoever it ends up with: the answer, the error or the stream's items go straight to the
asker. Its deadline, carried values and priority go along, and giving up reaches the actor that works on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pykka.messages import ProxyGetAttr

from .mail.cell import BUSY, SUSPENDED
from .mail.envelope import DEFERRED, Ask, StreamAsk

if TYPE_CHECKING:
    from .actor import Actor
    from .mail.future import Future
    from .refs.ref import ActorRef


def forward(actor: Actor, ref: ActorRef[Any], message: Any) -> Any:
    """Send what ``actor`` is handling on to another; return the result from its handler.

    It is sent at once, so forwarded messages keep their order; no task is made for it.

    Raises:
        ActorDead, MailboxFull: as `ActorRef.tell`, for a message that nobody waits for; an ask ends in the same error.
    """
    ask = actor._cell.current
    if ask is None:
        ref.tell(message)
        return None
    if isinstance(ask, StreamAsk):
        # The producer fills the very channel that the reader empties: it is no further ahead than without a detour.
        inner: Ask = StreamAsk(ref._cell, message, ask.scope, ask.priority)
        inner.channel = ask.channel  # type: ignore[attr-defined]
        ref._deliver(inner)
    else:
        inner = ref.ask(message, priority=ask.priority)  # type: ignore[assignment]
    return _answered_by(ask, [inner], lambda answers: answers[0])


def gather(actor: Actor, refs: Sequence[ActorRef[Any]], message: Any) -> Any:
    """Ask several actors what ``actor`` was asked; return the result from its handler.

    The asker gets the tuple of their answers, in the order of ``refs``. Where one fails, the ask ends in that error and
    the others are called off.
    """
    ask = actor._cell.current
    assert ask is not None
    inner: list[Any] = [ref.ask(message, priority=ask.priority) for ref in refs]
    return _answered_by(ask, inner, tuple)


def priority_at_work(actor: Actor) -> int:
    """The priority of the ask at work; 0 for a message that nobody waits for."""
    ask = actor._cell.current
    return 0 if ask is None else ask.priority


def load(ref: ActorRef[Any]) -> int:
    """How many messages an actor has waiting or at work, the work beside its mailbox counted."""
    cell = ref._cell
    rare = cell.rare
    beside = len(rare.jobs) if rare is not None and rare.has("jobs") else 0
    return len(cell.queue or ()) + (cell.state in (BUSY, SUSPENDED)) + beside


def has_room(ref: ActorRef[Any]) -> bool:
    """Whether an actor's mailbox takes another message now."""
    cell = ref._cell
    return cell.queue is None or len(cell.queue) < cell.capacity


def mark(ref: ActorRef[Any], priority: int) -> Future[Any]:
    """Return a future that is done when an actor has taken up all it was sent before, or is dead.

    It is a message that no handler sees. Like a stop it comes into a full mailbox too, and no deadline ends it.

    Args:
        ref: of an actor in this system; on its loop's thread.
        priority: the latest of the messages to wait for.
    """
    cell = ref._cell
    ask = Ask(cell, ProxyGetAttr(attr_path=("name",)), None, priority)
    cell.system.deliver(cell, ask)
    return ask


class _Elsewhere:
    """Stands where the handler's own work on an ask would: others work on it. Cancelling it calls them off."""

    __slots__ = ("inner",)

    def __init__(self, inner: Sequence[Ask]) -> None:
        self.inner = inner

    def cancel_softly(self) -> None:
        for ask in self.inner:
            if not ask.cancel() and ask.work is not None:  # a stream that has begun: its producer
                ask.work.cancel_softly()


def _answered_by(ask: Ask, inner: Sequence[Ask], answer: Callable[[list[Any]], Any]) -> Any:
    """Have an ask end as the asks made in its place do."""
    elsewhere = _Elsewhere(inner)
    ask.work = elsewhere  # type: ignore[assignment]
    left = len(inner)

    def ended(one: Ask) -> None:
        nonlocal left
        left -= 1
        if ask.done():
            return
        if one.cancelled():
            ask.cancel()
        elif (error := one.exception()) is not None:
            ask.fail(error)
            elsewhere.cancel_softly()
        elif not left:
            ask.answer(answer([one.result() for one in inner]))

    for one in inner:
        one.when_done(ended)
    return DEFERRED
