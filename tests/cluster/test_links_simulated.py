"""References over a network that does its worst, under any schedule: what the page says of them holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from callboard import Actor, ActorRef, CoreError, Returns, System, handles
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.node import Node
from callboard.actors.core.refs.watching import Terminated
from callboard.testing import Simulation, simulate

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "6"))


@dataclass(frozen=True)
class Told:
    sender: str
    number: int


@dataclass(frozen=True)
class Asked(Returns[int]):
    sender: str
    number: int


@dataclass(frozen=True)
class Count(Returns[AsyncIterator[int]]):
    sender: str
    number: int
    to: int


@dataclass(frozen=True)
class Watch:
    ref: ActorRef[Any]


class Taker(Actor):
    """Takes numbers, and keeps the order in which they came."""

    def __init__(self, took: dict[str, list[int]]) -> None:
        super().__init__()
        self.took = took
        self.producing = 0

    @handles(Told)
    def told(self, message: Told) -> None:
        self.took.setdefault(message.sender, []).append(message.number)

    @handles(Asked)
    def asked(self, message: Asked) -> int:
        self.took.setdefault(message.sender, []).append(message.number)
        return message.number

    @handles(Count)
    def count(self, message: Count) -> AsyncIterator[int]:
        self.took.setdefault(message.sender, []).append(message.number)
        return self._count(message.to)

    async def _count(self, to: int) -> AsyncIterator[int]:
        self.producing += 1
        try:
            for number in range(to):
                await asyncio.sleep(0.01)
                yield number
        finally:
            self.producing -= 1


class Watcher(Actor):
    """Counts how often it is told of ends."""

    def __init__(self, told: dict[ActorRef[Any], int]) -> None:
        super().__init__()
        self.told = told

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Watch):
            self.watch(message.ref)
        elif isinstance(message, Terminated):
            self.told[message.ref] = self.told.get(message.ref, 0) + 1


async def sending(me: Node, other: Node, name: str, ended: dict[ActorRef[Any], int], random: Random) -> None:
    """Send numbers of all kinds for a while, by references that are taken anew once they are dead."""
    watcher: ActorRef[Any] = me.system.spawn(Watcher, ended, name=f"watcher-{name}")
    waiting: list[Any] = []
    refs: set[ActorRef[Any]] = set()
    for number in range(40):
        ref = me.ref(other.id, "taker")
        if ref not in refs:
            refs.add(ref)
            watcher.tell(Watch(ref))
        kind = random.randrange(4)
        try:
            if kind == 0:
                ref.tell(Told(name, number))
            elif kind == 1:
                waiting.append(asyncio.ensure_future(read(ref, Count(name, number, random.randrange(40)), random)))
            else:
                waiting.append(asyncio.ensure_future(answer(ref, Asked(name, number), random)))
        except CoreError:
            pass  # it died just now
        await asyncio.sleep(random.choice((0.0, 0.0, 0.05)))
    await asyncio.gather(*waiting)
    await asyncio.sleep(10.0)  # what is under way has come by then
    assert all(times == 1 for times in ended.values()), "a watcher is told once"
    assert {ref for ref in refs if not ref.is_alive()} == set(ended), "and of each end"


async def answer(ref: ActorRef[Any], asked: Asked, random: Random) -> None:
    try:
        async with asyncio.timeout(random.choice((0.01, 1.0, None, None))):
            assert await ref.ask(asked) == asked.number
    except (CoreError, TimeoutError):
        pass


async def read(ref: ActorRef[Any], count: Count, random: Random) -> None:
    until = random.choice((3, 1000))
    expected = 0
    try:
        async with ref.stream(count, buffer=random.choice((1, 16))) as stream:
            async for item in stream:
                assert item == expected, "items come in order, none is missing, none comes twice"
                expected += 1
                if expected == until:
                    return
        assert expected == count.to, "a stream that ends without an error is whole"
    except CoreError:
        pass


Harm = Any


async def none(network: Network, random: Random) -> None:
    pass


async def lossy(network: Network, random: Random) -> None:
    network.lost_frames = network.lost_acknowledgements = 0.2


async def repeated(network: Network, random: Random) -> None:
    network.repeated_frames = 0.5


async def cut(network: Network, random: Random) -> None:
    for _ in range(3):
        await asyncio.sleep(random.random())
        network.cut(["a"], ["b"])
        await asyncio.sleep(random.choice((0.5, 8.0)))
        network.heal()


async def cut_one_way(network: Network, random: Random) -> None:
    for one, other in (("a", "b"), ("b", "a"), ("a", "b")):
        await asyncio.sleep(random.random())
        network.cut([one], [other], back=False)
        await asyncio.sleep(random.choice((0.5, 8.0)))
        network.heal()


async def paused(network: Network, random: Random) -> None:
    for node in ("a", "b", "a"):
        await asyncio.sleep(random.random())
        network.pause(node)
        await asyncio.sleep(random.choice((0.5, 8.0)))
        network.proceed(node)


async def all_at_once(network: Network, random: Random) -> None:
    network.lost_frames = network.lost_acknowledgements = 0.1
    network.repeated_frames = 0.2
    await cut(network, random)
    await cut_one_way(network, random)
    await paused(network, random)


def property_of(harm: Harm) -> Any:
    async def scenario(sim: Simulation) -> None:
        random = Random(harm.__name__)
        network = Network((0.0, 0.03), random, timeout=1.0)
        took: dict[str, dict[str, list[int]]] = {"a": {}, "b": {}}
        async with System("one") as one, System("two") as two:
            nodes = Node("a", "one", one, network.transport()), Node("b", "two", two, network.transport())
            for node, other in (nodes, nodes[::-1]):
                node.joined(other.id, other.name)
                await node.open()
                node.system.spawn(Taker, took[node.id], name="taker")
            sends = [
                asyncio.ensure_future(sending(node, other, f"{node.id}{n}", {}, random))
                for node, other in (nodes, nodes[::-1])
                for n in range(2)
            ]
            await harm(network, random)
            await asyncio.gather(*sends)
            network.lost_frames = network.lost_acknowledgements = network.repeated_frames = 0.0
            for node, other in (nodes, nodes[::-1]):
                for sender, numbers in took[node.id].items():
                    assert numbers == sorted(set(numbers)), f"{sender}'s are taken in order, each once: {numbers}"
                await asyncio.sleep(20.0)
                assert await node.ref(other.id, "taker").ask(Asked("last", 1)) == 1
                talk: Any = node._peers[other.id]._connection.within  # type: ignore[union-attr]
                left = [talk._asked, talk._reading, talk._serving, talk._producing]
                assert left == [{}, {}, {}, {}], "nothing is left"
            for node in nodes:
                await node.close()

    return scenario


@pytest.mark.parametrize(
    "harm", [none, lossy, repeated, cut, cut_one_way, paused, all_at_once], ids=lambda harm: harm.__name__
)
def test_messages_come_in_order_once_at_most_and_every_ask_stream_and_watch_ends(harm: Harm) -> None:
    simulate(property_of(harm), seeds=SEEDS)
