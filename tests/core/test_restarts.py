"""Restart intensity, backoff, restart types, escalation, and what a restart keeps."""

from __future__ import annotations

import asyncio
import functools
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorDead,
    ActorRef,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    RestartLimit,
    SpecError,
    StartFailed,
    Supervision,
    Supervisor,
    System,
)
from callboard.actors.testing import run_virtual, virtual_time

from .support import Echo, Events, Gate, Hold, Log, on_each_loop

drawn = settings(deadline=None, max_examples=60)


class Fragile(Actor):
    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


def exceeded(times: list[float], intensity: int, period: float) -> int | None:
    """The crash that is one too many: the first with more than ``intensity`` in the period up to and with it."""
    for number, now in enumerate(times):
        if len([time for time in times[: number + 1] if now - time <= period]) > intensity:
            return number
    return None


@drawn
@given(
    intensity=st.integers(0, 4),
    period=st.sampled_from([1.0, 5.0]),
    gaps=st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.25, 5.0, 6.0]), max_size=9),
)
def test_exactly_intensity_restarts_in_a_period_survive_and_one_more_does_not(
    intensity: int, period: float, gaps: list[float]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        system = System(supervision=Supervision(intensity=intensity, period=period))
        times: list[float] = []
        try:
            async with system:
                ref = system.supervise(ChildSpec(Fragile, name="fragile"))
                for gap in gaps:
                    await asyncio.sleep(gap)
                    if not ref.is_alive():
                        break
                    times.append(loop.time())
                    with pytest.raises(ActorCrashed):
                        await ref.ask(SystemExit())
                last = exceeded(times, intensity, period)
                await asyncio.sleep(0)
                assert ref.is_alive()
        except RestartLimit:  # it interrupts the body
            pass
        last = exceeded(times, intensity, period)
        assert (system.failure is not None) == (last is not None)
        assert last is None or last == len(times) - 1

    run_virtual(main())


@drawn
@given(
    initial=st.floats(0.1, 10),
    factor=st.floats(1, 4),
    maximum=st.floats(0.1, 60),
    jitter=st.floats(0, 1),
    attempt=st.integers(0, 2000),
    seed=st.integers(0, 99),
)
@example(initial=1.0, factor=1.001, maximum=60.0, jitter=0.5, attempt=2000, seed=0)  # it still grows at the 2000th
def test_a_backoff_lies_within_its_jitter_and_its_maximum(
    initial: float, factor: float, maximum: float, jitter: float, attempt: int, seed: int
) -> None:
    try:
        whole = min(maximum, initial * factor**attempt)
    except OverflowError:
        whole = maximum
    wait = Backoff(initial, factor, maximum, jitter).delay(attempt, random.Random(seed))
    assert whole * (1 - jitter) - 1e-9 <= wait <= whole
    assert Backoff(0.0, factor, maximum, jitter).delay(attempt, random.Random(seed)) == 0


@drawn
@given(jitter=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_share_of_a_wait_that_is_jitter_is_drawn_anew_for_each_restart(jitter: float, seed: int) -> None:
    backoff, rng, same = Backoff(initial=10.0, factor=1.0, jitter=jitter), random.Random(seed), random.Random(seed)
    for attempt in range(3):
        assert backoff.delay(attempt, rng) == pytest.approx(10.0 - 10.0 * jitter * same.random())


async def restarts(system: System, count: int, name: str = "a") -> list[float]:
    """Crash an actor again and again as soon as it is back; return how long each restart took."""
    events = Events(system)
    waits = []
    ref = system.find(name)
    assert ref is not None
    for number in range(count):
        before = asyncio.get_running_loop().time()
        ref.tell(ValueError(str(number)))
        await events.until("restarted", name, number + 1)
        waits.append(asyncio.get_running_loop().time() - before)
    return waits


@virtual_time
async def test_the_wait_grows_with_each_restart_in_a_row_up_to_the_maximum() -> None:
    async with System(supervision=Supervision(intensity=100, period=5.0)) as system:
        system.supervise(ChildSpec(Fragile, name="a", backoff=Backoff(initial=1.0, factor=2.0, maximum=10.0)))
        assert await restarts(system, 6) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        await asyncio.sleep(6)  # longer than the period: the row is over
        assert await restarts(system, 2) == [1.0, 2.0]


@virtual_time
async def test_the_wait_of_one_child_does_not_grow_with_the_restarts_of_another() -> None:
    async with System(supervision=Supervision(intensity=100, period=50.0)) as system:
        for name in "ab":
            system.supervise(ChildSpec(Fragile, name=name, backoff=Backoff(initial=1.0)))
        assert await restarts(system, 3, "a") == [1.0, 2.0, 4.0]
        assert await restarts(system, 2, "b") == [1.0, 2.0]


@virtual_time
async def test_the_same_seed_gives_the_same_jitter() -> None:
    waits = []
    for _ in range(2):
        async with System(seed=7, supervision=Supervision(intensity=100)) as system:
            system.supervise(ChildSpec(Fragile, name="a", backoff=Backoff(initial=1.0, jitter=0.5)))
            waits.append(await restarts(system, 4))
    assert waits[0] == pytest.approx(waits[1])
    assert all(0.5 * whole <= wait <= whole for wait, whole in zip(waits[0], [1, 2, 4, 8], strict=True))


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("how", ["crash", "kill", "stops itself", "is stopped"])
@on_each_loop
async def test_a_restart_type_says_after_which_end_a_child_starts_again(restart: Any, how: str) -> None:
    class Quits(Fragile):
        def on_receive(self, message: Any) -> Any:
            return self.stop() if message == "quit" else super().on_receive(message)

    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Quits, name="a", restart=restart))
        match how:
            case "crash":
                ref.tell(ValueError())
            case "kill":
                ref.kill()
            case "stops itself":
                ref.tell("quit")
            case "is stopped":
                await ref.stop()
        back = (how in ("crash", "kill") and restart != "temporary") or (
            how == "stops itself" and restart == "permanent"
        )
        if back:
            await events.until("restarted", "a")
            assert await ref.ask(1) == 1
        else:
            await ref.terminated()
            assert events.count("restarted", "a") == 0


@on_each_loop
async def test_a_failure_climbs_two_levels_to_the_system_which_says_so() -> None:
    system = System(supervision=Supervision(intensity=0))
    limit = {"intensity": 0, "period": 5.0}
    with pytest.raises(RestartLimit, match="top") as caught:  # noqa: PT012
        async with system:
            events = Events(system)
            bystander = system.spawn(Echo)
            inner: Any = Supervisor.spec([ChildSpec(Fragile, name="leaf")], name="inner", **limit)  # type: ignore[arg-type]
            await system.supervise(Supervisor.spec([inner], name="top", **limit)).started()  # type: ignore[arg-type]
            leaf = system.find("top/inner/leaf")
            assert leaf is not None
            leaf.tell(ValueError("bottom"))
            await system.wait()
    assert not bystander.is_alive()
    assert [actor for kind, actor in events.of("escalated")] == ["top/inner", "top", ""]
    assert system.failure is caught.value
    assert "bottom" in str(caught.value)


@on_each_loop
async def test_an_error_inside_the_block_is_not_hidden_by_the_systems_failure() -> None:
    system = System(supervision=Supervision(intensity=0))
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012
        async with system:
            system.supervise(ChildSpec(Fragile, name="a")).tell(ValueError())
            try:
                await system.wait()
            except asyncio.CancelledError:
                raise KeyError("mine") from None


@on_each_loop
async def test_a_parent_that_gave_up_begins_with_a_clean_record_when_it_is_restarted() -> None:
    class Parent(Actor):
        supervision = Supervision(intensity=1, period=1000.0)

        def on_start(self) -> None:
            self.spawn(ChildSpec(Fragile, name="child"))

    async with System(supervision=Supervision(intensity=5)) as system:
        events = Events(system)
        await system.supervise(ChildSpec(Parent, name="parent")).started()
        for crashes in (1, 2):
            child = system.find("parent/child")
            assert child is not None
            child.tell(ValueError())
            if crashes == 1:
                await events.until("restarted", "parent/child")
        await events.until("started", "parent/child", 3)
        child = system.find("parent/child")
        assert child is not None
        child.tell(ValueError())
        await events.until("restarted", "parent/child", 2)
        assert events.count("crashed", "parent") == 1


def broken() -> Actor:
    raise RuntimeError("factory")


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@on_each_loop
async def test_a_factory_that_raises_from_then_on_spends_the_intensity_without_deep_recursion(
    strategy: Any, caplog: Any
) -> None:
    caplog.set_level("CRITICAL", "callboard")
    made: list[int] = []

    def factory() -> Actor:
        made.append(1)
        return Fragile() if len(made) == 1 else broken()

    system = System(supervision=Supervision(strategy, intensity=3000, period=1000.0))
    with pytest.raises(RestartLimit, match="factory"):  # noqa: PT012
        async with system:
            system.supervise(ChildSpec(factory, name="a")).tell(ValueError())
            await system.wait()
    assert len(made) == 1 + 3000


@on_each_loop
async def test_an_on_start_that_always_raises_spends_the_intensity(caplog: Any) -> None:
    class Never(Actor):
        def on_start(self) -> None:
            raise RuntimeError("never")

    caplog.set_level("CRITICAL", "callboard")
    system = System(supervision=Supervision(intensity=10_000, period=1000.0))
    with pytest.raises(RestartLimit, match="never"):  # noqa: PT012
        async with system:
            system.supervise(ChildSpec(Never, name="a"))
            await system.wait()


@on_each_loop
async def test_a_factory_that_raises_at_first_is_reported_to_who_spawns() -> None:
    async with System() as system:
        for factory in (broken, functools.partial(broken), lambda: broken()):
            with pytest.raises(StartFailed, match="factory"):
                system.supervise(ChildSpec(factory))
        with pytest.raises(StartFailed, match="no callboard Actor"):
            system.supervise(ChildSpec(lambda: object(), name="a"))  # type: ignore[type-var]
        assert await system.supervise(ChildSpec(Echo, name="a")).ask(1) == 1


@on_each_loop
async def test_a_factory_function_may_make_a_supervisor_and_an_actor_that_spawns_as_it_is_made() -> None:
    class Spawns(Actor):
        mailbox_capacity = 7

        def __init__(self) -> None:
            super().__init__()
            self.spawn(Echo, name="child")

    async with System() as system:
        top = system.supervise(ChildSpec(lambda: Supervisor([ChildSpec(lambda: Spawns(), name="inner")]), name="top"))
        await top.started()
        child = system.find("top/inner/child")
        assert child is not None
        assert await child.ask(1) == 1
        assert top.actor_class is Supervisor


@on_each_loop
async def test_a_dynamic_supervisor_starts_children_while_it_runs_and_stops_them_together() -> None:
    holds = [Hold(str(number)) for number in range(3)]

    class Slow(Gate):
        async def on_stop(self) -> None:
            holds[int(self.name)].begun.set()
            await holds[0].go.wait()

    async with System() as system:
        top = system.supervise(ChildSpec(DynamicSupervisor, name="top"))
        refs = [await top.ask(ChildSpec(Slow, name=str(number))) for number in range(3)]
        for ref in refs:
            await ref.started()
        stopping = top.stop()
        for hold in holds:
            await hold.begun.wait()  # not one after another
        holds[0].go.set()
        await stopping


@on_each_loop
async def test_a_kill_does_not_outlive_the_incarnation_it_was_meant_for() -> None:
    made: list[int] = []

    class Kills(Actor):
        def __init__(self) -> None:
            super().__init__()
            made.append(1)

        def on_receive(self, message: Any) -> Any:
            if message == "die twice":
                self.ref.kill()
                raise ValueError("first")
            return message

    async with System() as system:
        ref = system.supervise(ChildSpec(Kills, name="a"))
        ref.tell("die twice")
        assert await ref.ask(1) == 1
        assert len(made) == 2


@pytest.mark.parametrize("first", [True, False])
@on_each_loop
async def test_an_actor_that_kills_itself_ends_before_the_next_incarnation_begins(first: bool) -> None:
    log = Log()

    class Kills(Actor):
        def __init__(self) -> None:
            super().__init__()
            log("made")

        async def on_receive(self, message: Any) -> Any:
            if message is not None:
                return message
            if not first:
                await asyncio.sleep(0)
            self.ref.kill()
            log("still here")
            try:
                await asyncio.Event().wait()
            finally:
                log("gone")

    async with System() as system:
        ref = system.supervise(ChildSpec(Kills, name="a"))
        with pytest.raises(ActorCrashed):
            await ref.ask(None)
        assert await ref.ask(1) == 1
        assert log.lines == ["made", "still here", "gone", "made"]


@on_each_loop
async def test_an_asker_is_not_told_the_error_of_other_work_but_that_the_actor_crashed() -> None:
    async def fails(hold: Hold) -> None:
        await hold.go.wait()
        raise ZeroDivisionError

    class Two(Gate):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, tuple):
                return self.reply_with(fails(message[0]))
            return await super().on_receive(message)

    async with System() as system:
        ref, hold, other = system.spawn(Two), Hold(), Hold()
        ref.tell((hold,))
        ask = ref.ask(other)
        await other.begun.wait()
        hold.go.set()
        with pytest.raises(ActorCrashed, match="ZeroDivisionError"):
            await ask


@virtual_time
async def test_a_restart_that_waits_does_not_happen_while_the_parent_stops() -> None:
    log = Log()

    class Slow(Fragile):
        async def on_stop(self) -> None:
            await asyncio.sleep(4)

    class Counted(Fragile):
        def on_start(self) -> None:
            log("start")

    async with System() as system:
        events = Events(system)
        children = [ChildSpec(Counted, name="a", backoff=Backoff(initial=2.0)), ChildSpec(Slow, name="slow")]
        await system.supervise(Supervisor.spec(children, name="top")).started()
        ref: ActorRef[Any] | None = system.find("top/a")
        assert ref is not None
        ref.tell(ValueError())
        await events.until("crashed", "top/a")
        await system.stop()
        assert log.lines == ["start"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
@virtual_time
async def test_a_group_that_waits_to_be_restarted_leaves_nothing_when_it_is_stopped(strategy: Any) -> None:
    loop = asyncio.get_running_loop()
    async with System() as system:
        events = Events(system)
        children = [ChildSpec(Fragile, name=name, backoff=Backoff(initial=20.0)) for name in "abc"]
        await system.supervise(Supervisor.spec(children, name="top", strategy=strategy)).started()
        ref = system.find("top/a")
        assert ref is not None
        ref.tell(ValueError())
        await events.until("crashed", "top/a")
        await asyncio.sleep(1)
        await system.stop()
        assert loop.time() == 1
        assert not loop.pending_timers()  # type: ignore[attr-defined]


def test_specs_that_cannot_be_are_refused() -> None:
    with pytest.raises(SpecError, match="one_for_two"):
        Supervisor.spec([], strategy="one_for_two")  # type: ignore[arg-type]
    for options in ({"restart": "always"}, {"shutdown": -1.0}, {"name": "a/b"}, {"name": ""}):
        with pytest.raises(SpecError):
            ChildSpec(Echo, **options)
    with pytest.raises(SpecError):
        ChildSpec("Echo")  # type: ignore[call-overload]
    with pytest.raises(SpecError):
        Backoff(jitter=2.0)
    with pytest.raises(SpecError):
        Supervision(intensity=-1)


@on_each_loop
async def test_names_are_unique_among_siblings_also_those_the_runtime_makes() -> None:
    async with System() as system:
        first = system.spawn(Echo, name="Echo-1")
        second = system.spawn(Echo)
        assert first.path != second.path
        assert system.find(second.path) is second
        with pytest.raises(SpecError, match=second.path):
            system.spawn(Echo, name=second.path)
        await second.stop()
        assert system.find(second.path) is None
        with pytest.raises(ActorDead):
            await second.started()


@virtual_time
async def test_a_parent_that_gives_its_children_up_does_not_wait_for_its_own_handler() -> None:
    class Parent(Gate):
        supervision = Supervision(intensity=0)

        def on_start(self) -> None:
            self.spawn(ChildSpec(Fragile, name="child"))

    async with System() as system:
        parent, hold = system.supervise(ChildSpec(Parent, name="parent")), Hold()
        ask = parent.ask(hold)
        await hold.begun.wait()
        child = system.find("parent/child")
        assert child is not None
        child.tell(ValueError())
        with pytest.raises(ActorCrashed):
            await ask
        assert await parent.ask(1) == 1
        assert hold.cancelled.is_set()
        assert asyncio.get_running_loop().time() == 0
