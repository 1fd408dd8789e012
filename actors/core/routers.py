"""Routers: one ref before many workers of a kind. Here is decided which worker gets a message, and when it may.

A router takes its messages from a mailbox as every actor does and hands each on to one of its workers, its supervised
children. Where by-key routing moves a key to another worker, because the size has changed, the key's messages wait at a
`_Gate` until the worker it belonged to has taken up all that was sent to it before: the order for each key holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeAlias, cast

from .actor import Actor
from .base.errors import ActorDead, AskCycle, NotAStream, SpecError
from .base.lifecycle import Phase
from .base.rendezvous import key_hash, slot_of
from .base.restart import NO_BACKOFF, Backoff, Restart, Supervision
from .base.spec import ChildSpec, Mailbox
from .base.typed import Returns
from .mail.ask import Ask
from .mail.mailbox import has_room, load, mark, refuses, to_dead_letters
from .processing.stash import taken_up_again
from .refs.ref import ActorRef
from .supervisor import DynamicSupervisor

Routing: TypeAlias = "Literal['round_robin', 'least_busy'] | ByKey"
_NAMED: tuple[str, ...] = ("round_robin", "least_busy")


@dataclass(frozen=True, slots=True)
class ByKey:
    """Messages with the same key go to the same worker, in order; see `by_key`."""

    key: Callable[[Any], Any]

    def __post_init__(self) -> None:
        if not callable(self.key):
            raise SpecError(f"by_key takes a function that returns a message's key, not {self.key!r}")


def by_key(key: Callable[[Any], Any]) -> ByKey:
    """Route by what ``key(message)`` returns: a str, bytes, int, UUID, enum member, None, or a tuple of these.

    The same key goes to the same worker as long as the size stays, in every run and every process (rendezvous hashing
    with blake2b). Of ``n`` workers one more takes only the keys it will have itself, about one in ``n + 1``.

    Raises:
        SpecError: it is no function.
    """
    return ByKey(key)


@dataclass(frozen=True, slots=True)
class Resize(Returns[int]):
    """Tells a router how many workers to have. Asked, it answers with the number at once.

    New workers take messages, which wait until they have started. One that is taken away finishes what it has; for
    what it has stashed, it has its shutdown time to take that up again.

    Raises:
        SpecError: the size is no int, or less than 1.
    """

    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)


@dataclass(frozen=True, slots=True)
class Broadcast(Returns[tuple[Any, ...]]):
    """Tells a router to hand a message to each of its workers.

    Asked, it answers with the tuple of their answers, in the order of `Routees`; where one fails, with that error, and
    the others are called off.
    """

    message: Any


@dataclass(frozen=True, slots=True)
class Routees(Returns[tuple[ActorRef[Any], ...]]):
    """Asks a router for the tuple of its workers' refs."""


class Router(DynamicSupervisor):
    """Hands each message on to one of its workers, which are its children and answer the asker themselves.

    Args:
        worker: an actor class, a function that returns a new actor, or a child spec, which says besides how long a
            worker may take to stop and how long its restarts wait.
        size: how many workers.
        routing: ``round_robin`` takes turns; ``least_busy`` takes the worker with the fewest messages waiting or at
            work, work beside its mailbox counted; `by_key` keeps to one worker for a key.
        args, kwargs: what to make a worker with.
        intensity: how many restarts of workers ``period`` may see; one more fails the router.
        period: seconds.

    Raises:
        SpecError: an argument is wrong; the message says which.
    """

    def __init__(
        self,
        worker: Callable[..., Actor] | ChildSpec,
        *,
        size: int,
        routing: Routing = "round_robin",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        intensity: int = 3,
        period: float = 5.0,
    ) -> None:
        super().__init__(intensity=intensity, period=period)
        self._worker = _worker_spec(worker, args, kwargs)
        self._size = _check_size(size)
        self._routing = _check_routing(routing)
        self._workers: list[ActorRef[Any]] = []
        self._leaving: dict[ActorRef[Any], _Finish] = {}
        self._moves: list[_Move] = []
        self._made = 0
        self._turn = 0
        self._latest = 0

    @classmethod
    def spec(  # type: ignore[override]  # a router makes its children itself
        cls,
        worker: Callable[..., Actor] | ChildSpec,
        *,
        size: int,
        routing: Routing = "round_robin",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        intensity: int = 3,
        period: float = 5.0,
        restart: Restart = "permanent",
        shutdown: float = 30.0,
        backoff: Backoff = NO_BACKOFF,
        mailbox: Mailbox | None = None,
    ) -> ChildSpec[Self]:
        """Return the child spec of a router.

        What follows ``period`` is for the router itself; to say it of the workers, give a child spec as ``worker``.

        Args:
            worker, size, routing, args, kwargs, intensity, period: as for `Router`.
            name: unique among the siblings; made from the class where it is left out.
            restart: ``permanent`` is restarted whenever it ends by itself, ``transient`` only when it crashed,
                ``temporary`` never.
            shutdown: seconds it may take to stop before it is killed.
            backoff: the wait before a restart.
            mailbox: how its mailbox is bounded, where messages wait until they are handed on.

        Raises:
            SpecError: an argument is wrong; the message says which.
        """
        options = {
            "size": _check_size(size),
            "routing": _check_routing(routing),
            "intensity": intensity,
            "period": period,
        }
        Supervision(intensity=intensity, period=period)
        return ChildSpec(cls, (_worker_spec(worker, args, kwargs),), options, name, restart, shutdown, backoff, mailbox)

    def on_start(self) -> Any:
        """Start the workers, all at once; the router has started when they have."""
        self._workers = [self._new_worker() for _ in range(self._size)]
        if not all(worker.has_started() for worker in self._workers):
            return self._all_started()
        return None

    async def _all_started(self) -> None:
        for worker in self._workers:
            await worker.started()

    async def _finish_children(self) -> None:
        for move in self._moves[:]:  # the oldest first: its gates send to later ones
            await _stopped([hold.gate for hold in move.holds.values()])
        finishes = [_Finish(worker, self._latest) for worker in self._workers] + list(self._leaving.values())
        for finish in finishes:
            if finish.worker._cell.phase in (Phase.FAILING, Phase.SUSPENDING, Phase.RESTARTING):
                finish.worker.stop(block=False)  # it would not be started again
        for finish in finishes:
            await finish.over()

    def on_receive(self, message: Any) -> Any:
        """Hand a message on, or do what one of the router's own asks for."""
        match message:
            case Resize():
                return self._resize(message.size)
            case Broadcast():
                return self._broadcast(message.message)
            case Routees():
                return tuple(self._all_up())
        return self._route(self, message)

    # -- the workers -----------------------------------------------------------------------------------------------

    def _new_worker(self) -> ActorRef[Any]:
        self._made += 1
        return self.spawn(replace(self._worker, name=f"{self._worker.name}-{self._made}"))

    def _up(self, slot: int) -> ActorRef[Any]:
        """The worker of a slot; another one if it was stopped from outside."""
        worker = self._workers[slot]
        if not worker.is_alive():
            worker = self._workers[slot] = self._new_worker()
        return worker

    def _all_up(self) -> list[ActorRef[Any]]:
        return [self._up(slot) for slot in range(len(self._workers))]

    def _resize(self, size: int) -> int:
        before = self._all_up()
        added: list[ActorRef[Any]] = []
        try:
            while len(before) + len(added) < size:
                added.append(self._new_worker())
        except Exception:
            for worker in added:
                worker.stop(block=False)
            raise
        self._leaving = {worker: finish for worker, finish in self._leaving.items() if worker.is_alive()}
        left = {slot: self._take_away(before[slot]) for slot in range(size, len(before))}
        self._workers = [*before[:size], *added]
        if isinstance(self._routing, ByKey) and size != len(before):
            if added:
                left = {slot: mark(worker._cell, self._latest) for slot, worker in enumerate(before)}
            move = _Move(len(before), size)
            move.holds = {slot: _Hold(passed, self._new_gate(move, passed)) for slot, passed in left.items()}
            self._moves.append(move)
        return size

    def _new_gate(self, move: _Move, passed: Ask) -> ActorRef[Any]:
        shutdown = self._worker.shutdown + 1.0  # it waits for a worker, which may take that long
        return self.spawn(ChildSpec(_Gate, (self, move, passed), shutdown=shutdown))

    def _take_away(self, worker: ActorRef[Any]) -> Ask:
        finish = self._leaving[worker] = _Finish(worker, self._latest)
        return finish.passed

    def _broadcast(self, message: Any) -> Any:
        workers = self._all_up()
        self._latest = max(self._latest, _priority(self))
        if self.expects == "stream":
            raise NotAStream(f"{self.path}: a broadcast is answered by all workers, which makes no stream")
        if self.expects == "answer":
            asks = [worker.ask(message, priority=_priority(self)) for worker in workers]
            return self.reply_with(_all_answers(asks))
        full = [worker for worker in workers if refuses(worker._cell)]
        for worker in workers:
            if worker not in full:
                worker.tell(message)
        return self._put_to_each(full, message) if full else None

    async def _put_to_each(self, workers: Sequence[ActorRef[Any]], message: Any) -> None:
        try:
            for worker in workers:
                with suppress(ActorDead):
                    await worker.put(message)
        except BaseException as error:
            self._lost(message, f"not every worker had room for it: {error!r}")
            raise

    # -- which of them -----------------------------------------------------------------------------------------------

    def _route(self, actor: Actor, message: Any, after: _Move | None = None) -> Any:
        """Hand the message at work in ``actor``, the router or one of its gates, on."""
        asked = actor.expects != "nothing"
        try:
            target = self._choose(message, after)
        except Exception as error:
            if asked:
                raise
            self._lost(message, f"no worker could be chosen: {error!r}")
            return None
        if not asked and refuses(target._cell):
            return self._wait_for_room(message, after)
        self._latest = max(self._latest, _priority(actor))
        return actor.forward(target, message)

    async def _wait_for_room(self, message: Any, after: _Move | None) -> None:
        """Hold what nobody has room for, and so all that is behind it: then the router's own mailbox fills."""
        try:
            while True:
                target = self._choose(message, after)
                with suppress(ActorDead):  # it has stopped meanwhile
                    await target.put(message)
                    return
        except BaseException as error:
            self._lost(message, f"no worker had room for it: {error!r}")
            if not isinstance(error, Exception):
                raise

    def _lost(self, message: Any, why: str) -> None:
        to_dead_letters(self._cell, None, message, why)

    def _choose(self, message: Any, after: _Move | None) -> ActorRef[Any]:
        if isinstance(self._routing, ByKey):
            return self._of_key(key_hash(self._routing.key(message)), after)
        size = len(self._workers)
        first = self._turn % size
        if self._routing == "round_robin":
            slot = first
            while not has_room(self._up(slot)._cell):
                slot = (slot + 1) % size
                if slot == first:
                    break
        else:
            cells = [worker._cell for worker in self._all_up()]
            slot = min(range(size), key=lambda i: (not has_room(cells[i]), load(cells[i]), (i - first) % size))
        self._turn = slot + 1
        return self._workers[slot]

    def _of_key(self, number: int, after: _Move | None) -> ActorRef[Any]:
        """The worker that a key belongs to, or the gate where its messages wait."""
        while self._moves and not self._moves[0].goes_on():
            del self._moves[0]
        moves = self._moves[self._moves.index(after) + 1 :] if after in self._moves else self._moves
        for move in moves:
            before = slot_of(number, move.before)
            hold = move.holds.get(before)
            if hold is None or slot_of(number, move.after) == before:
                continue
            if hold.is_over():
                del move.holds[before]
                continue
            if not hold.gate.is_alive():
                hold.gate = self._new_gate(move, hold.passed)
            return hold.gate
        return self._up(slot_of(number, len(self._workers)))


# -- workers that go ---------------------------------------------------------------------------------------------------


class _Finish:
    """Has a worker finish what it was sent before, and then stop.

    Not by a stop behind its messages, which would beat a restart that waits, and the messages with it. Nor does the
    stop overtake what the worker has stashed, as long as it takes that up again within its shutdown time.

    Attributes:
        passed: done when the worker has taken up all that it was sent before.
    """

    def __init__(self, worker: ActorRef[Any], priority: int) -> None:
        self.worker = worker
        self._overdue: asyncio.TimerHandle | None = None
        self.passed = self._waits = mark(worker._cell, priority)
        self.passed.when_done(self._go_on)

    def _go_on(self, waited: Any) -> None:
        cell = self.worker._cell
        again = None if waited.cancelled() else taken_up_again(cell)
        if again is None:
            if self._overdue is not None:
                self._overdue.cancel()
            self._waits = self.worker.stop(block=False)
            return
        if self._overdue is None:
            self._overdue = cell.runtime.loop.call_later(cell.shutdown, self._stop)
        self._waits = again
        again.when_done(self._go_on)

    def _stop(self) -> None:
        self.worker.stop(block=False)

    async def over(self) -> None:
        """Wait until the worker has stopped."""
        waited = None
        while waited is not self._waits:
            waited = self._waits
            with suppress(AskCycle):  # it waits for what the router itself will not do any more
                await waited


# -- keys that move ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Hold:
    """The messages of keys that left a worker."""

    passed: Ask
    gate: ActorRef[Any]

    def is_over(self) -> bool:
        """Whether new messages may go by: the worker has taken up what it had, and none waits at the gate."""
        if not self.passed.done() or (self.gate.is_alive() and load(self.gate._cell)):
            return False
        self.gate.stop(block=False)
        return True


@dataclass(slots=True, eq=False)
class _Move:
    """One resize: how many workers there were and are, and by slot, what is held for those that keys have left."""

    before: int
    after: int
    holds: dict[int, _Hold] = field(default_factory=dict)

    def goes_on(self) -> bool:
        self.holds = {slot: hold for slot, hold in self.holds.items() if not hold.is_over()}
        return bool(self.holds)


class _Gate(Actor):
    """Keeps messages in its mailbox until a worker has taken up what it was sent before them; then hands them on."""

    def __init__(self, router: Router, move: _Move, passed: Ask) -> None:
        super().__init__()
        self._router = router
        self._move = move
        self._passed = passed
        self._cell.waiting_for = passed  # so that a worker is told of the circle if it waits for what comes this way

    async def on_start(self) -> None:
        passed = asyncio.Event()
        self._passed.when_done(lambda _: passed.set())
        await passed.wait()
        self._cell.waiting_for = None

    def on_receive(self, message: Any) -> Any:
        return self._router._route(self, message, self._move)


async def _stopped(refs: Sequence[ActorRef[Any]]) -> None:
    """Have actors stop in their turn, and wait until they have."""
    stops = [ref.stop(block=False) for ref in refs]
    for stop in stops:
        with suppress(AskCycle):  # it waits for what the router itself will not do any more
            await stop


# -- many answers ------------------------------------------------------------------------------------------------------


async def _all_answers(asks: Sequence[Any]) -> tuple[Any, ...]:
    try:
        return tuple(await asyncio.gather(*asks))
    finally:
        for ask in asks:  # where one has failed, the others are called off
            ask.cancel()


def _priority(actor: Actor) -> int:
    """The priority of the ask at work; 0 for a message that nobody waits for."""
    ask = actor._cell.current
    return 0 if ask is None else ask.priority


# -- arguments ---------------------------------------------------------------------------------------------------------


def _check_size(size: Any) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise SpecError(f"a router's size is {size!r}; it must be a whole number, at least 1")
    return size


def _check_routing(routing: Any) -> Routing:
    if not isinstance(routing, ByKey) and (not isinstance(routing, str) or routing not in _NAMED):
        raise SpecError(f"routing {routing!r} is not one of {', '.join(_NAMED)}, by_key(…)")
    return cast("Routing", routing)


def _worker_spec(worker: Any, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> ChildSpec:
    """Return the child spec of a worker, with the first part of its name."""
    if isinstance(worker, ChildSpec):
        if args or kwargs:
            raise SpecError("a worker's child spec holds its arguments itself; args and kwargs are for a class")
        if worker.restart != "permanent":
            raise SpecError(f"a router keeps its workers: their restart type is permanent, not {worker.restart!r}")
        spec = worker
    else:
        if isinstance(worker, type) and not issubclass(worker, Actor):
            raise SpecError(f"a router's worker is an Actor class, a factory or a ChildSpec, not {worker!r}")
        spec = ChildSpec(worker, tuple(args), dict(kwargs or {}))
    kind = getattr(spec.factory, "__name__", type(spec.factory).__name__)
    return replace(spec, name=spec.name or kind)
