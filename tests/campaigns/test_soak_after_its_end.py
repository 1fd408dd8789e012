"""After the soak's load: nothing is killed any more, and what is only waiting to be cleaned up is not left behind."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from benchmarks.campaigns import leftovers
from benchmarks.campaigns.chaos import Chaos
from benchmarks.campaigns.leftovers import Memory, left_behind

from callboard import Actor, Agency, Agent, ChildSpec
from callboard.actors.testing.doubles.models import FunctionModel


class Held(Actor):
    """An actor that has ended, and is held."""


def abandoned(actor: Actor) -> AsyncIterator[None]:
    async def pieces() -> AsyncIterator[None]:
        mine: list[Any] = [actor]
        mine.append(mine)
        mine.append(generator)
        yield

    generator = pieces()
    return generator


async def test_an_actor_in_a_generator_that_the_collector_found_only_now_is_not_left_behind() -> None:
    memory = Memory(1.0)
    files = memory.open_files()
    await anext(abandoned(Held()))
    assert await left_behind(files, memory) == []


async def test_an_actor_that_a_thread_still_works_for_is_not_left_behind() -> None:
    memory = Memory(1.0)
    files = memory.open_files()
    actor = Held()
    asyncio.get_running_loop().run_in_executor(None, lambda held: threading.Event().wait(0.3), actor)
    del actor
    assert [what for what in await left_behind(files, memory) if "actor" in what or "Held" in what] == []


async def test_an_actor_that_stays_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "LOOKS", 1)
    memory = Memory(1.0)
    actor = Held()
    assert "1 × Held in memory" in await left_behind(memory.open_files(), memory)
    assert actor


async def test_what_was_about_to_be_killed_lives_on_once_the_killing_is_over() -> None:
    model = ChildSpec(FunctionModel, (lambda request: "hello",))
    async with Agency(Agent("Front", "Be brief."), model=model, name="agency") as agency:
        chaos = Chaos(agency, random.Random(1), spite=1.0)
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        await agency.run("hello")
        chaos.close()
        killed = chaos.counts.total()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert problems == []
        assert chaos.counts.total() == killed
