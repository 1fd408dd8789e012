"""The network in memory does the harm that is asked of it, and no other."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from callboard.actors.cluster.errors import CutOff, NodeUnreachable
from callboard.actors.cluster.network import Network, NetworkTransport
from callboard.testing import run_virtual


class Nodes:
    """Nodes of a network, and what they got."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.got: list[tuple[str, str, bytes]] = []
        self.ways: dict[str, NetworkTransport] = {}

    async def add(self, *names: str) -> None:
        """Have nodes take part."""
        for name in names:

            async def receive(sender: str, frame: bytes, name: str = name) -> bytes:
                self.got.append((name, sender, frame))
                return b"taken by " + name.encode()

            self.ways[name] = self.network.transport()
            await self.ways[name].open(name, receive, lambda: None)

    async def sends(self, sender: str, receiver: str) -> bool:
        """Send a frame; whether it was acknowledged."""
        try:
            return await self.ways[sender].send(receiver, b"frame") == b"taken by " + receiver.encode()
        except NodeUnreachable:
            return False


def test_so_many_frames_and_acknowledgements_are_lost_or_repeated_as_is_said() -> None:
    async def scenario() -> None:
        for lost_frames, lost_acknowledgements, repeated in ((0.1, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.2)):
            nodes = Nodes(Network(random=Random(1)))
            await nodes.add("a", "b")
            nodes.network.lost_frames, nodes.network.lost_acknowledgements = lost_frames, lost_acknowledgements
            nodes.network.repeated_frames = repeated
            acknowledged = await asyncio.gather(*[nodes.sends("a", "b") for _ in range(1000)])
            assert abs(sum(acknowledged) - 1000 * (1 - lost_frames - lost_acknowledgements)) < 50
            assert abs(len(nodes.got) - 1000 * (1 - lost_frames + repeated)) < 50

    run_virtual(scenario())


def test_nothing_gets_through_where_it_is_cut_until_it_is_healed() -> None:
    async def scenario() -> None:
        nodes = Nodes(Network(timeout=2.0))
        await nodes.add("a", "b", "c")
        nodes.network.cut(["a", "b"], ["b", "c"], back=False)
        ways = [(one, other) for one in "abc" for other in "abc"]
        open_ways = [way for way in ways if await nodes.sends(*way)]
        # An acknowledgement of a frame from `c` to `a` would go from `a` to `c`.
        assert open_ways == [("a", "a"), ("b", "b"), ("c", "c")]
        assert [got[:2] for got in nodes.got if got[0] != got[1]] == [("a", "b"), ("a", "c"), ("b", "c")]
        nodes.network.heal()
        nodes.network.cut(["a"], ["b"])
        nodes.got.clear()
        assert [way for way in ways if not await nodes.sends(*way)] == [("a", "b"), ("b", "a")]
        assert not [got for got in nodes.got if {got[0], got[1]} == {"a", "b"}]

    run_virtual(scenario())


def test_frames_take_their_time_and_wait_for_nodes_that_are_paused() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        nodes = Nodes(Network((0.1, 0.2), timeout=5.0))
        await nodes.add("a", "b")
        for _ in range(20):
            before = loop.time()
            assert await nodes.sends("a", "b")
            assert 0.2 <= loop.time() - before <= 0.4
        nodes.got.clear()
        nodes.network.pause("b")
        nodes.network.pause("b")
        sent = asyncio.ensure_future(nodes.sends("a", "b"))
        await asyncio.sleep(3.0)
        assert not nodes.got
        nodes.network.proceed("b")
        assert await sent
        nodes.network.pause("b")
        before = loop.time()
        assert not await nodes.sends("a", "b")
        assert loop.time() - before == pytest.approx(5.0)
        nodes.network.proceed("nobody")

    run_virtual(scenario())


async def test_who_takes_no_part_sends_and_gets_nothing() -> None:
    nodes = Nodes(Network())
    await nodes.add("a", "b")
    with pytest.raises(CutOff, match="a node a already"):
        await nodes.add("a")
    await nodes.add("c")
    await nodes.ways["c"].close()
    with pytest.raises(NodeUnreachable, match="takes no part"):
        await nodes.ways["c"].send("b", b"frame")
    with pytest.raises(NodeUnreachable, match="no node c is there"):
        await nodes.ways["b"].send("c", b"frame")
    await nodes.add("c")
    assert await nodes.sends("b", "c")
