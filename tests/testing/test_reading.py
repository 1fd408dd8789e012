"""What a person reads of a failure: whose code, who waits, what happened, by which names."""

from __future__ import annotations

import asyncio
import re
import traceback
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent
from callboard.actors import Actor, ChildSpec
from callboard.actors.testing import (
    Deadlock,
    Hold,
    ScriptedModel,
    Simulation,
    SimulationFailed,
    StepBudgetSpent,
    simulate,
)
from callboard.actors.testing.trace.beside import Beside, folded
from callboard.actors.testing.trace.rendering import brief, stable_repr
from callboard.actors.testing.trace.text import lines

from .gallery import Scenario


def find(scenario: Scenario, **options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, **{"seeds": 300, **options})
    return caught.value


# -- whose code --------------------------------------------------------------------------------------------------------


class Failing(Actor):
    def on_receive(self, message: Any) -> Any:
        if message == "alone":
            raise RuntimeError("lost")


async def fails_in_an_actor(sim: Simulation) -> None:
    await sim.system.spawn(Failing).ask("alone")


async def fails_in_a_group(sim: Simulation) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fails_in_an_actor(sim))


async def fails_after_an_error(sim: Simulation) -> None:
    try:
        await sim.system.spawn(Failing).ask("alone")
    except RuntimeError as error:
        raise ValueError("gave up") from error


async def fails_in_the_library(sim: Simulation) -> None:
    sim.system.spawn(Failing, name="a/b")


def modules(error: BaseException | None) -> list[str]:
    """Whose frames an exception's traceback shows."""
    if error is None:
        return []
    frames = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return frames + [name for each in (error.__cause__, *inner) for name in modules(each)]


@pytest.mark.parametrize("scenario", [fails_in_an_actor, fails_in_a_group, fails_after_an_error, fails_in_the_library])
def test_a_cause_s_traceback_shows_the_reader_s_code_alone(scenario: Scenario) -> None:
    assert set(modules(find(scenario).__cause__)) == {__name__}


def test_a_failure_s_own_traceback_shows_the_call_of_simulate_alone() -> None:
    failed = find(fails_in_an_actor)
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(failed.__traceback__)]
    assert frames == ["find", "simulate"]


def test_a_failure_that_only_the_simulator_saw_shows_no_code() -> None:
    async def scenario(sim: Simulation) -> None:
        await asyncio.Event().wait()

    failed = find(scenario)
    assert isinstance(failed.__cause__, Deadlock)
    assert modules(failed.__cause__) == []


# -- by which names ----------------------------------------------------------------------------------------------------


class Late(Actor):
    """Its handlers wait."""

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return message


async def two_unnamed(sim: Simulation) -> None:
    late = sim.system.spawn(Late, name="late")
    took: list[Any] = []

    async def work() -> None:
        took.append(await late.ask(len(took)))
        took.append(await late.ask(len(took)))

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(work())
        group.create_task(work(), name="named")
        group.create_task(work(), name="named")
    assert took == sorted(took), "out of order"


def test_a_task_has_one_name_in_the_schedule_and_in_the_trace() -> None:
    run = find(two_unnamed).run
    senders = {fact.sender for fact in run.trace.of("ask")}
    assert senders == {"work", "work~2", "named", "named~2"}
    lanes = {hold.lane.partition("#")[0] for hold in run.holds}
    assert lanes <= {*senders, "late", "loop", "client", "sim-leader"}


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_tasks_of_one_name_are_told_apart_in_the_trace(order: str) -> None:
    async def scenario(sim: Simulation) -> None:
        await two_unnamed(sim)

    try:
        run = simulate(scenario, seeds=0, order=order)  # type: ignore[arg-type]
    except SimulationFailed as failed:
        run = failed.run
    assert {fact.sender for fact in run.trace.of("ask")} == {"work", "work~2", "named", "named~2"}


def test_a_waiting_handler_is_named_by_its_actor_and_the_number_of_its_message() -> None:
    steps: list[str] = []

    class Runner(Actor):
        async def on_receive(self, message: Any) -> None:
            steps.append(f"{message} starts")
            await asyncio.sleep(0)
            steps.append(f"{message} ends")

    async def scenario(sim: Simulation) -> None:
        first, second = (sim.system.spawn(Runner, name=name) for name in ("first", "second"))
        await second.ask("a message before")
        steps.clear()
        first.tell("first")
        second.tell("second")
        await sim.idle()
        assert steps != ["first starts", "second starts", "second ends", "first ends"], "overtaken"

    assert "first#1" in {hold.lane for hold in find(scenario).run.holds}


def test_a_task_s_own_name_stays() -> None:
    async def scenario(sim: Simulation) -> None:
        async def named() -> str:
            task = asyncio.current_task()
            assert task is not None
            await sim.system.spawn(Late).ask(1)
            return task.get_name()

        tasks = [asyncio.create_task(named(), name="twin") for _ in range(2)]
        assert await asyncio.gather(*tasks) == ["twin", "twin"]

    simulate(scenario, seeds=20)


# -- who waits ---------------------------------------------------------------------------------------------------------


def waits(scenario: Scenario, **options: Any) -> list[str]:
    """What a deadlock says, a line each, without the places in this file."""
    failed = find(scenario, **options)
    assert isinstance(failed.run.error, Deadlock)
    return [re.sub(r" \(\S+test_reading.py:\d+\)", "", line.strip()) for line in str(failed.run.error).splitlines()]


async def dining(first: asyncio.Lock, second: asyncio.Lock) -> None:
    async with first:
        await asyncio.sleep(0)
        async with second:
            pass


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_a_deadlock_of_locks_names_who_holds_and_who_waits(order: str) -> None:
    async def scenario(sim: Simulation) -> None:
        left, right = asyncio.Lock(), asyncio.Lock()
        async with asyncio.TaskGroup() as table:
            table.create_task(dining(left, right), name="one")
            table.create_task(dining(right, left), name="other")

    assert waits(scenario, order=order) == [
        "cycle one → other → one",
        "client waits for one, other",
        "one waits to acquire lock second, held by other",
        "other waits to acquire lock second, held by one",
    ]


def test_a_deadlock_says_where_each_waits() -> None:
    async def scenario(sim: Simulation) -> None:
        never_set = asyncio.Event()
        await never_set.wait()

    line = scenario.__code__.co_firstlineno + 2
    assert f"client waits for event never_set (tests/testing/test_reading.py:{line})" in str(find(scenario).run.error)


class Guarded(Actor):
    def __init__(self, other: list[Any]) -> None:
        super().__init__()
        self.lock = asyncio.Lock()
        self.other = other

    async def on_receive(self, message: Any) -> Any:
        async with self.lock:
            return await self.other[0].ask(message)


def test_a_cycle_of_a_lock_and_an_ask_is_found() -> None:
    async def scenario(sim: Simulation) -> None:
        shared = asyncio.Lock()

        class Locking(Actor):
            async def on_receive(self, message: Any) -> Any:
                async with shared:
                    return message

        locking = sim.system.spawn(Locking, name="locking")
        async with shared:
            await locking.ask("hello")

    assert waits(scenario) == [
        "cycle client → locking → client",
        "client waits for locking",
        "locking waits to acquire lock shared, held by client",
    ]


async def holds_an_attribute(sim: Simulation) -> None:
    class Account(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.lock = asyncio.Lock()

        async def on_receive(self, message: Any) -> Any:
            await self.lock.acquire()

    account = sim.system.spawn(Account, name="account")
    await account.ask("never released")
    await account.ask("again")


LIMIT: list[asyncio.Semaphore] = []


async def holds_a_global(sim: Simulation) -> None:
    LIMIT[:] = [asyncio.Semaphore(1)]
    await LIMIT[0].acquire()
    await LIMIT[0].acquire()


async def waits_for_an_item(sim: Simulation) -> None:
    queues: dict[str, asyncio.Queue[int]] = {"in": asyncio.Queue(), "out": asyncio.Queue()}
    await asyncio.gather(queues["in"].get(), asyncio.create_task(queues["out"].join()))


async def waits_for_a_condition(sim: Simulation) -> None:
    changed = asyncio.Condition()
    async with changed:
        await changed.wait_for(lambda: False)


async def waits_for_a_future(sim: Simulation) -> None:
    await asyncio.get_running_loop().create_future()


async def waits_within_a_primitive_of_its_own(sim: Simulation) -> None:
    class Gate(asyncio.Event):
        async def opened(self) -> None:
            await waits_for_a_future(sim)

    await Gate().opened()


async def waits_for_a_task(sim: Simulation) -> None:
    await asyncio.create_task(waits_for_a_future(sim), name="worker")


@pytest.mark.parametrize(
    ("scenario", "lines"),
    [
        (
            holds_an_attribute,
            ["client waits for account", "account waits to acquire lock account.lock, held by account"],
        ),
        (holds_a_global, ["client waits to acquire semaphore LIMIT[0], held by client"]),
        (waits_for_an_item, ["client waits for get", "get waits for an item of queue queues['in']"]),
        (waits_for_a_condition, ["client waits for condition changed"]),
        (waits_for_a_future, ["client waits for a future"]),
        (waits_within_a_primitive_of_its_own, ["client waits for a future"]),
        (waits_for_a_task, ["client waits for worker", "worker waits for a future"]),
    ],
)
def test_a_deadlock_names_what_is_waited_for(scenario: Scenario, lines: list[str]) -> None:
    assert [line for line in waits(scenario)[1:] if line not in lines] == []
    assert set(lines) <= set(waits(scenario))


def test_locks_are_left_as_they_were_after_a_run_that_was_told() -> None:
    before = asyncio.Lock.acquire, asyncio.Lock.release, asyncio.Semaphore.acquire, asyncio.Semaphore.release
    find(waits_for_a_future)
    assert before == (asyncio.Lock.acquire, asyncio.Lock.release, asyncio.Semaphore.acquire, asyncio.Semaphore.release)


# -- what happened -----------------------------------------------------------------------------------------------------


def told(scenario: Scenario, **options: Any) -> list[str]:
    """What a failing run tells beside its trace."""
    return [
        line.partition("** ")[2] for line in find(scenario, **options).run.trace.text().splitlines() if "**" in line
    ]


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_tasks_and_how_they_end_are_told(order: str) -> None:
    async def scenario(sim: Simulation) -> None:
        async def good() -> None:
            await asyncio.sleep(0)

        async def bad() -> None:
            raise ValueError("no\x1b[31m")

        await asyncio.create_task(good())
        await asyncio.gather(asyncio.create_task(bad(), name="worker"), return_exceptions=True)
        raise AssertionError

    assert told(scenario, order=order) == [
        "task good of client",
        "task good ended",
        "task worker of client",
        "task worker raised ValueError('no\\x1b[31m')",
    ]


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_cancels_timeouts_and_timers_are_told(order: str) -> None:
    async def scenario(sim: Simulation) -> None:
        worker = asyncio.create_task(asyncio.sleep(60), name="worker")
        try:
            async with asyncio.timeout(5):
                await worker
        except TimeoutError:
            pass
        await asyncio.sleep(1)
        rung = asyncio.Event()
        asyncio.get_running_loop().call_later(2, rung.set)
        await rung.wait()
        raise AssertionError

    assert told(scenario, order=order) == [
        "task worker of client",
        "timeout of client after 5 s",
        "cancel client by loop",
        "cancel worker by loop",
        "task worker was cancelled",
        "slept client 1 s",
        "timer Event.set of client after 2 s",
    ]


def test_what_the_runtime_does_itself_is_not_told() -> None:
    async def scenario(sim: Simulation) -> None:
        late = sim.system.spawn(Late, name="late")
        await asyncio.gather(*(late.ask(number, timeout=5) for number in range(3)))
        raise AssertionError

    assert told(scenario) == ["spawn late"]


def test_a_job_of_an_actor_is_told() -> None:
    class Working(Actor):
        def on_receive(self, message: Any) -> None:
            if message == "begin":
                self.pipe(asyncio.sleep(1, "done"))

    async def scenario(sim: Simulation) -> None:
        await sim.system.spawn(Working, name="working").ask("begin")
        await asyncio.sleep(2)
        raise AssertionError

    assert told(scenario)[1:] == [
        "task working+job of working",
        "slept working 1 s",
        "task working+job ended",
        "slept client 2 s",
    ]


def test_a_hold_is_marked_where_it_happens() -> None:
    failed = find(two_unnamed)
    lines = failed.run.trace.text().splitlines()
    for hold in failed.run.holds:
        assert isinstance(hold, Hold)
        found = [line for line in lines if f"** hold {hold.lane} (turn {hold.turn}) while " in line]
        assert len(found) == 1
        assert found[0].count(",") == min(hold.times, 7) - 1
        assert 0 < lines.index(found[0]) < len(lines) - 1


def test_what_is_told_is_no_part_of_a_run_s_identity() -> None:
    failed = find(two_unnamed)
    assert failed.run.trace.beside.events
    again = find(two_unnamed, replay=failed.token)
    assert again.run.trace.digest() == failed.run.trace.digest()
    assert again.run.trace.text() == failed.run.trace.text()


def test_what_comes_after_the_failure_is_not_told() -> None:
    async def scenario(sim: Simulation) -> None:
        left = asyncio.create_task(asyncio.sleep(1000), name="left")
        assert left.done()

    assert told(scenario) == ["task left of client"]


def test_a_schedule_that_holds_is_not_told() -> None:
    async def scenario(sim: Simulation) -> None:
        await asyncio.create_task(asyncio.sleep(1))

    assert not simulate(scenario, seeds=3).trace.beside.events


# -- payloads ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prompt:
    role: str
    text: str
    parts: tuple[Any, ...] = ()


class Rude:
    def __repr__(self) -> str:
        return "\x1b[2J\ud800\nsecond line"


PAYLOADS = [
    "secret " * 2_000,
    ["message " * 100] * 50,
    {f"key {number}": "value" * 50 for number in range(100)},
    Prompt("user", "long " * 5_000, ("part",) * 400),
    ValueError("x" * 5_000),
    set(range(10_000)),
    Rude(),
    [[[[[["deep " * 50]]]]]],
    b"\x00" * 5_000,
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_a_line_of_a_trace_is_bounded_and_is_one_line_that_any_terminal_can_print(payload: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        late = sim.system.spawn(Late, name="late")
        await late.ask(payload)
        sim.mark("seen", payload=payload)
        raise AssertionError(str(payload))

    report = str(find(scenario))
    assert all(line.isprintable() for line in report.splitlines())
    trace = report[report.index("trace (") : report.index("found with")].splitlines()
    assert len(trace) == 7
    assert max(map(len, trace)) <= 200
    assert len(report) < 10_000
    report.encode()


def test_a_short_payload_is_shown_whole_and_a_long_one_by_its_beginning() -> None:
    assert brief(Prompt("user", "hello")) == "Prompt(role='user', text='hello')"
    assert brief("x" * 1_000) == "'" + "x" * 60 + "…'(940 more)"
    assert brief(list(range(1_000))) == "[0, 1, 2, 3, 4, 5, 6, 7, … 992 more]"
    assert brief(Prompt("user", "y" * 500)) == "Prompt(role='user', text='" + "y" * 60 + "…'(440 more))"


@given(
    st.recursive(
        st.text() | st.binary() | st.integers(),
        lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_payload_is_never_shown_longer_than_asked_for(value: Any) -> None:
    assert len(brief(value, 40)) <= 40
    whole = stable_repr(value)
    if len(whole) <= 40:
        assert brief(value, 40) == whole


def test_the_sequence_diagram_shows_where_a_message_is_taken_up() -> None:
    async def scenario(sim: Simulation) -> None:
        late = sim.system.spawn(Late, name="late")
        await asyncio.gather(late.ask("one;"), late.ask("#two"))
        raise AssertionError

    assert find(scenario).run.trace.mermaid().splitlines() == [
        "sequenceDiagram",
        "  participant p0 as client",
        "  participant p1 as late",
        "  p0->>p1: 'one,'",
        "  p0->>p1: '＃two'",
        "  p0-)p1: takes up 'one,'",
        "  p1-->>p0: 'one,'",
        "  p0-)p1: takes up '＃two'",
        "  p1-->>p0: '＃two'",
    ]


# -- from where on there was no way out --------------------------------------------------------------------------------


class Register(Actor):
    value = 0

    def on_receive(self, message: Any) -> int:
        if message is not None:
            self.value = message
        return self.value


async def adds_twice(sim: Simulation) -> None:
    register = sim.system.spawn(Register, name="register")

    async def add() -> None:
        await asyncio.sleep(0)
        await register.ask(await register.ask(None) + 1)

    async with asyncio.TaskGroup() as group:
        group.create_task(add(), name="one")
        group.create_task(add(), name="other")
    assert await register.ask(None) == 2, "an addition is lost"


def test_a_failure_is_inevitable_from_the_event_on_that_leaves_no_way_out() -> None:
    failed = find(adds_twice)
    assert failed.inevitable is not None
    # Once both have asked for the value before either has written, one addition is lost.
    decisive = failed.run.trace[failed.inevitable.event]
    assert (decisive.kind, decisive.sender, decisive.message) == ("ask", "other", None)
    before = failed.run.trace[: failed.inevitable.event]
    assert [fact.message for fact in before if fact.kind == "ask"] == [None]
    lines = str(failed).splitlines()
    mark = lines.index(f"{'':11}──── from event {decisive.index} on, every schedule tried failed (20 of 20) ────")
    assert lines[mark + 1].split()[1:] == ["other", "-?>", "register", "None"]


def test_a_failure_that_no_schedule_avoids_is_inevitable_from_the_start() -> None:
    async def scenario(sim: Simulation) -> None:
        late = [sim.system.spawn(Late) for _ in range(3)]
        await asyncio.gather(*(each.ask(1) for each in late))
        raise AssertionError

    assert "──── from the start, every schedule tried failed (20 of 20) ────" in str(find(scenario))


def test_no_point_is_told_where_nothing_could_be_chosen() -> None:
    async def scenario(sim: Simulation) -> None:
        raise AssertionError

    assert find(scenario).inevitable is None
    assert find(adds_twice, order="asyncio").inevitable is None


def test_looking_for_the_point_has_a_bound() -> None:
    runs = 0

    async def scenario(sim: Simulation) -> None:
        nonlocal runs
        runs += 1
        others = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        while others:  # noqa: ASYNC110
            await asyncio.sleep(0)

    failed = find(scenario, max_steps=30_000)
    assert isinstance(failed.run.error, StepBudgetSpent)
    assert runs <= 12


def test_a_failure_drawn_by_hypothesis_is_branched_only_for_its_report() -> None:
    found: list[SimulationFailed] = []

    @settings(max_examples=20, database=None, derandomize=True)
    @given(st.lists(st.integers(0, 3), min_size=1))
    def test(words: list[int]) -> None:
        async def scenario(sim: Simulation) -> None:
            await adds_twice(sim) if words else None

        try:
            simulate(scenario, seeds=1)
        except SimulationFailed as failed:
            found.append(failed)
            raise

    with pytest.raises(SimulationFailed):
        test()
    assert [failed.inevitable is not None for failed in found[:-1]] == [False] * (len(found) - 1)
    assert found[-1].inevitable is not None
    assert not found[0].run.trace.beside.events
    assert found[-1].run.trace.beside.events


# -- what is folded ----------------------------------------------------------------------------------------------------


def test_what_the_library_does_without_effect_on_the_reader_s_own_is_one_line() -> None:
    async def scenario(sim: Simulation) -> None:
        agency = Agency(
            Agent("Solo", "You work alone."),
            Agent("Idle", "Nobody asks you."),
            model=ChildSpec(lambda: ScriptedModel(["hello"]), name="model"),
        )
        async with agency:
            answer = await agency.run("go", conversation="c")
        raise AssertionError(answer.text)

    failed = find(scenario)
    lines = [line.strip() for line in str(failed).splitlines()]
    shown = " ".join(lines)
    # It took part: the model was asked for the answer that the scenario has.
    assert "agency/Solo/c -?>  model" in shown
    assert "spawn agency/Solo" in shown
    # It did not.
    assert "agency/Idle" not in shown
    assert not [line for line in lines if "stopped agency" in line]
    assert [line for line in lines if re.fullmatch(r"… \d+ events? of agency(/…)?(, agency/…)?", line)]
    # All of it is in the trace.
    whole = failed.run.trace.text()
    assert "spawn agency/Idle" in whole
    assert "stopped agency/Solo" in whole


def test_an_actor_of_the_reader_s_own_is_never_folded() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Late, name="apart").tell("nobody waits for this")
        await asyncio.sleep(1)
        raise AssertionError

    report = str(find(scenario))
    assert "client -->| apart" in report
    assert "event" not in report[report.index("client -->  apart") : report.index("found with")]


def test_a_chain_of_internals_is_shown_from_where_it_began() -> None:
    beside = Beside(internal=frozenset({"a", "b", "c"}))

    def message(kind: str, sender: str, actor: str, id: int) -> tuple[float, str, dict[str, Any]]:
        return 0.0, kind, {"sender": sender, "actor": actor, "id": id, "message": id}

    rows = [
        message("send", "a", "b", 1),
        message("send", "c", "b", 2),
        message("recv", "a", "b", 1),
        message("send", "b", "client", 3),
        message("recv", "c", "b", 2),
        message("recv", "b", "client", 3),
        message("send", "a", "c", 4),
    ]
    # What b took up after it had told the client, and what it was sent for that, is of no account.
    assert folded(rows, beside) == {1, 4, 6}
    # Unless b then woke the client otherwise.
    assert folded(rows, replace(beside, wakes=[(5, "b", "client")])) == {6}
    # Or made its next step possible, of which nothing is told.
    assert folded(rows, replace(beside, wakes=[(6, "b", "client")])) == {6}
    assert folded(rows, Beside()) == frozenset()


def test_of_those_whose_events_are_folded_four_are_named() -> None:
    def told(*names: str) -> list[str]:
        shown = [(index, 0.0, "spawn", {"actor": name}) for index, name in enumerate(names)]
        return [line.strip() for line in lines(shown, hidden=[True] * len(names))]

    assert told("a", "b", "c", "d", "a") == ["… 5 events of a, b, c, d"]
    assert told("a", "b", "c", "d", "e") == ["… 5 events of a, b, c, d, …"]


def test_a_run_that_does_not_end_says_who_waits_for_whom_meanwhile() -> None:
    class Desk(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.get_running_loop().create_future()

    async def scenario(sim: Simulation) -> None:
        async def ticks() -> None:
            while True:  # noqa: ASYNC110
                await asyncio.sleep(5)

        ticking = asyncio.create_task(ticks())
        await sim.system.spawn(Desk, name="desk").ask("approve")
        ticking.cancel()

    with pytest.raises(SimulationFailed, match="or raise max_steps; meanwhile client waits for desk"):
        simulate(scenario, seeds=0, max_steps=300)
