"""Mailboxes: how an item gets in from any thread, what happens when there is no room, and what is refused."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from threading import Lock, get_ident
from typing import Any

from ..base.errors import ActorDead, MailboxFull
from ..base.events import DeadLetter
from ..base.lifecycle import Phase
from ..base.spec import Overflow
from .ask import Admission, Ask, ProbedAsk
from .cell import BUSY, CLOSED, DEAD, IDLE, READY, SUSPENDED, Cell
from .envelope import PYKKA_MESSAGES, STOPS, UNSEEN, Envelope, Mark, Once
from .queue import PriorityQueue, is_unseen, pop_oldest

_reserving = Lock()


def _forked() -> None:
    global _reserving
    _reserving = Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_forked)

GAVE_UP = "its asker gave up"
LATE = "its deadline has passed"
OVERFLOW = "its mailbox was full"


# -- getting in --------------------------------------------------------------------------------------------------------


def is_alive(cell: Cell) -> bool:
    """Whether the actor takes messages: it has not stopped, and is not stopping. A restarting actor is alive."""
    phase = cell.phase
    if phase == Phase.FAILING:
        return cell.details is not None and cell.details.spec is not None
    return phase != Phase.DEAD and phase != Phase.STOPPING


def send(cell: Cell, item: Any) -> None:
    """Put a told message into a mailbox, from any thread.

    Raises:
        ActorDead: the actor has stopped.
        MailboxFull: there is no room.
        SystemClosed: it could never arrive.
    """
    runtime = cell.runtime
    if runtime.probe is None:
        runtime.check_reachable()
    if not is_alive(cell):
        raise dead(cell, f"{cell.ref} not found")
    if get_ident() == runtime.thread:
        if make_room(cell, item):
            deliver(cell, item)
    elif reserve(cell):
        try:
            runtime.post(_arrive, cell, item)
        except BaseException:
            unreserve(cell)
            raise
    else:
        runtime.post(_arrive_full, cell, item)


def send_ask(cell: Cell, ask: Ask) -> None:
    """Put an ask into a mailbox, from any thread; what is in the way fails the ask."""
    try:
        if ask.is_late(cell.runtime.clock()):
            return
        send(cell, ask)
    except Exception as refused:
        ask.fail(refused)


def send_probed(cell: Cell, item: Envelope | ProbedAsk) -> None:
    """`send` in a system with a probe, where nothing is in the way; a simulated tell takes 1.5 µs with it, not 2.0.

    Raises:
        ActorDead, MailboxFull, SystemClosed: as `send`.
    """
    runtime = cell.runtime
    probe = runtime.probe
    state = cell.state
    queue = cell.queue
    if (
        state > SUSPENDED
        or probe is None
        or probe.on_send is not None
        or item.priority
        or item.context is not None
        or get_ident() != runtime.thread
        or item.message.__class__ in PYKKA_MESSAGES
        or cell.capacity <= (0 if queue is None else len(queue))
        or (queue is not None and queue.__class__ is not deque)
    ):
        send(cell, item)
        return
    runtime._ids = item.id = number = runtime._ids + 1
    active = runtime.active
    item.sender = sender = runtime.sender() if active is None else active.path
    kind = "ask" if item.__class__ is ProbedAsk else "send"
    probe.message(kind, cell.path, sender, number, item.message, 0)
    if queue is None:
        queues = runtime.queues
        queue = cell.queue = queues.pop() if queues else deque()
    queue.append(item)
    if not state:  # IDLE
        cell.state = READY
        runtime.make_ready(cell)


def deliver(cell: Cell, item: Any) -> None:
    """Put an item that there is room for into a mailbox, on the loop's thread."""
    runtime = cell.runtime
    if isinstance(item, Ask) and not item._state and cell.state != DEAD:
        context = item.context
        if context is not None and context.deadline is not None:
            runtime.deadlines.add(context.deadline, item)
    if runtime.probe is not None:
        _deliver_probed(cell, item)
    else:
        enqueue(cell, item)


def enqueue(cell: Cell, item: Any) -> None:
    """Put an item behind the others, without a look at the capacity. On the loop's thread only."""
    state = cell.state
    if state == DEAD:
        refuse(cell, item, f"{cell.place} is dead")
        return
    runtime = cell.runtime
    queue = cell.queue
    if queue is None:
        queues = runtime.queues
        queue = cell.queue = queues.pop() if queues else deque()
    if queue.__class__ is deque and isinstance(item, (Ask, Envelope)) and item.priority:
        queue = cell.queue = _prioritised(cell, queue)
    queue.append(item)
    if state == IDLE:
        cell.state = READY
        runtime.make_ready(cell)


def enqueue_first(cell: Cell, items: deque[Any]) -> None:
    """Put items before all that wait, in their order."""
    runtime = cell.runtime
    queue = cell.queue
    if queue is None:
        queues = runtime.queues
        queue = cell.queue = queues.pop() if queues else deque()
    for item in reversed(items):
        queue.appendleft(item)
        if isinstance(item, Ask):
            item.work = None
    if cell.state == IDLE and items:
        cell.state = READY
        runtime.make_ready(cell)


def signal(cell: Cell, item: Any) -> None:
    """Put an item into the lane that goes before all messages."""
    if cell.state == DEAD:
        return
    if cell.signals is None:
        cell.signals = deque()
    cell.signals.append(item)
    if cell.state == IDLE:
        cell.state = READY
        cell.runtime.make_ready(cell)


def own_message(cell: Cell, message: Any) -> None:
    """Put a message of an actor to itself into its mailbox: what a timer or a job beside the mailbox brings."""
    runtime = cell.runtime
    if runtime.probe is not None and message.__class__ is not Once:
        message = Envelope(message, None, 0, cell.path, runtime.next_id())
    enqueue(cell, message)


def _prioritised(cell: Cell, plain: deque[Any]) -> PriorityQueue:
    """Turn a mailbox into one with priorities; the dispatcher, which may hold the old queue, finds that one empty."""
    queue = PriorityQueue(plain)
    plain.clear()
    if cell.state == BUSY:
        signal(cell, _nothing)
    return queue


def _nothing() -> None:
    """What a signal does that only makes the dispatcher look again."""


def _arrive(cell: Cell, item: Any) -> None:
    unreserve(cell)
    deliver(cell, item)


def _arrive_full(cell: Cell, item: Any) -> None:
    if make_room(cell, item):
        deliver(cell, item)


def _deliver_probed(cell: Cell, item: Any) -> None:
    runtime = cell.runtime
    probe = runtime.probe
    assert probe is not None
    if not isinstance(item, (ProbedAsk, Envelope)) or item.message.__class__ in STOPS:
        enqueue(cell, item)
        return
    item.id = runtime.next_id()
    item.sender = runtime.sender()
    kind = "ask" if isinstance(item, Ask) else "send"
    path = cell.path
    probe.message(kind, path, item.sender, item.id, item.message, item.priority)
    if probe.on_send is None:
        enqueue(cell, item)
        return
    for nth, delay in enumerate(probe.on_send(item, path)):
        brought = item.copy() if nth and isinstance(item, ProbedAsk) else item
        if delay:
            runtime.loop.call_later(delay, enqueue, cell, brought)
        else:
            enqueue(cell, brought)


# -- room --------------------------------------------------------------------------------------------------------------


def has_room(cell: Cell) -> bool:
    """Whether a mailbox takes another message now."""
    queue = cell.queue
    return (0 if queue is None else len(queue)) < cell.capacity  # an empty one's places may be taken by threads


def refuses(cell: Cell) -> bool:
    """Whether who sends another message now is told that there is no room."""
    return not has_room(cell) and overflow(cell) == "refuse"


def load(cell: Cell) -> int:
    """How many messages wait or are at work, the work beside the mailbox counted."""
    details = cell.details
    beside = len(details.jobs) if details is not None and details.has("jobs") else 0
    return len(cell.queue or ()) + (cell.state in (BUSY, SUSPENDED)) + beside


def mark(cell: Cell, priority: int) -> Ask:
    """Return what is done when an actor has taken up all it was sent before, or is dead.

    It is no message: like a stop it comes into a full mailbox too, no deadline ends it, and it is never a dead letter.
    On the loop's thread only.

    Args:
        cell: of the actor.
        priority: the highest number among the messages to wait for.
    """
    ask = Ask(cell, Mark(), None, priority)
    enqueue(cell, ask)
    return ask


def make_room(cell: Cell, item: Any) -> bool:
    """Decide about a message for a mailbox that may be full; the only place that does.

    Returns:
        whether the message goes in: False if it was dropped instead, as the mailbox's options say.

    Raises:
        MailboxFull: it does not.
    """
    if has_room(cell):
        return True
    _tell_full(cell)
    queue = cell.queue
    policy = overflow(cell)
    if policy == "refuse":
        raise _full(cell)
    if is_unseen(item):
        return True
    if policy == "drop_oldest":
        oldest = None if queue is None else pop_oldest(queue)
        if oldest is not None:
            _drop(cell, oldest)
            return True
    _drop(cell, item)
    return False


def reserve(cell: Cell) -> bool:
    """Take a place for a message that another thread sends.

    The place is taken off the capacity until the message arrives, so that the loop's own sends, which look at nothing
    else, respect it too.

    Returns:
        whether there was one; False only where the mailbox drops messages when it is full.

    Raises:
        MailboxFull: there was none.
    """
    with _reserving:
        cell.more().in_flight += 1
        cell.capacity -= 1
        queue = cell.queue
        if (0 if queue is None else len(queue)) <= cell.capacity:
            return True
        cell.capacity += 1
        cell.more().in_flight -= 1
    if overflow(cell) == "refuse":
        raise _full(cell)
    return False


def bound(cell: Cell, capacity: float) -> None:
    """Bound a mailbox."""
    details = cell.details
    if details is None:
        cell.capacity = capacity
        return
    if cell.capacity + details.in_flight != capacity:
        with _reserving:
            cell.capacity = capacity - details.in_flight


def capacity(cell: Cell) -> float:
    """How many messages a mailbox holds: the places taken for messages on their way are among them."""
    with _reserving:
        return cell.capacity + (0 if cell.details is None else cell.details.in_flight)


def unreserve(cell: Cell) -> None:
    """Give the place back: the message is there, or will not come."""
    with _reserving:
        cell.more().in_flight -= 1
        cell.capacity += 1


def admit(cell: Cell) -> None:
    """Let senders in that waited for room."""
    details = cell.details
    if details is None or not details.waiting:
        return
    waiting = details.waiting
    while waiting and cell.state < CLOSED and has_room(cell):
        admitted, item = waiting.popitem(last=False)
        if not admitted._state:
            deliver(cell, item)
            admitted.set(None)


def admit_or_wait(cell: Cell, item: Any, admitted: Admission) -> None:
    """Let a sender in, or have it wait behind those that wait already."""
    if cell.state >= CLOSED:
        admitted.set_exception(dead(cell, f"{cell.ref} not found"))
        return
    if admitted._state:  # it has given up before this thread's loop came to it
        return
    details = cell.more()
    if not details.waiting and has_room(cell):
        deliver(cell, item)
        admitted.set(None)
        return
    _tell_full(cell)
    waiting = details.waiting
    if waiting is None:
        waiting = details.waiting = OrderedDict()
    waiting[admitted] = item
    admitted.on_given_up = lambda: waiting.pop(admitted, None)
    context = admitted.context
    if context is not None and context.deadline is not None:
        cell.runtime.deadlines.add(context.deadline, admitted)


def overflow(cell: Cell) -> Overflow:
    """What becomes of a message for a mailbox that is full."""
    details = cell.details
    return "refuse" if details is None or details.mailbox is None else details.mailbox.overflow


def _tell_full(cell: Cell) -> None:
    probe = cell.runtime.probe
    if probe is not None and probe.on_full is not None:
        probe.on_full(cell.path)


def _full(cell: Cell) -> MailboxFull:
    details = cell.details
    given = details is not None and details.mailbox is not None and details.mailbox.capacity is not None
    more = "the capacity of its Mailbox" if given else "mailbox_capacity"
    return MailboxFull(
        f"the mailbox of {cell.place} is full ({capacity(cell)} messages): "
        f"send slower, `await ref.put(…)` for room, or raise {more}"
    )


def _drop(cell: Cell, item: Any) -> None:
    if isinstance(item, Ask):
        item.fail(MailboxFull(f"dropped: the mailbox of {cell.place} was full, and its overflow is {overflow(cell)}"))
        to_dead_letters(cell, item, item.message, OVERFLOW)
    else:
        refuse(cell, item, OVERFLOW)


# -- what is not processed ---------------------------------------------------------------------------------------------


def refuse(cell: Cell, item: Any, why: str) -> None:
    """End an item that will not be processed: an answer to who asked, a dead letter for the rest.

    Args:
        cell: whose mailbox it was for.
        item: what will not be processed.
        why: what the asker and the dead letter say; an ask that has ended already says itself why.
    """
    message = item
    if isinstance(item, Ask):
        message = item.message
        if message.__class__ in UNSEEN:
            item.answer(True)
            return
        if item._state:
            why = LATE if item.timed_out() else GAVE_UP
        else:
            item.fail(dead(cell, why))
    elif isinstance(item, Envelope):
        message = item.message
        if item.__class__ is Once:
            item.taken()
    if message.__class__ not in STOPS:
        to_dead_letters(cell, item, message, why)


def dead(cell: Cell, why: str) -> ActorDead:
    """Return the error of a message for an actor that is dead, or dies; with what it failed with as its cause."""
    error = ActorDead(why)
    if cell.details is not None:
        error.__cause__ = cell.details.error
    return error


def to_dead_letters(cell: Cell, item: Any, message: Any, why: str) -> None:
    """Count and tell a message that no handler will process."""
    path = cell.path
    if cell.runtime.observer is not None:
        cell.runtime.observer.dead_letter(cell)
    cell.runtime.dead_letter(path, item, DeadLetter(message, path, why))
