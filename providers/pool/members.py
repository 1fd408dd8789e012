"""The life of a pool's endpoints: added, replaced, removed, retired; each with an actor of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from ...actors.core.actor import Actor
from ...actors.core.base.errors import ActorDead
from ...actors.core.refs.ref import ActorRef
from ...actors.core.refs.watching import Terminated
from ..registry.presets import PRESETS
from .accounts.cost import Prices
from .admission.breaker import Breaker
from .admission.gate import EndpointGate, Gate
from .admission.limiter import Quota, Rule
from .admission.pacing import Pacer
from .dispatch.endpoint import Endpoint, Member
from .dispatch.planner import Planner
from .memory import Memory


@dataclass(frozen=True, slots=True)
class Idle:
    """A retired endpoint has no request in flight any more; a message of the pool to itself."""

    member: Member


class Members:
    """Starts and stops the actors of endpoints, which are the pool's children, and says where requests may go.

    Whoever changes them calls `Queue.changed` afterwards.

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
        self._retired: dict[ActorRef[Any], Member] = {}
        self._renamed = 1

    def add(self, endpoint: Endpoint) -> None:
        """Start an endpoint's actor; one of the same name gets nothing more, and leaves it its place in the order."""
        name = endpoint.name
        replaced = self._planner.members.get(name)
        if replaced is not None:
            self._retire(replaced)
        rule, cache_reads_count = _counting(endpoint, endpoint.limits)
        gate = EndpointGate(
            name,
            self._memory.limiter(name, endpoint.limits, rule),
            Breaker(endpoint.breaker, self._rng),
            priority=endpoint.priority,
            weight=endpoint.weight,
            cache_reads_count=cache_reads_count,
        )
        if rule == "window" and endpoint.limits.requests_per_minute is not None:
            gate.pacer = Pacer(endpoint.limits.requests_per_minute)
        if replaced is not None or any(member.ref.name == name for member in self._retired.values()):
            self._renamed += 1
            name = f"{name}~{self._renamed}"
        ref: ActorRef[Any] = self._pool.spawn(replace(endpoint.spec, name=name))
        self._pool.watch(ref)
        self._planner.members[endpoint.name] = Member(endpoint, gate, ref, self._make_gate, self._forget)

    def remove(self, name: str) -> bool:
        """Send an endpoint nothing more, and stop its actor once its requests in flight have ended. Return whether it
        was there."""
        member = self._planner.members.pop(name, None)
        if member is not None:
            self._retire(member)
        return member is not None

    def _retire(self, member: Member) -> None:
        member.gate.present = False
        self._retired[member.ref] = member
        message = Idle(member)
        if member.gate.active:
            pool = self._pool.ref
            member.gate.on_idle = lambda: pool.tell(message) if pool.is_alive() else None
        else:
            self.stop_idle(message)

    def stop_idle(self, message: Idle) -> None:
        """Stop the actor of a retired endpoint. Nobody waits for it: `ended` is told."""
        message.member.ref.stop()

    def ended(self, message: Terminated) -> None:
        """An actor is dead for good: a retired one is forgotten, any other's endpoint can answer nothing more."""
        if self._retired.pop(message.ref, None) is not None:
            return
        for member in self._planner.members.values():
            if member.ref is message.ref:
                member.gate.present = False
                member.last_error = ActorDead(f"{member.endpoint.name}: its actor has stopped: {message.reason}")

    def _make_gate(self, member: Member, model: str) -> Gate:
        endpoint = member.endpoint
        limits = endpoint.model_limits.get(model, Quota())
        kept = self._memory.model(endpoint.name, model, limits, _counting(endpoint, limits)[0])
        return Gate(
            member.gate,
            model,
            kept.limiter,
            Breaker(endpoint.breaker, self._rng),
            price=self._price(endpoint, model),
            counts=kept.counts,
            member=member,
        )

    def _forget(self, gate: Gate) -> None:
        self._memory.forget(gate.name, gate.model)
        self._planner.changed()

    def _price(self, endpoint: Endpoint, model: str) -> float:
        if endpoint.price is not None:
            return endpoint.price.input + endpoint.price.output
        return float("inf") if self._prices is None else self._prices.price(endpoint.vendor, model)


def _counting(endpoint: Endpoint, limits: Quota) -> tuple[Rule, bool]:
    """Return the rule by which an endpoint's vendor counts, and whether cache reads count as tokens."""
    vendor = PRESETS.get(endpoint.vendor)
    rule = limits.rule or endpoint.limits.rule  # a model's limits, also those its headers state, are kept as the key's
    if vendor is None:
        return rule or "window", True
    return rule or vendor.rule, vendor.cache_reads_count
