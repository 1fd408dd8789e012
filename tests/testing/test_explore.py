"""`explore`: every schedule of a small scenario, one of each class of equivalent ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, ChildSpec
from callboard.actors.testing import (
    Crash,
    Delay,
    Exploration,
    Fault,
    FaultRefused,
    FaultStruckNothing,
    Nondeterministic,
    Pause,
    Simulation,
    SimulationError,
    SimulationFailed,
    Slow,
    explore,
    simulate,
)

from .actors import Collector, Forwarder
from .gallery import GALLERY


def race(senders: int, orders: set[Any], *, collectors: int = 1) -> Callable[[Simulation], Any]:
    """Each collector is sent one message by each of several actors of its own."""

    async def scenario(sim: Simulation) -> None:
        targets = [sim.system.spawn(Collector, name=f"collector{i}") for i in range(collectors)]
        for i, target in enumerate(targets):
            for number in range(senders):
                sim.system.spawn(Forwarder, target, name=f"sender{i * senders + number}").tell(number)
        await asyncio.sleep(10)
        orders.add(tuple([tuple(await target.ask("seen")) for target in targets]))

    return scenario


def test_messages_to_one_actor_come_in_every_order_and_each_order_once() -> None:
    orders: set[Any] = set()
    found = explore(race(4, orders))
    assert (len(orders), str(found), found.complete) == (24, "all 24 schedules hold", True)


def test_the_order_in_which_a_gather_s_tasks_end_is_none_of_its_waiter_s() -> None:
    async def scenario(sim: Simulation) -> None:
        async def asks(number: int) -> Any:
            return await sim.system.spawn(Collector, name=f"collector{number}").ask(number)

        assert await asyncio.gather(*(asks(number) for number in range(5))) == [1] * 5

    assert str(explore(scenario)) == "the only schedule holds"


def test_messages_to_different_actors_need_no_order() -> None:
    async def scenario(sim: Simulation) -> None:
        targets = [sim.system.spawn(Collector, name=f"collector{i}") for i in range(5)]
        for number, target in enumerate(targets):
            sim.system.spawn(Forwarder, target, name=f"sender{number}").tell(number)

    assert str(explore(scenario)) == "the only schedule holds"


def test_orders_at_different_actors_multiply() -> None:
    orders: set[Any] = set()
    found = explore(race(3, orders, collectors=2))
    assert found.complete
    assert len(orders) == 36


def test_what_is_left_is_told_where_it_ends_early() -> None:
    found = explore(race(4, set()), max_schedules=5)
    assert (found.schedules, found.complete) == (5, False)
    assert found.left >= 1
    assert str(found) == f"5 schedules hold; at least {found.left} more are left"


def test_a_failure_has_a_report_and_a_token_that_simulate_replays() -> None:
    async def scenario(sim: Simulation) -> None:
        collector = sim.system.spawn(Collector, name="collector")
        for number in range(3):
            sim.system.spawn(Forwarder, collector, name=f"sender{number}").tell(number)
        await sim.idle()
        assert await collector.ask("seen") != [2, 0, 1], "the one order"

    with pytest.raises(SimulationFailed, match="the one order") as failed:
        explore(scenario)
    with pytest.raises(SimulationFailed, match="the one order") as again:
        simulate(scenario, replay=failed.value.token)
    assert again.value.run.trace.digest() == failed.value.run.trace.digest()


def test_invariants_see_marks_of_different_actors_in_every_order() -> None:
    class Marker(Actor):
        def __init__(self, sim: Simulation) -> None:
            super().__init__()
            self.sim = sim

        def on_receive(self, message: Any) -> None:
            self.sim.mark("took", number=message)

    async def scenario(sim: Simulation) -> None:
        for number in range(2):
            sim.system.spawn(Marker, sim, name=f"marker{number}").tell(number)

    def first_is_first(trace: Any) -> None:
        assert [fact.number for fact in trace.of("took")] != [1, 0]

    with pytest.raises(SimulationFailed):
        explore(scenario, invariants=[first_is_first])


def test_an_answer_and_a_deadline_of_one_instant_come_in_both_orders() -> None:
    class Late(Actor):
        async def on_receive(self, message: Any) -> str:
            await asyncio.sleep(1.0)
            return "there"

    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        late = sim.system.spawn(Late, name="late")
        try:
            ends.add(await late.ask("?", timeout=1.0))
        except TimeoutError:
            ends.add("too late")

    assert explore(scenario).complete
    fair = set(ends)
    ends.clear()
    simulate(scenario, seeds=60)
    assert fair >= ends


def test_tasks_that_gather_answers_go_on_in_every_order() -> None:
    class Answering(Actor):
        def __init__(self, order: list[str]) -> None:
            super().__init__()
            self.order = order

        def on_receive(self, message: str) -> None:
            self.order.append(message)

    orders: set[Any] = set()

    async def scenario(sim: Simulation) -> None:
        order: list[str] = []

        async def asks(name: str) -> None:
            await asyncio.gather(sim.system.spawn(Answering, order, name=f"of {name}").ask(f"{name} is answered"))
            order.append(f"{name} goes on")

        async with asyncio.TaskGroup() as group:
            for name in ("one", "other"):
                group.create_task(asks(name))
        orders.add(tuple(order))

    assert explore(scenario).complete
    assert len(orders) == 6  # all in which each is answered before it goes on


# -- what tasks wait for, and what comes at one time -------------------------------------------------------------------


async def both_set_a_future(sim: Simulation) -> Any:
    future = asyncio.get_running_loop().create_future()

    async def sets(name: str) -> None:
        await asyncio.sleep(0)
        if not future.done():
            future.set_result(name)

    async with asyncio.TaskGroup() as group:
        for name in ("one", "other"):
            group.create_task(sets(name))
    return future.result()


async def one_asks_whether_a_future_is_set(sim: Simulation) -> Any:
    future = asyncio.get_running_loop().create_future()

    async def looks() -> bool:
        await asyncio.sleep(0)
        found = future.done()
        await asyncio.sleep(0)  # the order in which the two end is not what matters
        return found

    async def sets() -> None:
        await asyncio.sleep(0)
        future.set_result(None)
        await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(looks())
        group.create_task(sets())
    return looking.result()


async def one_asks_whether_all_have_answered(sim: Simulation) -> Any:
    collector = sim.system.spawn(Collector, name="collector")
    answers = asyncio.gather(collector.ask(1), collector.ask(2))

    async def looks() -> bool:
        await asyncio.sleep(0)
        return answers.done()

    looking = asyncio.create_task(looks())
    await answers
    return await looking


async def one_asks_whether_an_actor_has_answered(sim: Simulation) -> Any:
    answer = sim.system.spawn(Collector, name="collector").ask(1)

    async def looks() -> bool:
        await asyncio.sleep(0)
        return answer.done()

    looking = asyncio.create_task(looks())
    await answer
    return await looking


async def both_take_a_callback_away(sim: Simulation) -> Any:
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(print)

    async def removes() -> int:
        await asyncio.sleep(0)
        return future.remove_done_callback(print)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(removes()) for _ in range(2)]
    return tuple([task.result() for task in tasks])


def both_wait_for(what: str) -> Callable[[Simulation], Any]:
    async def scenario(sim: Simulation) -> Any:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1.0, future.set_result, None)
        awaited: Any = {
            "future": future,
            "task": asyncio.create_task(asyncio.sleep(1.0)),
            "gather": asyncio.gather(asyncio.sleep(1.0)),
        }[what]
        order: list[str] = []

        async def waits(name: str) -> None:
            await asyncio.sleep(0)
            await awaited
            order.append(name)

        async with asyncio.TaskGroup() as group:
            for name in ("one", "other"):
                group.create_task(waits(name))
        return tuple(order)

    return scenario


async def timers_of_two_actors_are_due_at_one_time(sim: Simulation) -> Any:
    class Ticking(Collector):
        def __init__(self, other: ActorRef[Any] | None = None) -> None:
            super().__init__()
            self.other = other

        def on_receive(self, message: Any) -> Any:
            if message == "start":
                self.schedule(1.0, "tick")
                return None
            if message == "tick" and self.other is not None:
                self.other.tell("told")
            return super().on_receive(message)

    first = sim.system.spawn(Ticking, name="first")
    second = sim.system.spawn(Ticking, first, name="second")
    first.tell("start")
    second.tell("start")
    await asyncio.sleep(2.0)
    return tuple(await first.ask("seen"))


async def both_are_sent_one_list(sim: Simulation) -> Any:
    class Writing(Actor):
        def on_receive(self, message: list[str]) -> None:
            message.append(self.name)

    shared: list[str] = []
    for name in ("one", "other"):
        sim.system.spawn(Writing, name=name).tell(shared)
    await sim.idle()
    return tuple(shared)


async def both_are_answered_with_one_list(sim: Simulation) -> Any:
    class Owner(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.shared: list[str] = []

        def on_receive(self, message: str) -> list[str]:
            return self.shared

    owner = sim.system.spawn(Owner, name="owner")

    async def writes(name: str) -> None:
        shared = await owner.ask("it")
        shared.append(f"{name} sees {len(shared)}")

    async with asyncio.TaskGroup() as group:
        for name in ("one", "other"):
            group.create_task(writes(name))
    return tuple(await owner.ask("it"))


async def both_are_failed_with_one_error(sim: Simulation) -> Any:
    class Refused(Exception):
        def __init__(self) -> None:
            super().__init__("refused")
            self.seen: list[str] = []

    class Refusing(Actor):
        def __init__(self, error: Refused) -> None:
            super().__init__()
            self.error = error

        def on_receive(self, message: Any) -> Any:
            raise self.error

    refusing = sim.system.supervise(ChildSpec(Refusing, args=(Refused(),), name="refusing"))

    async def hears(name: str) -> str:
        try:
            await refusing.ask(name)
        except Refused as error:
            before = len(error.seen)
            error.seen.append(name)
            await asyncio.sleep(0)
            return f"{name} is number {before}"
        return ""

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(hears(name)) for name in ("one", "other")]
    return tuple([task.result() for task in tasks])


async def one_writes_in_a_thread(sim: Simulation) -> Any:
    seen: list[str] = []

    async def writes() -> None:
        await asyncio.sleep(0)
        seen.append("task")
        await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(seen.append, "thread"))
        group.create_task(writes())
    return tuple(seen)


async def one_of_many_objects_is_shared(sim: Simulation) -> Any:
    shared = {"count": 0}
    many = [shared, *({"count": number} for number in range(6_000))]

    async def counts() -> None:
        before = many[0]["count"]
        await asyncio.sleep(0)
        many[0]["count"] = before + 1

    async with asyncio.TaskGroup() as group:
        for name in ("one", "other"):
            group.create_task(counts(), name=name)
    return shared["count"]


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (both_are_sent_one_list, {("one", "other"), ("other", "one")}),
        (both_are_answered_with_one_list, {("one sees 0", "other sees 1"), ("other sees 0", "one sees 1")}),
        (
            both_are_failed_with_one_error,
            {("one is number 0", "other is number 1"), ("one is number 1", "other is number 0")},
        ),
        (one_writes_in_a_thread, {("task", "thread"), ("thread", "task")}),
        (one_of_many_objects_is_shared, {1, 2}),
        (both_set_a_future, {"one", "other"}),
        (one_asks_whether_a_future_is_set, {False, True}),
        (both_take_a_callback_away, {(0, 1), (1, 0)}),
        (one_asks_whether_all_have_answered, {False, True}),
        (one_asks_whether_an_actor_has_answered, {False, True}),
        (both_wait_for("future"), {("one", "other"), ("other", "one")}),
        (both_wait_for("task"), {("one", "other"), ("other", "one")}),
        (both_wait_for("gather"), {("one", "other"), ("other", "one")}),
        (timers_of_two_actors_are_due_at_one_time, {("tick", "told"), ("told", "tick")}),
    ],
    ids=[
        "two are sent a list",
        "two are answered with a list",
        "two are failed with an error",
        "one writes in a thread",
        "one of many objects",
        "two set a future",
        "one looks at a future",
        "two take a callback away",
        "one looks at a gather",
        "one looks at an ask",
        "two wait for a future",
        "two wait for a task",
        "two wait for a gather",
        "timers of one time",
    ],
)
def test_each_end_is_found_where_tasks_share_what_they_wait_for(
    scenario: Callable[[Simulation], Any], expected: set[Any]
) -> None:
    ends = set()

    async def whole(sim: Simulation) -> None:
        ends.add(await scenario(sim))

    assert explore(whole).complete
    assert ends == expected


# -- what tasks share --------------------------------------------------------------------------------------------------


def sharing(where: str) -> Callable[[Simulation], Any]:
    """Two tasks read, wait, and write back: one update is lost unless they take turns."""
    counts = {"count": 0}

    async def scenario(sim: Simulation) -> None:
        collector = sim.system.spawn(Collector, name="collector")
        other = sim.system.spawn(Collector, name="other")
        counts["count"] = 0
        shared = {"count": 0}
        count = 0

        async def by_dict(target: ActorRef[Any]) -> None:
            await target.ask(1)
            before = shared["count"]
            await target.ask(2)
            shared["count"] = before + 1

        async def by_name(target: ActorRef[Any]) -> None:
            nonlocal count
            await target.ask(1)
            before = count
            await target.ask(2)
            count = before + 1

        job = by_dict if where == "a dict" else by_name
        async with asyncio.TaskGroup() as group:
            group.create_task(job(collector), name="first")
            group.create_task(job(other), name="second")
        assert max(count, shared["count"]) == 1, "nothing was lost"

    return scenario


@pytest.mark.parametrize("where", ["a dict", "a variable of the function around them"])
def test_tasks_that_share_an_object_are_seen_to(where: str) -> None:
    with pytest.raises(SimulationFailed, match="nothing was lost"):
        explore(sharing(where))


_COUNTER = [0]


async def through_a_global(sim: Simulation) -> None:
    targets = [sim.system.spawn(Collector, name=name) for name in ("one", "other")]
    _COUNTER[0] = 0

    async def job(target: ActorRef[Any]) -> None:
        await target.ask(1)
        before = _COUNTER[0]
        await target.ask(2)
        _COUNTER[0] = before + 1

    async with asyncio.TaskGroup() as group:
        for number, target in enumerate(targets):
            group.create_task(job(target), name=f"job{number}")
    assert _COUNTER[0] == 1, "nothing was lost"


def test_what_tasks_share_through_a_global_is_seen_only_where_it_is_said() -> None:
    with pytest.raises(SimulationFailed, match="nothing was lost"):
        explore(through_a_global, shared=True)
    assert explore(through_a_global) == Exploration(1)


# -- faults and arguments ----------------------------------------------------------------------------------------------


def test_a_fault_with_a_number_strikes_in_every_schedule() -> None:
    orders: set[Any] = set()
    found = explore(race(3, orders), faults=[Slow("sender0", 1, seconds=5.0)])
    assert found.complete
    assert orders == {((1, 2, 0),), ((2, 1, 0),)}


@pytest.mark.parametrize("fault", [Slow("sender0"), Crash("sender0", 1), Pause("sender0", 1)])
def test_a_fault_that_leaves_something_open_is_refused(fault: Any) -> None:
    with pytest.raises(FaultRefused, match="sender0"):
        explore(race(2, set()), faults=[fault])


def test_a_fault_that_strikes_nothing_fails() -> None:
    with pytest.raises(FaultStruckNothing, match="nobody"):
        explore(race(2, set()), faults=[Slow("nobody", 1)])


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "many"])
def test_a_number_of_schedules_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(ValueError, match="max_schedules"):
        explore(race(2, set()), max_schedules=most)


def test_it_is_refused_inside_a_running_loop() -> None:
    async def main() -> None:
        with pytest.raises(SimulationError, match="ordinary test"):
            explore(race(2, set()))

    asyncio.run(main())


def test_the_order_of_a_stock_loop_is_one_schedule() -> None:
    assert explore(race(4, set()), order="asyncio") == Exploration(1)


def test_a_scenario_in_which_nothing_happens_has_one_schedule() -> None:
    async def scenario(sim: Simulation) -> None:
        pass

    assert explore(scenario) == Exploration(1)


def test_what_is_decided_outside_is_named() -> None:
    runs = iter(range(1_000))

    async def scenario(sim: Simulation) -> None:
        collector = sim.system.spawn(Collector, name="collector")
        for number in range(1 if next(runs) else 3):
            sim.system.spawn(Forwarder, collector, name=f"sender{number}").tell(number)

    with pytest.raises(Nondeterministic, match="did not go as it went before"):
        explore(scenario)


# -- the gallery -------------------------------------------------------------------------------------------------------

SMALL: dict[str, tuple[tuple[Any, ...], tuple[Fault, ...]]] = {
    "lost update at an await": ((1, 5), ()),
    "ask cycle": (("order", "restock"), ()),
    "restart that loses the queue": (("item", "item"), (Crash("batcher", 2, when="after"),)),
    "late reply to a later ask": ((1, 2), (Slow("prices", 1, seconds=1.5),)),
    "duplicate effect after a retry": ((0.0,), (Slow("receipts", 1, seconds=3.0),)),
    "stop against restart": (("poison",), ()),
    "over-admission": ((0.5, 0.5, 0.5), ()),
    "stale cache fill": (("read", "write"), ()),
    "cancelled before the first step": (("bad", "bad"), ()),
    "permit lost when grant and timeout meet": ((1.0, 1.0), ()),
    "check, then act": (("a", "a"), ()),
    "overtaken on another path": ((1,), (Delay("index", 1, seconds=0.5),)),
}
"""For each bug of the gallery, a workload as small as can be, and faults that leave nothing open."""


@pytest.mark.parametrize("bug", GALLERY, ids=lambda bug: bug.name)
def test_a_bug_of_the_gallery_is_found_and_its_twin_is_not_accused(bug: Any) -> None:
    if bug.name not in SMALL:
        pytest.skip("it needs more than a small workload")
    operations, faults = SMALL[bug.name]
    with pytest.raises(SimulationFailed):
        explore(bug.build(operations, False), faults=faults, max_schedules=100)
    twin = explore(bug.build(operations, True), faults=faults, max_schedules=100)
    assert twin.complete or twin.left
