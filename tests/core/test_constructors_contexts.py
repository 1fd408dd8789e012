"""Constructors of actors that are started again see what the system's start saw, and nobody sees what they set."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from callboard.actors import (
    Actor,
    ActorRef,
    Backoff,
    ChildSpec,
    Outcome,
    Supervisor,
    System,
    current_send_context,
    send_context,
)

from .support import Echo, Events, on_each_loop

variable: ContextVar[str] = ContextVar("variable", default="nothing")


class Looks(Actor):
    """Says what its constructors have found, and sets the variable in each."""

    def __init__(self, found: list[Any], other: ActorRef[Any] | None = None) -> None:
        super().__init__()
        self.found = found
        found.append((variable.get(), current_send_context().deadline, dict(current_send_context().baggage)))
        variable.set("set by a constructor")
        if other is not None:
            self.pipe(self.carried(other))

    async def carried(self, other: ActorRef[Any]) -> Any:
        return await other.ask("what is carried")

    def on_receive(self, message: Any) -> Any:
        match message:
            case BaseException():
                raise message
            case "stop":
                self.stop()
            case Outcome():
                self.found.append(message.unwrap())
        return variable.get()


class Carried(Actor):
    """Answers with what the message carries."""

    def on_receive(self, message: Any) -> Any:
        return (current_send_context().deadline, dict(current_send_context().baggage))


class Parent(Actor):
    """Has a `Looks` for a child, and does to it what it is told; all with a variable and a send context of its own."""

    def __init__(self, found: list[Any]) -> None:
        super().__init__()
        self.child = self.spawn(ChildSpec(Looks, (found,), name="looks"))

    def on_receive(self, message: Any) -> Any:
        variable.set("the parent's")
        if message == "restart_child":
            self.restart_child("looks")
        elif message == "kill":
            self.child.kill()
        elif message == "crash":
            self.child.tell(LookupError("crash"))
        return variable.get()

    async def kill_and_wait(self) -> str:
        variable.set("the parent's")
        self.child.kill()
        await asyncio.sleep(0)
        return variable.get()


CLEAN: tuple[str, None, dict[str, Any]] = ("before", None, {})
HOWS = ["kill", "crash", "self.stop", "kill in two steps"]


async def end(ref: ActorRef[Any], how: str) -> None:
    """Have an actor started again, from contexts that are its killer's."""
    variable.set("the killer's")
    with send_context(timeout=1000.0, baggage={"who": "the killer"}):
        match how:
            case "kill":
                ref.kill()
            case "crash":
                ref.tell(LookupError("crash"))
            case "self.stop":
                ref.tell("stop")
            case "kill in two steps":
                ref.tell(LookupError("crash"))
                ref.kill()
        assert variable.get() == "the killer's"


@pytest.mark.parametrize("backoff", [Backoff(), Backoff(initial=0.001)])
@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_a_constructor_at_a_restart_sees_nothing_of_who_brought_the_restart_about(
    how: str, backoff: Backoff
) -> None:
    variable.set("before")
    found: list[Any] = []
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Looks, (found,), name="looks", backoff=backoff))
        del found[:]
        await end(ref, how)
        await events.until("started", "looks", 2)
        assert found == [CLEAN]
        assert variable.get() == "the killer's", "nor does the killer see what the constructor has set"
        assert await ref.ask("look") == "before", "nor its own handlers"


@pytest.mark.parametrize("how", ["restart_child", "kill", "crash", "proxy"])
@on_each_loop
async def test_a_constructor_at_a_restart_sees_nothing_of_the_handler_that_brought_it_about(how: str) -> None:
    variable.set("before")
    found: list[Any] = []
    async with System() as system:
        events, parent = Events(system), system.spawn(Parent, found, name="parent")
        await events.until("started", "parent/looks")
        del found[:]
        variable.set("the asker's")
        with send_context(timeout=1000.0, baggage={"who": "the asker"}):
            ask = parent.proxy().kill_and_wait() if how == "proxy" else parent.ask(how)
            assert await ask == "the parent's", "the handler sees nothing of what the constructor has set"
        await events.until("started", "parent/looks", 2)
        assert found == [CLEAN]
        assert variable.get() == "the asker's"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
@on_each_loop
async def test_the_constructors_of_a_group_that_is_restarted_see_nothing_of_who_killed_one_of_it(strategy: Any) -> None:
    variable.set("before")
    found: list[Any] = []
    async with System() as system:
        events = Events(system)
        specs = [ChildSpec(Looks, (found,), name=f"looks{number}") for number in range(3)]
        await system.supervise(Supervisor.spec(specs, name="group", strategy=strategy)).started()
        del found[:]
        first = system.find("group/looks0")
        assert first is not None
        await end(first, "kill")
        await events.until("started", "group/looks2", 2)
        assert found == [CLEAN] * 3


@on_each_loop
async def test_the_children_that_a_constructor_spawns_at_a_restart_see_nothing_of_who_brought_it_about() -> None:
    variable.set("before")
    found: list[Any] = []
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Parent, (found,), name="parent"))
        await events.until("started", "parent/looks")
        del found[:]
        await end(ref, "kill")
        await events.until("started", "parent/looks", 2)
        assert found == [CLEAN]


@on_each_loop
async def test_work_that_a_constructor_starts_at_a_restart_carries_nothing_of_who_brought_it_about() -> None:
    variable.set("before")
    found: list[Any] = []
    async with System() as system:
        events, other = Events(system), system.spawn(Carried)
        ref = system.supervise(ChildSpec(Looks, (found, other), name="looks"))
        await end(ref, "kill")
        await events.until("started", "looks", 2)
        del found[:]
        while not found:
            await ref.ask("look")
        assert found == [(None, {})]
        assert await system.spawn(Echo).ask("beside") == "beside"


def test_a_thread_that_kills_an_actor_shares_nothing_with_its_new_constructor() -> None:
    found: list[Any] = []
    with System.in_thread() as system:
        ref = system.supervise(ChildSpec(Looks, (found,), name="looks"))
        ref.ask("look").get(timeout=10)
        del found[:]
        token = variable.set("the killer's")
        try:
            with send_context(baggage={"who": "the killer"}):
                ref.kill()
            assert ref.ask("look").get(timeout=10) == "nothing"
            assert found == [("nothing", None, {})]
            assert variable.get() == "the killer's"
        finally:
            variable.reset(token)
