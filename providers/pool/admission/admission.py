"""The queue in front of the endpoints: first come, first served, with priorities and without starvation. Pure.

Requests that can be served by the same endpoints stand in one line. Only the head of a line is ever granted, so a large
request is never overtaken by small ones behind it. Lines that share an endpoint are served in the order of their heads:
a head that must wait for room keeps the endpoints it waits for from the lines behind it.

A request's place is its arrival time minus ``AGEING`` seconds per priority step, fixed on arrival. So a request of
higher priority overtakes at most those that came less than that before it, and every request is served in the end.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from ..accounts.cost import Reservation
from .breaker import Breaker, Trial
from .limiter import Limiter, Permit
from .routing import Routing

AGEING = 10.0
"""Seconds of waiting that weigh as much as one step of priority."""


class Spacing(Protocol):
    """What spaces departures of one endpoint (`pacing.Pacer`)."""

    unit: float

    def ready(self) -> bool: ...

    def take(self) -> None: ...


class Gate:
    """Whether one endpoint may be sent a request: its limits, its breaker, and whether it is there at all.

    Args:
        name: the endpoint's name.
        limiter: its rate limits.
        breaker: its circuit breaker.
        priority, weight, price: for routing.
    """

    __slots__ = (
        "answered_from",
        "average",
        "breaker",
        "flying",
        "latency",
        "limiter",
        "name",
        "pacer",
        "present",
        "price",
        "priority",
        "tail",
        "weight",
    )

    def __init__(
        self,
        name: str,
        limiter: Limiter,
        breaker: Breaker,
        *,
        priority: int = 0,
        weight: float = 1.0,
        price: float = float("inf"),
    ) -> None:
        self.name = name
        self.limiter = limiter
        self.breaker = breaker
        self.priority = priority
        self.weight = weight
        self.price = price
        self.average = 0.0
        """Seconds its calls take on average; 0 while unknown."""
        self.tail = 0.0
        """Seconds within which 95 % of its calls end."""
        self.latency = 0.0
        """Seconds a call is expected to take, as of the last `look`."""
        self.answered_from = float("-inf")
        """When the latest call was sent that has been answered."""
        self.flying: dict[Grant, None] = {}
        """Calls in flight, the oldest first."""
        self.pacer: Spacing | None = None
        self.present = True

    @property
    def in_flight(self) -> int:
        return self.limiter.in_flight

    def look(self, now: float) -> None:
        """Bring `latency` up to date: the average, or how long the oldest call has been out, if that is unusual.

        What hangs answers nothing, so its average stays as good as it was; this is how it shows.
        """
        self.latency = self.average
        if self.flying and self.average:
            age = now - next(iter(self.flying)).at
            if age > self.tail:
                self.latency = max(age, self.average)

    def down(self, now: float) -> bool:
        """Return whether it cannot serve anyone now, however small."""
        return not self.present or self.breaker.down(now)

    def ready(self, tokens: float, now: float) -> bool:
        """Return whether a request of ``tokens`` may be sent now."""
        return (
            self.present
            and self.breaker.allows(now)
            and self.limiter.fits(tokens, now)
            and (self.pacer is None or self.pacer.ready())
        )

    def next_time(self, tokens: float, now: float) -> float | None:
        """Return when time alone may make it ready; None if only an event can."""
        if not self.present or self.limiter.full:
            return None
        at = max(self.limiter.next_fit(tokens, now), self.breaker.next_time(now) or now)
        if self.pacer is not None and not self.pacer.ready():
            at = max(at, now + self.pacer.unit)
        return at if at > now else None


class Grant:
    """The right to send one request to one endpoint now. Must be ended through its permit and its trial."""

    __slots__ = ("at", "gate", "overtaken", "permit", "reservation", "slow", "tier", "trial", "unsent")

    def __init__(self, gate: Gate, permit: Permit, trial: Trial, at: float, tier: int = 0) -> None:
        self.gate = gate
        self.tier = tier
        self.permit = permit
        self.trial = trial
        self.at = at
        self.reservation: Reservation | None = None
        gate.flying[self] = None
        self.slow = False
        """Whether it took too long, for a hedge or for its deadline: then its cancellation may count as a failure."""
        self.overtaken = False
        """Whether the other call of a hedged pair was faster."""
        self.unsent = False
        """Whether the provider's actor did not take the request."""

    def refund(self) -> None:
        """Give it back unused."""
        self.gate.flying.pop(self, None)
        self.gate.limiter.refund(self.permit)
        self.gate.breaker.cancel(self.trial)


Tiers = tuple[tuple[Gate, ...], ...]
"""Endpoints that can serve a request, best first: a later tier is used only while all of the earlier are down."""


class Ticket:
    """One request's place in the queue.

    Args:
        tiers: who can serve it.
        tokens: the estimate to admit it by.
        key: its place; see `Admission.place`.
        avoid: endpoints that have just failed it: used only if no other is there.
    """

    __slots__ = ("avoid", "cancelled", "grant", "key", "on_grant", "tiers", "tokens")

    def __init__(self, tiers: Tiers, tokens: float, key: tuple[float, int], avoid: Collection[Gate] = ()) -> None:
        self.tiers = tiers
        self.tokens = tokens
        self.key = key
        self.avoid = avoid
        self.grant: Grant | None = None
        self.cancelled = False
        self.on_grant: Callable[[Ticket], None] | None = None

    def __lt__(self, other: Ticket) -> bool:
        return self.key < other.key


class Admission:
    """The lines in front of the endpoints.

    Args:
        routing: chooses among endpoints that are ready.
        rng: randomness for the choice.
    """

    def __init__(self, routing: Routing, rng: random.Random) -> None:
        self.routing = routing
        self._rng = rng
        self._lines: dict[Tiers, list[Ticket]] = {}
        self._arrivals = 0
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._waiting

    def place(self, now: float, priority: int = 0) -> tuple[float, int]:
        """Return the key of a request arriving now; higher ``priority`` is served earlier.

        A request that is retried keeps its key, and with it its place.
        """
        self._arrivals += 1
        return (now - AGEING * priority, self._arrivals)

    def submit(self, ticket: Ticket, now: float) -> Grant | None:
        """Return a grant if the request may be sent at once; otherwise it waits in line and None is returned."""
        if not self._waiting:
            grant = self._grant(ticket, now, ())
            if grant is not None:
                return grant
        line = self._lines.setdefault(ticket.tiers, [])
        heapq.heappush(line, ticket)
        self._waiting += 1
        if self._waiting > 1 and self._head(line) is ticket:
            # Others wait, but perhaps only for endpoints this one does not need.
            self.pump(now)
        return ticket.grant

    def leads(self, ticket: Ticket) -> bool:
        """Return whether a waiting request is the first of its line."""
        return self._head(self._lines[ticket.tiers]) is ticket

    def cancel(self, ticket: Ticket) -> Grant | None:
        """Take a request out of the line. If it was granted already, the grant is returned and must be refunded."""
        if ticket.grant is not None:
            return ticket.grant
        if not ticket.cancelled:
            ticket.cancelled = True
            self._waiting -= 1
        return None

    def pump(self, now: float) -> list[Ticket]:
        """Grant what can be granted now, in order, call each one's ``on_grant``, and return them."""
        granted: list[Ticket] = []
        if not self._waiting:
            self._lines.clear()
            return granted
        claimed: set[Gate] = set()
        heads = self._heads()
        while heads:
            ticket = heapq.heappop(heads)
            grant = self._grant(ticket, now, claimed)
            if grant is None:
                claimed.update(gate for tier in self._usable(ticket, now) for gate in tier)
                continue
            ticket.grant = grant
            self._waiting -= 1
            granted.append(ticket)
            line = self._lines[ticket.tiers]
            heapq.heappop(line)
            head = self._head(line)
            if head is not None:
                heapq.heappush(heads, head)
            else:
                del self._lines[ticket.tiers]
            if ticket.on_grant is not None:
                ticket.on_grant(ticket)
        return granted

    def next_time(self, now: float) -> float | None:
        """Return when time alone may let someone go; None if nobody waits or only an event can."""
        times = []
        for ticket in self._heads():
            for tier in ticket.tiers:
                for gate in tier:
                    at = gate.next_time(ticket.tokens, now)
                    if at is not None:
                        times.append(at)
        return min(times, default=None)

    def _heads(self) -> list[Ticket]:
        heads = []
        for tiers in list(self._lines):
            head = self._head(self._lines[tiers])
            if head is None:
                del self._lines[tiers]
            else:
                heads.append(head)
        heapq.heapify(heads)
        return heads

    @staticmethod
    def _head(line: list[Ticket]) -> Ticket | None:
        while line and line[0].cancelled:
            heapq.heappop(line)
        return line[0] if line else None

    @staticmethod
    def _usable(ticket: Ticket, now: float) -> Sequence[Sequence[Gate]]:
        """The endpoints the request may use now: the first tier that is not entirely down."""
        for tier in ticket.tiers:
            alive = [gate for gate in tier if not gate.down(now)]
            if alive:
                return (alive,)
        return ()

    def _grant(self, ticket: Ticket, now: float, claimed: Collection[Gate]) -> Grant | None:
        tokens = ticket.tokens
        for index, tier in enumerate(ticket.tiers):
            ready = []
            down = True
            for gate in tier:
                if gate not in claimed and gate.ready(tokens, now):
                    ready.append(gate)
                elif down and not gate.down(now):
                    down = False
            if ready:
                if ticket.avoid:
                    ready = [gate for gate in ready if gate not in ticket.avoid] or ready
                return self.take(self.choose(ready, now), tokens, now, index)
            if not down:
                return None
        return None

    def choose(self, ready: Sequence[Gate], now: float) -> Gate:
        """Return the one of several endpoints that the routing wants."""
        if len(ready) == 1:
            return ready[0]
        for gate in ready:
            gate.look(now)
        return ready[self.routing.choose(ready, self._rng)]

    @staticmethod
    def take(gate: Gate, tokens: float, now: float, tier: int = 0) -> Grant:
        """Admit a request to one endpoint that is `Gate.ready`, past the queue (a hedge, a batch)."""
        if gate.pacer is not None:
            gate.pacer.take()
        return Grant(gate, gate.limiter.take(tokens, now), gate.breaker.admit(now), now, tier)
