"""References to actors of other nodes, over a network that does its worst."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest

from callboard import Actor, ActorDead, ActorRef, Returns, handles, send_context
from callboard.actors.cluster.errors import MessageNotPortable, NodeGone, NodeUnknown, RemoteFailure
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.node import Node
from callboard.testing import run_virtual

from .test_refs import Add, Count, Counter, Hang, Listener, ReplyTo, two


@dataclass(frozen=True)
class Log(Returns[list[int]]):
    pass


@dataclass(frozen=True)
class Note:
    number: int


@dataclass(frozen=True)
class NoteAndCount(Returns[AsyncIterator[int]]):
    number: int


@dataclass(frozen=True)
class Make(Returns[Any]):
    """Answered, or failed, with what a function of this module makes."""

    what: str


@dataclass(frozen=True)
class Items(Returns[AsyncIterator[Any]]):
    what: str


class Notebook(Actor):
    closed = 0

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[int] = []

    @handles(Note)
    def note(self, message: Note) -> None:
        self.noted.append(message.number)

    @handles(NoteAndCount)
    def note_and_count(self, message: NoteAndCount) -> AsyncIterator[int]:
        self.noted.append(message.number)
        return self._none()

    async def _none(self) -> AsyncIterator[int]:
        for number in range(0):
            yield number

    @handles(Log)
    def log(self, message: Log) -> list[int]:
        return self.noted

    @handles(Make)
    def make(self, message: Make) -> Any:
        made = MAKERS[message.what]()
        if isinstance(made, BaseException):
            raise made
        return made

    @handles(Items)
    async def items(self, message: Items) -> AsyncIterator[Any]:
        try:
            while True:
                yield MAKERS[message.what]()
        finally:
            type(self).closed += 1


class Exits:
    """Unpickling it ends the program."""

    def __reduce__(self) -> Any:
        return (_exit, ())


def _exit() -> NoReturn:
    raise SystemExit(3)


class ExitsError(Exception):
    def __reduce__(self) -> Any:
        return (_exit, ())


class Wordless(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Refuses:
    def __reduce__(self) -> Any:
        raise SystemExit(4)


class Unportable(Exception):
    """Cannot be written."""

    def __init__(self) -> None:
        super().__init__("it broke")
        self.lock = lambda: 1


def chained() -> Exception:
    """An error, of an error that has words of its own, of one that cannot travel."""
    middle = KeyError("shelf")
    middle.__cause__ = Unportable()
    error = ValueError("no more")
    error.args = ("no more", "at all")
    error.code = 7  # type: ignore[attr-defined]
    error.__cause__ = middle
    return error


def circular() -> Exception:
    """An error that is its own cause, by another one."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


MAKERS: dict[str, Any] = {
    "exits": Exits,
    "exits error": ExitsError,
    "wordless": lambda: Wordless(1, 2),
    "refuses": Refuses,
    "function": lambda: lambda: 1,
    "long": lambda: ValueError("x" * 40_000_000),
    "large": lambda: b"x" * 3_000_000,
    "too large": lambda: b"x" * 40_000_000,
    "chained": chained,
    "circular": circular,
}


async def test_what_cannot_be_sent_or_read_is_named_and_harms_nothing_else() -> None:
    async with two() as (a, b):
        b.system.spawn(Notebook, name="book")
        ref = a.ref("two", "book")
        for what in ("exits", "refuses", "function", "too large"):
            with pytest.raises(MessageNotPortable):
                await ref.ask(Make(what))
            with pytest.raises(MessageNotPortable):
                async for _ in ref.stream(Items(what)):
                    pass
        for what in ("exits error", "wordless", "long"):
            with pytest.raises(RemoteFailure, match=r"Error|Wordless") as failed:
                await ref.ask(Make(what))
            assert len(str(failed.value)) < 12_000
        for message in (Exits(), Refuses(), lambda: 1, b"x" * 40_000_000):
            with pytest.raises(MessageNotPortable):
                await ref.ask(message)
            ref.tell(message)
            with send_context(baggage={"what": message}), pytest.raises(MessageNotPortable):
                await ref.ask(Log())
        assert await ref.ask(Log()) == []
        assert Notebook.closed == 4


async def test_answers_that_are_large_together_come_all_the_same() -> None:
    network = Network()
    async with two(network) as (a, b):
        b.system.spawn(Notebook, name="book")
        ref = a.ref("two", "book")
        sizes = []
        carry = network.deliver

        async def measured(sender: str, receiver: str, frame: bytes) -> bytes:
            said = await carry(sender, receiver, frame)
            sizes.append(max(len(frame), len(said)))
            return said

        network.deliver = measured  # type: ignore[method-assign]
        answers = await asyncio.gather(*[ref.ask(Make("large")) for _ in range(30)])
        assert {len(answer) for answer in answers} == {3_000_000}
        assert max(sizes) < 8_000_000


async def test_messages_of_all_kinds_are_taken_in_the_order_sent() -> None:
    async with two() as (a, b):
        b.system.spawn(Notebook, name="book")
        ref = a.ref("two", "book")
        streams = []
        for number in range(0, 100, 2):
            streams.append(ref.stream(NoteAndCount(number)))
            ref.tell(Note(number + 1))
        assert await ref.ask(Log()) == list(range(100))
        for stream in streams:
            assert [item async for item in stream] == []


async def test_an_acknowledgement_that_gets_lost_costs_no_answer_however_much_goes_meanwhile() -> None:
    network = Network(timeout=0.3)
    async with two(network) as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        await ref.ask(Add(0))
        network.lost_acknowledgements = 1.0
        asked = ref.ask(Add(1))
        await asyncio.sleep(0.01)
        network.lost_acknowledgements = 0.0
        others = []
        for _ in range(100):
            others.append(ref.ask(Add(1)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            assert await asked == 1
            assert await asyncio.gather(*others) == list(range(2, 102))


async def test_references_to_actors_that_are_dead_are_taken_for_dead_and_the_message_arrives() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listener: ActorRef[Any] = a.system.spawn(Listener, heard, name="listener")
        dead: ActorRef[Any] = a.system.spawn(Counter, name="dead")
        await dead.stop()
        a.ref("two", "counter").tell(ReplyTo(listener, ReplyTo(dead, "hello")))
        async with asyncio.timeout(5):
            came = (await heard.get()).ref
        with pytest.raises(ActorDead):
            await came.ask(Add(1))
        with pytest.raises(ActorDead):
            await a.ref("one", "nobody").ask(Add(1))


async def test_a_node_that_was_declared_gone_and_is_there_again_can_be_reached() -> None:
    for here, there in ((0, 1), (1, 0)):
        async with two() as nodes:
            a, b = nodes[here], nodes[there]
            b.system.spawn(Counter, name="counter")
            assert await a.ref(b.id, "counter").ask(Add(1)) == 1
            a.left(b.id, "its lease has run out")
            gone = a.ref_to(b.id, "counter", "")
            with pytest.raises(ActorDead):
                await gone.ask(Add(1))
            a.joined(b.id, b.name)
            async with asyncio.timeout(5):
                assert await a.ref(b.id, "counter").ask(Add(1)) == 2


async def test_what_stood_for_actors_that_are_dead_is_kept_by_nobody() -> None:
    async with two() as (a, b):
        for number in range(300):
            ref: ActorRef[Any] = b.system.spawn(Counter, name=f"counter-{number}")
            assert await a.ref("two", f"counter-{number}").ask(Add(1)) == 1
            await ref.stop()
        await asyncio.sleep(0.1)
        assert len(a._addresses) < 10
        assert len(a._stand_ins) < 10


async def test_a_node_that_begins_anew_under_its_id_is_understood_at_once() -> None:
    for here, there in ((0, 1), (1, 0)):
        network = Network()
        async with two(network) as nodes:
            a, b = nodes[here], nodes[there]
            b.system.spawn(Counter, name="counter")
            for _ in range(5):
                assert await a.ref(b.id, "counter").ask(Add(0)) == 0
                a.left(b.id, "it has left")
                a.joined(b.id, b.name)
            await a.close()
            again = Node(a.id, a.name, a.system, network.transport())
            again.joined(b.id, b.name)
            await again.open()
            async with asyncio.timeout(5):
                assert await again.ref(b.id, "counter").ask(Add(1)) == 1
            await again.close()


async def test_work_for_a_node_that_cannot_be_reached_any_more_is_cancelled() -> None:
    for here, there in ((0, 1), (1, 0)):
        network = Network(timeout=0.05)
        async with two(network) as nodes:
            a, b = nodes[here], nodes[there]
            a._patience = b._patience = 0.2
            b.system.spawn(Counter, name="counter")
            asked = a.ref(b.id, "counter").ask(Hang())
            await a.ref(b.id, "counter").ask(Add(1))
            network.cut([a.id], [b.id])
            with pytest.raises(NodeGone):
                await asked
            async with asyncio.timeout(5):
                await Counter.cancelled.wait()


async def test_many_asks_leave_nothing_behind() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        for _ in range(20):
            await asyncio.gather(*[ref.ask(Add(1)) for _ in range(500)])
        assert [item async for item in ref.stream(Count(10_000))] == list(range(10_000))
        gc.collect()
        for node, other in ((a, b), (b, a)):
            talk: Any = node._peers[other.id]._connection.within  # type: ignore[union-attr]
            held = (talk._asked, talk._reading, talk._serving, talk._producing)
            assert [len(one) for one in held] == [0, 0, 0, 0]


async def test_streams_that_are_left_at_any_moment_leave_nothing_behind() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        await ref.ask(Add(0))
        for passes in range(40):
            stream = ref.stream(Count(1_000), buffer=1)
            for _ in range(passes):
                await asyncio.sleep(0)
            await stream.aclose()
        await asyncio.sleep(0.1)
        for node, other in ((a, b), (b, a)):
            talk: Any = node._peers[other.id]._connection.within  # type: ignore[union-attr]
            assert [len(one) for one in (talk._reading, talk._producing)] == [0, 0]


async def test_a_transport_that_raises_what_it_should_not_costs_no_answer(caplog: Any) -> None:
    caplog.set_level(100)
    network = Network()
    async with two(network) as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        assert await ref.ask(Add(1)) == 1
        carry = network.deliver
        failed: list[bytes] = []

        async def failing(sender: str, receiver: str, frame: bytes) -> bytes:
            if len(failed) < 6:
                failed.append(frame)
                raise OSError("broken")
            return await carry(sender, receiver, frame)

        network.deliver = failing  # type: ignore[method-assign]
        async with asyncio.timeout(10):
            for number in range(2, 12):
                assert await ref.ask(Add(1)) == number
        assert len(failed) == 6


def test_a_frame_that_gets_lost_on_a_network_is_sent_again_and_costs_no_answer() -> None:
    async def story() -> None:
        network = Network()
        async with two(network) as (a, b):
            b.system.spawn(Counter, name="counter")
            ref = a.ref("two", "counter")
            network.lost_frames = network.lost_acknowledgements = network.repeated_frames = 0.1
            assert [await ref.ask(Add(1)) for _ in range(40)] == list(range(1, 41))

    run_virtual(story())


async def test_only_nodes_that_have_taken_part_are_cut_off_or_paused() -> None:
    network = Network()
    with pytest.raises(NodeUnknown, match="here none yet"):
        network.pause("a")
    async with two(network):
        with pytest.raises(NodeUnknown, match=r"no node with the id 'one' .*`agency.nodes`, here a, b"):
            network.cut(["a"], ["one"])
        network.cut(["a"], ["b"])
    network.pause("b")


async def test_causes_of_an_error_travel_with_it_or_their_words() -> None:
    async with two() as (a, b):
        b.system.spawn(Notebook, name="book")
        with pytest.raises(ValueError, match="no more") as failed:
            await a.ref("two", "book").ask(Make("chained"))
        error = failed.value
        assert error.code == 7  # type: ignore[attr-defined]
        assert repr(error.__cause__) == "KeyError('shelf')"
        assert error.__cause__ is not None
        last = error.__cause__.__cause__
        assert type(last) is RemoteFailure
        assert str(last) == "Unportable: it broke"
        with pytest.raises(ValueError, match="one") as failed:
            await a.ref("two", "book").ask(Make("circular"))
        assert str(failed.value.__cause__) == "other"
