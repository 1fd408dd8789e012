"""Where an actor starts: in the system around, and from generic classes too."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import pykka
import pytest

from callboard.actors import (
    Actor,
    ActorDead,
    ActorRef,
    ChildSpec,
    DynamicSupervisor,
    SpecError,
    StartFailed,
    System,
)

from .support import Echo, Events, Log, on_each_loop, run

T = TypeVar("T")
K = TypeVar("K")
WAIT = 10.0
"""Seconds after which a blocking call that hangs is given up. Nothing is timed by it."""


# -- in the system around ----------------------------------------------------------------------------------------------


def test_an_actor_started_inside_a_system_on_a_thread_starts_in_it() -> None:
    with System.in_thread("around") as system:
        ref = Echo.start()
        assert system.find(ref.path) is ref
        assert ref.ask(1).get(timeout=WAIT) == 1
    assert not ref.is_alive(), "it stopped with its system"


def test_the_innermost_system_on_a_thread_is_the_one_around() -> None:
    with System.in_thread("outer") as outer:
        first = Echo.start()
        with System.in_thread("inner") as inner:
            second = Echo.start()
        third = Echo.start()
        assert [outer.find(ref.path) for ref in (first, third)] == [first, third]
        assert first.is_alive()
        assert not second.is_alive()
        assert inner.find(second.path) is None


def test_after_the_block_of_a_system_on_a_thread_actors_start_in_the_default_system_again() -> None:
    before = Echo.start()
    try:
        with System.in_thread("around") as system:
            inside = Echo.start()
            assert system.find(inside.path) is inside
        after = Echo.start()
        assert after.ask(1).get(timeout=WAIT) == 1
        assert before.is_alive()
        after.stop()
    finally:
        before.stop()


def test_a_block_that_ends_in_an_error_is_left_all_the_same() -> None:
    with pytest.raises(KeyError), System.in_thread("around") as system:  # noqa: PT012
        Echo.start()
        raise KeyError
    ref = Echo.start()
    try:
        assert system.find(ref.path) is not ref
        assert ref.ask(1).get(timeout=WAIT) == 1
    finally:
        ref.stop()


def test_a_handler_starts_actors_in_its_own_system_whatever_is_around_elsewhere() -> None:
    class Starts(Actor):
        def on_receive(self, message: Any) -> Any:
            return Echo.start()

    with System.in_thread("outer") as outer:
        starts = Starts.start()
        with System.in_thread("inner"):
            ref = starts.ask("go").get(timeout=WAIT)
            assert outer.find(ref.path) is ref


@on_each_loop
async def test_a_system_in_a_loop_is_around_again_when_one_on_a_thread_is_left() -> None:
    async with System("loop") as here:
        with System.in_thread("thread") as there:
            inside = Echo.start()
            assert there.find(inside.path) is inside
        ref = Echo.start()
        assert here.find(ref.path) is ref


# -- generic classes ---------------------------------------------------------------------------------------------------


class Box(Actor, Generic[T]):
    """Keeps a value."""

    def __init__(self, value: T) -> None:
        super().__init__()
        self.value = value

    def on_receive(self, message: Any) -> T:
        if message == "crash":
            raise SystemExit
        return self.value


class Pair(Box[T], Generic[T, K]):
    """A generic class below a generic one."""


KINDS: list[Any] = [Box[int], Box[list[str]], Pair[int, str], Pair[int, Any]]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@on_each_loop
async def test_a_generic_class_with_its_parameters_can_be_spawned_at_the_top_and_as_a_child(kind: Any) -> None:
    plain: type[Actor] = kind.__origin__

    class Parent(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.spawn(kind, message)

    async with System() as system:
        top: ActorRef[Any] = system.spawn(kind, 7)
        child: ActorRef[Any] = await system.spawn(Parent, name="parent").ask(8)
        named: ActorRef[Any] = system.spawn(kind, 9, name="named")
        assert [await ref.ask("value") for ref in (top, child, named)] == [7, 8, 9]
        assert [ref.actor_class for ref in (top, child, named)] == [plain] * 3
        assert top.name == f"{plain.__name__}-1"
        assert child.path == f"parent/{plain.__name__}-1"
        assert system.find("named") is named
        assert {node.kind for node in system.tree()} == {plain.__name__, "Parent"}
        assert await top.proxy().value == 7
        registry: Any = pykka.ActorRegistry
        assert registry.get_by_class(plain) == [top, child, named]
        assert registry.get_by_class_name(plain.__name__) == [top, child, named]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@on_each_loop
async def test_a_generic_class_with_its_parameters_can_be_supervised_and_restarted(kind: Any) -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(kind, (7,), name="box"))
        ref.tell("crash")
        await events.until("restarted", "box")
        assert await ref.ask("value") == 7
        assert ref.actor_class is kind.__origin__
        dynamic = system.spawn(DynamicSupervisor, name="dynamic")
        child = await dynamic.ask(ChildSpec(kind, kwargs={"value": 8}))
        assert await child.ask("value") == 8
        assert child.name == f"{kind.__origin__.__name__}-1"


@on_each_loop
async def test_the_spec_of_a_dynamic_supervisor_starts_one_with_its_intensity() -> None:
    async with System() as system:
        spec = DynamicSupervisor.spec(name="desk", intensity=7, period=60.0)
        desk = system.supervise(spec)
        child = await desk.ask(ChildSpec(Box, (7,), name="box"))
        assert (desk.path, child.path) == ("desk", "desk/box")
        assert await child.ask("value") == 7
        assert (spec.kwargs["intensity"], spec.kwargs["period"]) == (7, 60.0)
    with pytest.raises(SpecError, match="intensity"):
        DynamicSupervisor.spec(intensity=-1)


def test_a_generic_class_with_its_parameters_can_be_started_as_pykka_does() -> None:
    with System.in_thread() as system:
        ref: ActorRef[Any] = Box[int].start(7)
        assert system.find(ref.path) is ref
        assert ref.ask("value").get(timeout=WAIT) == 7


@pytest.mark.parametrize("what", [list[int], dict[str, int], int, "Box", None, Generic], ids=str)
@on_each_loop
async def test_what_is_no_actor_class_is_still_refused_by_name(what: Any) -> None:
    async with System() as system:
        with pytest.raises(SpecError):
            system.spawn(what)
        assert system.tree() == ()


@on_each_loop
async def test_the_capacity_and_the_hooks_of_a_generic_class_count() -> None:
    log = Log()

    class Small(Actor, Generic[T]):
        mailbox_capacity = 1

        def on_start(self) -> None:
            log("started")

        def on_stop(self) -> None:
            log("stopped")

    async with System() as system:
        ref = system.spawn(Small[int])
        await ref.started()
        assert await ref.stop()
    assert log.lines == ["started", "stopped"]


def test_generic_actors_on_a_loop_of_their_own_answer_other_threads() -> None:
    async def main() -> None:
        async with System() as system:
            ref: ActorRef[Any] = system.spawn(Box[int], 7)
            assert await asyncio.to_thread(lambda: ref.ask("value").get(timeout=WAIT)) == 7

    run(main())


# -- what fails --------------------------------------------------------------------------------------------------------


class Unable(Actor):
    mailbox_capacity = 1

    def __init__(self, go: asyncio.Event) -> None:
        super().__init__()
        self.go = go

    async def on_start(self) -> None:
        await self.go.wait()
        raise KeyError("no data")


@on_each_loop
async def test_who_asks_an_actor_that_cannot_start_is_told_why() -> None:
    async with System() as system:
        go = asyncio.Event()
        ref = system.spawn(Unable, go)
        before = ref.ask("before")
        waiting = asyncio.ensure_future(ref.put("for room"))
        await asyncio.sleep(0)
        go.set()
        for refused in (before, waiting, ref.started()):
            with pytest.raises(ActorDead) as told:
                await refused
            assert isinstance(told.value.__cause__, StartFailed)
            assert isinstance(told.value.__cause__.__cause__, KeyError)
        with pytest.raises(ActorDead) as later:
            await ref.ask("later")
        assert "no data" in str(later.value.__cause__)
        with pytest.raises(ActorDead) as told_late:
            ref.tell("later")
        assert "no data" in str(told_late.value.__cause__)


@on_each_loop
async def test_who_asks_an_actor_that_has_stopped_is_told_of_no_failure() -> None:
    async with System() as system:
        ref = system.spawn(Echo)
        await ref.stop()
        with pytest.raises(ActorDead) as told:
            await ref.ask(1)
        assert told.value.__cause__ is None
