"""Which of several endpoints that could take a request gets it. Pure; randomness is injected.

A policy sees only endpoints that may be called now (breaker closed, room within the limits). Policies are values and
compose: those that leave ties hand them to another policy (``then``).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Candidate(Protocol):
    """What a policy may look at."""

    @property
    def priority(self) -> int:
        """Lower is preferred."""

    @property
    def weight(self) -> float:
        """Relative share."""

    @property
    def in_flight(self) -> int:
        """Requests it is working on."""

    @property
    def latency(self) -> float:
        """Seconds a call takes lately; 0 while unknown."""

    @property
    def price(self) -> float:
        """US dollars for a million input and a million output tokens; 0 if free, infinite if unknown."""


class Routing(Protocol):
    """A routing policy."""

    def choose(self, candidates: Sequence[Candidate], rng: random.Random) -> int:
        """Return the index of the endpoint to use; ``candidates`` is not empty."""


@dataclass(frozen=True, slots=True)
class LeastLoaded:
    """Power of two choices: of two drawn at random, the one with the lower (in flight + 1) × latency.

    Two draws are nearly as good as looking at all, and unlike "always the best one" do not send a herd to the endpoint
    that looks best at the moment (Mitzenmacher, 2001). A hanging endpoint answers nothing, so what is in flight there
    stays, and new requests go elsewhere before any timeout.
    """

    def choose(self, candidates: Sequence[Candidate], rng: random.Random) -> int:
        count = len(candidates)
        if count == 1:
            return 0
        first = int(rng.random() * count)
        second = int(rng.random() * (count - 1))
        second += second >= first
        one, two = candidates[first], candidates[second]
        # An endpoint nobody has measured yet is taken to be as fast as the other.
        mine, other = one.latency or two.latency or 1.0, two.latency or one.latency or 1.0
        return first if (one.in_flight + 1) * mine <= (two.in_flight + 1) * other else second


@dataclass(frozen=True, slots=True)
class Weighted:
    """At random, in proportion to the weights."""

    def choose(self, candidates: Sequence[Candidate], rng: random.Random) -> int:
        total = sum(candidate.weight for candidate in candidates)
        point = rng.random() * total
        for index, candidate in enumerate(candidates):
            point -= candidate.weight
            if point < 0:
                return index
        return len(candidates) - 1


@dataclass(frozen=True, slots=True)
class Priority:
    """The lowest ``priority`` number; the others are its fallback. Ties go to ``then``."""

    then: Routing = field(default_factory=LeastLoaded)

    def choose(self, candidates: Sequence[Candidate], rng: random.Random) -> int:
        return _among(candidates, [candidate.priority for candidate in candidates], self.then, rng)


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The lowest price. Ties go to ``then``."""

    then: Routing = field(default_factory=LeastLoaded)

    def choose(self, candidates: Sequence[Candidate], rng: random.Random) -> int:
        return _among(candidates, [candidate.price for candidate in candidates], self.then, rng)


def _among(candidates: Sequence[Candidate], keys: Sequence[float], then: Routing, rng: random.Random) -> int:
    best = min(keys)
    indices = [index for index, key in enumerate(keys) if key == best]
    if len(indices) == 1:
        return indices[0]
    return indices[then.choose([candidates[index] for index in indices], rng)]
