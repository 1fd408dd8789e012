"""Nodes of different versions: what a newer one says besides is not read, and what it says anew is named."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from callboard import ActorRef, send_context
from callboard.actors.cluster.errors import NodeGone, NodeUnreachable
from callboard.actors.cluster.link.frames import (
    PROTOCOL,
    Kind,
    Message,
    Opened,
    Taken,
    read_acknowledgement,
    read_frame,
    write_acknowledgement,
    write_frame,
)
from callboard.actors.cluster.network import Network
from callboard.actors.core.refs.watching import Terminated

from .test_refs import Add, Carried, Count, Counter, Fail, Hang, Listener, Watch, two

WITH_TARGET = {Kind.TELL: 1, Kind.ASK: 2, Kind.STREAM: 2, Kind.WATCH: 2}
WITH_CARRIED = {Kind.TELL: 3, Kind.ASK: 4, Kind.STREAM: 4}


def newer(messages: Sequence[Message]) -> list[Message]:
    """Messages as a newer version might send them: with more in them, and some of a kind that nobody knows."""
    made: list[Message] = [(99, 1, "of the future")]
    for message in messages:
        parts = [*message, "more"]
        for places in (WITH_TARGET, WITH_CARRIED):
            place = places.get(message[0])
            if place is not None and parts[place] is not None:
                parts[place] = (*parts[place], "more")
        made.append(tuple(parts))
    return made


class Newer(Network):
    """What it carries is of a newer version, both ways."""

    async def deliver(self, sender: str, receiver: str, frame: bytes) -> bytes:
        """See `Network.deliver`."""
        read = read_frame(frame)
        said = pickle.loads(write_frame(read._replace(messages=newer(read.messages) if read.number else ())))
        answer = await super().deliver(sender, receiver, pickle.dumps((*said, "more")))
        life, acknowledged = read_acknowledgement(answer)
        if isinstance(acknowledged, Taken):
            acknowledged = Taken([(*reply, "more") for reply in acknowledged.replies])
        return pickle.dumps((*pickle.loads(write_acknowledgement(life, acknowledged)), "more"))


async def test_a_node_understands_one_of_a_newer_version(caplog: pytest.LogCaptureFixture) -> None:
    for here, there in ((0, 1), (1, 0)):
        async with two(Newer()) as nodes:
            a, b = nodes[here], nodes[there]
            counter = b.system.spawn(Counter, name="counter")
            ref = a.ref(b.id, "counter")
            heard: asyncio.Queue[Any] = asyncio.Queue()
            listener: ActorRef[Any] = a.system.spawn(Listener, heard, name="listener")
            listener.tell(Watch(ref))
            ref.tell(Add(1))
            assert await ref.ask(Add(1)) == 2
            with pytest.raises(KeyError, match="nothing"):
                await ref.ask(Fail(KeyError("nothing")))
            with send_context(timeout=5.0, baggage={"who": "ann"}):
                assert await ref.ask(Carried()) == ({"who": "ann"}, True)
            assert [item async for item in ref.stream(Count(100), buffer=4)] == list(range(100))
            asked = ref.ask(Hang())
            await ref.ask(Carried())
            asked.cancel()
            await Counter.cancelled.wait()
            await counter.stop()
            assert isinstance(await heard.get(), Terminated)
    assert {record.message for record in caplog.records if record.levelno >= logging.WARNING} == {
        f"node {name} sent a message of a kind that is not known here: 99" for name in ("one", "two")
    }


async def test_a_node_of_another_protocol_is_gone_at_once_and_it_is_said_why(caplog: pytest.LogCaptureFixture) -> None:
    class Foreign(Network):
        def _foreign(self, data: bytes) -> bytes:
            return pickle.dumps((PROTOCOL + 1, *pickle.loads(data)[1:]))

        async def deliver(self, sender: str, receiver: str, frame: bytes) -> bytes:
            return self._foreign(await super().deliver(sender, receiver, self._foreign(frame)))

    for here, there in ((0, 1), (1, 0)):
        async with two(Foreign()) as nodes:
            a, b = nodes[here], nodes[there]
            for _ in range(2):
                with pytest.raises(NodeGone, match=f"protocol {PROTOCOL + 1} of frames; this node speaks {PROTOCOL}"):
                    await a.ref(b.id, "counter").ask(Add(1))
            said = [record.message for record in caplog.records if "is not understood" in record.message]
            assert len(said) == 1
            assert said[0].startswith(f"node {a.name} is not understood")
            caplog.clear()


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.0", pickle.dumps(5), pickle.dumps(()), pickle.dumps((1,))])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    for read in (read_frame, read_acknowledgement):
        with pytest.raises(NodeUnreachable, match=r"no frame|protocol"):
            read(data)


def test_frames_and_acknowledgements_of_another_protocol_are_refused() -> None:
    _, *rest = pickle.loads(write_acknowledgement(5, Opened(7)))
    assert read_acknowledgement(write_acknowledgement(5, Opened(7))) == (5, Opened(7))
    with pytest.raises(NodeUnreachable, match=f"protocol {PROTOCOL + 1}"):
        read_acknowledgement(pickle.dumps((PROTOCOL + 1, *rest)))
    with pytest.raises(NodeUnreachable, match=f"protocol {PROTOCOL}"):
        read_acknowledgement(pickle.dumps((PROTOCOL, 5, "Unheard of")))
    with pytest.raises(NodeUnreachable, match=f"protocol {PROTOCOL + 1}"):
        read_frame(pickle.dumps((PROTOCOL + 1, 1, 1, 1, 1, [])))
    with pytest.raises(NodeUnreachable, match=f"protocol {PROTOCOL}"):
        read_frame(pickle.dumps((PROTOCOL, 1, 1, 1, 1)))
