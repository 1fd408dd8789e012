from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.testing import virtual_time
from callboard.providers.pool import Cheapest, LeastLoaded, Priority, Routing, Weighted

from .scripted import Script, endpoint, pool_of, request


@dataclass
class Load:
    priority: int = 0
    weight: float = 1.0
    in_flight: int = 0
    latency: float = 0.1
    price: float = 1.0


loads = st.lists(
    st.builds(Load, st.integers(0, 3), st.floats(0.1, 10), st.integers(0, 9), st.floats(0, 9), st.floats(0, 9)),
    min_size=1,
    max_size=6,
)
policies: list[Routing] = [LeastLoaded(), Weighted(), Priority(), Cheapest(), Priority(Weighted())]


@given(loads, st.sampled_from(policies), st.integers())
def test_every_policy_chooses_one_of_the_candidates(candidates: list[Load], policy: Routing, seed: int) -> None:
    assert 0 <= policy.choose(candidates, random.Random(seed)) < len(candidates)


@given(loads, st.sampled_from(policies), st.integers())
def test_the_same_seed_chooses_the_same(candidates: list[Load], policy: Routing, seed: int) -> None:
    chosen = {policy.choose(candidates, random.Random(seed)) for _ in range(3)}
    assert len(chosen) == 1


@given(loads, st.integers())
def test_the_least_loaded_of_two_draws_is_never_the_single_worst(candidates: list[Load], seed: int) -> None:
    known = [candidate for candidate in candidates if candidate.latency > 0]
    costs = sorted((c.in_flight + 1) * c.latency for c in known)
    if len(known) < 2 or costs[-1] == costs[-2]:
        return
    chosen = known[LeastLoaded().choose(known, random.Random(seed))]
    assert (chosen.in_flight + 1) * chosen.latency < costs[-1]


@given(loads, st.integers())
def test_priority_and_price_are_strict(candidates: list[Load], seed: int) -> None:
    rng = random.Random(seed)
    assert candidates[Priority().choose(candidates, rng)].priority == min(c.priority for c in candidates)
    assert candidates[Cheapest().choose(candidates, rng)].price == min(c.price for c in candidates)


def test_weights_are_shares() -> None:
    rng = random.Random(7)
    candidates = [Load(weight=1.0), Load(weight=3.0)]
    counts = Counter(Weighted().choose(candidates, rng) for _ in range(10_000))
    # Binomial(10000, 0.75): five standard deviations are 217.
    assert abs(counts[1] - 7_500) < 217


def test_an_endpoint_whose_requests_do_not_come_back_is_avoided() -> None:
    rng = random.Random(1)
    stuck, fine = Load(in_flight=20), Load(in_flight=5)
    assert {LeastLoaded().choose([stuck, fine], rng) for _ in range(20)} == {1}


def test_an_endpoint_nobody_has_measured_is_taken_to_be_as_fast_as_the_other() -> None:
    rng = random.Random(1)
    for measured, unmeasured, best in (
        (Load(in_flight=0, latency=5.0), Load(in_flight=1, latency=0.0), 0),
        (Load(in_flight=1, latency=0.1), Load(in_flight=0, latency=0.0), 1),
    ):
        assert {LeastLoaded().choose([measured, unmeasured], rng) for _ in range(20)} == {best}
        assert {LeastLoaded().choose([unmeasured, measured], rng) for _ in range(20)} == {1 - best}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("requests", "apart"), [(5, 3600.0), (500, 0.001)])
@virtual_time
async def test_who_was_slow_is_forgotten_neither_by_time_alone_nor_by_calls_alone(
    requests: int, apart: float, times: int
) -> None:
    slow, fast = Script("slow", latency=10.0), Script("fast", latency=0.001)
    async with pool_of(endpoint(slow), endpoint(fast), routing=LeastLoaded()) as pool:
        while len(slow.seen) < times:
            await asyncio.sleep(1)
            await pool.ask(request())
        for _ in range(requests):
            await asyncio.sleep(apart)
            await pool.ask(request())
    assert len(slow.seen) == times
