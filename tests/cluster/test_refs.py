"""References to actors of other nodes, over a network in memory."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from callboard import (
    Actor,
    ActorDead,
    ActorRef,
    AskTimeout,
    Returns,
    System,
    current_send_context,
    handles,
    send_context,
)
from callboard.actors.cluster.errors import MessageNotPortable, NodeGone, RemoteFailure
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.node import Node
from callboard.actors.core.refs.watching import Terminated


@dataclass(frozen=True)
class Add(Returns[int]):
    amount: int


@dataclass(frozen=True)
class Count(Returns[AsyncIterator[int]]):
    to: int


@dataclass(frozen=True)
class Hang(Returns[None]):
    pass


@dataclass(frozen=True)
class Carried(Returns[Any]):
    pass


@dataclass(frozen=True)
class Fail(Returns[None]):
    error: Exception


@dataclass(frozen=True)
class ReplyTo:
    ref: ActorRef[Any]
    what: Any


class Counter(Actor):
    total = 0
    cancelled: asyncio.Event

    def on_start(self) -> None:
        Counter.cancelled = asyncio.Event()

    @handles(Add)
    def add(self, message: Add) -> int:
        self.total += message.amount
        return self.total

    @handles(Count)
    async def count(self, message: Count) -> AsyncIterator[int]:
        for number in range(message.to):
            yield number

    @handles(Hang)
    def hang(self, message: Hang) -> None:
        return self.reply_with(self._hang())

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            self.cancelled.set()

    @handles(Carried)
    def carried(self, message: Carried) -> Any:
        context = current_send_context()
        return dict(context.baggage), context.deadline is not None

    @handles(Fail)
    def fail(self, message: Fail) -> None:
        raise message.error

    @handles(ReplyTo)
    def reply_to(self, message: ReplyTo) -> None:
        message.ref.tell(message.what)


class Listener(Actor):
    def __init__(self, heard: asyncio.Queue[Any]) -> None:
        super().__init__()
        self.heard = heard

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Watch):
            self.watch(message.ref)
        else:
            self.heard.put_nowait(message)


@dataclass(frozen=True)
class Watch:
    ref: ActorRef[Any]


@asynccontextmanager
async def two(network: Network | None = None) -> AsyncIterator[tuple[Node, Node]]:
    network = network or Network()
    async with System("one") as one, System("two") as other:
        a, b = Node("a", "one", one, network.transport()), Node("b", "two", other, network.transport())
        for node, peer in ((a, b), (b, a)):
            node.joined(peer.id, peer.name)
            await node.open()
        yield a, b
        await a.close()
        await b.close()


async def test_an_actor_of_another_node_is_asked_told_and_streamed_from_in_order() -> None:
    for here, there in ((0, 1), (1, 0)):
        async with two() as nodes:
            nodes[there].system.spawn(Counter, name="counter")
            ref = nodes[here].ref(nodes[there].name, "counter")
            for _ in range(10):
                ref.tell(Add(1))
            assert await ref.ask(Add(1)) == 11
            assert await asyncio.gather(*[ref.ask(Add(1)) for _ in range(100)]) == list(range(12, 112))
            assert [item async for item in ref.stream(Count(1000), buffer=4)] == list(range(1000))


async def test_deadlines_baggage_and_cancellation_cross() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        with send_context(timeout=5.0, baggage={"who": "ann"}):
            assert await ref.ask(Carried()) == ({"who": "ann"}, True)
        asked = ref.ask(Hang())
        await ref.ask(Carried())
        asked.cancel()
        await Counter.cancelled.wait()
        with pytest.raises(AskTimeout):
            await ref.ask(Hang(), timeout=0.01)
        assert [item async for item in ref.stream(Count(3))] == [0, 1, 2]
        async with ref.stream(Count(1_000_000)) as stream:
            async for item in stream:
                if item == 20:
                    break


async def test_errors_come_back_as_they_are_or_in_words() -> None:
    class Local(Exception):
        pass

    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        with pytest.raises(KeyError, match="nothing"):
            await ref.ask(Fail(KeyError("nothing")))
    async with two() as (a, b):
        with pytest.raises(ActorDead, match="no actor nobody is on node two"):
            await a.ref("two", "nobody").ask(Add(1))
        b.system.spawn(Counter, name="counter")
        with pytest.raises(MessageNotPortable, match="counter"):
            await a.ref("two", "counter").ask(Fail(Local("x")))


async def test_references_travel_and_come_home() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listener: ActorRef[Any] = a.system.spawn(Listener, heard, name="listener")
        ref = a.ref("two", "counter")
        ref.tell(ReplyTo(listener, ReplyTo(listener, "hello")))
        assert (await heard.get()).ref is listener


async def test_the_end_of_an_actor_and_of_a_node_is_told() -> None:
    async with two() as (a, b):
        counter = b.system.spawn(Counter, name="counter")
        b.system.spawn(Counter, name="other")
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listener: ActorRef[Any] = a.system.spawn(Listener, heard, name="listener")
        ref, other = a.ref("two", "counter"), a.ref("two", "other")
        listener.tell(Watch(ref))
        listener.tell(Watch(other))
        assert await ref.ask(Add(1)) == 1
        await counter.stop()
        told = await heard.get()
        assert isinstance(told, Terminated)
        assert told.ref is ref
        asked = other.ask(Hang())
        await other.ask(Add(1))
        a.left("b", "its lease has run out")
        with pytest.raises(NodeGone, match="may have been done or not"):
            await asked
        assert (await heard.get()).ref is other
        with pytest.raises(ActorDead):
            await other.ask(Add(1))


async def test_a_node_that_cannot_be_reached_is_gone_and_comes_back() -> None:
    network = Network(timeout=0.05)
    async with two(network) as (a, b):
        a._patience = b._patience = 0.2
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        assert await ref.ask(Add(1)) == 1
        network.cut(["a"], ["b"])
        with pytest.raises(NodeGone, match=r"node two \(b\) is gone: .*: nothing was heard of b for 0.05 s"):
            await ref.ask(Add(1))
        network.heal()
        again = a.ref("two", "counter")
        assert again is not ref
        assert await again.ask(Add(1)) in (2, 3)


class Unreadable:
    """Can be written, and not be read."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


async def test_a_message_that_a_node_cannot_read_is_named_with_that_node() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        with pytest.raises(MessageNotPortable, match=r"a message to counter cannot be read on node two .*same code"):
            await a.ref("two", "counter").ask(Unreadable())


async def test_a_node_that_speaks_another_protocol_is_named_at_once_and_told_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = Network()
    came: list[bytes] = []

    async def later(node: str, frame: bytes) -> bytes:
        came.append(frame)
        return pickle.dumps((2, "whatever", "it says"))

    async with System("one") as system:
        a = Node("a", "one", system, network.transport())
        a.joined("b", "two")
        await a.open()
        await network.transport().open("b", later, lambda: None)
        with pytest.raises(
            NodeGone, match=r"node two \(b\) is gone: .* speaks protocol 2 of frames; this node speaks 1"
        ):
            await a.ref("two", "counter").ask(Add(1))
        assert len(came) == 1
        for _ in range(2):
            said = await network.deliver("b", "a", pickle.dumps((2, "whatever")))
            assert pickle.loads(said)[0] == 1
        (record,) = caplog.records
        assert "node two is not understood: it speaks protocol 2" in record.getMessage()
        await a.close()


async def test_a_reference_that_is_made_in_another_thread_is_one_like_any_other() -> None:
    def thread(a: Node) -> int:
        async def loop_of_its_own() -> int:
            return await a.ref("two", "counter").ask(Add(1))

        a.ref("two", "counter").tell(Add(1))
        return asyncio.run(loop_of_its_own())

    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        assert await asyncio.to_thread(thread, a) == 2
        assert await a.ref("two", "counter").ask(Add(1)) == 3


async def test_actors_of_nodes_with_any_name_are_reached() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        a.joined("b", "eu/1")
        assert await a.ref("eu/1", "counter").ask(Add(1)) == 1


async def test_of_nodes_that_are_gone_a_thousand_are_remembered() -> None:
    async with two() as (a, _):
        for number in range(1_100):
            a.joined(f"n{number}", "another")
            ref = a.ref(f"n{number}", "counter")
            a.left(f"n{number}", "it has left")
            with pytest.raises(ActorDead):
                await ref.ask(Add(1))
        assert len(a._gone) == 1_000
        assert (len(a._names), len(a._peers)) == (1_002, 1_000)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)

    __reduce__ = __str__


async def test_an_error_that_raises_as_it_is_shown_is_an_answer() -> None:
    class Raising(Actor):
        def on_receive(self, message: Any) -> Any:
            raise Unspeakable

    async with two() as (a, b):
        b.system.spawn(Raising, name="raising")
        with pytest.raises(RemoteFailure, match=r"Unspeakable: it cannot be shown \(SystemExit\)"):
            await a.ref("two", "raising").ask("x")
