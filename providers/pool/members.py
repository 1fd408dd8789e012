"""The life of a pool's endpoints: added, replaced, removed, retired; each with an actor of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...actors.core.actor import Actor
from ...actors.core.base.errors import ActorDead, SpecError, StartFailed
from ...actors.core.base.restart import Backoff
from ...actors.core.refs.ref import ActorRef
from ...actors.core.refs.watching import Terminated
from ..registry.presets import PRESETS
from .accounts.cost import Prices
from .admission.breaker import Breaker
from .admission.gate import EndpointGate, Gate
from .admission.limiter import Quota, Rule
from .admission.pacing import Pacer
from .dispatch.endpoint import Endpoint, Member, has_own_places
from .dispatch.planner import Planner
from .memory import Memory, ModelMemory

_BACKOFF = Backoff(initial=0.25, maximum=30.0, jitter=0.2)
"""The waits between attempts to start an actor that cannot, where its child spec says nothing else."""

_START = 60.0
"""Seconds within which the new actor of an endpoint that is replaced must have started."""


@dataclass(frozen=True, slots=True)
class Idle:
    """A retired endpoint has no request in flight any more, and its actor may stop; a message of the pool to itself."""

    ref: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class StartAgain:
    """The wait before another attempt to start an endpoint's actor is over; a message of the pool to itself."""

    member: Member


@dataclass(frozen=True, slots=True)
class Started:
    """An endpoint's actor has started, or died before that; a message of the pool to itself."""

    member: Member
    ref: ActorRef[Any]
    error: BaseException | None


class Members:
    """Starts and stops the actors of endpoints, which are the pool's children, and says where requests may go.

    It is here, and not by the pool's supervision, that they are started again: one that cannot start is the trouble of
    its endpoint, and must never end the pool, however often. Whoever changes them calls `Queue.changed` afterwards.

    Args:
        pool: whose children they are.
        planner: told which there are.
        memory: what is remembered of endpoints of the same name.
        prices: by which the routing chooses; None if it does not.
        rng: all randomness.
    """

    def __init__(
        self, pool: Actor, planner: Planner, memory: Memory, prices: Prices | None, rng: random.Random
    ) -> None:
        self._pool = pool
        self._planner = planner
        self._memory = memory
        self._prices = prices
        self._rng = rng
        self._retired: set[ActorRef[Any]] = set()
        self._changing: dict[str, asyncio.Lock] = {}
        self._renamed = 1
        self._loop = asyncio.get_running_loop()

    def begin(self, endpoint: Endpoint) -> None:
        """Add one of the endpoints that the pool begins with. What cannot be started yet is tried again."""
        member = self._member(endpoint)
        self._start(member, self._free_name(endpoint.name))

    def add(self, endpoint: Endpoint) -> None:
        """Add an endpoint of a new name.

        Raises:
            StartFailed: its actor cannot be made; nothing is changed.
        """
        ref = self._spawn(endpoint, self._free_name(endpoint.name))
        self._run(self._member(endpoint), ref)
        self._remember()

    async def replace(self, name: str, change: Callable[[Endpoint], Endpoint]) -> None:
        """Replace an endpoint once its new actor has started; the old one gets nothing more, and leaves it its place in
        the order.

        Args:
            name: the endpoint's.
            change: returns the new endpoint, given the one of now.

        Raises:
            StartFailed: the new actor could not start; the old one stays.
            SpecError: the endpoint was removed meanwhile.
        """
        async with self._changing.setdefault(name, asyncio.Lock()):
            old = self._planner.members.get(name)
            if old is None:
                raise _removed(name)
            endpoint = change(old.endpoint)
            ref = self._spawn(endpoint, self._free_name(name))
            try:
                async with asyncio.timeout(_START):
                    await ref.started()
                if self._planner.members.get(name) is not old:
                    raise _removed(name)
                member = self._member(endpoint)  # also its limits are those of the new one from now on
            except (ActorDead, TimeoutError) as error:
                ref.stop()
                why = error if isinstance(error, ActorDead) else f"it had not within {_START:g} s"
                raise StartFailed(f"endpoint {name!r} stays as it was: its new actor did not start: {why}") from error
            except BaseException:
                ref.stop()
                raise
            self._retire(old)
            self._run(member, ref)
            self._remember()

    def remove(self, name: str) -> bool:
        """Send an endpoint nothing more, and stop its actor once its requests in flight have ended. Return whether it
        was there."""
        member = self._planner.members.pop(name, None)
        if member is not None:
            self._memory.drained.discard(name)
            self._retire(member)
            self._remember()
        return member is not None

    def drain(self, name: str, drained: bool) -> None:
        """Send an endpoint nothing more, or again. What is in flight there ends as it would.

        Raises:
            SpecError: there is none of that name.
        """
        member = self._planner.members.get(name)
        if member is None:
            raise SpecError(self._planner.unknown(name))
        member.gate.drained = drained
        (self._memory.drained.add if drained else self._memory.drained.discard)(name)

    def stop_idle(self, message: Idle) -> None:
        """Stop the actor of a retired endpoint. Nobody waits for it: `ended` is told."""
        message.ref.stop()

    def ended(self, message: Terminated) -> bool:
        """An actor is dead. One that crashed is started again: at once, or if it could not start after a while. What
        was stopped stays so. Return whether an endpoint is lost."""
        if message.ref in self._retired:
            self._retired.remove(message.ref)
            return False
        member = next((each for each in self._planner.members.values() if each.ref is message.ref), None)
        if member is None:
            return False
        name = member.endpoint.name
        member.ref = None
        member.gate.up = False
        member.last_error = ActorDead(f"{name}: its actor has stopped: {message.reason}")
        if not message.reason.startswith("crashed") or member.endpoint.spec.restart == "temporary":
            member.gate.present = False
            return True
        if member.started and not member.endpoint.spec.backoff.initial:
            self._start(member, message.ref.name)
        else:
            self._start_later(member)
        return False

    def start_again(self, message: StartAgain) -> None:
        """Try once more to start an endpoint's actor."""
        member = message.member
        if member.gate.present and member.ref is None:
            self._start(member, self._free_name(member.endpoint.name))

    def started(self, message: Started) -> None:
        """An actor has started: its endpoint takes requests, if it is still its."""
        member = message.member
        if message.error is None and member.ref is message.ref:
            member.started = member.gate.up = True
            member.failed_starts = 0

    def _remember(self) -> None:
        """Have the pool begin with these endpoints when it is restarted."""
        self._memory.endpoints = tuple(member.endpoint for member in self._planner.members.values())

    def _start(self, member: Member, name: str) -> None:
        try:
            ref = self._spawn(member.endpoint, name)
        except (StartFailed, SpecError) as error:
            member.last_error = error
            member.gate.up = False
            self._planner.members[member.endpoint.name] = member
            self._start_later(member)
        else:
            self._run(member, ref)

    def _start_later(self, member: Member) -> None:
        backoff = member.endpoint.spec.backoff
        delay = (backoff if backoff.initial else _BACKOFF).delay(member.failed_starts, self._rng)
        member.failed_starts += 1
        self._pool.schedule(delay, StartAgain(member))

    def _spawn(self, endpoint: Endpoint, name: str) -> ActorRef[Any]:
        ref: ActorRef[Any] = self._pool.spawn(replace(endpoint.spec, name=name, restart="temporary"))
        self._pool.watch(ref)
        return ref

    def _run(self, member: Member, ref: ActorRef[Any]) -> None:
        """Let a member have its actor. What has not failed to start is taken to be up: requests wait in its mailbox."""
        member.ref = ref
        member.started = False
        member.gate.up = not member.failed_starts
        self._planner.members[member.endpoint.name] = member
        self._pool.pipe(ref.started(), lambda outcome: Started(member, ref, outcome.error))

    def _free_name(self, name: str) -> str:
        """Return a name for an actor that no other has: that of its endpoint, or with a number behind it."""
        free = name
        while self._pool.find_child(free) is not None or (free != name and free in self._planner.members):
            self._renamed += 1
            free = f"{name}~{self._renamed}"
        return free

    def _retire(self, member: Member) -> None:
        member.gate.present = False
        if member.ref is None:
            return
        self._retired.add(member.ref)
        message = Idle(member.ref)
        if member.gate.active:
            pool = self._pool.ref
            member.gate.on_idle = lambda: pool.tell(message) if pool.is_alive() else None
        else:
            self.stop_idle(message)

    def _member(self, endpoint: Endpoint) -> Member:
        name = endpoint.name
        rule, cache_reads_count = _counting(endpoint, endpoint.limits)
        self._memory.meet(endpoint)
        gate = EndpointGate(
            name,
            self._memory.limiter(name, endpoint.limits, rule, self._loop.time(), has_own_places(endpoint)),
            Breaker(endpoint.breaker, self._rng),
            priority=endpoint.priority,
            weight=endpoint.weight,
            cache_reads_count=cache_reads_count,
        )
        gate.drained = name in self._memory.drained
        if rule == "window" and endpoint.limits.requests_per_minute is not None:
            gate.pacer = Pacer(endpoint.limits.requests_per_minute)
        for model in endpoint.model_limits:  # or the first request for each would wait until its share is known
            self._remembered(endpoint, model)
        return Member(endpoint, gate, self._make_gate, self._forget)

    def _make_gate(self, member: Member, model: str) -> Gate:
        endpoint = member.endpoint
        kept = self._remembered(endpoint, model)
        return Gate(
            member.gate,
            model,
            kept.limiter,
            Breaker(endpoint.breaker, self._rng),
            price=self._price(endpoint, model),
            counts=kept.counts,
            member=member,
        )

    def _remembered(self, endpoint: Endpoint, model: str) -> ModelMemory:
        limits = endpoint.model_limits.get(model, Quota())
        rule, _ = _counting(endpoint, limits)
        return self._memory.model(endpoint.name, model, limits, rule, self._loop.time())

    def _forget(self, gate: Gate) -> None:
        self._memory.forget(gate.name, gate.model)
        self._planner.changed()

    def _price(self, endpoint: Endpoint, model: str) -> float:
        if endpoint.price is not None:
            return endpoint.price.input + endpoint.price.output
        return float("inf") if self._prices is None else self._prices.price(endpoint.vendor, model)


def _removed(name: str) -> SpecError:
    return SpecError(f"endpoint {name!r} was removed while it was to be replaced")


def _counting(endpoint: Endpoint, limits: Quota) -> tuple[Rule, bool]:
    """Return the rule by which an endpoint's vendor counts, and whether cache reads count as tokens."""
    vendor = PRESETS.get(endpoint.vendor)
    rule = limits.rule or endpoint.limits.rule  # a model's limits, also those its headers state, are kept as the key's
    if vendor is None:
        return rule or "window", True
    return rule or vendor.rule, vendor.cache_reads_count
