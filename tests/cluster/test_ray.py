"""Nodes that talk over a real Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callboard import System
from callboard.actors.cluster.errors import CutOff, NodeGone
from callboard.actors.cluster.node import Node
from callboard.actors.cluster.ray.transport import RayTransport

from .raying import ray_address
from .test_refs import Add, Count, Counter, Hang

__all__ = ["ray_address"]


@asynccontextmanager
async def two(address: str) -> AsyncIterator[tuple[Node, Node, asyncio.Event]]:
    lost = asyncio.Event()
    async with System("one") as one, System("two") as other:
        a = Node("a", "one", one, RayTransport(address, "tests"))
        b = Node("b", "two", other, RayTransport(address, "tests"))
        a.joined("b", "two")
        b.joined("a", "one")
        await asyncio.gather(a.open(), b.open(lost.set))
        other.spawn(Counter, name="counter")
        yield a, b, lost
        await asyncio.gather(a.close(), b.close())


async def test_actors_are_asked_told_and_streamed_from_over_ray(ray_address: str) -> None:
    async with two(ray_address) as (a, _, _):
        ref = a.ref("two", "counter")
        ref.tell(Add(1))
        assert await ref.ask(Add(1)) == 2
        assert sorted(await asyncio.gather(*[ref.ask(Add(1)) for _ in range(300)])) == list(range(3, 303))
        assert [item async for item in ref.stream(Count(500))] == list(range(500))


async def test_a_node_that_has_lost_its_gateway_hears_of_it_and_takes_part_again(ray_address: str) -> None:
    async with two(ray_address) as (a, b, lost):
        ref = a.ref("two", "counter")
        assert await ref.ask(Add(1)) == 1
        asked = ref.ask(Hang())
        transport = b._transport
        assert isinstance(transport, RayTransport)
        assert transport._process is not None
        transport._process.kill()  # Ray ends the gateway with its driver
        await lost.wait()
        with pytest.raises(NodeGone, match="node two"):
            await asked
        await b.open(lost.set)
        assert await a.ref("two", "counter").ask(Add(1)) == 2


async def test_a_ray_that_is_not_there_is_named() -> None:
    transport = RayTransport("127.0.0.1:1", "tests")

    async def nothing(node: str, frame: bytes) -> bytes:
        return b""

    with pytest.raises(CutOff, match=r"Ray at 127\.0\.0\.1:1 did not start"):
        await transport.open("a", nothing, lambda: None)
