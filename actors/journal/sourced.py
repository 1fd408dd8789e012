"""Actors of one's own whose state is the sum of the events they have kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from ..core.actor import Actor
from ..core.base.log import logger_of
from ..core.base.typed import M_contra
from ..core.life.crash import crash
from ..core.mail.future import Future
from ..core.mail.mailbox import signal
from .errors import EventNotWritable, JournalError, StreamOwned
from .store import Journal, Stream

E = TypeVar("E")

POLL: Final = 0.25
"""Seconds between two looks at a stream that somebody else holds."""

logger = logger_of()


class EventSourcedActor(Actor[M_contra], Generic[E, M_contra]):
    """An actor that keeps what happened, and is made of it.

    ``class Account(EventSourcedActor[Deposited | Withdrawn])``, or with the messages it takes as a second type. A
    handler decides, and says what happened with ``await self.persist(Deposited(5))``; `apply` changes the state.
    When the actor starts, after a crash or in another process, too, it takes its stream over and applies what is kept
    there. Where a subclass has `on_start`, `on_stop` or `on_failure` of its own, it calls ``super()``'s.

    A state that cannot be trusted any more crashes the actor, so that its supervisor starts it again and it reads:
    the stream was taken over or deleted (`StreamFenced`, `StreamConflict`), the journal was closed (`JournalClosed`),
    so that somebody else may go on with it, or `apply` raised.

    Args:
        journal: where it is kept; the actor does not close it.
        stream: the name of its stream, which belongs to this actor alone.

    Attributes:
        snapshot_every: after how many events it is asked for a snapshot.
        takeover_timeout: seconds that a start waits for a stream that another worker holds; then it fails with
            `StreamOwned`.
    """

    snapshot_every: ClassVar[int] = 100
    takeover_timeout: ClassVar[float] = 15.0

    def __init__(self, journal: Journal, stream: str) -> None:
        super().__init__()
        self.__journal = journal
        self.__name = stream
        self.__stream: Stream | None = None
        self.__pending: deque[tuple[Future[None] | None, Sequence[E]]] = deque()
        self.__snapshot_version = 0

    if not TYPE_CHECKING:  # typing knows no defaults before Python 3.13

        def __class_getitem__(cls, types: Any) -> Any:
            if cls is EventSourcedActor and not isinstance(types, tuple):
                types = (types, Any)
            return super().__class_getitem__(types)

    # -- what a subclass says ------------------------------------------------------------------------------------------

    def apply(self, event: E) -> None:
        """Change the state by what has happened. It asks nobody and refuses nothing: it has happened."""
        raise NotImplementedError

    def snapshot(self) -> Any | None:
        """A value that stands for the state, from which `restore` makes it; None where reading all events is fine.

        One that cannot be made or written is logged, and asked for again after as many events.
        """
        return None

    def restore(self, snapshot: Any) -> None:
        """Make the state that `snapshot` stood for. Called before any event is applied."""
        raise NotImplementedError

    # -- what it calls -------------------------------------------------------------------------------------------------

    async def persist(self, *events: E) -> None:
        """Keep events, all or none, and apply them once they are safe, in the order of the calls.

        The handler waits, and so does the actor's next message: it finds the state changed. A handler that is
        cancelled meanwhile (its asker gave up) goes on only when it is known whether they were kept.

        Raises:
            EventNotWritable: one cannot be encoded; none was kept, and the actor lives on.
            StreamFenced, StreamConflict, JournalClosed: they were not kept, or not known to be; the actor crashes.
        """
        stream = self.__stream
        if stream is None:
            raise JournalError(f"the stream {self.__name} is not open: persist() works from on_start() to on_stop()")
        if not events:
            return
        try:
            done = stream.append(events)
            self.__pending.append((done, events))
            cancelled = None if done is None else await _until(done)
            self.__apply_kept()
        except EventNotWritable:
            raise
        except BaseException as error:
            self.__crash(error)
            raise
        self.__keep_snapshot(stream)
        if cancelled is not None:
            raise cancelled

    # -- its life ------------------------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Take the stream over, and make the state that is kept there."""
        stream = await self.__open()
        try:
            if stream.snapshot is not None:
                self.restore(stream.snapshot)
            for event in stream.events:
                self.apply(event)
        except BaseException:
            _give_back(stream)
            raise
        self.__snapshot_version = stream.version - len(stream.events)
        stream.events = ()
        stream.snapshot = None
        self.__stream = stream
        self.__keep_snapshot(stream)

    async def on_stop(self) -> None:
        """Give the stream back."""
        stream, self.__stream = self.__stream, None
        if stream is not None:
            done = _give_back(stream)
            if done is not None:
                with suppress(JournalError):  # then the journal's end gives it back
                    await done

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the stream back, for whoever is the next to open it."""
        stream, self.__stream = self.__stream, None
        if stream is not None:
            _give_back(stream)

    async def __open(self) -> Stream:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.takeover_timeout
        while True:
            try:
                opening = self.__journal.open(self.__name)
                if not isinstance(opening, Future):
                    return opening
                try:
                    await _settled(opening)
                except BaseException:  # this start is broken off
                    opening.when_done(_let_go)
                    raise
                return opening.result()
            except StreamOwned:
                left = deadline - loop.time()
                if left <= 0:
                    raise
                await asyncio.sleep(min(left, POLL))

    def __apply_kept(self) -> None:
        """Apply what is safe by now. Not what this call alone waited for: calls at once may end in another order."""
        pending = self.__pending
        while pending and ((done := pending[0][0]) is None or done.done()):
            events = pending.popleft()[1]
            if done is not None:
                done.result()
            for event in events:
                self.apply(event)

    def __keep_snapshot(self, stream: Stream) -> None:
        if self.__pending or stream.version - self.__snapshot_version < self.snapshot_every:
            return
        self.__snapshot_version = stream.version
        try:
            snapshot = self.snapshot()
            if snapshot is not None:
                stream.keep_snapshot(snapshot)
        except Exception:
            logger.exception("no snapshot of %s at version %d", self.__name, stream.version)

    def __crash(self, error: BaseException) -> None:
        """Crash this incarnation before its next message: also where an asker is told, or the handler swallows it."""
        cell = self._cell
        if cell.actor is self:
            signal(cell, lambda: crash(cell, error))


async def _settled(done: Future[Any]) -> None:
    """Wait for a future; giving that up does not give the future up."""
    waiter = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    done.when_done(wake)
    await waiter


async def _until(done: Future[Any]) -> asyncio.CancelledError | None:
    """Wait until a future is settled, whoever cancels. Returns the cancellation that came meanwhile."""
    cancelled = None
    while not done.done():
        try:
            await _settled(done)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def _let_go(opening: Future[Stream]) -> None:
    if opening.exception() is None:
        _give_back(opening.result())


def _give_back(stream: Stream) -> Future[None] | None:
    try:
        return stream.release()
    except JournalError:  # the journal is closed, and has given it back
        return None
