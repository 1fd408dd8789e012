"""What a search covers: no schedule twice, no hour of the same one, and it says what it has run."""

from __future__ import annotations

import asyncio
import itertools
import math
import multiprocessing
import os
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef
from callboard.actors.testing import (
    Crash,
    Nondeterministic,
    Simulation,
    SimulationError,
    SimulationFailed,
    Slow,
    simulate,
)
from callboard.actors.testing.schedules.feedback import Feedback
from callboard.actors.testing.schedules.plan import Hold
from callboard.actors.testing.schedules.sampling import Fifo
from callboard.actors.testing.search.coverage import Covered
from tests.warm import run as run_program

from .actors import Collector, Forwarder
from .deep import DEEP, Deep
from .overtaken import scenario_of


async def race(sim: Simulation, words: Sequence[str]) -> list[str]:
    """Have each word told by a client of its own."""
    seen = sim.system.spawn(Collector, name="seen")
    for word in words:
        sim.system.spawn(Forwarder, seen, name=word).tell(word)
    await sim.idle()
    return list(await seen.ask("seen"))


def racing(*words: str, orders: list[tuple[str, ...]] | None = None) -> Any:
    async def scenario(sim: Simulation) -> None:
        order = tuple(await race(sim, words))
        if orders is not None:
            orders.append(order)

    return scenario


def test_a_small_flow_is_run_in_each_of_its_schedules_once_and_then_the_search_ends() -> None:
    orders: list[tuple[str, ...]] = []
    run = simulate(racing("a", "b", orders=orders), seeds=100_000)
    assert run.coverage.exhausted
    assert run.coverage.schedules == run.coverage.distinct == len(orders) < 1_000
    assert set(orders) == {("a", "b"), ("b", "a")}
    assert str(run.coverage).startswith(f"all {len(orders)} schedules, ")


@pytest.mark.parametrize("strategy", ["mix", "pct", "pos", "uniform"])
def test_whatever_the_strategy_the_schedules_of_a_small_flow_are_the_same(strategy: str) -> None:
    run = simulate(racing("a", "b"), seeds=100_000, strategy=strategy)
    assert run.coverage.schedules == simulate(racing("a", "b"), seeds=100_000).coverage.schedules


def test_no_schedule_is_run_twice() -> None:
    run = simulate(racing(*"abcdef"), seeds=300, strategy="pct")
    assert (run.coverage.schedules, run.coverage.distinct) == (301, 301)


def test_where_nothing_is_contested_one_schedule_is_all() -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.system.spawn(Collector, name="seen").ask("seen")

    run = simulate(scenario, seeds=itertools.count(), order="asyncio")
    assert str(run.coverage) == "all 1 schedule, 1 order of messages, 1 edge"


@pytest.mark.parametrize("options", [{"strategy": "fifo"}, {"order": "asyncio"}])
def test_where_only_faults_vary_each_place_of_a_fault_is_run_once(options: Any) -> None:
    run = simulate(racing("a", "b"), seeds=500, faults=[Slow("seen")], **options)
    # None, one of the three messages, or the one after; and the ordinary one without a fault is one of these.
    assert run.coverage.schedules == run.coverage.distinct == 5
    assert not run.coverage.exhausted
    assert run.coverage.struck == {Slow("seen"): 3}
    assert run.coverage.faults() == ["slow seen, any message (seconds=10.0): struck in 3 of 5, at 3 of 3 places"]


def test_the_only_failing_schedule_of_a_small_flow_is_found() -> None:
    words = tuple("abc")

    async def scenario(sim: Simulation) -> None:
        assert tuple(await race(sim, words)) != words[::-1], "turned round"

    for strategy in ("mix", "pct", "pos", "uniform"):
        with pytest.raises(SimulationFailed, match="turned round") as failed:
            simulate(scenario, seeds=1_000, strategy=strategy)
        assert failed.value.run.coverage.schedules == failed.value.schedules


def test_orders_count_what_the_actors_see() -> None:
    assert simulate(racing("a", "b", "c"), seeds=500).coverage.orders == math.factorial(3)


@dataclass
class Order:
    number: int
    lines: tuple[str, ...] = ()


class Desk(Actor):
    """Asks for a receipt of what it is told, each in a job of its own, and then passes it on."""

    def __init__(self, seen: ActorRef[Collector]) -> None:
        super().__init__()
        self.seen = seen

    def on_receive(self, message: Any) -> Any:
        return self.reply_with(self.work(message))

    async def work(self, message: Any) -> None:
        await asyncio.sleep(1)
        await self.seen.ask(message)


@pytest.mark.parametrize(
    "messages",
    [
        (1, 2, 3),
        tuple(Order(number, ("book",)) for number in range(3)),
        tuple({"order": [number]} for number in range(3)),
        tuple(("order", "x" * 100 + str(number)) for number in range(3)),
        (math.nan, math.inf, 10**5000),
    ],
    ids=["numbers", "objects", "dicts", "texts", "odd numbers"],
)
def test_orders_tell_messages_of_one_sender_apart_by_what_is_in_them(messages: tuple[Any, ...]) -> None:
    orders = set()

    async def scenario(sim: Simulation) -> None:
        seen = sim.system.spawn(Collector, name="seen")
        desk = sim.system.spawn(Desk, seen, name="desk")
        await asyncio.gather(*map(desk.ask, messages))
        orders.add(tuple(messages.index(each) for each in await seen.ask("seen")))

    coverage = simulate(scenario, seeds=200).coverage
    assert coverage.orders == len(orders) == math.factorial(3)


class Colour(Enum):
    RED = 1


def test_an_edge_names_the_actor_the_message_before_and_the_message() -> None:
    async def scenario(sim: Simulation) -> None:
        seen = sim.system.spawn(Collector, name="seen")
        for message in ("one", ("two", 2), Colour.RED, 4, "x" * 100, "seen"):
            await seen.ask(message)

    names = ["", "one", "two", "RED", "int", "str", "seen"]
    expected = {("seen", before, message) for before, message in itertools.pairwise(names)}
    assert simulate(scenario, seeds=1).coverage.edges == expected


def test_the_scenario_may_say_in_which_state_an_actor_is() -> None:
    async def scenario(sim: Simulation) -> None:
        seen = sim.system.spawn(Collector, name="seen")
        await seen.ask("one")
        sim.mark("state", actor="seen", value="open")
        await seen.ask("two")
        await seen.ask("three")
        sim.mark("state", of="something else")

    run = simulate(scenario, seeds=1)
    assert run.coverage.edges == {("seen", "", "one"), ("seen", "'open'", "two"), ("seen", "'open'", "three")}


def test_an_actors_state_is_what_the_scenario_follows_of_it() -> None:
    async def scenario(sim: Simulation) -> None:
        seen = sim.system.spawn(Collector, name="seen")
        sim.follow(seen, awake=lambda actor: True)
        await seen.ask("one")

    assert simulate(scenario, seeds=1).coverage.edges == {("seen", "awake=True", "one")}


def test_the_report_says_what_was_covered_until_the_failure() -> None:
    async def scenario(sim: Simulation) -> None:
        assert await race(sim, ("a", "b")) == ["a", "b"]

    with pytest.raises(SimulationFailed) as failed:
        simulate(scenario, faults=[Crash("seen", 9, optional=True)])
    coverage = failed.value.run.coverage
    assert coverage.orders == 2
    assert f"schedule {coverage.schedules} (2 orders of messages, " in str(failed.value)
    assert "0 of 1 faults struck)" in str(failed.value)


def test_where_something_outside_decides_no_schedule_is_left_out() -> None:
    runs = itertools.count()

    async def scenario(sim: Simulation) -> None:
        seen: ActorRef[Collector] = sim.system.spawn(Collector, name="seen")
        if next(runs) % 2 == 0:
            await race_of(seen)

    async def race_of(seen: ActorRef[Collector]) -> None:
        async with asyncio.TaskGroup() as group:
            for word in "abc":
                group.create_task(_tell(seen, word), name=word)

    run = simulate(scenario, seeds=50)
    assert run.coverage.schedules == 51
    assert not run.coverage.exhausted


async def _tell(ref: ActorRef[Any], message: Any) -> None:
    await asyncio.sleep(0)
    ref.tell(message)


# -- several processes -------------------------------------------------------------------------------------------------


def outcome(scenario: Any, processes: int, **options: Any) -> Any:
    try:
        run = simulate(scenario, processes=processes, **options)
    except SimulationFailed as failed:
        return failed.schedules, failed.token, failed.run.coverage, str(failed)
    return run.coverage, run.trace.digest()


def wide(sim_failing: bool) -> Any:
    """A flow of more schedules than are run one by one, and of which one in some hundreds may fail."""

    async def scenario(sim: Simulation) -> None:
        last = (await race(sim, "abcdef"))[-3:]
        assert not sim_failing or last != ["c", "b", "a"], "three turned round"

    return scenario


@pytest.fixture
def spread_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.testing.search.simulation._FEW_WAYS", 0)


@pytest.mark.usefixtures("spread_at_once")
@pytest.mark.parametrize("fails", [True, False])
def test_several_processes_find_what_one_finds(fails: bool) -> None:
    options: Any = {"seeds": range(100, 400), "faults": [Slow("seen", optional=True)], "strategy": "uniform"}
    assert outcome(wide(fails), 3, **options) == outcome(wide(fails), 1, **options)


GIVES_UP_THREADS_THEN_FORKS = """
import asyncio, os, threading, time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from callboard.actors.testing.loop.threads import workers
from callboard.actors.testing.search import simulation
from callboard.testing import SimulationFailed, simulate

workers.LOCK_PATIENCE = 0.02
simulation._FEW_WAYS = 0  # so that the work is spread at once


@cache
def lock():
    return threading.Lock()


def work():
    with lock():
        time.sleep(1)


async def loses(_):
    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(6)))


async def scenario(_):
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(9)))


def in_child():
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(abs, range(8)))


lock()
with pytest.raises(SimulationFailed, match="did not come back"):
    simulate(loses, seeds=1)
os.register_at_fork(after_in_child=in_child)
simulate(scenario, seeds=20, processes=2)
"""


def test_a_thread_of_another_process_is_not_taken_for_one_that_was_given_up_before_it_was_forked() -> None:
    program = run_program("-c", GIVES_UP_THREADS_THEN_FORKS)
    assert (program.returncode, program.stderr) == (0, "")


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True, None])
def test_a_number_of_processes_that_makes_no_sense_is_refused(number: Any) -> None:
    with pytest.raises(SimulationError, match="processes="):
        simulate(wide(False), processes=number)


def test_where_no_process_can_be_forked_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(SimulationError, match="by forking, which this platform cannot"):
        simulate(wide(False), processes=2)


def test_a_search_that_learns_is_not_spread() -> None:
    with pytest.raises(SimulationError, match="learns from each run"):
        simulate(wide(False), processes=2, strategy="feedback")


@pytest.mark.usefixtures("spread_at_once")
def test_a_process_that_ends_is_named() -> None:
    parent = os.getpid()

    async def scenario(sim: Simulation) -> None:
        if os.getpid() != parent:
            os._exit(3)

    with pytest.raises(SimulationError, match="ended with exit code 3"):
        simulate(scenario, processes=2)
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("spread_at_once")
def test_a_failure_of_another_process_alone_is_not_overlooked() -> None:
    parent = os.getpid()

    async def scenario(sim: Simulation) -> None:
        assert os.getpid() == parent

    with pytest.raises(Nondeterministic, match="failed in another process"):
        simulate(scenario, processes=2)


@pytest.mark.usefixtures("spread_at_once")
def test_an_interrupt_ends_the_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Covered, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(wide(False), seeds=10_000, processes=2)
    assert not multiprocessing.active_children()


# -- feedback ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bug", DEEP, ids=lambda bug: bug.name)
def test_a_bug_behind_several_steps_is_found_by_feedback(bug: Deep) -> None:
    with pytest.raises(SimulationFailed) as failed:
        simulate(bug.build(bug.few, False), seeds=1_000, strategy="feedback")
    with pytest.raises(SimulationFailed, match="replayed"):
        simulate(bug.build(bug.few, False), replay=failed.value.token)


@pytest.mark.usefixtures("spread_at_once")
def test_where_a_search_that_learns_starts_afresh_a_fault_strikes_at_each_place_before_it_does_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("callboard.actors.testing.schedules.feedback._FIRST", 16)
    places = set[Any]()

    async def scenario(sim: Simulation) -> None:
        await race(sim, "abcdefg")
        places.update(fact.nth for fact in sim.trace.of("fault"))

    simulate(scenario, seeds=16, strategy="feedback", faults=[Slow("seen")])
    assert places == {1, 2, 3, 4, 5, 6, 7, 8}


def test_where_a_search_that_learns_starts_afresh_a_fault_strikes_early_first() -> None:
    places = list[int]()

    async def scenario(sim: Simulation) -> None:
        await race(sim, "abcdefghijklmnopqrstuvwxyz")
        places.extend(fact.nth for fact in sim.trace.of("fault"))

    simulate(scenario, seeds=8, strategy="feedback", faults=[Slow("seen")])
    assert len(places) > 4
    assert max(places) <= 13, "in the second half of 27 messages"


def test_what_a_search_learns_of_a_run_that_began_anew_is_of_that_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()  # older than the search: its first run begins anew when the first thread does
    begun, learnt = itertools.count(), list[dict[Hashable, int]]()
    monkeypatch.setattr(Feedback, "learn", lambda self, seen, picks, faults: learnt.append(seen))
    monkeypatch.setattr(Feedback, "schedule", lambda self, seed: (Fifo(), None))

    async def scenario(sim: Simulation) -> None:
        next(begun)
        await asyncio.to_thread(lock.acquire)
        await asyncio.to_thread(lock.release)
        await race(sim, "abcd")

    over = threading.Event()
    other = threading.Thread(
        target=over.wait
    )  # beside other threads, older locks are left alone until a run has its own
    other.start()
    try:
        simulate(scenario, seeds=1, strategy="feedback")
    finally:
        over.set()
        other.join()
    assert next(begun) == 3
    assert learnt[0] == learnt[1], "choices made in the run that was given up were counted"


def test_a_search_learns_numbers_and_how_much_there_is_of_something_at_an_actor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learnt = list[dict[Hashable, int]]()
    monkeypatch.setattr(Feedback, "learn", lambda self, seen, picks, faults: learnt.append(seen))

    class Till(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.total, self.lowest, self.sold = 0.0, 9, list[float]()

        def on_receive(self, price: float) -> None:
            self.total += price
            self.lowest = min(self.lowest, int(price))
            self.sold.append(price)

    async def scenario(sim: Simulation) -> None:
        till = sim.system.spawn(Till, name="till")
        for price in (2.5, 1.5):
            await till.ask(price)

    simulate(scenario, seeds=0, strategy="feedback")
    states = {what[3] for what in learnt[0] if isinstance(what, tuple) and what[0] == "done"}
    assert states == {
        *[("total", "2"), ("total", "4")],
        *[("lowest", "2"), ("lowest", "1")],
        *[("sold", "1 items"), ("sold", "2 items")],
    }


@pytest.mark.parametrize("bug", DEEP, ids=lambda bug: bug.name)
def test_the_fixed_twin_of_a_deep_bug_passes(bug: Deep) -> None:
    simulate(bug.build(bug.few, True), seeds=60, strategy="feedback")


# -- making small ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 200])
def test_of_two_short_holds_one_is_left_where_it_is_enough_if_it_lasts_longer(first: int) -> None:
    actors = 10

    async def scenario(sim: Simulation) -> None:
        sink = sim.system.spawn(Collector, name="seen")

        async def client(number: int) -> None:
            for step in range(5):
                await asyncio.sleep(0)
                sink.tell((number, step))

        async with asyncio.TaskGroup() as group:
            for number in range(actors):
                group.create_task(client(number), name=f"client{number}")
        await sim.idle()
        order = await sink.ask("seen")
        assert order.index((3, 0)) < order.index((1, 2)), "overtaken"

    with pytest.raises(SimulationFailed) as failed:
        simulate(scenario, seeds=range(first, first + 100))
    assert [type(deviation) for deviation in failed.value.run.holds] == [Hold], failed.value


def test_making_a_large_flow_small_costs_a_limited_number_of_steps() -> None:
    runs = itertools.count()
    large = scenario_of((3, 7, 11))

    async def scenario(sim: Simulation) -> None:
        next(runs)
        await large(sim)

    with pytest.raises(SimulationFailed, match="made small from") as failed:
        simulate(scenario, seeds=100)
    shrinking = next(runs) - failed.value.schedules
    assert (
        shrinking * failed.value.run.steps < 230_000
    )  # 150,000 for making it small, 60,000 for when it became inevitable
    assert failed.value.run.deviations < 20
