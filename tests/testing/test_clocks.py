"""Clocks and chance of a run: virtual and repeatable, however their names were bound, and for this thread only."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import os
import pickle
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from os import urandom as urandom_before
from random import Random as RandomBefore
from time import clock_gettime as clock_gettime_before
from time import localtime as localtime_before
from time import monotonic as monotonic_before
from time import perf_counter as perf_counter_before
from time import sleep as sleep_before
from time import time as time_before
from time import time_ns as time_ns_before
from typing import Any
from uuid import uuid1 as uuid1_before
from uuid import uuid4 as uuid4_before

import pydantic
import pytest

from callboard.actors import Actor
from callboard.actors.testing import Simulation, SimulationFailed, run_virtual, simulate, virtual_time

now_before = datetime.now
# Deprecated from Python 3.12 on, and still called by many.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
utcnow_before = datetime.utcnow


class Stamped(pydantic.BaseModel):
    at: datetime = pydantic.Field(default_factory=datetime.now)
    id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4)


@dataclass
class Entry:
    at: float = field(default_factory=time.time)
    on: date = field(default_factory=date.today)


class Day(datetime):
    """A datetime of one's own."""


def made(clock: Callable[[], float] = time.time) -> float:
    return clock()


CHANCE: dict[str, Callable[[], Any]] = {
    "uuid1": uuid.uuid1,
    "uuid1 of one's own node": lambda: uuid.uuid1(node=5, clock_seq=3),
    "uuid4 bound before": uuid4_before,
    "uuid1 bound before": uuid1_before,
    "urandom bound before": lambda: urandom_before(8),
    "getrandom": lambda: os.getrandom(8),
    "names of tempfile": lambda: tempfile.mktemp(),
    "a generator without a seed": lambda: RandomBefore().random(),
    "the generator, seeded anew": lambda: (random.seed(), random.random()),
}
CLOCKS: dict[str, Callable[[], Any]] = {
    "time bound before": time_before,
    "time_ns bound before": time_ns_before,
    "monotonic bound before": lambda: monotonic_before(),
    "perf_counter bound before": lambda: perf_counter_before(),
    "clock_gettime bound before": lambda: (
        clock_gettime_before(time.CLOCK_REALTIME),
        clock_gettime_before(time.CLOCK_MONOTONIC),
    ),
    "coarse clocks, and atomic time": lambda: [time.clock_gettime(it) for it in (5, 6, time.CLOCK_TAI)],
    "clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC),
    "datetime.now": datetime.now,
    "datetime.now of a zone": lambda: (datetime.now(UTC), datetime.now(tz=timezone(timedelta(hours=2)))),
    "datetime.now bound before": lambda: (now_before(), now_before(tz=UTC)),
    "datetime.utcnow": datetime.utcnow,
    "datetime.utcnow bound before": utcnow_before,
    "datetime.today": datetime.today,
    "date.today": date.today,
    "a subclass": Day.now,
    "a default of a parameter": made,
    "a default of a field": Entry,
    "a default of a model": lambda: Stamped().at,
    "localtime bound before": localtime_before,
    "gmtime, ctime, asctime, strftime": lambda: (time.gmtime(), time.ctime(), time.asctime(), time.strftime("%c")),
}


def drawn(draw: Callable[[], Any]) -> list[Any]:
    """Run ``draw`` twice, with a day between, in each of three runs; return what all of them give."""
    found: list[list[Any]] = []

    async def scenario(sim: Simulation) -> None:
        first = draw()
        await asyncio.sleep(86_400)
        found.append([first, draw()])

    for _ in range(3):  # each of one schedule: there is no other
        simulate(scenario, seeds=0)
    assert found[0] == found[1] == found[2]
    return found[0]


@pytest.mark.parametrize("name", CHANCE)
def test_chance_is_the_same_in_every_run(name: str) -> None:
    first, second = drawn(CHANCE[name])
    assert first != second


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_shows_virtual_time_however_its_name_was_bound(name: str) -> None:
    first, second = drawn(CLOCKS[name])
    assert first != second
    assert CLOCKS[name]() != second


def test_all_clocks_of_a_run_agree() -> None:
    async def scenario(sim: Simulation) -> None:
        await asyncio.sleep(1234.5)
        wall = time.time()
        assert monotonic_before() == perf_counter_before() == sim.now == asyncio.get_running_loop().time()
        assert datetime.now(UTC) == datetime.fromtimestamp(wall, UTC)
        assert datetime.now() == datetime.fromtimestamp(wall)  # noqa: DTZ005, DTZ006
        assert datetime.utcnow() == datetime.now(UTC).replace(tzinfo=None)  # noqa: DTZ003
        assert time.gmtime() == time.gmtime(wall)
        assert time.localtime(None) == time.localtime(wall)
        assert time.strftime("%S", time.gmtime(61)) == "01"
        assert datetime.now(UTC) - timedelta(seconds=1234.5) == datetime(2025, 1, 1, tzinfo=UTC)

    simulate(scenario, seeds=0)


def test_a_datetime_stays_what_it_was() -> None:
    kept: list[Any] = []

    async def scenario(sim: Simulation) -> None:
        now = datetime.now(UTC)
        kept.append(now)
        assert type(now) is datetime
        assert type(Day.now()) is Day
        assert isinstance(now, datetime)
        assert pickle.loads(pickle.dumps(now)) == copy.deepcopy(now) == now
        assert pickle.loads(pickle.dumps(datetime)).now(UTC) == now
        assert Stamped.model_validate_json(Stamped(at=now).model_dump_json()).at == now
        assert dataclasses.replace(Entry()).on == now.date()

    simulate(scenario, seeds=0)
    assert datetime.now(UTC) > kept[0]


def test_after_a_run_and_in_other_threads_the_clocks_are_the_real_ones() -> None:
    before = [draw() for draw in (time_before, monotonic_before, datetime.now, utcnow_before)]
    asked, answered = threading.Event(), threading.Event()
    elsewhere: list[Any] = []

    def look() -> None:
        asked.wait()
        elsewhere.extend(draw() for draw in (time_before, monotonic_before, datetime.now, utcnow_before))
        elsewhere.extend((uuid.uuid1(), uuid.uuid4(), RandomBefore().random(), Stamped().at))
        answered.set()

    thread = threading.Thread(target=look)
    thread.start()

    async def scenario(sim: Simulation) -> None:
        asked.set()
        answered.wait()

    simulate(scenario, seeds=0)
    thread.join()
    after = [draw() for draw in (time_before, monotonic_before, datetime.now, utcnow_before)]
    assert all(first <= second <= third for first, second, third in zip(before, elsewhere, after, strict=False))
    assert isinstance(elsewhere[7], datetime)
    assert abs(elsewhere[7] - datetime.now()) < timedelta(days=1)  # noqa: DTZ005
    assert elsewhere[4] != uuid.uuid1()


def test_runs_in_several_threads_each_have_their_own_time() -> None:
    def search(seconds: int) -> list[float]:
        seen: list[float] = []

        async def scenario(sim: Simulation) -> None:
            for _ in range(50):
                await asyncio.sleep(seconds)
            seen.append(monotonic_before())

        for _ in range(4):
            simulate(scenario, seeds=0)
        return seen

    with ThreadPoolExecutor(3) as executor:
        assert list(executor.map(search, (1, 2, 3))) == [[50.0 * n] * 4 for n in (1, 2, 3)]
    assert time.time is time_before


def test_what_is_replaced_outlives_the_collector_and_an_exception() -> None:
    async def scenario(sim: Simulation) -> None:
        gc.collect()
        assert time.time() == 1_735_689_600
        raise RuntimeError("the bug")

    for _ in range(3):
        with pytest.raises(SimulationFailed):
            simulate(scenario, seeds=0)
        gc.collect()
    assert time.time() > 1_735_689_600 + 86_400


def test_the_arguments_of_a_replaced_function_are_checked_as_before() -> None:
    async def scenario(sim: Simulation) -> None:
        for wrong in (lambda: time.time(3), lambda: os.urandom("8"), lambda: time.strftime(), lambda: time.gmtime("x")):  # type: ignore[call-arg,arg-type]
            with pytest.raises(TypeError):
                wrong()
        with pytest.raises(ValueError, match="negative"):
            os.urandom(-1)

    simulate(scenario, seeds=0)


def block(seconds: float) -> None:
    time.sleep(seconds)


def block_before(seconds: float) -> None:
    sleep_before(seconds)


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_sleeping_on_the_loop_s_own_thread_blocks_the_loop_in_virtual_time(order: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        woken: list[float] = []
        asyncio.get_running_loop().call_later(1, lambda: woken.append(sim.now))
        block(3)
        block_before(86_400)
        assert (sim.now, woken) == (86_403, [])
        await asyncio.sleep(0.1)
        assert woken == [86_403]
        with pytest.raises(ValueError, match="non-negative"):
            block(-1)

    simulate(scenario, seeds=5, order=order)


def test_a_handler_that_polls_a_clock_comes_to_an_end() -> None:
    class Poller(Actor):
        def on_receive(self, seconds: float) -> int:
            end, looks = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                time.sleep(0.25)
                looks += 1
            return looks

    async def scenario(sim: Simulation) -> None:
        assert await sim.system.spawn(Poller, name="poller").ask(10) == 40

    simulate(scenario, seeds=5)


def test_threads_go_on_while_the_loop_sleeps() -> None:
    seen: list[int] = []

    async def scenario(sim: Simulation) -> None:
        times: list[float] = []
        over = False

        def tick() -> None:
            for _ in range(3):
                time.sleep(1)
                times.append(time.monotonic())

        def spin() -> None:
            while not over:
                time.sleep(0)

        calls = [asyncio.create_task(asyncio.to_thread(function)) for function in (tick, spin)]
        await asyncio.sleep(0)
        block(2.5)
        assert times in ([1.0, 2.0], [])
        seen.append(len(times))
        over = True
        await asyncio.gather(*calls)

    simulate(scenario, seeds=20)
    assert 2 in seen


@pytest.mark.parametrize(
    "clock",
    [
        lambda: monotonic_before(),
        lambda: time.perf_counter(),
        lambda: time_before(),
        lambda: time.monotonic_ns(),
        lambda: now_before(),
    ],
)
def test_a_loop_that_only_waits_for_a_clock_comes_to_an_end(clock: Callable[[], Any]) -> None:
    async def scenario(sim: Simulation) -> None:
        begin: Any = clock()
        enough = {datetime: timedelta(seconds=0.1), int: 100_000_000}.get(type(begin), 0.1)
        while clock() - begin < enough:
            pass
        assert 0.1 <= sim.now < 0.11

    simulate(scenario, seeds=0)


def test_a_loop_that_waits_for_the_time_of_the_event_loop_comes_to_an_end() -> None:
    async def scenario(sim: Simulation) -> None:
        while asyncio.get_running_loop().time() < 0.1:
            pass
        await asyncio.sleep(1)
        for _ in range(5_000):
            asyncio.get_running_loop().time()
        assert 1.1 <= sim.now < 1.11, "a few looks cost nothing"

    simulate(scenario, seeds=0)


@pytest.mark.parametrize("look", [lambda: time.monotonic(), lambda: time.sleep(1)])
def test_a_loop_that_waits_for_ever_is_named(look: Callable[[], Any]) -> None:
    async def scenario() -> None:
        while True:
            look()

    with pytest.raises(SimulationFailed, match=r"StepBudgetSpent: .*(sleeps|looked at a clock)"):
        simulate(scenario, seeds=0, max_steps=1_000)


@pytest.mark.parametrize("clock", ["time.time", "time.monotonic", "datetime.now"])
def test_a_time_to_live_by_any_clock_expires(clock: str) -> None:
    """`time.monotonic` bound before once never moved in a run."""
    clocks: dict[str, Callable[[], float]] = {
        "time.time": time_before,
        "time.monotonic": lambda: monotonic_before(),
        "datetime.now": lambda: now_before().timestamp(),
    }

    async def scenario(sim: Simulation) -> None:
        until = clocks[clock]() + 60
        await asyncio.sleep(59.9)
        assert clocks[clock]() < until
        await asyncio.sleep(0.2)
        assert clocks[clock]() > until

    simulate(scenario, seeds=5)


def test_a_database_and_an_import_in_a_run_work() -> None:
    async def scenario(sim: Simulation) -> None:
        with closing(sqlite3.connect(":memory:")) as connection, connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        sys.modules.pop("colorsys", None)
        assert __import__("colorsys").rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)

    simulate(scenario, seeds=2)


def test_a_clock_that_a_test_has_replaced_itself_stays_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 7.0)

    async def scenario(sim: Simulation) -> None:
        assert (time.time(), time_before()) == (7.0, 1_735_689_600.0)
        assert (time.perf_counter(), perf_counter_before()) == (8.0, 0.0)

    monkeypatch.setattr(time, "perf_counter", lambda: 8.0)
    simulate(scenario, seeds=0)
    assert (time.time(), time.perf_counter()) == (7.0, 8.0)


def test_names_bound_before_are_the_real_functions_again() -> None:
    async def scenario(sim: Simulation) -> None:
        assert monotonic_before is not real

    real = monotonic_before
    simulate(scenario, seeds=0)
    assert monotonic_before is real is time.monotonic
    assert random.Random.seed.__module__ == "random"


def test_the_interpreter_ends_as_usual_after_runs() -> None:
    code = (
        "import asyncio, time, datetime, gc\n"
        "from callboard.testing import simulate\n"
        "async def scenario(): await asyncio.sleep(1); time.time(); datetime.datetime.now()\n"
        "simulate(scenario, seeds=3)\n"
        "gc.collect(); print('done')\n"
    )
    ended = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


# -- ordinary tests ----------------------------------------------------------------------------------------------------


@virtual_time
async def test_clocks_follow_in_an_ordinary_test_of_virtual_time() -> None:
    loop = asyncio.get_running_loop()
    began = time.monotonic(), monotonic_before(), time.time(), datetime.now(UTC), perf_counter_before()
    assert began[0] == began[1] == loop.time() == 0
    await asyncio.sleep(100)
    assert time.monotonic() == monotonic_before() == perf_counter_before() == loop.time() == 100
    assert time.time() - began[2] == pytest.approx(100)
    assert datetime.now(UTC) - began[3] == timedelta(seconds=100)


def test_chance_stays_the_real_one_in_an_ordinary_test_and_clocks_are_real_again_afterwards() -> None:
    async def draws() -> tuple[Any, ...]:
        await asyncio.sleep(3600)
        return uuid.uuid4(), urandom_before(8), os.urandom(8), RandomBefore().random()

    random.seed(7)
    drawn = random.random()
    random.seed(7)
    before = time.time(), time.monotonic()
    first, second = run_virtual(draws()), run_virtual(draws())
    assert not set(first) & set(second)
    assert random.random() == drawn
    assert 0 <= time.time() - before[0] < 3600
    assert 0 <= time.monotonic() - before[1] < 3600


def test_clocks_are_real_again_after_an_ordinary_test_that_failed() -> None:
    @virtual_time
    async def fails() -> None:
        await asyncio.sleep(3600)
        raise KeyError("x")

    before = time.monotonic()
    with pytest.raises(KeyError):
        fails()
    assert 0 <= time.monotonic() - before < 3600
