"""A cell is the runtime side of one actor: its mailbox, whether it is scheduled, and one turn of processing.

The cell outlives the actor object: a restart puts a new actor into the same cell, so refs and queued messages stay.
How incarnations start and end is in `life`; here is only the processing of messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from . import life, scope
from .children import Children
from .envelope import Ask, Envelope, ProbedAsk, StreamAsk
from .errors import ActorDead, AskCycle, MailboxFull
from .events import DeadLetter
from .future import PENDING, VALUE
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

IDLE, READY, BUSY, SUSPENDED, DEAD = range(5)
"""Scheduling states. IDLE: nothing to do. READY: in the dispatcher's queue. BUSY: a handler is at work.
SUSPENDED: messages wait (starting, restarting, stopping). DEAD: for good."""

BATCH: Final = 100
"""Messages one actor may process before the next actor has its turn."""

DEFERRED: Final = object()
"""What a handler returns when the answer comes later."""

PYKKA_MESSAGES = frozenset({ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop})


class SelfStop(_ActorStop):
    """An actor's request to itself to stop: the end of a `permanent` child that its supervisor answers by a restart."""

    __slots__ = ()


class Rare:
    """What an actor seldom needs; made when it is first used, which keeps an idle actor small."""

    __slots__ = (
        "children",
        "current",
        "ending",
        "error",
        "exit",
        "graceful",
        "incarnation",
        "jobs",
        "label",
        "name",
        "numbering",
        "processed",
        "restart_timer",
        "settled",
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
        self.numbering: dict[str, int] = {}
        self.jobs: dict[Worker, None] = {}
        self.timers: dict[Any, None] = {}
        self.watching: dict[Cell, None] = {}
        self.watched_by: dict[Cell, None] = {}
        self.waiting: deque[tuple[Any, Future[None]]] = deque()
        self.stopping: list[Any] = []
        self.settled: list[Any] = []
        self.ending: Any = None
        self.error: BaseException | None = None
        self.restart_timer: asyncio.TimerHandle | None = None
        self.incarnation = 1
        self.processed = 0
        self.current: Any = None
        self.graceful = False
        self.up = False
        self.exit = ""

    def holds_anything(self) -> bool:
        """Whether the incarnation has something that must end before it has ended."""
        children = self.children
        return bool(self.jobs or self.timers or self.watching or (children is not None and children.cells))


class Cell:
    """One actor's mailbox and scheduling state."""

    __slots__ = (
        "__weakref__",
        "actor",
        "actor_class",
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
            kind = self.actor_class.__name__
            numbering = self.parent.more().numbering if self.parent is not None else {}
            numbering[kind] = n = numbering.get(kind, 0) + 1
            rare.name = f"{kind}-{n}"
        return rare.name

    @property
    def path(self) -> str:
        """The names from the top-level actor down, joined by slashes."""
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
        rare = self.more()
        if rare.children is None:
            rare.children = Children(self, self.actor_class.supervision)
        return rare.children

    # -- receiving -----------------------------------------------------------------------------------------------

    def enqueue(self, item: Any) -> None:
        """Put an item behind the others, without a look at the capacity. On the loop's thread only."""
        state = self.state
        if state == DEAD:
            self.refuse(item, f"{self.path} is dead")
            return
        queue = self.queue
        if queue is None:
            pool = self.system.queues
            queue = self.queue = pool.pop() if pool else deque()
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
        if queue is not None and len(queue) >= self.actor_class.mailbox_capacity:
            raise MailboxFull(
                f"the mailbox of {self.path} is full ({self.actor_class.mailbox_capacity} messages): "
                "send slower, `await ref.put(…)` for room, or raise mailbox_capacity"
            )

    def admit(self) -> None:
        """Let senders in that waited for room."""
        rare = self.rare
        if rare is None or not rare.waiting:
            return
        capacity = self.actor_class.mailbox_capacity
        while rare.waiting and (self.queue is None or len(self.queue) < capacity):
            item, admitted = rare.waiting.popleft()
            if not admitted.done():
                self.enqueue(item)
                admitted.set(None)

    def refuse(self, item: Any, why: str) -> None:
        """End an item that will not be processed: an answer to who asked, a dead letter for the rest."""
        message = item
        if isinstance(item, Ask):
            message = item.message
            if message.__class__ in (_ActorStop, SelfStop):
                item.answer(self.phase != Phase.DEAD or self.state != DEAD)
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

    # -- one turn ------------------------------------------------------------------------------------------------

    def run_one(self) -> None:
        """Process one message: a turn as the simulator schedules it."""
        self.system.run_alone(self)

    def run(self, limit: int = BATCH) -> int:
        """Process up to ``limit`` messages; return how many turns of the budget that used."""
        system = self.system
        left = limit
        system.active = self
        self.state = BUSY
        try:
            if self.signals is not None and not self._run_signals():
                return 1
            actor = self.actor
            receive = actor.on_receive
            queue = self.queue
            while queue:
                if not left:
                    self.state = READY
                    system.ready.append(self)
                    break
                left -= 1
                item = queue.popleft()
                kind = item.__class__
                if kind is Ask:
                    if item._state != PENDING:
                        self.refuse(item, "its asker gave up")
                        continue
                    message = item.message
                    if message.__class__ in PYKKA_MESSAGES:
                        if self._open(item):
                            return limit - left
                        continue
                    self.current = item
                    try:
                        result = receive(message) if item.scope is None else self._receive_scoped(item, message)
                    except Exception as error:
                        self._report(error)
                        item.fail(error)
                    except BaseException as error:
                        life.crash(self, error)
                        return limit - left
                    else:
                        if result.__class__ is CoroutineType:
                            if self._drive(result, item):
                                return limit - left
                        elif result is not DEFERRED and item._state == PENDING:
                            item._settle(VALUE, result)
                    self.current = None
                elif kind in OPENED:
                    if self._open(item):
                        return limit - left
                else:
                    try:
                        result = receive(item)
                    except BaseException as error:
                        life.crash(self, error)
                        return limit - left
                    if result.__class__ is CoroutineType and self._drive(result, None):
                        return limit - left
                if self.signals is not None:
                    self.state = READY
                    system.ready.append(self)
                    break
            else:
                self.state = IDLE
                if queue is not None:
                    self.queue = None
                    pool = system.queues
                    if len(pool) < 1000 and queue.__class__ is deque:
                        pool.append(queue)
            if self.rare is not None:
                self.admit()
            return limit - left + 1
        finally:
            system.active = None

    def _run_signals(self) -> bool:
        """Process the first lane; False if the turn is over."""
        while self.signals:
            item = self.signals.popleft()
            if not self.signals:
                self.signals = None
            if callable(item):
                if not item():
                    return False
                continue
            try:
                result = self.actor.on_receive(item)
            except BaseException as error:
                life.crash(self, error)
                return False
            if result.__class__ is CoroutineType and self._drive(result, None):
                return False
        self.signals = None
        return True

    def _open(self, item: Any) -> bool:
        """Process an item that is not a plain message; True if the turn is over."""
        ask: Ask | None = item if isinstance(item, Ask) else None
        message = item if item.__class__ in PYKKA_MESSAGES or item.__class__ is SelfStop else item.message
        if message.__class__ in (_ActorStop, SelfStop):
            life.stop_gracefully(self, ask, final=message.__class__ is _ActorStop)
            return True
        if ask is not None and ask.done():
            self.refuse(item, "its asker gave up")
            return False
        probe = self.system.probe
        self.current = ask
        try:
            if probe is not None and item is not message:
                self._before(item, message)
            if item is not message and item.scope is not None:
                result = self._receive_scoped(item, message)
            elif message.__class__ in PYKKA_MESSAGES:
                result = self.actor._handle_receive(message)
            else:
                result = self.actor.on_receive(message)
            if result.__class__ is CoroutineType:
                return self._drive(result, ask, item)
            if probe is not None and item is not message:
                self._after(item)
        except Exception as error:
            if ask is None:
                life.crash(self, error)
                return True
            self._report(error)
            ask.fail(error)
        except BaseException as error:
            life.crash(self, error)
            return True
        else:
            self._answer(ask, result)
        self.current = None
        return False

    def _answer(self, ask: Ask | None, result: Any) -> None:
        if ask is not None and result is not DEFERRED:
            if ask.__class__ is StreamAsk:
                serve(self, ask, result)
            else:
                ask.answer(result)

    def _receive_scoped(self, item: Any, message: Any) -> Any:
        token = scope.active.set(item.scope)
        try:
            if message.__class__ in PYKKA_MESSAGES:
                return self.actor._handle_receive(message)
            return self.actor.on_receive(message)
        finally:
            scope.active.reset(token)

    def _report(self, error: BaseException) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s: exception returned to the asker", self.path, exc_info=error)

    # -- coroutine handlers ----------------------------------------------------------------------------------------

    def _drive(self, coro: Any, ask: Ask | None, item: Any = None) -> bool:
        """Make the first step of a handler's coroutine; True if it suspended or crashed (the turn is over)."""
        carried = ask.scope if ask is not None else item.scope if item.__class__ is Envelope else None
        system = self.system
        outcome = system.first_step(self, coro, carried, self._handled)
        if outcome is None:
            self.worker = system.last_worker
            if ask is not None:
                ask.work = self.worker
            if item is not None:
                self.more().current = item
            if self.phase != Phase.RUNNING:  # the handler's first step has led to its own stop
                life.begin_ending(self)
            return True
        value, error = outcome
        return self._close(ask, item, value, error)

    def _close(self, ask: Ask | None, item: Any, value: Any, error: BaseException | None) -> bool:
        """A coroutine handler has ended; True if that crashed the actor."""
        if error is None and item is not None and self.system.probe is not None:
            try:
                self._after(item)
            except BaseException as injected:
                error = injected
        if error is None:
            self._answer(ask, value)
        elif ask is not None and isinstance(error, Exception):
            self._report(error)
            ask.fail(error)
        elif ask is not None and ask.done() and isinstance(error, asyncio.CancelledError):
            pass  # the asker gave up and the handler obeyed
        else:
            life.crash(self, error)
            return True
        self.current = None
        return False

    def _handled(self, worker: Worker, value: Any, error: BaseException | None) -> None:
        """The suspended handler has ended."""
        self.worker = None
        rare = self.rare
        item = None
        if rare is not None:
            item, rare.current = rare.current, None
        ask = self.current
        if ask is not None:
            ask.work = None
        if self.phase != Phase.RUNNING:
            life.handler_ended(self, ask, value, error)
            return
        if not self._close(ask, item, value, error):
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

    def _before(self, item: Any, message: Any) -> None:
        rare = self.more()
        rare.processed += 1
        probe = self.system.probe
        probe.event(
            "recv", actor=self.path, sender=item.sender, id=item.id, message=message, incarnation=rare.incarnation
        )
        probe.on_process(self.path, rare.processed, "before")

    def _after(self, item: Any) -> None:
        probe = self.system.probe
        assert probe is not None
        probe.on_process(self.path, self.more().processed, "after")
        probe.event("done", actor=self.path, id=item.id, incarnation=self.more().incarnation)


OPENED: set[Any] = {Envelope, ProbedAsk, StreamAsk, SelfStop, *PYKKA_MESSAGES}
"""Classes of queue items that are not plain messages."""
