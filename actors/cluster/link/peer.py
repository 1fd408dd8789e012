"""The connection to one other node: what is sent there in order, what comes from there, and its end for both sides.

Of two nodes the one with the lower id opens the connections, numbered from 1, the other one asks it to. A connection
that fails on either side is over on both: whoever hears of an older one is told so, and what was under way ends in
`NodeGone`. Within a connection a frame that did not get through is sent again under its number, and taken once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

from ..errors import NodeGone, NodeUnreachable
from ..transport import Transport
from .frames import (
    Acknowledgement,
    Frame,
    Message,
    Opened,
    OtherProtocol,
    Over,
    Taken,
    read_acknowledgement,
    write_acknowledgement,
    write_frame,
)

WINDOW: Final = 4
"""Frames on their way to one node at once."""

KEPT: Final = 4 * WINDOW
"""Frames for which it is kept what was said of them. None goes so far ahead of one of which nothing was heard yet."""

FULL: Final = 512
"""Messages in a frame at most."""

BYTES: Final = 1_000_000
"""Bytes of messages after which a frame is closed; one message may be larger."""

PATIENCE: Final = 5.0
"""Seconds for which a frame that does not get through is sent again, before the connection is over."""

FIRST_PAUSE: Final = 0.02
LAST_PAUSE: Final = 0.5
"""Seconds between two tries; each pause is twice the one before."""

WORDS: Final = 300
"""Characters at most of why a frame did not get through."""

SIGN_OF_LIFE: Final = 1.0
"""Seconds without a frame after which an empty one is sent, where it matters whether the other node is there."""


logger = logging.getLogger("callboard.cluster")

_births = count(1)


class Conversing(Protocol):
    """What goes on within one connection: made with it, and ended with it."""

    @property
    def matters(self) -> bool:
        """Whether something is expected of the other node, or done for it: its absence is to be noticed."""

    def take(self, messages: Sequence[Message]) -> asyncio.Future[Sequence[Message]] | Sequence[Message]:
        """Take messages that came, in order; what is returned travels with the acknowledgement."""

    def replies(self, messages: Sequence[Message]) -> None:
        """Take what came with an acknowledgement."""

    def end(self, error: NodeGone) -> None:
        """The connection is over."""


class Undelivered(NamedTuple):
    """A frame of which nobody knows whether it arrived, and why."""

    why: str


class Peer:
    """Another node, for as long as this program runs.

    Args:
        me, other: the ids of both nodes.
        name: of the other, for people.
        transport: what carries frames.
        begin: makes what goes on within a new connection.
        patience: see `PATIENCE`.
    """

    def __init__(
        self,
        me: str,
        other: str,
        name: str,
        transport: Transport,
        begin: Callable[[Peer], Conversing],
        patience: float = PATIENCE,
    ) -> None:
        self.other = other
        self.name = name
        self._opens = me < other
        self._transport = transport
        self._begin = begin
        self._patience = patience
        self._life = next(_births)
        """Of this node; see `Frame`."""
        self._other_life = 0
        self._last = 0
        """The number of the latest connection that is known of."""
        self._connection: Connection | None = None
        self._asking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def conversing(self) -> Conversing:
        """What goes on with the other node; a connection is opened where there is none."""
        connection = self._connection
        if connection is None:
            connection = self._open(self._last + 1 if self._opens else 0)
        return connection.within

    def send(self, message: Message, size: int) -> None:
        """Send a message within the present connection.

        Args:
            message: to send.
            size: about how many bytes it has.
        """
        connection = self._connection
        if connection is not None:
            connection.send(message, size)

    def end(self, error: NodeGone) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._last = max(self._last, connection.number)
            connection.end(error)

    async def close(self, error: NodeGone) -> None:
        """End the connection, and whatever is on its way."""
        self.end(error)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- what comes ----------------------------------------------------------------------------------------------------

    async def receive(self, frame: Frame) -> bytes:
        """Take a frame; return the acknowledgement."""
        return write_acknowledgement(self._life, await self._received(frame))

    async def _received(self, frame: Frame) -> Acknowledgement:
        if frame.to not in (0, self._life) or not self._lives(frame.life):
            return Over()
        if frame.number == 0:
            return self._wanted(frame.connection)
        connection = self._connection
        if connection is not None and connection.number == 0 and frame.connection > self._last:
            connection.opened(frame.connection)
            self._last = frame.connection
        elif frame.connection > self._last or (connection is not None and frame.connection > connection.number):
            if self._opens:  # of an earlier life of this node, which nobody remembers
                return Over()
            self.end(self.gone("it has begun anew"))
            self._last = frame.connection
            connection = self._open(frame.connection)
        if connection is None or frame.connection != connection.number:
            return Over()
        replies = await connection.arrived(frame)
        return Over() if replies is None else Taken(replies)

    def _lives(self, life: int) -> bool:
        """What the other one says of itself; whether it is so still. Where it has begun anew, all before is over."""
        if life > self._other_life:
            if self._other_life:
                self.end(self.gone("it has begun anew"))
                if not self._opens:
                    self._last = 0
            self._other_life = life
        return life == self._other_life

    def _wanted(self, known: int) -> Acknowledgement:
        """The other one wants a connection, and knows of those up to a number."""
        if not self._opens:
            return Over()
        connection = self._connection
        if connection is None or connection.number <= known:
            self.end(self.gone("the connection broke off"))
            self._last = max(self._last, known)
            connection = self._open(self._last + 1)
        return Opened(connection.number)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _open(self, number: int) -> Connection:
        connection = self._connection = Connection(self, number)
        self._last = max(self._last, number)
        connection.within = self._begin(self)
        if number == 0:
            self._do(self._ask_for_one(connection))
        return connection

    async def _ask_for_one(self, connection: Connection) -> None:
        said = await self.deliver(self._last, 0, (), lambda: connection is self._connection and not connection.number)
        if connection is not self._connection or connection.number:
            return  # one has come meanwhile
        if isinstance(said, Opened) and said.connection > self._last:
            self._last = said.connection
            connection.opened(said.connection)
        else:
            why = f": {said.why}" if isinstance(said, Undelivered) else ""
            self.end(self.gone(f"there is no way to it{why}"))

    async def deliver(
        self, connection: int, number: int, messages: Sequence[Message], wanted: Callable[[], bool]
    ) -> Acknowledgement | Undelivered:
        """Send a frame until it got through, as long as it is wanted and there is patience.

        Returns:
            what was said of it.
        """
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._patience, FIRST_PAUSE
        frame = write_frame(Frame(self._life, self._other_life, connection, number, messages))
        why = "it is not wanted any more"
        while wanted():
            try:
                life, said = read_acknowledgement(await self._transport.send(self.other, frame))
                self._lives(life)
                return said
            except OtherProtocol as error:  # it will be tomorrow
                return Undelivered(str(error))
            except NodeUnreachable as error:
                why = str(error).partition("\n")[0][:WORDS]
            except Exception as error:  # whatever a transport raises: what waits for the frame must end
                logger.exception("a frame for node %s could not be sent", self.name)
                why = type(error).__name__
            if loop.time() >= until:
                break
            await asyncio.sleep(pause)
            pause = min(LAST_PAUSE, 2 * pause)
        return Undelivered(why)

    def failed(self, connection: Connection, why: str) -> None:
        """A connection is of no use any more."""
        if connection is self._connection:
            self.end(self.gone(why))

    def gone(self, why: str) -> NodeGone:
        """The named error of what was under way."""
        who = f"node {self.name} ({self.other})"
        return NodeGone(f"{who} is gone: {why}; what was asked of it may have been done or not")

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"to {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Connection:
    """Frames both ways, in order, under one number; 0 until the number is known.

    Args:
        peer: whose.
        number: of the connection.
    """

    within: Conversing

    def __init__(self, peer: Peer, number: int) -> None:
        self.number = number
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._over = False
        self._out: deque[tuple[Message, int]] = deque()
        self._sent = 0
        self._flying: set[int] = set()
        self._due: asyncio.Handle | None = None
        self._sign: asyncio.TimerHandle | None = None
        self._next = 1
        """The number of the frame that is taken next."""
        self._early: dict[int, Frame] = {}
        self._known: dict[int, asyncio.Future[Sequence[Message] | None]] = {}
        """What was, or will be, said of the latest frames: one whose acknowledgement got lost comes again."""

    # -- going ---------------------------------------------------------------------------------------------------------

    def opened(self, number: int) -> None:
        """The number is known: what waits can go."""
        self.number = number
        self._depart_soon()

    def send(self, message: Message, size: int) -> None:
        """Have a message go with the next frame."""
        self._out.append((message, size))
        self._depart_soon()

    def _depart_soon(self) -> None:
        """What is sent in one pass of the loop goes together."""
        if self._due is None and self._out and self.number and self._may_go() and not self._over:
            self._due = self._loop.call_soon(self._depart)

    def _may_go(self) -> bool:
        flying = self._flying
        return not flying or (len(flying) < WINDOW and self._sent + 1 - min(flying) < KEPT)

    def _depart(self) -> None:
        self._due = None
        if self._over:
            return
        messages: list[Message] = []
        room = BYTES
        while self._out and len(messages) < FULL and (room > 0 or not messages):
            message, size = self._out[0]
            if messages and size > room:
                break
            self._out.popleft()
            messages.append(message)
            room -= size
        self._sent += 1
        self._flying.add(self._sent)
        self._peer._do(self._carry(self._sent, messages))
        self._depart_soon()

    async def _carry(self, number: int, messages: Sequence[Message]) -> None:
        said = await self._peer.deliver(self.number, number, messages, lambda: not self._over)
        if self._over:
            return
        self._flying.discard(number)
        if isinstance(said, Taken):
            self.within.replies(said.replies)
            self._depart_soon()
            self._watch_over()
        elif isinstance(said, Over):
            self._peer.failed(self, "the connection is over on its side")
        else:
            why = f": {said.why}" if isinstance(said, Undelivered) else ""
            self._peer.failed(self, f"nothing gets through to it{why}")

    def _watch_over(self) -> None:
        """Look after the other one where it matters, and nothing else goes there."""
        if self._sign is None and not self._over:
            self._sign = self._loop.call_later(SIGN_OF_LIFE, self._show_life)

    def _show_life(self) -> None:
        self._sign = None
        if self._over or not self.within.matters:
            return
        if not self._flying and not self._out:
            self._depart()
        else:
            self._watch_over()

    # -- coming --------------------------------------------------------------------------------------------------------

    async def arrived(self, frame: Frame) -> Sequence[Message] | None:
        """Take a frame in its turn, once; return what travels with the acknowledgement; None where all is over."""
        known = self._known.get(frame.number)
        if known is None:
            if frame.number < self._next:
                return ()  # long ago; what was said of it then was heard, or it would not be so long ago
            known = self._known[frame.number] = self._loop.create_future()
            self._early[frame.number] = frame
            while (frame_now := self._early.pop(self._next, None)) is not None:
                self._next += 1
                self._known.pop(frame_now.number - KEPT, None)
                self._take(frame_now)
        return await asyncio.shield(known)

    def _take(self, frame: Frame) -> None:
        known = self._known[frame.number]
        found = self.within.take(frame.messages)
        self._watch_over()
        if not isinstance(found, asyncio.Future):
            known.set_result(found)
            return
        found.add_done_callback(partial(_pass_on, known))

    # -- the end -------------------------------------------------------------------------------------------------------

    def end(self, error: NodeGone) -> None:
        """Nothing goes, and nothing comes, any more."""
        self._over = True
        self._out.clear()
        self._early.clear()
        for handle in (self._due, self._sign):
            if handle is not None:
                handle.cancel()
        for known in self._known.values():
            if not known.done():
                known.set_result(None)
        self.within.end(error)


def _pass_on(known: asyncio.Future[Sequence[Message] | None], found: asyncio.Future[Sequence[Message]]) -> None:
    if not known.done():
        known.set_result(found.result())
