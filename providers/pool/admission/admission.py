"""The queue in front of the endpoints: first come, first served, with priorities and without starvation. Pure.

Requests that can be served by the same models of the same endpoints stand in one line. Only the head of a line is ever
granted, so a large request is never overtaken by small ones behind it. Lines that share an endpoint or a model of it
are served in the order of their heads: a head that must wait for room keeps what it waits for from the lines behind it.

A request's place is its arrival time minus ``AGEING`` seconds per priority step, fixed on arrival. So a request of
higher priority overtakes at most those that came less than that before it, and every request is served in the end.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Sequence

from .gate import EndpointGate, Gate, Grant
from .limiter import Need
from .routing import Routing

AGEING = 10.0
"""Seconds of waiting that weigh as much as one step of priority."""


Tiers = tuple[tuple[Gate, ...], ...]
"""Who can serve a request, best first: a later tier is used only while all of the earlier are down."""


class Ticket:
    """One request's place in the queue.

    Args:
        tiers: who can serve it.
        need: the estimate to admit it by.
        key: its place; see `Admission.place`.
        avoid: endpoints that have just failed it: used only if no other is there.
    """

    __slots__ = ("avoid", "cancelled", "grant", "key", "need", "on_grant", "tiers")

    def __init__(self, tiers: Tiers, need: Need, key: tuple[float, int], avoid: Collection[Gate] = ()) -> None:
        self.tiers = tiers
        self.need = need
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
        self.shares = False
        """Whether limits are shared with other processes, and so have to know what waits for them."""
        self.wake: Callable[[], None] | None = None
        """Called by who comes while nobody may go, because shares of limits are yet to be learned; or None."""
        self.on_refused: Callable[[], None] | None = None
        """Called when somebody has to wait for limits that are shared."""

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
        if self.wake is not None:
            self.wake()
        elif not self._waiting:
            grant = self._grant(ticket, now, ())
            if grant is not None:
                return grant
        line = self._lines.setdefault(ticket.tiers, [])
        heapq.heappush(line, ticket)
        self._waiting += 1
        if self._waiting > 1 and self._head(line) is ticket:
            # Others wait, but perhaps only for endpoints this one does not need.
            self.pump(now)
        elif self.shares and self._waiting == 1:
            self._refuse(ticket, now)
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
        if self.wake is not None:
            return granted
        claimed: set[Gate | EndpointGate] = set()
        heads = self._heads()
        while heads:
            ticket = heapq.heappop(heads)
            grant = self._grant(ticket, now, claimed)
            if grant is None:
                if self.shares:
                    self._refuse(ticket, now)
                for gate in self._usable(ticket, now):
                    # What the endpoint's models share is kept for it only if that is what it waits for.
                    claimed.add(gate.endpoint if gate.free(ticket.need, now) else gate)
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
                    at = gate.next_time(ticket.need, now)
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
    def _usable(ticket: Ticket, now: float) -> Sequence[Gate]:
        """Where the request may go now: who is not down, in the first tier that is not entirely down."""
        for tier in ticket.tiers:
            alive = [gate for gate in tier if not gate.down(now)]
            if alive:
                return alive
        return ()

    def _refuse(self, ticket: Ticket, now: float) -> None:
        for gate in self._usable(ticket, now):
            gate.refuse(ticket.need, now)
        if self.on_refused is not None:
            self.on_refused()

    def _grant(self, ticket: Ticket, now: float, claimed: Collection[Gate | EndpointGate]) -> Grant | None:
        need = ticket.need
        for index, tier in enumerate(ticket.tiers):
            ready = []
            down = True
            for gate in tier:
                if gate.ready(need, now) and not (claimed and (gate in claimed or gate.endpoint in claimed)):
                    ready.append(gate)
                elif down and not gate.down(now):
                    down = False
            if ready:
                if ticket.avoid:
                    ready = [gate for gate in ready if gate not in ticket.avoid] or ready
                return Grant(self.choose(ready, now), need, now, index)
            if not down:
                return None
        return None

    def choose(self, ready: Sequence[Gate], now: float) -> Gate:
        """Return the one of several endpoints that the routing wants."""
        if len(ready) == 1:
            return ready[0]
        for gate in ready:
            gate.look(now)
            gate.passed_over += 1
        chosen = ready[self.routing.choose(ready, self._rng)]
        chosen.passed_over -= 1
        return chosen
