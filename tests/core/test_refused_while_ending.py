"""An actor that nobody will start again refuses messages from its crash on, and not only when its hooks have ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ActorDead, ChildSpec, System

from .support import Events, Log, on_each_loop


class Lingers(Actor):
    """Takes its time after a crash: until the test lets it go."""

    def __init__(self, go: asyncio.Event, log: Log, children: int = 0) -> None:
        super().__init__()
        self.go = go
        self.log = log
        for _ in range(children):
            self.spawn(LingersInStop, go, log)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        self.log(message)
        return message

    async def on_failure(self, *_: Any) -> None:
        await self.go.wait()


class LingersInStop(Lingers):
    async def on_stop(self) -> None:
        await self.go.wait()


@pytest.mark.parametrize("how", ["crash", "kill"])
@pytest.mark.parametrize("children", [0, 1])
@on_each_loop
async def test_an_actor_without_child_spec_that_ends_after_a_crash_refuses_at_once(how: str, children: int) -> None:
    go, log = asyncio.Event(), Log()
    async with System() as system:
        events = Events(system)
        ref = system.spawn(Lingers, go, log, children, name="lingers")
        if how == "crash":
            ref.tell(LookupError("crash"))
        else:
            ref.kill()
        await events.until("crashed", "lingers")
        assert not ref.is_alive()
        asks = [ref.ask("late"), ref.ask("late", timeout=5), ref.ask("late", priority=1)]
        for ask in asks:
            assert ask.done(), "it is refused before the hooks have ended"
            with pytest.raises(ActorDead):
                await ask
        with pytest.raises(ActorDead):
            ref.tell("late")
        with pytest.raises(ActorDead):
            ref.tell("late", priority=1)
        with pytest.raises(ActorDead):
            await ref.put("late")
        assert events.count("stopped", "lingers") == 0, "it is still ending"
        go.set()
        await ref.terminated()
    assert log.lines == []


@on_each_loop
async def test_what_waited_when_an_actor_without_child_spec_crashed_is_refused_too() -> None:
    go, log = asyncio.Event(), Log()
    async with System() as system:
        events = Events(system)
        ref = system.spawn(Lingers, go, log, name="lingers")
        ref.tell(LookupError("crash"))
        queued = ref.ask("queued")
        ref.tell("queued")
        await events.until("crashed", "lingers")
        go.set()
        with pytest.raises(ActorDead):
            await queued
        await ref.terminated()
        assert system.dead_letters.count == 2
    assert log.lines == []


@on_each_loop
async def test_an_actor_that_is_to_be_restarted_takes_messages_while_it_ends() -> None:
    go, log = asyncio.Event(), Log()
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Lingers, (go, log), name="lingers"))
        ref.tell(LookupError("crash"))
        await events.until("crashed", "lingers")
        assert ref.is_alive()
        ask = ref.ask("kept")
        ref.tell("kept too")
        assert not ask.done()
        go.set()
        assert await ask == "kept"
        await ref.stop()
    assert log.lines == ["kept", "kept too"]
