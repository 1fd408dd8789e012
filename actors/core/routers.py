"""Routers: one ref before many workers of a kind. Here is decided which worker gets a message, and when it may.

A router takes its messages from a mailbox as every actor does and hands each on to one of its workers, its supervised
children. Where by-key routing moves a key to another worker, because the size has changed, the key's messages wait at a
`_Gate` until the worker it belonged to has taken up all that was sent to it before: the order for each key holds.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from .actor import Actor
from .base.errors import ActorDead, CoreError, NotAStream, SpecError
from .base.events import DeadLetter
from .base.restart import NO_BACKOFF, Backoff, Restart, Supervision
from .base.spec import ChildSpec
from .forwarding import forward, gather, has_room, load, mark, priority_at_work
from .life import ending as life
from .refs.ref import ActorRef
from .supervisor import DynamicSupervisor

if TYPE_CHECKING:
    from .mail.future import Future

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
class Resize:
    """Tells a router how many workers to have. Asked, it answers with the number at once.

    New workers take messages, which wait until they have started. One that is taken away finishes what it has.

    Raises:
        SpecError: the size is no int, or less than 1.
    """

    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Tells a router to hand a message to each of its workers.

    Asked, it answers with the tuple of their answers, in the order of `Routees`; where one fails, with that error, and
    the others are called off.
    """

    message: Any


@dataclass(frozen=True, slots=True)
class Routees:
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
        self._leaving: dict[ActorRef[Any], None] = {}
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
    ) -> ChildSpec:
        """Return the child spec of a router; all but the last four and the name are those of `Router`.

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
        return ChildSpec(cls, (_worker_spec(worker, args, kwargs),), options, name, restart, shutdown, backoff)

    def on_start(self) -> Any:
        """Start the workers, all at once; the router has started when they have."""
        self._cell.more().jobs[cast("Any", _UnderWay(self))] = None
        self._workers = [self._new_worker() for _ in range(self._size)]
        if not all(worker.has_started() for worker in self._workers):
            return self._all_started()
        return None

    async def _all_started(self) -> None:
        for worker in self._workers:
            await worker.started()

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
        self._leaving = {worker: None for worker in self._leaving if worker.is_alive()}
        left = {slot: self._take_away(before[slot]) for slot in range(size, len(before))}
        self._workers = [*before[:size], *added]
        if isinstance(self._routing, ByKey) and size != len(before):
            if added:
                left = {slot: mark(worker, self._latest) for slot, worker in enumerate(before)}
            move = _Move(len(before), size)
            move.holds = {slot: _Hold(passed, self._new_gate(move, passed)) for slot, passed in left.items()}
            self._moves.append(move)
        return size

    def _new_gate(self, move: _Move, passed: Future[Any]) -> ActorRef[Any]:
        shutdown = self._worker.shutdown + 1.0  # it waits for a worker, which may take that long
        return self.spawn(ChildSpec(_Gate, (self, move, passed), restart="temporary", shutdown=shutdown))

    def _take_away(self, worker: ActorRef[Any]) -> Future[Any]:
        # Not by a stop behind its messages, which would beat a restart that waits, and the messages with it.
        passed = mark(worker, self._latest)
        passed.when_done(lambda _: worker.stop(block=False))
        self._leaving[worker] = None
        return passed

    def _broadcast(self, message: Any) -> Any:
        workers = self._all_up()
        if self.expects == "stream":
            raise NotAStream(f"{self.path}: a broadcast is answered by all workers, which makes no stream")
        if self.expects == "answer":
            return gather(self, workers, message)
        full = [worker for worker in workers if not has_room(worker)]
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
        if not asked and not has_room(target):
            return self._wait_for_room(message, after)
        self._latest = max(self._latest, priority_at_work(actor))
        return forward(actor, target, message)

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
        self.system.dead_letter(self._cell, None, DeadLetter(message, self.path, why))

    def _choose(self, message: Any, after: _Move | None) -> ActorRef[Any]:
        if isinstance(self._routing, ByKey):
            return self._of_key(key_hash(self._routing.key(message)), after)
        size = len(self._workers)
        first = self._turn % size
        if self._routing == "round_robin":
            slot = first
            while not has_room(self._up(slot)):
                slot = (slot + 1) % size
                if slot == first:
                    break
        else:
            workers = self._all_up()
            slot = min(range(size), key=lambda i: (not has_room(workers[i]), load(workers[i]), (i - first) % size))
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


# -- keys that move ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Hold:
    """The messages of keys that left a worker."""

    passed: Future[Any]
    gate: ActorRef[Any]

    def is_over(self) -> bool:
        """Whether new messages may go by: the worker has taken up what it had, and none waits at the gate."""
        if not self.passed.done() or (self.gate.is_alive() and load(self.gate)):
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

    def __init__(self, router: Router, move: _Move, passed: Future[Any]) -> None:
        super().__init__()
        self._router = router
        self._move = move
        self._passed = passed

    async def on_start(self) -> None:
        with suppress(CoreError):  # it crashed or stopped: it takes nothing up after what comes now
            await self._passed

    def on_receive(self, message: Any) -> Any:
        return self._router._route(self, message, self._move)


class _UnderWay:
    """Stands among a router's jobs for what its workers still have: a stop in the mailbox waits for it.

    Without it the router would end as soon as the stop has its turn, and its workers with messages in their mailboxes.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._stops: dict[ActorRef[Any], Future[Any]] = {}

    @property
    def answering(self) -> bool:
        """Looked at from the moment of a stop on: have the gates stop in their turn, the oldest first, for they send
        to later ones; then the workers.
        """
        router = self._router
        for move in router._moves:
            if self._stopping([hold.gate for hold in move.holds.values()]):
                return True
        return self._stopping([*router._workers, *router._leaving])

    def _stopping(self, refs: Sequence[ActorRef[Any]]) -> bool:
        for ref in refs:
            if ref not in self._stops:
                self._stops[ref] = stopped = ref.stop(block=False)
                stopped.when_done(lambda _: life.advance(self._router._cell))
        return not all(self._stops[ref].done() for ref in refs)

    def cancel_softly(self) -> None:
        """The incarnation ends: nothing is waited for any more."""
        self._router._cell.more().jobs.pop(cast("Any", self), None)

    kill = cancel_softly


# -- pure decisions ----------------------------------------------------------------------------------------------------

_MASK = (1 << 64) - 1


@lru_cache(maxsize=4096)
def slot_of(number: int, size: int) -> int:
    """Return which of ``size`` slots a key's hash belongs to: the one that draws the highest number for it.

    (Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996.)
    """
    best = -1
    found = 0
    for slot in range(size):
        mixed = ((number ^ _seed(slot)) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93) & _MASK
        if mixed > best:
            best, found = mixed, slot
    return found


@cache
def _seed(slot: int) -> int:
    return _hash(b"slot %d" % slot)


def key_hash(key: Any) -> int:
    """Return a number for a key that is the same in every process.

    Raises:
        SpecError: the key is of a type that has no such number.
    """
    return _hash(_encoded(key))


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _encoded(key: Any) -> bytes:
    match key:
        case str():
            return b"s" + key.encode("utf-8", "surrogatepass")
        case bytes():
            return b"b" + key
        case int():  # True is 1, as it is everywhere else
            return b"i%d" % key
        case None:
            return b"n"
        case uuid.UUID():
            return b"u" + key.bytes
        case Enum():
            return b"e" + f"{type(key).__qualname__}.{key.name}".encode()
        case tuple():
            parts = [_encoded(part) for part in key]
            return b"t" + b"".join(b"%d:%s" % (len(part), part) for part in parts)
    raise SpecError(
        f"{key!r:.100} cannot be a routing key: use a str, bytes, int, UUID, enum member, None, or a tuple of these"
    )


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
