"""Deep trees: nothing an actor tree does is limited by the stack, and no error text grows with the depth."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorRef,
    ChildSpec,
    DeadLetter,
    Event,
    Node,
    RestartLimit,
    StartFailed,
    Supervision,
    System,
    Terminated,
)
from callboard.actors.testing import run_virtual

from .support import Log, run

DEEP = 5_000
"""Levels; Python's stack has 1,000 frames."""
SHORT = 2_000
"""No text about an error is longer, in characters."""


class D(Actor):
    """A level of a tree: started by the one above when that one starts, or when it is told to go down."""

    supervision = Supervision(intensity=0)

    def __init__(self, plan: Plan, level: int) -> None:
        super().__init__()
        self.plan = plan
        self.level = level
        plan.made.append(self.ref)

    def on_start(self) -> Any:
        if self.plan.how == "on_start":
            self.go_down()
        return asyncio.sleep(0) if self.plan.hooks == "async" else None

    def on_receive(self, message: Any) -> Any:
        if message == "down":
            self.go_down()
        elif isinstance(message, BaseException):
            raise message

    def go_down(self) -> None:
        if self.level == self.plan.depth:
            self.plan.bottom = self.ref
            self.plan.reached.set()
            return
        below: ActorRef[Any] = (
            self.spawn(ChildSpec(D, args=(self.plan, self.level + 1)))
            if self.plan.spec
            else self.spawn(D, self.plan, self.level + 1)
        )
        if self.plan.how == "told":
            below.tell("down")

    def on_stop(self) -> Any:
        self.plan.stopped.append(self.level)
        return asyncio.sleep(0) if self.plan.hooks == "async" else None


class Plan:
    """What a tree shall be like, and what has become of it."""

    def __init__(self, depth: int = DEEP, how: str = "told", hooks: str = "sync", spec: bool = False) -> None:
        self.depth, self.how, self.hooks, self.spec = depth, how, hooks, spec
        self.made: list[ActorRef[Any]] = []
        self.stopped: list[int] = []
        self.reached = asyncio.Event()
        self.bottom: ActorRef[Any] | None = None

    async def grow(self, system: System) -> ActorRef[Any]:
        """Start the tree; return its top."""
        top: ActorRef[Any] = system.supervise(ChildSpec(D, args=(self, 1))) if self.spec else system.spawn(D, self, 1)
        if self.how == "told":
            top.tell("down")
        await self.reached.wait()
        assert len(self.made) == self.depth
        return top


def depth_of(nodes: Sequence[Node]) -> int:
    depth = 0
    while nodes:
        [node] = nodes
        nodes = node.children
        depth += 1
    return depth


def deep(main: Callable[[System], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a test of deep trees, without `async with`: a system that cannot stop would hang the test in leaving it."""

    async def guarded() -> None:
        system = System(**options)
        system.start()
        await main(system)
        await system.stop()
        assert system.tree() == ()

    run(guarded())


@pytest.mark.parametrize("how", ["told", "on_start"])
@pytest.mark.parametrize("hooks", ["sync", "async"])
@pytest.mark.parametrize("spec", [False, True])
def test_a_deep_tree_starts_is_shown_and_stops_from_the_bottom_up(how: str, hooks: str, spec: bool) -> None:
    async def main(system: System) -> None:
        plan = Plan(how=how, hooks=hooks, spec=spec)
        top = await plan.grow(system)
        assert plan.bottom is not None
        await plan.bottom.started()
        assert depth_of(system.tree()) == DEEP
        assert plan.bottom.path.count("/") == DEEP - 1
        assert system.find(plan.bottom.path) is plan.bottom
        assert await top.stop() is True
        assert plan.stopped == list(range(DEEP, 0, -1))
        assert not plan.bottom.is_alive()
        assert system.tree() == ()

    deep(main)


@pytest.mark.parametrize("hooks", ["sync", "async"])
def test_a_system_stops_a_deep_tree(hooks: str) -> None:
    async def main(system: System) -> None:
        plan = Plan(hooks=hooks)
        await plan.grow(system)
        await system.stop()
        assert plan.stopped == list(range(DEEP, 0, -1))
        assert plan.bottom is not None
        await plan.bottom.terminated()

    deep(main)


def test_a_system_whose_time_to_stop_is_over_ends_a_deep_tree() -> None:
    async def main(system: System) -> None:
        plan = Plan()
        await plan.grow(system)
        await system.stop(timeout=0)
        assert plan.bottom is not None
        assert not plan.bottom.is_alive()

    deep(main)


@pytest.mark.parametrize("hooks", ["sync", "async"])
@pytest.mark.parametrize("how", ["kill", "crash", "stop"])
def test_a_deep_tree_ends_with_its_top(hooks: str, how: str) -> None:
    async def main(system: System) -> None:
        plan = Plan(hooks=hooks)
        top = await plan.grow(system)
        match how:
            case "kill":
                top.kill()
            case "crash":
                top.tell(ValueError("crash"))
            case _:
                await top.stop()
        await top.terminated()
        assert plan.stopped == list(range(DEEP, 0 if how == "stop" else 1, -1))
        assert system.tree() == ()

    deep(main)


def test_a_deep_tree_ends_from_an_actor_in_its_middle_on() -> None:
    async def main(system: System) -> None:
        plan = Plan()
        await plan.grow(system)
        middle = plan.made[DEEP // 2 - 1]
        middle.kill()
        await middle.terminated()
        assert plan.stopped == list(range(DEEP, DEEP // 2, -1))
        assert depth_of(system.tree()) == DEEP // 2 - 1

    deep(main)


@pytest.mark.parametrize("hooks", ["sync", "async"])
def test_a_crash_at_the_bottom_of_a_deep_tree_escalates_to_its_top(hooks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("callboard"), "disabled", True)  # 5,000 records are not looked at here

    async def main(system: System, depth: int) -> None:
        plan = Plan(depth, hooks=hooks, spec=True)
        top = await plan.grow(system)
        error = ValueError("the bottom")
        plan.made[-1].tell(error)
        await top.terminated()
        await system.wait()
        assert isinstance(system.failure, RestartLimit)
        *limits, last = causes(system.failure)
        assert last is error
        assert len(limits) == depth
        for limit in limits:
            assert isinstance(limit, RestartLimit)
            assert len(str(limit)) < SHORT
        assert plan.stopped == []

    for depth in (10, 15, DEEP):  # a text that doubles with each level fails before it fills the memory
        deep(functools.partial(main, depth=depth), supervision=Supervision(intensity=0))


def test_a_deep_tree_is_restarted_at_its_top() -> None:
    class Top(D):
        def on_start(self) -> Any:
            self.go_down()

    async def main(system: System) -> None:
        plan = Plan()
        top = system.supervise(ChildSpec(Top, args=(plan, 1)))
        await plan.reached.wait()
        for count in (2, 3):
            plan.reached.clear()
            top.kill()
            await plan.reached.wait()
            assert len(plan.made) == count * DEEP
            assert depth_of(system.tree()) == DEEP

    deep(main)


@settings(deadline=None, database=None, max_examples=25)
@given(
    depth=st.integers(1, 60),
    how=st.sampled_from(["told", "on_start"]),
    hooks=st.sampled_from(["sync", "async"]),
    level=st.integers(1, 60),
    end=st.sampled_from(["stop", "kill", "crash"]),
)
def test_a_tree_of_any_depth_ends_from_the_bottom_up_to_the_actor_that_ends(
    depth: int, how: str, hooks: str, level: int, end: str
) -> None:
    level = min(level, depth)

    async def main() -> None:
        async with System() as system:
            plan = Plan(depth, how, hooks)
            await plan.grow(system)
            ref = plan.made[level - 1]
            if end == "stop":
                await ref.stop()
            elif end == "kill":
                ref.kill()
            else:
                ref.tell(ValueError("crash"))
            await ref.terminated()
            assert plan.stopped == list(range(depth, level - (end == "stop"), -1))
            assert depth_of(system.tree()) == level - 1

    run_virtual(main())


# -- what is told of an error ------------------------------------------------------------------------------------------


def causes(error: BaseException | None) -> list[BaseException]:
    """An error and its causes."""
    chain: list[BaseException] = []
    while error is not None:
        chain.append(error)
        error = error.__cause__
    return chain


class SupervisorWithALongName(Actor):
    """Restarts nothing: what fails below, fails this one."""

    supervision = Supervision(intensity=0)

    def __init__(self, left: int, log: Log) -> None:
        super().__init__()
        self.left = left
        self.log = log

    def on_start(self) -> None:  # not in the constructor: constructors that call constructors do nest on the stack
        if self.left:
            args = (self.left - 1, self.log)
            self.spawn(ChildSpec(SupervisorWithALongName, args=args, name=f"supervisor-{self.left}"))

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message

    def on_failure(self, kind: Any, error: Any, traceback: Any) -> None:
        self.log("failed", error)


class Watches(Actor):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Terminated):
            self.log("reason", message.reason)
        else:
            self.watch(message)


def test_what_is_told_of_an_escalation_stays_short_however_deep_it_nests(caplog: pytest.LogCaptureFixture) -> None:
    # The depths grow: a text that doubles with each level fails long before it fills the memory.
    for depth in (5, 10, 15, 30, 300):
        caplog.clear()
        log, error = Log(), ValueError("the bottom of it all")
        dead: list[DeadLetter] = []
        events: list[Event] = []

        async def main(depth: int, log: Log, dead: list[DeadLetter], events: list[Event], error: Exception) -> None:
            system = System(supervision=Supervision(intensity=0))
            system.subscribe(events.append)
            system.dead_letters.subscribe(dead.append)
            async with system:
                watcher = system.spawn(Watches, log)
                top = system.supervise(
                    ChildSpec(SupervisorWithALongName, args=(depth - 1, log), name=f"supervisor-{depth}")
                )
                ref: ActorRef[Any] | None = top
                for level in range(depth - 1, 0, -1):
                    assert ref is not None
                    await watcher.ask(ref)
                    ref = await ref.proxy().find_child(f"supervisor-{level}")
                assert ref is not None
                ref.tell(error)
                await system.wait()

        with pytest.raises(RestartLimit) as caught:
            run_virtual(main(depth, log, dead, events, error))

        *limits, last = causes(caught.value)
        assert last is error
        assert len(limits) == depth
        assert [failed for failed in log.of("failed") if failed is error] == [error]
        for failed in [*limits, *log.of("failed")]:
            assert len(str(failed)) < SHORT, f"depth {depth}"
            assert len(repr(failed)) < SHORT, f"depth {depth}"
        assert "supervisor-1" in str(limits[-1])
        for reason in log.of("reason"):
            assert len(reason) < SHORT, f"depth {depth}"
        for event in events:
            assert len(event.detail) < SHORT, f"depth {depth}: {event.kind}"
        for letter in dead:
            assert len(letter.reason) < SHORT
        records = [record for record in caplog.records if record.name.startswith("callboard")]
        assert len(records) >= 1
        path = len("/".join(f"supervisor-{level}" for level in range(1, depth + 1)))  # a record names its actor's
        for record in records:
            assert len(record.getMessage()) < SHORT + path, f"depth {depth}"
            # With the traceback: that of the error itself may be long, but not longer the deeper the tree is.
            assert len(caplog.handler.format(record)) < 5 * SHORT + path, f"depth {depth}"


class Nested(Actor):
    """Starts its child in its constructor, and fails with it."""

    def __init__(self, left: int) -> None:
        super().__init__()
        if not left:
            raise ValueError("the bottom of it all")
        self.spawn(ChildSpec(Nested, args=(left - 1,), name=f"'quoted' \\ {left}"))


def test_what_is_told_of_a_start_that_failed_stays_short_however_deep_it_nests() -> None:
    async def main(depth: int) -> None:
        async with System() as system:
            with pytest.raises(StartFailed) as caught:
                system.supervise(ChildSpec(Nested, args=(depth,), name="top"))
            *failed, last = causes(caught.value)
            assert isinstance(last, ValueError)
            assert len(failed) == depth + 1
            for error in failed:
                assert isinstance(error, StartFailed)
                assert len(str(error)) < SHORT, f"depth {depth}"
            assert "top" in str(caught.value)

    for depth in (2, 4, 8, 12, 40):
        run_virtual(main(depth))


def test_what_an_asker_is_told_of_a_crash_stays_short_however_long_the_error_is() -> None:
    class Fragile(Actor):
        def on_receive(self, message: Any) -> Any:
            raise SystemExit("x" * 1_000_000)

    async def main() -> None:
        events: list[Event] = []
        async with System() as system:
            system.subscribe(events.append)
            with pytest.raises(ActorCrashed) as caught:
                await system.spawn(Fragile).ask(1)
            assert len(str(caught.value)) < SHORT
            assert isinstance(caught.value.__cause__, SystemExit)
        assert all(len(event.detail) < SHORT for event in events)

    run_virtual(main())
