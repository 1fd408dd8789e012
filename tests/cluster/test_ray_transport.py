"""Both sides of the way over Ray, without Ray."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from callboard import System
from callboard.actors.cluster.errors import CutOff, NodeUnreachable
from callboard.actors.cluster.node import Node
from callboard.actors.cluster.ray import gateway as gateways
from callboard.actors.cluster.ray import transport as transports
from callboard.actors.cluster.ray.gateway import NAME
from callboard.actors.cluster.ray.transport import RayTransport
from callboard.actors.cluster.ray.wire import HELLO, LARGEST, Ear, said

from .test_refs import Add, Count, Counter
from .without_ray import Ray


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    made = Ray(monkeypatch)
    yield made
    made.threads.shutdown(wait=False, cancel_futures=True)


class End:
    """A node's way over Ray, and what came there."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.transport = RayTransport("auto", "tests")
        self.came: list[tuple[str, bytes]] = []
        self.lost = asyncio.Event()
        self.refuses = ""

    async def open(self) -> None:
        """Take part."""
        await self.transport.open(self.node, self._receive, self._lost)

    async def _receive(self, node: str, frame: bytes) -> bytes:
        self.came.append((node, frame))
        if self.refuses:
            raise NodeUnreachable(self.refuses)
        return b"taken: " + frame[:100]

    def _lost(self) -> None:
        assert not self.lost.is_set(), "it is said once"
        self.lost.set()


@asynccontextmanager
async def ends(*names: str) -> AsyncIterator[list[End]]:
    made = [End(name) for name in names]
    for end in made:
        await end.open()
    yield made
    for end in made:
        await end.transport.close()


async def test_frames_of_any_size_come_whole_and_are_acknowledged(ray: Ray) -> None:
    async with ends("a", "b") as (a, b):
        for frame in (b"", b"x", bytes(range(256)) * 20_000):
            assert await a.transport.send("b", frame) == b"taken: " + frame[:100]
            assert b.came.pop() == ("a", frame)
        frames = [b"%d" % number for number in range(200)]
        said = await asyncio.gather(*[a.transport.send("b", frame) for frame in frames])
        assert said == [b"taken: " + frame for frame in frames]
        assert sorted(b.came) == sorted(("a", frame) for frame in frames)
        assert await b.transport.send("a", b"back") == b"taken: back"
        assert not a.transport._waiting
        assert not b.transport._tasks
        assert ray.found.count(NAME + "b") < 10  # the head of Ray is not asked for each frame
        assert ray.launched[NAME + "a"].wanted["address"] == "auto"
        assert ray.launched[NAME + "a"].wanted["namespace"] == "tests"


async def test_what_does_not_get_through_is_named(ray: Ray) -> None:
    async with ends("a", "b") as (a, b):
        with pytest.raises(NodeUnreachable, match="KeyError"):
            await a.transport.send("nobody", b"frame")
        b.refuses = "it speaks another protocol"
        with pytest.raises(NodeUnreachable, match="it speaks another protocol"):
            await a.transport.send("b", b"frame")
        b.refuses = ""
        assert await a.transport.send("b", b"frame") == b"taken: frame"
    with pytest.raises(NodeUnreachable, match="no gateway"):
        await a.transport.send("b", b"frame")


async def test_a_gateway_that_ends_is_heard_of_and_another_one_is_found_again(ray: Ray) -> None:
    async with ends("a", "b") as (a, b):
        assert await a.transport.send("b", b"frame")
        ray.launched[NAME + "a"].frozen = True  # b's frames get nowhere, and wait
        waiting = asyncio.ensure_future(b.transport.send("a", b"frame"))
        await asyncio.sleep(0.01)
        ray.launched[NAME + "b"].kill()
        await b.lost.wait()
        with pytest.raises(NodeUnreachable, match="gateway is gone"):
            await waiting
        with pytest.raises(NodeUnreachable, match="no gateway"):
            await b.transport.send("a", b"frame")
        with pytest.raises(NodeUnreachable, match="dead"):
            await a.transport.send("b", b"frame")
        b.lost.clear()
        await b.open()
        assert await a.transport.send("b", b"again") == b"taken: again"
        assert not a.lost.is_set()
        assert not b.lost.is_set()


async def test_a_gateway_from_which_nothing_is_heard_counts_as_not_reached(
    ray: Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "PATIENCE", 0.05)
    monkeypatch.setattr(gateways, "LOOK", 0.01)
    async with ends("a", "b") as (a, _):
        ray.launched[NAME + "b"].frozen = True
        with pytest.raises(NodeUnreachable, match="nothing was heard of it"):
            await a.transport.send("b", b"frame")
        ray.launched[NAME + "b"].frozen = False
        assert await a.transport.send("b", b"frame") == b"taken: frame"


async def test_a_gateway_that_stands_still_counts_as_gone(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "LOOK", 0.01)
    async with ends("a", "b") as (a, b):
        with monkeypatch.context() as patch:
            patch.setattr(ray.launched[NAME + "a"].gateway, "_heard", lambda *_: None)
            async with asyncio.timeout(5.0):
                with pytest.raises(NodeUnreachable, match="gateway is gone"):
                    await a.transport.send("b", b"frame")
                await a.lost.wait()
        assert not a.transport._waiting
        a.lost.clear()
        await a.open()
        assert await a.transport.send("b", b"frame") == b"taken: frame"
        assert not b.lost.is_set()


async def test_only_who_knows_the_word_is_taken_for_the_gateway_and_nobody_comes_later(ray: Ray) -> None:
    texts = [
        said(HELLO, 0, b"another word"),
        said(HELLO + 1, 0, bytes(32)).replace(bytes(32), b"WORD"),
        said(HELLO, 0, b"") * 3,
        b"GET / HTTP/1.0\r\n\r\n",
    ]
    with ExitStack() as stack:
        ray.strangers = [(stack.enter_context(socket.socket(socket.AF_UNIX)), text.decode("latin-1")) for text in texts]
        end = End("a")
        await end.open()
        for there, _ in ray.strangers:
            there.settimeout(5.0)
            assert await asyncio.to_thread(there.recv, 100) == b""
        ray.strangers = []
        async with ends("b") as (b,):
            assert await b.transport.send("a", b"frame") == b"taken: frame"
            assert not end.lost.is_set()
        path = Path(ray.launched[NAME + "a"].wanted["socket"])
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):  # from Python 3.13 on it goes as it closes
            await asyncio.open_unix_connection(path)
        await end.transport.close()


async def test_a_gateway_that_does_not_start_is_named_and_leaves_nothing(ray: Ray) -> None:
    ray.says = b"ConnectionError: no head\n"
    end = End("a")
    with pytest.raises(CutOff, match="Ray at auto did not start: ConnectionError: no head"):
        await end.open()
    ray.says = b""
    with pytest.raises(CutOff, match="it ended"):
        await end.open()
    launched = ray.launched[NAME + "a"]
    assert launched.returncode is not None
    assert not Path(launched.wanted["socket"]).parent.exists()
    assert not end.lost.is_set()


async def test_what_is_closed_leaves_nothing_and_is_not_lost(ray: Ray) -> None:
    async with ends("a") as (a,):
        launched = ray.launched[NAME + "a"]
    assert launched.returncode is not None
    assert not Path(launched.wanted["socket"]).parent.exists()
    launched.gateway.ended()
    assert not a.lost.is_set()
    await a.transport.close()


async def test_actors_of_two_nodes_talk(ray: Ray) -> None:
    async with System("one") as one, System("two") as other:
        a, b = (Node(id, id, system, RayTransport()) for id, system in (("a", one), ("b", other)))
        for node, peer in ((a, b), (b, a)):
            node.joined(peer.id, peer.name)
            await node.open()
        other.spawn(Counter, name="counter")
        ref = a.ref("b", "counter")
        assert sorted(await asyncio.gather(*[ref.ask(Add(1)) for _ in range(100)])) == list(range(1, 101))
        assert [item async for item in ref.stream(Count(200))] == list(range(200))
        await asyncio.gather(a.close(), b.close())


def test_what_comes_in_pieces_is_put_together_and_what_is_too_long_refused() -> None:
    things = [(1, 7, b"one"), (2, 8, b""), (3, 0xFFFFFFFF, bytes(100))]
    data = b"".join(said(*thing) for thing in things)
    for size in (1, 2, 5, 9, 10, len(data)):
        ear = Ear()
        came = [thing for at in range(0, len(data), size) for thing in ear.hear(data[at : at + size])]
        assert came == things
    assert list(Ear().hear((LARGEST).to_bytes(4, "big") + bytes(5))) == []
    for length in (0, 4, LARGEST + 1):
        with pytest.raises(ConnectionError, match=f"{length} bytes"):
            list(Ear().hear(length.to_bytes(4, "big") + bytes(5)))
