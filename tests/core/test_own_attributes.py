"""An actor's attributes are its own: those the base class offers may be assigned; the runtime does not read them."""

from __future__ import annotations

from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, ChildSpec, System

from .support import Echo, Events, on_each_loop

OFFERED = ["name", "path", "ref", "system", "expects"]


def assigned(attribute: str, value: Any) -> type[Actor]:
    """An actor class whose constructor assigns an attribute that the base class offers too."""

    class Own(Uses):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, attribute, value)

    return Own


class Uses(Actor):
    """Uses what an actor has: children, timers, work beside the mailbox, watching."""

    def on_receive(self, message: Any) -> Any:
        match message:
            case "child":
                return self.spawn(Echo, name="child")
            case "timer":
                self.schedule(0.0, "sync")
            case "beside":
                return self.reply_with(self.beside())
            case "pipe":
                self.pipe(self.beside())
            case "stream":
                return self.items()
            case "stop":
                self.stop()
            case "crash":
                raise SystemExit
            case ActorRef():
                self.watch(message)
                self.unwatch(message)
            case (attribute, value):
                setattr(self, attribute, value)
            case str() if message in OFFERED:
                return getattr(self, message)
        return message

    async def beside(self) -> str:
        return "done"

    async def items(self) -> Any:
        yield 1


async def lives(system: System, ref: ActorRef[Any], name: str) -> None:
    """Go through all that an actor can do."""
    assert ref.name == name
    assert ref.path == name
    assert system.find(name) is ref
    assert [node.name for node in system.tree()] == [name]
    assert name in repr(ref)
    assert name in str(ref)
    child = await ref.ask("child")
    assert child.path == f"{name}/child"
    assert await ref.ask("beside") == "done"
    assert [item async for item in ref.stream("stream")] == [1]
    for message in ("timer", "pipe", child):
        assert await ref.ask(message) is message


@pytest.mark.parametrize("attribute", OFFERED)
@pytest.mark.parametrize("value", ["mine", None, 7], ids=repr)
@on_each_loop
async def test_an_actor_may_assign_what_the_base_class_offers_and_lives_on_as_ever(attribute: str, value: Any) -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(assigned(attribute, value), name="own"))
        await lives(system, ref, "own")
        assert await ref.ask(attribute) == value
        ref.tell("crash")
        await events.until("restarted", "own")
        await lives(system, ref, "own")
        assert await ref.ask(attribute) == value
        assert await ref.stop() is True


@pytest.mark.parametrize("attribute", OFFERED)
@on_each_loop
async def test_a_handler_may_assign_it_later_and_delete_it_again(attribute: str) -> None:
    class Deletes(Uses):
        def on_receive(self, message: Any) -> Any:
            if message == "delete":
                delattr(self, attribute)
                return None
            return super().on_receive(message)

    async with System() as system:
        ref = system.spawn(Deletes, name="own")
        before = await ref.ask(attribute)
        await ref.ask((attribute, "mine"))
        assert await ref.ask(attribute) == "mine"
        await ref.ask("delete")
        assert await ref.ask(attribute) == before


@pytest.mark.parametrize("attribute", OFFERED)
@on_each_loop
async def test_a_class_may_define_it_as_an_attribute_a_property_or_a_method(attribute: str) -> None:
    definitions: list[Any] = ["mine", property(lambda self: "mine"), lambda self: "mine"]
    async with System() as system:
        for definition in definitions:
            kind: type[Actor] = type("Own", (Uses,), {attribute: definition})
            ref: ActorRef[Any] = system.spawn(kind, name="own")
            await lives(system, ref, "own")
            if callable(definition):
                assert await getattr(ref.proxy(), attribute)() == "mine"
            else:
                assert await ref.ask(attribute) == "mine"
            assert await ref.stop() is True


@pytest.mark.parametrize("attribute", OFFERED)
@on_each_loop
async def test_a_proxy_reads_and_assigns_it_as_any_attribute(attribute: str) -> None:
    async with System() as system:
        ref = system.spawn(assigned(attribute, "mine"), name="own")
        proxy = ref.proxy()
        assert await getattr(proxy, attribute) == "mine"
        setattr(proxy, attribute, "set from outside")
        assert await getattr(proxy, attribute) == "set from outside"
        assert ref.name == "own"


@on_each_loop
async def test_two_actors_that_call_themselves_the_same_are_told_apart_by_the_system() -> None:
    kind = assigned("name", "twin")
    async with System() as system:
        first, second = system.spawn(kind, name="first"), system.spawn(kind, name="second")
        assert [first.name, second.name] == ["first", "second"]
        assert system.find("twin") is None
        assert [await first.ask("name"), await second.ask("name")] == ["twin", "twin"]


@on_each_loop
async def test_an_actor_that_keeps_a_system_of_its_own_spawns_in_the_one_it_lives_in() -> None:
    async with System("mine") as mine, System("real") as real:
        ref = real.spawn(assigned("system", mine), name="own")
        child = await ref.ask("child")
        assert real.find("own/child") is child
        assert mine.tree() == ()


@on_each_loop
async def test_an_actor_that_keeps_another_ref_stops_and_watches_as_itself() -> None:
    async with System() as system:
        other = system.spawn(Echo, name="other")
        ref = system.spawn(assigned("ref", other), name="own")
        ref.tell("stop")
        await ref.terminated()
        assert other.is_alive()


@on_each_loop
async def test_what_is_not_assigned_still_says_who_the_actor_is() -> None:
    async with System() as system:
        ref = system.spawn(Uses, name="own")
        found = {attribute: await ref.ask(attribute) for attribute in OFFERED}
        assert found == {"name": "own", "path": "own", "ref": ref, "system": system, "expects": "answer"}
