"""A cell is the runtime side of one actor: its mailbox, whether it is scheduled, and one turn of processing.

The cell outlives the actor object: a restart puts a new actor into the same cell, so refs and queued messages stay.
How incarnations start and end is in `life`; here is only the processing of messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from . import life
from .children import Children
from .envelope import Ask, Envelope, StreamAsk
from .errors import ActorDead, AskCycle, MailboxFull
from .events import DeadLetter
from .future import PENDING
from .lifecycle import Phase
from .mailbox import PriorityQueue
from .stream import serve

if TYPE_CHECKING:
    from .actor import Actor
    from .future import Future
    from .ref import ActorRef
    from .spec import ChildSpec
    from .system import System
    from .worker import Worker

logger = logging.getLogger("callboard")

IDLE, READY, BUSY, SUSPENDED, CLOSED, DEAD = range(6)
"""Scheduling states. IDLE: nothing to do. READY: in the dispatcher's queue. BUSY: a handler is at work.
SUSPENDED: messages wait (starting, restarting). CLOSED: stopping, takes no more. DEAD: for good."""

DEFERRED: Final = object()
"""What a handler returns when the answer comes later."""


class SelfStop(_ActorStop):
    """An actor's request to itself to stop: the end of a `permanent` child that its supervisor answers by a restart."""

    __slots__ = ()


PYKKA_MESSAGES: Final = frozenset({ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop, SelfStop})


class Rare:
    """What an actor seldom needs; made when it is first used, which keeps an idle actor small."""

    __slots__ = (
        "children",
        "ending",
        "error",
        "exit",
        "graceful",
        "incarnation",
        "jobs",
        "label",
        "made",
        "name",
        "processed",
        "restart_timer",
        "row",
        "settled",
        "since",
        "spec",
        "stopping",
        "timers",
        "up",
        "waiting",
        "watched_by",
        "watching",
    )

    def __init__(self) -> None:
        self.name: str | None = None
        self.label: str | None = None
        self.spec: ChildSpec | None = None
        self.children: Children | None = None
        self.waiting: deque[tuple[Any, Future[None]]] | None = None  # an empty deque takes 0.7 kB
        self.ending: Any = None
        self.error: BaseException | None = None
        self.restart_timer: asyncio.TimerHandle | None = None
        self.incarnation = 1
        self.row = 0
        self.since = 0.0
        self.processed = 0
        self.graceful = False
        self.up = False
        self.exit = ""
        self.made: tuple[str, ...] = ()

    # Made when they are first asked for: a supervised actor seldom has any of them (empty, they take 0.4 kB).
    jobs: dict[Worker, None]
    timers: dict[Any, None]
    watching: dict[Cell, None]
    watched_by: dict[Cell, None]
    stopping: list[Any]
    settled: list[Any]

    def __getattr__(self, name: str) -> Any:
        made: Any = [] if name in ("stopping", "settled") else {}
        setattr(self, name, made)  # raises AttributeError itself for a name that is no slot
        self.made += (name,)
        return made

    def has(self, name: str) -> bool:
        """Whether a collection has anything in it; unlike reading it, this does not make it."""
        return name in self.made and bool(getattr(self, name))

    def holds_anything(self) -> bool:
        """Whether the incarnation has something that must end before it has ended."""
        children = self.children
        if children is not None and children.cells:
            return True
        return bool(self.made) and (self.has("jobs") or self.has("timers") or self.has("watching"))


class Cell:
    """One actor's mailbox and scheduling state."""

    __slots__ = (
        "actor",
        "actor_class",
        "capacity",
        "current",
        "parent",
        "phase",
        "queue",
        "rare",
        "ref",
        "signals",
        "state",
        "system",
        "waiting_for",
        "worker",
    )

    def __init__(self, system: System, parent: Cell | None, actor_class: type[Actor]) -> None:
        self.system = system
        self.parent = parent
        self.actor_class = actor_class
        self.capacity = getattr(actor_class, "mailbox_capacity", 0)  # 0 until a factory has made the actor
        self.state = SUSPENDED
        self.phase = Phase.NEW
        self.queue: Any = None
        self.signals: Any = None
        self.actor: Any = None
        self.worker: Worker | None = None
        self.current: Ask | None = None
        self.waiting_for: Ask | None = None
        self.rare: Rare | None = None
        self.ref: ActorRef[Any] = None  # type: ignore[assignment]  # set at once by the actor's binding

    # -- identity ------------------------------------------------------------------------------------------------

    def more(self) -> Rare:
        """The seldom-needed part, made on first use."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    @property
    def name(self) -> str:
        """The actor's name; made from its class, counted by its parent, if none was given."""
        rare = self.more()
        if rare.name is None:
            kind = getattr(self.actor_class, "__name__", type(self.actor_class).__name__)  # a factory may have none
            if self.parent is None:
                rare.name = f"{kind}-1"
            else:
                rare.name = self.parent.children.make_name(self, kind)
        return rare.name

    @property
    def path(self) -> str:
        """The names from the top-level actor down, joined by slashes."""
        rare = self.rare
        if rare is not None and rare.label is not None:
            return rare.label
        rare = self.more()
        if rare.label is None:
            parent = self.parent
            rare.label = self.name if parent is None or parent.parent is None else f"{parent.path}/{self.name}"
        return rare.label

    label = path

    @property
    def shutdown(self) -> float:
        """Seconds this actor may take to stop."""
        rare = self.rare
        return rare.spec.shutdown if rare is not None and rare.spec is not None else self.actor_class.shutdown_timeout

    @property
    def children(self) -> Children:
        """The actor's children, with the policy its class sets."""
        rare = self.rare or self.more()
        children = rare.children
        if children is None:
            children = rare.children = Children(self, self.actor_class.supervision)
        return children

    # -- receiving -----------------------------------------------------------------------------------------------

    def enqueue(self, item: Any) -> None:
        """Put an item behind the others, without a look at the capacity. On the loop's thread only."""
        state = self.state
        if state == DEAD:
            self.refuse(item, f"{self.path} is dead")
            return
        queue = self.queue
        if queue is None:
            queues = self.system.queues
            queue = self.queue = queues.pop() if queues else deque()
        if queue.__class__ is deque and isinstance(item, (Ask, Envelope)) and item.priority:
            queue = self.queue = PriorityQueue(queue)
        queue.append(item)
        if state == IDLE:
            self.state = READY
            self.system.make_ready(self)

    def signal(self, item: Any) -> None:
        """Put an item into the lane that goes before all messages."""
        if self.state == DEAD:
            return
        if self.signals is None:
            self.signals = deque()
        self.signals.append(item)
        if self.state == IDLE:
            self.state = READY
            self.system.make_ready(self)

    def check_room(self) -> None:
        """Refuse a message that the mailbox has no room for.

        Raises:
            MailboxFull: it has none.
        """
        queue = self.queue
        if queue is not None and len(queue) >= self.capacity:
            raise MailboxFull(
                f"the mailbox of {self.path} is full ({self.capacity} messages): "
                "send slower, `await ref.put(…)` for room, or raise mailbox_capacity"
            )

    def admit(self) -> None:
        """Let senders in that waited for room."""
        rare = self.rare
        if rare is None or not rare.waiting:
            return
        while rare.waiting and self.state < CLOSED and (self.queue is None or len(self.queue) < self.capacity):
            item, admitted = rare.waiting.popleft()
            if not admitted.done():
                self.system.deliver(self, item)
                admitted.set(None)

    def admit_or_wait(self, item: Any, admitted: Future[None]) -> None:
        """Let a sender in, or have it wait behind those that wait already."""
        if self.state >= CLOSED:
            admitted.set_exception(ActorDead(f"{self.ref} not found"))
        elif not admitted.done():  # it has not given up before this thread's loop came to it
            rare = self.more()
            if rare.waiting is None:
                rare.waiting = deque()
            rare.waiting.append((item, admitted))
            self.admit()

    def refuse(self, item: Any, why: str) -> None:
        """End an item that will not be processed: an answer to who asked, a dead letter for the rest."""
        message = item
        if isinstance(item, Ask):
            message = item.message
            if message.__class__ in (_ActorStop, SelfStop):
                item.answer(True)
                return
            if item.done():
                why = "its asker gave up"
            else:
                item.fail(ActorDead(why))
        elif isinstance(item, Envelope):
            message = item.message
        if message.__class__ in (_ActorStop, SelfStop):
            return
        self.system.dead_letter(self, item, DeadLetter(message, self.path, why))

    # -- processing (the dispatcher's part) ----------------------------------------------------------------------

    def run_one(self) -> None:
        """Process one message: a turn as the simulator schedules it."""
        self.system.dispatcher.run_alone(self)

    def next_signal(self) -> Any:
        """Take the next of the first lane: a message for the handler, or None after a step of the actor's life."""
        item = self.signals.popleft()
        if not self.signals:
            self.signals = None
        if callable(item):
            item()
            return None
        # A Terminated: the watch ends as it is delivered, so that it is told once however often it was asked for.
        watching = self.more().watching
        return item if watching.pop(item.ref._cell, self) is None else None

    def receive(self, message: Any) -> Any:
        """Hand a message to the actor; what comes back may be a coroutine."""
        if message.__class__ in PYKKA_MESSAGES:
            if isinstance(message, _ActorStop):
                life.stop_gracefully(self, self.current, final=message.__class__ is _ActorStop)
                return DEFERRED
            return self.actor._handle_receive(message)
        return self.actor.on_receive(message)

    def settle(self, ask: Ask | None, value: Any, error: BaseException | None) -> bool:
        """A handler has ended: answer, or crash. False if that ends the turn.

        pykka's rule: an exception under an ask is the asker's affair and the actor lives on; one that nobody is told
        about, or that is no `Exception`, crashes the actor.
        """
        if error is None:
            if ask is not None and value is not DEFERRED:
                if isinstance(ask, StreamAsk):
                    serve(self, ask, value)
                else:
                    ask.answer(value)
        elif ask is not None and isinstance(error, Exception):
            if logger.isEnabledFor(logging.INFO):
                logger.info("Exception returned from %s to caller:", self.ref, exc_info=error)
            ask.fail(error)
        elif ask is not None and ask._state != PENDING and isinstance(error, asyncio.CancelledError):
            pass  # the asker gave up and the handler obeyed
        else:
            life.crash(self, error)
            return False
        self.current = None
        return True

    def handled(self, worker: Worker, value: Any, error: BaseException | None) -> None:
        """A handler that had suspended has ended."""
        self.worker = None
        ask = self.current
        if ask is not None and ask.work is worker:  # not a job that the handler has left the answer to
            ask.work = None
        if self.phase > Phase.RUNNING:
            life.handler_ended(self, ask, value, error)
        elif self.settle(ask, value, error):
            self.state = READY
            self.system.make_ready(self)

    # -- waiting for each other --------------------------------------------------------------------------------------

    def check_cycle(self) -> None:
        """Refuse to wait where the one waited for waits, directly or not, for this actor.

        Raises:
            AskCycle: with the names in order.
        """
        first = self.waiting_for
        ask = first
        names = [self.path]
        while ask is not None and ask._state == PENDING:
            cell = ask.cell
            names.append(cell.path)
            if cell is self:
                error = AskCycle(f"these actors wait for each other: {' → '.join(names)}")
                assert first is not None
                first.cancel()
                raise error
            ask = cell.waiting_for

    # -- the probe (simulation) --------------------------------------------------------------------------------------

    def probe_before(self, item: Any, message: Any) -> None:
        """Tell the probe that a message is about to be processed; it may raise to crash the actor."""
        rare = self.more()
        rare.processed += 1
        path = self.path
        probe = self.system.probe
        probe.event(
            "recv",
            actor=path,
            sender=item.sender,
            id=item.id,
            message=message,
            priority=item.priority,
            incarnation=rare.incarnation,
        )
        if probe.on_process is not None:
            probe.on_process(path, rare.processed, "before")

    def probe_after(self, item: Any) -> None:
        """Tell the probe that a message has been processed; it may raise to crash the actor."""
        rare = self.more()
        path = self.path
        probe = self.system.probe
        if probe.on_process is not None:
            probe.on_process(path, rare.processed, "after")
        probe.event("done", actor=path, id=item.id, incarnation=rare.incarnation)
