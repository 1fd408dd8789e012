"""What goes on within one connection: asks and their answers, streams, who watches whom; both ways."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import Any, Final, Protocol

from ...core.base.errors import ActorDead, CoreError
from ...core.base.send_context import SendContext, active
from ...core.mail.future import Future
from ...core.refs.ref import ActorRef
from ..errors import MessageNotPortable, NodeGone
from ..transport import LARGEST
from .answering import Producer, Soon
from .frames import Carried, Kind, Message, Target
from .peer import Peer
from .portable import Place, read, write, write_error
from .reading import Incoming, Reading

logger = logging.getLogger("callboard.cluster")

_ids = count(1)


class House(Place, Protocol):
    """The node that talks."""

    def actor_at(self, target: Target) -> ActorRef[Any] | None:
        """The actor here that another node means."""

    def watch_for(self, ref: ActorRef[Any], told: Callable[[str], object]) -> Callable[[], object]:
        """Have it told when an actor here is dead; return what ends that."""


class Talk:
    """See `Conversing`.

    Args:
        house: the node.
        peer: the other one.
    """

    def __init__(self, house: House, peer: Peer) -> None:
        self._house = house
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._over: NodeGone | None = None
        # What this node wants of the other one, by ids of this node's.
        self._asked: dict[int, tuple[Future[Any], str]] = {}
        self._reading: dict[int, Incoming] = {}
        self._watching: dict[int, Callable[[str], object]] = {}
        # What the other one wants, by ids of the other one's.
        self._serving: dict[int, Future[Any]] = {}
        self._producing: dict[int, Producer] = {}
        self._watched: dict[int, Callable[[], object]] = {}

    @property
    def over(self) -> bool:
        """Whether the connection is."""
        return self._over is not None

    @property
    def matters(self) -> bool:
        """See `Conversing.matters`."""
        return bool(self._asked or self._reading or self._watching or self._serving or self._producing or self._watched)

    # -- wishes of this node -------------------------------------------------------------------------------------------

    def tell(self, target: Target, message: Any, priority: int = 0) -> None:
        """Send a message to an actor over there.

        Raises:
            MessageNotPortable: it cannot be written; nothing was sent.
        """
        self._send(Kind.TELL, tuple(target), self._written(target, message), self._carried(target), priority)

    def ask(self, target: Target, message: Any, priority: int = 0) -> Future[Any]:
        """Ask an actor over there. Cancelling the future cancels its work.

        Raises:
            MessageNotPortable: it cannot be written; nothing was sent.
        """
        written, carried, id = self._written(target, message), self._carried(target), next(_ids)
        future: Future[Any] = Future()
        if self._over is not None:
            future.set_exception(self._over)
            return future
        self._asked[id] = future, target.path
        self._send(Kind.ASK, id, tuple(target), written, carried, priority)
        future.when_done(lambda _: self._no_more(id))
        return future

    def _no_more(self, id: int) -> None:
        if self._asked.pop(id, None) is not None:  # not answered: whoever asked has given up
            self._send(Kind.CANCEL, id)

    def stream(self, target: Target, message: Any, buffer: int = 16) -> Reading:
        """Ask an actor over there for a stream, at once; the items that it answers with. Leaving it cancels the
        producer.

        Raises:
            MessageNotPortable: it cannot be written; nothing was sent.
        """
        written, carried, id = self._written(target, message), self._carried(target), next(_ids)
        if self._over is not None:
            raise self._over
        incoming = self._reading[id] = Incoming(buffer, lambda more: self._send(Kind.CREDIT, id, more))
        self._send(Kind.STREAM, id, tuple(target), written, carried, buffer)
        return Reading(incoming, partial(self._read_no_more, id))

    def _read_no_more(self, id: int) -> None:
        if self._reading.pop(id, None) is not None:
            self._send(Kind.CANCEL, id)

    def watch(self, target: Target, told: Callable[[str], object]) -> Callable[[], object]:
        """Have it told, once, when an actor over there is dead, or the connection is over; return what ends that."""
        id = next(_ids)
        if self._over is not None:
            told(str(self._over))
            return lambda: None
        self._watching[id] = told
        self._send(Kind.WATCH, id, tuple(target))

        def end() -> None:
            if self._watching.pop(id, None) is not None:
                self._send(Kind.CANCEL, id)

        return end

    # -- what comes ----------------------------------------------------------------------------------------------------

    def take(self, messages: Sequence[Message]) -> asyncio.Future[Sequence[Message]] | Sequence[Message]:
        """See `Conversing.take`."""
        waiting = Soon(self._loop)
        for message in messages:
            try:
                self._take(message, waiting)
            except Exception:  # the others are taken all the same, and the sender need not send it again
                logger.exception("a message of node %s could not be taken", self._peer.name)
        return waiting.closed()

    def _take(self, message: Message, waiting: Soon) -> None:
        handler = _HANDLERS.get(message[0])
        if handler is None:
            self._unknown(message)
        elif message[0] == Kind.ASK:
            self._on_ask(waiting, *message[1:6])
        else:
            handler(self, *message[1 : 1 + handler.__code__.co_argcount - 1])

    def replies(self, messages: Sequence[Message]) -> None:
        """See `Conversing.replies`."""
        for message in messages:
            try:
                if message[0] == Kind.REPLY:
                    self._on_reply(*message[1:3])
                else:
                    self._on_failure(*message[1:3])
            except Exception:  # as above
                logger.exception("an answer of node %s could not be taken", self._peer.name)

    def _unknown(self, message: Message) -> None:
        """A kind of a newer version: where an answer is wanted, it is said that it is not known."""
        logger.warning("node %s sent a message of a kind that is not known here: %r", self._peer.name, message[0])

    def _on_tell(self, target: Any, what: bytes, carried: Any, priority: int) -> None:
        found = Target(*target[:2])
        try:
            with _InForce(self._context(carried)):
                self._there(found).tell(
                    read(what, self._house, lambda: f"a message to {found.path}"), priority=priority
                )
        except (CoreError, MessageNotPortable) as error:
            logger.warning("a message of node %s was not delivered: %s", self._peer.name, error)

    def _on_ask(self, waiting: Soon, id: int, target: Any, what: bytes, carried: Any, priority: int) -> None:
        found = Target(*target[:2])
        try:
            with _InForce(self._context(carried)):
                message = read(what, self._house, lambda: f"a message to {found.path}")
                future = self._there(found).ask(message, priority=priority)
        except (CoreError, MessageNotPortable) as error:
            self._say(waiting, (Kind.FAILURE, id, write_error(error, self._house)))
            return
        self._serving[id] = future
        waiting.expect(id)
        future.when_done(lambda future: self._answered(waiting, id, future))

    def _answered(self, waiting: Soon, id: int, future: Any) -> None:
        if self._serving.pop(id, None) is None:
            return  # nobody wants it any more
        if future.cancelled():
            said: Message = (Kind.FAILURE, id, write_error(asyncio.CancelledError(), self._house))
        elif (failed := future.exception()) is not None:
            said = (Kind.FAILURE, id, write_error(failed, self._house))
        else:
            try:
                said = (Kind.REPLY, id, self._fitting(future.result(), "an answer"))
            except MessageNotPortable as error:
                said = (Kind.FAILURE, id, write_error(error, self._house))
        self._say(waiting, said)

    def _say(self, waiting: Soon, said: Message) -> None:
        """Answer: with the acknowledgement where it is in time and there is room, or else in a frame."""
        if not waiting.take(said):
            self._send(*said)

    def _on_cancel(self, id: int) -> None:
        serving = self._serving.pop(id, None)
        if serving is not None:
            serving.cancel()
        producer = self._producing.pop(id, None)
        if producer is not None:
            producer.cancel()
        watched = self._watched.pop(id, None)
        if watched is not None:
            watched()

    def _on_reply(self, id: int, what: bytes) -> None:
        asked = self._asked.pop(id, None)
        if asked is None or asked[0].done():
            return
        try:
            asked[0].set(read(what, self._house, lambda: f"the answer of {asked[1]}"))
        except MessageNotPortable as error:
            asked[0].set_exception(error)

    def _on_failure(self, id: int, what: bytes) -> None:
        asked = self._asked.pop(id, None)
        if asked is None or asked[0].done():
            return
        error = self._error(what, f"the error of {asked[1]}")
        if isinstance(error, asyncio.CancelledError):
            asked[0].cancel()
        else:
            asked[0].set_exception(error)

    def _on_stream(self, id: int, target: Any, what: bytes, carried: Any, buffer: int) -> None:
        found = Target(*target[:2])
        try:
            with _InForce(self._context(carried)):
                message = read(what, self._house, lambda: f"a message to {found.path}")
                items = self._there(found).stream(message, buffer=buffer)
        except (CoreError, MessageNotPortable, ValueError) as error:
            self._send(Kind.END, id, write_error(error, self._house))
            return
        producer = self._producing[id] = Producer(items, buffer)
        producer.task = self._loop.create_task(self._produce(id, producer), name=f"stream to {self._peer.name}")

    async def _produce(self, id: int, producer: Producer) -> None:
        error: BaseException | None = None
        try:
            async with aclosing(producer.items()) as items:
                async for item in items:
                    self._send(Kind.ITEM, id, self._fitting(item, "an item"))
        except asyncio.CancelledError:
            if id not in self._producing:
                raise  # nobody wants more
            error = asyncio.CancelledError()
        except Exception as failed:
            error = failed
        if self._producing.pop(id, None) is not None:
            self._send(Kind.END, id, None if error is None else write_error(error, self._house))

    def _on_credit(self, id: int, more: int) -> None:
        producer = self._producing.get(id)
        if producer is not None:
            producer.more(more)

    def _on_item(self, id: int, what: bytes) -> None:
        incoming = self._reading.get(id)
        if incoming is None:
            return
        try:
            incoming.put(read(what, self._house, lambda: "an item of a stream"))
        except MessageNotPortable as error:
            del self._reading[id]
            incoming.end(error)
            self._send(Kind.CANCEL, id)

    def _on_end(self, id: int, what: bytes | None) -> None:
        incoming = self._reading.pop(id, None)
        if incoming is not None:
            incoming.end(None if what is None else self._error(what, "the error of a stream"))

    def _on_watch(self, id: int, target: Any) -> None:
        found = Target(*target[:2])
        ref = self._house.actor_at(found)
        if ref is None:
            self._send(Kind.GONE, id, "not found")
            return
        self._watched[id] = self._house.watch_for(ref, lambda reason: self._ended(id, reason))

    def _ended(self, id: int, reason: str) -> None:
        if self._watched.pop(id, None) is not None:
            self._send(Kind.GONE, id, reason)

    def _on_gone(self, id: int, reason: str) -> None:
        told = self._watching.pop(id, None)
        if told is not None:
            told(reason)

    # -- the end -------------------------------------------------------------------------------------------------------

    def end(self, error: NodeGone) -> None:
        """See `Conversing.end`."""
        self._over = error
        asked, self._asked = self._asked, {}
        for future, path in asked.values():
            if not future.done():
                future.set_exception(NodeGone(f"{path}: {error}"))
        reading, self._reading = self._reading, {}
        for incoming in reading.values():
            incoming.end(error)
        watching, self._watching = self._watching, {}
        for told in watching.values():
            told(str(error))
        for id in [*self._serving, *self._producing, *self._watched]:
            self._on_cancel(id)  # nobody is there any more who could want it

    # -- within --------------------------------------------------------------------------------------------------------

    def _send(self, kind: int, *rest: Any) -> None:
        if self._over is None:
            self._peer.send((int(kind), *rest), 64 + sum(len(one) for one in rest if isinstance(one, bytes)))

    def _written(self, target: Target, message: Any) -> bytes:
        return self._fitting(message, f"a message to {target.path}")

    def _fitting(self, what: Any, name: str) -> bytes:
        written = write(what, self._house, lambda: name)
        if len(written) > LARGEST // 2:
            raise MessageNotPortable(f"{name} has {len(written):,} bytes; {LARGEST // 2:,} can be sent to another node")
        return written

    def _carried(self, target: Target) -> Carried | None:
        context = active.get()
        if context is None or (context.deadline is None and not context.baggage):
            return None
        seconds = None if context.deadline is None else context.deadline - self._loop.time()
        baggage = self._fitting(dict(context.baggage), f"the baggage for {target.path}") if context.baggage else b""
        return Carried(seconds, baggage)

    def _context(self, carried: Any) -> SendContext | None:
        if carried is None:
            return None
        seconds, baggage = carried[:2]
        deadline = None if seconds is None else self._loop.time() + seconds
        return SendContext(deadline, read(baggage, self._house, lambda: "baggage") if baggage else {})

    def _there(self, target: Target) -> ActorRef[Any]:
        ref = self._house.actor_at(target)
        if ref is None:
            raise ActorDead(f"no actor {target.path} is on node {self._house.name}")
        return ref

    def _error(self, what: bytes, name: str) -> BaseException:
        try:
            found = read(what, self._house, lambda: name)
        except MessageNotPortable as error:
            return error
        return found if isinstance(found, BaseException) else MessageNotPortable(f"{name} is none")


class _InForce:
    """A send context in force for a block; cheaper than a generator, for each message that comes."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: SendContext | None) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = active.set(self._context)

    def __exit__(self, *_: object) -> None:
        active.reset(self._token)


_HANDLERS: Final[dict[int, Any]] = {
    Kind.TELL: Talk._on_tell,
    Kind.ASK: Talk._on_ask,
    Kind.CANCEL: Talk._on_cancel,
    Kind.REPLY: Talk._on_reply,
    Kind.FAILURE: Talk._on_failure,
    Kind.STREAM: Talk._on_stream,
    Kind.CREDIT: Talk._on_credit,
    Kind.ITEM: Talk._on_item,
    Kind.END: Talk._on_end,
    Kind.WATCH: Talk._on_watch,
    Kind.GONE: Talk._on_gone,
}
