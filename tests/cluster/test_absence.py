"""A node that cannot be reached is noticed by whoever expects something of it, or works for it; and by nobody else."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from callboard import Actor, ActorDead, ActorRef, Returns, System, handles
from callboard.actors.cluster.errors import NodeGone
from callboard.actors.cluster.link.frames import Target, read_frame
from callboard.actors.cluster.link.talk import Talk
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.stand_in import Door, WatchFor, WatchNoMore
from callboard.testing import run_virtual

from .test_refs import Add, Count, Counter, Fail, Hang, Listener, Watch, two


@dataclass(frozen=True)
class Nothing(Returns[AsyncIterator[int]]):
    """A stream in which nothing comes for ever."""


class Silent(Actor):
    closed: asyncio.Event

    def on_start(self) -> None:
        Silent.closed = asyncio.Event()

    @handles(Nothing)
    async def nothing(self, message: Nothing) -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            self.closed.set()


async def asked(talk: Talk) -> None:
    with pytest.raises(NodeGone):
        await talk.ask(Target("counter", ""), Hang())
    await Counter.cancelled.wait()


async def read(talk: Talk) -> None:
    with pytest.raises(NodeGone):
        async for _ in talk.stream(Target("silent", ""), Nothing()):
            pass
    await Silent.closed.wait()


async def watched(talk: Talk) -> None:
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    talk.watch(Target("counter", ""), told.set_result)
    assert "is gone" in await told


@pytest.mark.parametrize("wish", [asked, read, watched])
@pytest.mark.parametrize("here", [0, 1])
def test_both_nodes_notice_that_the_other_one_is_not_there(wish: Any, here: int) -> None:
    async def scenario() -> None:
        network = Network(timeout=1.0)
        async with two(network) as nodes:
            a, b = nodes[here], nodes[1 - here]
            b.system.spawn(Counter, name="counter")
            b.system.spawn(Silent, name="silent")
            talk = a._peer(b.id).conversing()
            assert isinstance(talk, Talk)
            wishing = asyncio.ensure_future(wish(talk))
            await asyncio.sleep(20.0)  # nothing is said for long, and both know that the other one is there
            assert not wishing.done()
            network.cut([a.id], [b.id])
            async with asyncio.timeout(15.0):
                await wishing
            await asyncio.sleep(5.0)
            assert [node._peers[other.id]._connection for node, other in ((a, b), (b, a))] == [None, None]

    run_virtual(scenario())


def test_nodes_that_expect_nothing_of_each_other_say_nothing() -> None:
    async def scenario() -> None:
        network = Network()
        frames = 0
        carry = network.deliver

        async def counted(sender: str, receiver: str, frame: bytes) -> bytes:
            nonlocal frames
            frames += 1
            return await carry(sender, receiver, frame)

        network.deliver = counted  # type: ignore[method-assign]
        async with two(network) as (a, b):
            b.system.spawn(Counter, name="counter")
            ref = a.ref("two", "counter")
            assert await ref.ask(Add(1)) == 1
            await asyncio.sleep(5.0)
            frames = 0
            await asyncio.sleep(10.0)
            assert 8 <= frames <= 22  # the reference wants to hear of its actor's end
            await ref.stop()
            await asyncio.sleep(5.0)
            frames = 0
            await asyncio.sleep(60.0)
            assert frames == 0

    run_virtual(scenario())


async def test_who_watches_no_more_is_told_nothing_and_the_actor_is_watched_for_nobody() -> None:
    async with two() as (a, b):
        counter: ActorRef[Any] = b.system.spawn(Counter, name="counter")
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listener: ActorRef[Any] = a.system.spawn(Listener, heard, name="listener")
        refs = [a.ref_to("b", "counter", ""), a.ref_to("b", "counter", counter.actor_urn)]
        for ref in refs:
            listener.tell(Watch(ref))
            assert await ref.ask(Add(1))
        await refs[0].stop()
        assert (await heard.get()).ref is refs[0]
        assert await refs[1].ask(Add(1)) == 3
        await counter.stop()
        assert (await heard.get()).ref is refs[1]
        assert heard.empty()


async def test_a_reference_that_is_read_from_to_the_last_ends_behind_its_successor(caplog: Any) -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        old = a.ref("two", "counter")
        async with old.stream(Count(1000), buffer=1) as stream:
            async for _ in stream:
                break
            a.left("b", "its lease has run out")
            a.joined("b", "two")
            new = a.ref("two", "counter")
            assert await new.ask(Add(1)) == 1
            await new.stop()
            with pytest.raises(NodeGone, match="its lease has run out"):
                async for _ in stream:
                    pass
        for _ in range(20):
            await asyncio.sleep(0)
        assert not old.is_alive()
        assert not [record.message for record in caplog.records]
        assert await a.ref("two", "counter").ask(Add(1)) == 2


async def test_an_actor_is_watched_for_those_who_want_it_and_nothing_is_kept_of_others() -> None:
    async with System("one") as system:
        door = system.spawn(Door)
        watched: ActorRef[Any] = system.spawn(Counter)
        heard: list[tuple[str, str]] = []

        def telling(name: str) -> Any:
            return lambda reason: heard.append((name, reason))

        first, second, third = telling("first"), telling("second"), telling("third")
        kept = weakref.ref(first)
        for message in (WatchFor(watched, first), WatchFor(watched, second), WatchNoMore(watched, first)):
            door.tell(message)
        door.tell(WatchNoMore(watched, third))  # which nobody has asked for
        del first, message
        for _ in range(20):
            await asyncio.sleep(0)
        gc.collect()
        assert kept() is None
        await watched.stop()
        for _ in range(20):
            await asyncio.sleep(0)
        assert [name for name, _ in heard] == ["second"]
        kept = weakref.ref(second)
        del second
        gc.collect()
        assert kept() is None


async def test_an_answer_that_is_there_at_once_travels_with_the_acknowledgement() -> None:
    network = Network()
    frames: list[tuple[str, str]] = []
    carry = network.deliver

    async def counted(sender: str, receiver: str, frame: bytes) -> bytes:
        frames.append((sender, receiver))
        return await carry(sender, receiver, frame)

    network.deliver = counted  # type: ignore[method-assign]
    async with two(network) as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        assert await ref.ask(Add(1)) == 1
        frames.clear()
        for number in range(2, 12):
            assert await ref.ask(Add(1)) == number
        assert frames.count(("a", "b")) == 10
        assert frames.count(("b", "a")) <= 2  # where this machine was slow, or a sign of life


def test_answers_that_nobody_waits_for_any_more_harm_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with two(Network((0.01, 0.01))) as (a, b):
            b.system.spawn(Counter, name="counter")
            talk = a._peer("b").conversing()
            assert isinstance(talk, Talk)
            for message in (Add(1), Fail(KeyError("nothing")), Hang()):
                talk.ask(Target("counter", ""), message).cancel()
            assert await talk.ask(Target("counter", ""), Add(1)) == 1
            for message in (Add(1), Fail(KeyError("nothing"))):
                asked = talk.ask(Target("counter", ""), message)
                await asyncio.sleep(0.015)  # it is over there, and its answer on its way
                asked.cancel()
            assert await talk.ask(Target("counter", ""), Add(1)) == 3
            assert not caplog.records

    run_virtual(scenario())


async def test_a_stream_has_room_for_as_many_items_as_its_reader_says() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        talk = a._peer("b").conversing()
        assert isinstance(talk, Talk)
        for buffer in (1, 2, 3, 16):
            stream = talk.stream(Target("counter", ""), Count(100), buffer=buffer)
            assert [item async for item in stream] == list(range(100))
        unread = talk.stream(Target("counter", ""), Count(100), buffer=5)
        assert [await anext(unread) for _ in range(2)] == [0, 1]
        await talk.ask(Target("counter", ""), Add(1))
        await talk.ask(Target("counter", ""), Add(1))
        assert len(unread._incoming._items) <= 5
        await unread.aclose()


async def test_what_is_sent_at_once_goes_in_several_frames_so_that_no_node_is_held_up_by_one() -> None:
    network = Network()
    held: list[int] = []
    carry = network.deliver

    async def counted(sender: str, receiver: str, frame: bytes) -> bytes:
        held.append(len(read_frame(frame).messages))
        return await carry(sender, receiver, frame)

    network.deliver = counted  # type: ignore[method-assign]
    async with two(network) as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        for _ in range(3000):
            ref.tell(Add(1))
        assert await ref.ask(Add(1)) == 3001
        assert 100 < max(held) < 1000


def test_frames_do_not_wait_for_each_other_on_a_long_way() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with two(Network((0.1, 0.1))) as (a, b):
            b.system.spawn(Counter, name="counter")
            talk, counter = a._peer("b").conversing(), Target("counter", "")
            assert isinstance(talk, Talk)
            assert await talk.ask(counter, Add(1)) == 1
            await asyncio.sleep(0.5)
            before = loop.time()
            for _ in range(1500):
                talk.tell(counter, Add(1))
            assert await talk.ask(counter, Add(1)) == 1502
            assert loop.time() - before < 0.35  # there and back

    run_virtual(scenario())


async def test_a_stream_that_is_cancelled_where_it_comes_from_is_not_taken_for_whole() -> None:
    async with two() as (a, b):
        b.system.spawn(Silent, name="silent")
        reading = asyncio.ensure_future(anext(a.ref("two", "silent").stream(Nothing())))
        tasks: list[asyncio.Task[Any]] = []
        while not tasks:
            await asyncio.sleep(0)
            tasks = [task for task in asyncio.all_tasks() if task.get_name() == "stream to one"]
        await asyncio.sleep(0)
        tasks[0].cancel()  # as the end of a loop does
        with pytest.raises((asyncio.CancelledError, ActorDead)):
            await reading
