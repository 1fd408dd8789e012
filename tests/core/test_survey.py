"""All actors of a system at a glance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from callboard import Actor, ChildSpec, Node, System
from tests.agents.support import until


class Parent(Actor):
    def on_start(self) -> None:
        for number in range(3):
            self.spawn(Child, name=f"child-{number}")

    def on_receive(self, message: Any) -> None:
        raise RuntimeError(message)


class Child(Actor):
    async def on_receive(self, message: Any) -> None:
        await message.wait()


def is_later(system: System, than: float) -> bool:
    return system.runtime.clock() > than


def flat(nodes: tuple[Node, ...], above: str = "") -> Iterator[tuple[Any, ...]]:
    for node in nodes:
        path = f"{above}{node.name}"
        yield path, node.kind, node.phase, node.waiting, node.restarts
        yield from flat(node.children, f"{path}/")


def without_ages(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(*state[:4], state[5]) for state in found.values()]


async def test_it_shows_what_the_tree_shows_level_by_level() -> None:
    async with System() as system:
        parents = [system.supervise(ChildSpec(Parent, name=f"parent-{number}")) for number in range(3)]
        parents[1].tell("crash")
        await until(lambda: system.tree()[1].restarts == 1 and len(system.tree()[1].children) == 3)
        found, count = system.survey(100)
        assert sorted(without_ages(found)) == sorted(flat(system.tree()))
        assert [path.count("/") for path in found] == [0] * 3 + [1] * 9
        assert all(path == state[0] for path, state in found.items())
        assert count == 12
        few, count = system.survey(4)
        assert (list(few), count) == ([*list(found)[:4]], 12)
        assert system.survey(0) == ({}, 12)


async def test_how_long_messages_wait_is_known_from_the_second_time_on_while_it_is_measured() -> None:
    async with System() as system:
        child, gate = system.spawn(Child, name="child"), asyncio.Event()
        for _ in range(3):
            child.tell(gate)
        await asyncio.sleep(0)
        assert system.survey(10)[0]["child"][3:5] == (2, 0.0)
        with system.measure():
            system.survey(10)
            await until(lambda: system.survey(10)[0]["child"][4] > 0)
            assert system.tree()[0].age > 0
        gate.set()


async def test_only_so_many_mailboxes_are_watched_from_one_time_on_and_others_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("callboard.actors.core.processing.surveying.MOST_WATCHES", 2)
    async with System() as system:
        children, gate = [system.spawn(Child, name=f"child-{number}") for number in range(5)], asyncio.Event()
        for child in children:
            child.tell(gate)
        await until(lambda: all(state[2:4] == ("running", 0) for state in system.survey(10)[0].values()))
        with system.measure():  # no message waits now, and each handler does
            for child in children:
                child.tell(gate)
            known = []
            for _ in range(4):
                known.append(sum(state[4] > 0 for state in system.survey(10)[0].values()))
                before = system.runtime.clock()
                await until(partial(is_later, system, before))
        gate.set()
    assert known == [0, 2, 4, 5]
