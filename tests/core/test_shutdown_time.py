"""How long a system's stop takes, what stops together, and how a system that gave up ends its block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorDead, Backoff, ChildSpec, RestartLimit, Supervision, Supervisor, System
from callboard.actors.testing import run_virtual, virtual_time

from .support import Echo, Hold, Log, on_each_loop

# -- a stop's time -----------------------------------------------------------------------------------------------------


class Ends:
    """Lets everything that is deaf go, when a test is over."""

    def __init__(self) -> None:
        self.over = False
        self.tasks: list[asyncio.Task[None]] = []

    async def deaf(self) -> None:
        """Wait, and swallow every cancellation."""
        while not self.over:
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                continue

    async def let_go(self) -> None:
        self.over = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Unwilling(Actor):
    """Does not want to end, in the way a test says."""

    def __init__(self, how: str, ends: Ends) -> None:
        super().__init__()
        self.how = how
        self.ends = ends

    async def on_start(self) -> None:
        if self.how == "deaf on_start":
            await self.ends.deaf()
        if self.how == "deaf child":
            self.spawn(Unwilling, "deaf handler", self.ends).tell("begin")
        if self.how == "slow children":
            for _ in range(3):
                self.spawn(Unwilling, "slow on_stop", self.ends)

    def on_receive(self, message: Any) -> Any:
        match self.how:
            case "slow handler":
                return asyncio.sleep(1e6)
            case "deaf handler":
                return self.ends.deaf()
            case "delegates":
                return self.delegate()
            case "deaf reply":
                return self.reply_with(self.ends.deaf())
            case "delegated reply":
                return self.reply_with(self.delegate())
            case "deaf pipe":
                self.pipe(self.ends.deaf())
            case "deaf stream":
                return self.items()
            case "crashes" | "slow on_failure" | "deaf on_failure":
                raise SystemExit
        return None

    async def delegate(self) -> None:
        task = asyncio.create_task(self.ends.deaf())
        self.ends.tasks.append(task)
        await task

    async def items(self) -> AsyncIterator[int]:
        yield 1
        await self.ends.deaf()

    async def on_stop(self) -> None:
        if self.how == "slow on_stop":
            await asyncio.sleep(2)
        elif self.how == "deaf on_stop":
            await self.ends.deaf()
        elif self.how == "delegated on_stop":
            await self.delegate()

    async def on_failure(self, *_: Any) -> None:
        if self.how == "slow on_failure":
            await asyncio.sleep(2)
        elif self.how == "deaf on_failure":
            await self.ends.deaf()


HOWS = [
    "willing",
    "slow handler",
    "deaf handler",
    "delegates",
    "deaf reply",
    "delegated reply",
    "deaf pipe",
    "deaf stream",
    "deaf on_start",
    "slow on_stop",
    "deaf on_stop",
    "delegated on_stop",
    "deaf child",
    "slow children",
    "crashes",
    "slow on_failure",
    "deaf on_failure",
]


@dataclass(frozen=True)
class Plan:
    """An actor that does not want to end."""

    how: str
    supervised: bool
    shutdown: float


SHUTDOWNS = st.sampled_from([0.0, 0.5, 2.0, 30.0])
PLANS = st.lists(st.builds(Plan, st.sampled_from(HOWS), st.booleans(), SHUTDOWNS), min_size=1, max_size=5)
TIMES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0, 7.0])


async def stop_takes(plans: list[Plan], timeout: float) -> float:
    """The virtual seconds that a stop of these actors takes; nothing may be left by it."""
    loop, ends = asyncio.get_running_loop(), Ends()
    system = System(supervision=Supervision(intensity=100))
    async with system:
        asks = []
        for number, plan in enumerate(plans):
            if plan.supervised:
                backoff = Backoff(initial=50.0)
                spec = ChildSpec(
                    Unwilling, (plan.how, ends), name=f"a{number}", shutdown=plan.shutdown, backoff=backoff
                )
                ref = system.supervise(spec)
            else:
                kind = type("Quick", (Unwilling,), {"shutdown_timeout": plan.shutdown})
                ref = system.spawn(kind, plan.how, ends)
            if plan.how == "deaf stream":
                stream = ref.stream("begin", buffer=1)
                if plan.supervised:
                    assert await anext(stream) == 1
            else:
                asks.append(ref.ask("begin"))
        await asyncio.sleep(0.125)
        before = loop.time()
        await system.stop(timeout)
        took = loop.time() - before
        assert system.tree() == ()
        assert all(ask.done() for ask in asks)
        await asyncio.gather(*asks, return_exceptions=True)
    await ends.let_go()
    return took


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("supervised", [True, False])
def test_a_stop_takes_no_longer_than_its_time_whatever_an_actor_does(how: str, supervised: bool) -> None:
    assert run_virtual(stop_takes([Plan(how, supervised, 30.0)], 0.25)) <= 0.25


@settings(deadline=None, database=None, max_examples=150)
@given(plans=PLANS, timeout=TIMES)
def test_a_stop_takes_no_longer_than_its_time_whatever_many_actors_do(plans: list[Plan], timeout: float) -> None:
    assert run_virtual(stop_takes(plans, timeout)) <= timeout


@virtual_time
async def test_a_second_stop_takes_no_longer_than_its_own_time() -> None:
    ends, system = Ends(), System()
    async with system:
        system.supervise(ChildSpec(Unwilling, ("deaf handler", ends), name="deaf", shutdown=500.0)).tell("begin")
        await asyncio.sleep(0)
        patient = asyncio.create_task(system.stop(timeout=100))
        await asyncio.sleep(1)
        await system.stop(timeout=2)
        assert asyncio.get_running_loop().time() <= 3
        await patient
    await ends.let_go()


# -- what stops together -----------------------------------------------------------------------------------------------


class Leaves(Actor):
    """Takes some seconds to stop."""

    def __init__(self, log: Log, number: int, seconds: float) -> None:
        super().__init__()
        self.log = log
        self.number = number
        self.seconds = seconds

    async def on_stop(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.log(self.number, begun, loop.time())


class Red(Leaves):
    pass


class Blue(Leaves):
    pass


@virtual_time
async def test_three_hundred_actors_of_one_class_stop_in_the_time_of_one() -> None:
    log = Log()
    system = System()
    async with system:
        for number in range(300):
            system.spawn(Red, log, number, 0.05)
        await system.stop(timeout=5)
        assert asyncio.get_running_loop().time() == 0.05
    assert sorted(number for number, _, _ in log.lines) == list(range(300))


@dataclass(frozen=True)
class Started:
    """A top-level actor: its class, whether it has a child spec, and how long it takes to stop."""

    kind: type[Leaves]
    supervised: bool
    seconds: float


STARTED = st.lists(
    st.builds(Started, st.sampled_from([Red, Blue]), st.sampled_from([False, False, True]), st.sampled_from([0, 1, 2])),
    max_size=10,
)


@settings(deadline=None, database=None, max_examples=100)
@given(started=STARTED)
def test_top_level_actors_of_one_class_in_a_row_stop_together_and_the_others_one_by_one_the_last_first(
    started: list[Started],
) -> None:
    groups: list[list[int]] = []
    for number, each in enumerate(started):
        before = started[number - 1] if number else None
        if before is None or each.supervised or before.supervised or before.kind is not each.kind:
            groups.append([])
        groups[-1].append(number)

    async def main() -> Log:
        log = Log()
        async with System() as system:
            for number, each in enumerate(started):
                if each.supervised:
                    system.supervise(ChildSpec(each.kind, (log, number, each.seconds), name=f"a{number}"))
                else:
                    system.spawn(each.kind, log, number, each.seconds)
            await system.stop(timeout=1000)
        return log

    expected, now = {}, 0.0
    for group in reversed(groups):
        for number in group:
            expected[number] = (now, now + started[number].seconds)
        now += max(started[number].seconds for number in group)
    assert {number: (begun, ended) for number, begun, ended in run_virtual(main()).lines} == expected


@virtual_time
async def test_children_still_stop_one_by_one() -> None:
    log = Log()

    class Parent(Actor):
        def on_start(self) -> None:
            for number in range(3):
                self.spawn(Red, log, number, 1)

    async with System() as system:
        await system.spawn(Parent).started()
    assert log.lines == [(2, 0, 1), (1, 1, 2), (0, 2, 3)]


# -- a system that gives up --------------------------------------------------------------------------------------------


class NeverUp(Actor):
    """Crashes as often as it is started, from when it is told to."""

    crashing = False

    def on_start(self) -> None:
        if type(self).crashing:
            raise ValueError("again")

    def on_receive(self, message: Any) -> None:
        type(self).crashing = True
        raise ValueError("the first time")


def never_up() -> ChildSpec:
    """A child spec whose actor uses up all its restarts as soon as it gets a message."""
    return ChildSpec(type("NeverUp", (NeverUp,), {}), name="never-up")


@virtual_time
async def test_a_system_that_gives_up_cancels_the_body_of_its_block_and_the_block_raises_why() -> None:
    log = Log()
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(RestartLimit):  # noqa: PT012
        async with System() as system:
            system.supervise(never_up()).tell("go")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log("interrupted")
                raise
            finally:
                await asyncio.sleep(1)
                log("cleaned up")
    assert log.lines == ["interrupted", "cleaned up"]
    assert task.cancelling() == 0
    await asyncio.sleep(1)


@virtual_time
async def test_a_body_that_is_waiting_for_an_answer_is_told_of_the_restart_limit_too() -> None:
    class Never(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.Event().wait()

    with pytest.raises(RestartLimit):  # noqa: PT012
        async with System() as system:
            waiting = system.spawn(Never).ask("anybody?")
            system.supervise(never_up()).tell("go")
            await waiting


@virtual_time
async def test_a_body_that_takes_its_cancellation_for_its_end_still_leaves_with_the_restart_limit() -> None:
    with pytest.raises(RestartLimit):  # noqa: PT012
        async with System() as system:
            system.supervise(never_up()).tell("go")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@virtual_time
async def test_a_timeout_around_the_block_is_not_taken_for_the_reason() -> None:
    with pytest.raises(RestartLimit):  # noqa: PT012
        async with asyncio.timeout(1000):
            async with System() as system:
                system.supervise(never_up()).tell("go")
                await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() < 1000


@virtual_time
async def test_a_timeout_inside_the_block_is_not_taken_for_the_reason_either() -> None:
    with pytest.raises(RestartLimit):  # noqa: PT012
        async with System() as system, asyncio.timeout(1000):
            system.supervise(never_up()).tell("go")
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() < 1000


@virtual_time
async def test_a_task_group_around_the_block_fails_with_the_restart_limit() -> None:
    async def block() -> None:
        async with System() as system:
            system.supervise(never_up()).tell("go")
            await asyncio.Event().wait()

    async def neighbour() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with asyncio.TaskGroup() as group:
            group.create_task(block())
            group.create_task(neighbour())
    assert [type(error) for error in caught.value.exceptions] == [RestartLimit]


@on_each_loop
async def test_a_body_that_is_cancelled_from_outside_is_just_cancelled() -> None:
    begun = asyncio.Event()

    async def block() -> None:
        async with System() as system:
            await system.spawn(Echo).ask(1)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual_time
async def test_a_supervisor_below_the_top_that_gives_up_does_not_disturb_the_body() -> None:
    async with System() as system:
        top = system.supervise(Supervisor.spec([never_up()], name="top", restart="temporary"))
        await top.started()
        child = system.find("top/never-up")
        assert child is not None
        child.tell("go")
        await top.terminated()
        assert await system.spawn(Echo).ask("on we go") == "on we go"


@virtual_time
async def test_a_system_that_was_entered_in_a_task_that_has_ended_gives_up_without_cancelling_anybody() -> None:
    system = System()

    async def enter() -> None:
        await system.__aenter__()

    await asyncio.create_task(enter())
    ref = system.supervise(never_up())
    ref.tell("go")
    await system.wait()
    with pytest.raises(ActorDead):
        ref.tell("anybody?")
    with pytest.raises(RestartLimit):
        await system.__aexit__(None, None, None)


@virtual_time
async def test_a_program_that_waits_for_the_end_of_its_system_learns_why_it_ended() -> None:
    hold = Hold()
    with pytest.raises(RestartLimit):  # noqa: PT012
        async with System() as system:
            system.supervise(never_up()).tell("go")
            hold.go.set()
            await system.wait()
