"""What stands here for an actor on another node, so that a reference to it is one like any other."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from ..core.actor import Actor
from ..core.base.errors import ActorDead
from ..core.base.events import suppress_dead_letter
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from ..core.refs.watching import Terminated
from .errors import MessageNotPortable
from .link.frames import Target
from .link.reading import Reading
from .link.talk import Talk

logger = logging.getLogger("callboard.cluster")


@suppress_dead_letter
class Gone(NamedTuple):
    """The actor that is stood for is dead, or its node is gone."""

    reason: str


@suppress_dead_letter
class _Ended(NamedTuple):
    """An ask or a stream has ended, and the actor that is stood for is dead."""


class StandIn(Actor):
    """Hands on what it is sent, to an actor on another node, and answers what that one answers. It is dead once that
    one is, or once nobody can tell.

    Args:
        talk: with the node.
        target: the actor there.
        ended: called with this one's reference once it is dead.
    """

    def __init__(self, talk: Talk, target: Target, ended: Callable[[ActorRef[Any]], object]) -> None:
        super().__init__()
        self._talk = talk
        self._has_ended = ended
        self._target = target
        self._unwatch: Callable[[], object] | None = None
        self._gone = False
        self._open = 0
        """Asks and streams that the other one has not ended yet: each gets its own error, and not this actor's end."""

    def on_start(self) -> None:
        """Hear of the other one's end."""
        me = self.ref
        self._unwatch = self._talk.watch(self._target, lambda reason: me.tell(Gone(reason)) if me.is_alive() else None)

    def on_stop(self) -> None:
        """Nobody here wants to know any more."""
        self._has_ended(self.ref)
        if self._unwatch is not None:
            self._unwatch()

    def on_receive(self, message: Any) -> Any:
        """Hand it on."""
        if type(message) is Gone:
            self._unwatch, self._gone = None, True
            self._stop_once_answered()
            return None
        if type(message) is _Ended:
            self._stop_once_answered()
            return None
        expects = self.expects
        try:
            if expects == "answer":
                return self.reply_with(self._answer(self._talk.ask(self._target, message)))
            if expects == "stream":
                return self._items(self._talk.stream(self._target, message))
            self._talk.tell(self._target, message)
        except MessageNotPortable as error:
            if expects != "nothing":
                return self.reply_with(_raised(error))
            logger.error("not sent: %s", error)
        return None

    async def _answer(self, future: Future[Any]) -> Any:
        self._open += 1
        try:
            return await future
        finally:
            self._ended()

    async def _items(self, items: Reading) -> AsyncIterator[Any]:
        self._open += 1
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()
            self._ended()

    def _ended(self) -> None:
        self._open -= 1
        if self._gone:
            self.ref.tell(_Ended())

    def _stop_once_answered(self) -> None:
        if not self._open:
            self.stop()


async def _raised(error: Exception) -> None:
    raise error


class Nobody(Actor):
    """What a reference leads to whose actor is dead, or whose node is gone."""

    def on_start(self) -> None:
        """Be dead as well."""
        self.stop()

    def on_receive(self, message: Any) -> Any:
        """Say so to whoever was quicker."""
        if self.expects == "nothing":
            logger.warning("a message to %s was not delivered: it is dead", self.ref.path)
            return None
        return self.reply_with(_raised(ActorDead(f"{self.ref.path} not found")))


@suppress_dead_letter
class WatchFor(NamedTuple):
    """Have it told when an actor is dead."""

    ref: ActorRef[Any]
    told: Callable[[str], object]


@suppress_dead_letter
class WatchNoMore(NamedTuple):
    """Nobody wants to be told of it."""

    ref: ActorRef[Any]
    told: Callable[[str], object]


class Door(Actor):
    """Watches the actors of this node for other nodes."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[ActorRef[Any], list[Callable[[str], object]]] = {}

    def on_receive(self, message: Any) -> None:
        """See `WatchFor`, `WatchNoMore`."""
        if isinstance(message, WatchFor):
            self._told.setdefault(message.ref, []).append(message.told)
            self.watch(message.ref)
        elif isinstance(message, WatchNoMore):
            waiting = self._told.get(message.ref, [])
            if message.told in waiting:
                waiting.remove(message.told)
            if not waiting and self._told.pop(message.ref, None) is not None:
                self.unwatch(message.ref)
        elif isinstance(message, Terminated):
            for told in self._told.pop(message.ref, ()):
                told(message.reason)
