"""Actors of one's own whose state is the sum of the events they have kept."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import wraps
from types import CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pykka

from ..core.actor import Actor
from ..core.base.errors import SpecError, SystemClosed, brief
from ..core.base.log import logger_of
from ..core.base.typed import M_contra
from ..core.life.crash import crash
from ..core.mail.cell import describe
from ..core.mail.future import Future
from ..core.mail.mailbox import signal
from .errors import EventNotWritable, JournalError
from .holding import give_back, hold, inherits, settled
from .store import Journal, Stream

E = TypeVar("E")

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

    Where a handler, or a method that a proxy calls, has called `persist` without ``await`` by its end, it fails with a
    `JournalError`; elsewhere that crashes the actor.

    Args:
        journal: where it is kept; the actor does not close it.
        stream: the name of its stream, which belongs to this actor alone.

    Raises:
        SpecError: the journal or the stream is none, `apply` is missing, or `restore` where there is a `snapshot`.

    Attributes:
        snapshot_every: after how many events it is asked for a snapshot.
        takeover_timeout: seconds that a start waits for a stream that another worker, or another actor, holds; then it
            fails with `StreamOwned`.
    """

    snapshot_every: ClassVar[int] = 100
    takeover_timeout: ClassVar[float] = 15.0

    __journal: Journal | None = None
    __name = ""
    __stream: Stream | None = None
    __snapshot_version = 0
    __at_work = False
    """Whether a handler is at work."""
    __forgotten = False
    """Whether it has called `persist` without ``await``."""

    def __init__(self, journal: Journal, stream: str) -> None:
        super().__init__()
        _check(type(self), journal, stream)
        inherits(self, journal.worker, stream)
        self.__journal = journal
        self.__name = stream
        self.__pending: deque[tuple[Future[None] | None, Sequence[E]]] = deque()

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

    def persist(self, *events: E) -> Coroutine[Any, Any, None]:
        """Keep events, all or none, and apply them once they are safe, in the order of the calls.

        The handler waits, and so does the actor's next message: it finds the state changed. A handler that is
        cancelled meanwhile (its asker gave up) goes on only when it is known whether they were kept.

        Raises:
            EventNotWritable: one cannot be encoded; none was kept, and the actor lives on.
            StreamFenced, StreamConflict, JournalClosed: they were not kept, or not known to be; the actor crashes.
        """
        call = _Call(self.__forgot)
        keeping = self.__persist(call, events)
        call.coroutine = weakref.ref(keeping)
        return keeping

    async def __persist(self, call: _Call, events: Sequence[E]) -> None:
        call.awaited = True
        stream = self.__stream
        if stream is None:
            raise JournalError(
                f"the stream {self.__name} is not open: persist() works from on_start() to on_stop(), and a "
                "class's own on_start begins with `await super().on_start()`"
            )
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

    __persist.__qualname__ = "EventSourcedActor.persist"  # as Python names it where nobody awaits it

    # -- its life ------------------------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Take the stream over, and make the state that is kept there."""
        journal = self.__journal
        if journal is None:
            raise _no_journal(type(self))
        stream = await hold(self, journal, self.__name, self.takeover_timeout)
        try:
            if stream.snapshot is not None:
                self.restore(stream.snapshot)
            for event in stream.events:
                self.apply(event)
        except BaseException:
            give_back(stream)
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
            done = give_back(stream)
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
            give_back(stream)

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

    # -- mistakes: a constructor that does not call this one, a `persist` that nobody awaits -------------------------

    if not TYPE_CHECKING:

        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__(**options)
            if "__init__" in cls.__dict__:
                cls.__init__ = EventSourcedActor.__checked(cls.__init__)
            if not hasattr(cls.on_receive, "_watched"):
                cls.on_receive = EventSourcedActor.__watched(cls.on_receive)

        @staticmethod
        def __checked(init: Callable[..., None]) -> Callable[..., None]:
            """Have a constructor fail that does not call this one."""

            @wraps(init)
            def checked(self: EventSourcedActor, *args: Any, **kwargs: Any) -> None:
                init(self, *args, **kwargs)
                if type(self).__init__ is checked and self.__journal is None:
                    raise _no_journal(type(self))

            return checked

        @staticmethod
        def __watched(receive: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
            """Have a handler fail that ends with such a call behind it."""

            @wraps(receive)
            def watched(self: EventSourcedActor, message: Any) -> Any:
                if self.__at_work:  # called by another one, which is watched
                    return receive(self, message)
                self.__at_work, self.__forgotten = True, False
                waits = False
                try:
                    result = receive(self, message)
                    waits = result.__class__ is CoroutineType
                    if not waits:
                        self.__check_awaited()
                finally:
                    self.__at_work = waits
                return self.__rest(result) if waits else result

            watched._watched = True
            return watched

        _handle_receive = __watched(pykka.Actor._handle_receive)

    async def __rest(self, handler: Coroutine[Any, Any, Any]) -> Any:
        try:
            result = await handler
            self.__check_awaited()
            return result
        finally:
            self.__at_work = False

    def __check_awaited(self) -> None:
        if self.__forgotten:
            raise self.__not_awaited()

    def __not_awaited(self) -> JournalError:
        return JournalError(
            f"{describe(self._cell)} has called persist() without await: those events were not kept; write "
            "`await self.persist(…)` in an async def handler"
        )

    def __forgot(self) -> None:
        if self.__at_work:
            self.__forgotten = True  # its handler fails as it ends
        else:
            with suppress(SystemClosed):
                self._cell.runtime.post(self.__crash, self.__not_awaited())

    def __crash(self, error: BaseException) -> None:
        """Crash this incarnation before its next message: also where an asker is told, or the handler swallows it."""
        cell = self._cell
        if cell.actor is self:
            signal(cell, lambda: crash(cell, error))


class _Call:
    """Tells of a call of `persist` that is let go of and was never awaited.

    Args:
        forgot: called then.
    """

    __slots__ = ("awaited", "coroutine", "forgot")

    def __init__(self, forgot: Callable[[], None]) -> None:
        self.forgot = forgot
        self.awaited = False
        self.coroutine: Callable[[], object] | None = None

    def __del__(self) -> None:
        # One that was cancelled before its first step is there still.
        if not self.awaited and self.coroutine is not None and self.coroutine() is None:
            self.forgot()


def _check(kind: type[Any], journal: Any, stream: Any) -> None:
    """Look at what a constructor is given, and at what its class says.

    Raises:
        SpecError: see `EventSourcedActor`.
    """
    name = kind.__name__
    if isinstance(journal, str) and _is_journal(stream):
        raise SpecError(f"{name} is given its journal and its stream in the wrong order: the journal comes first")
    if not _is_journal(journal):
        raise SpecError(
            f"the journal of {name} is {brief(journal)}, which is no journal: give it MemoryJournal(), "
            "SqliteJournal(path, JsonCodec(…)) or the like"
        )
    if not isinstance(stream, str) or not stream:
        raise SpecError(f"the stream of {name} is {brief(stream)}: it must be a text, the stream's name")
    if not _has(kind, "apply"):
        raise SpecError(f"{name} has no apply(): write `def apply(self, event)`, which changes its state by an event")
    if _has(kind, "snapshot") and not _has(kind, "restore"):
        raise SpecError(f"{name} has a snapshot() and no restore(): write `def restore(self, snapshot)`")


def _has(kind: type[Any], method: str) -> bool:
    return getattr(kind, method) is not getattr(EventSourcedActor, method)


def _no_journal(kind: type[Any]) -> SpecError:
    name = kind.__name__
    return SpecError(f"{name}.__init__ does not say its journal: write super().__init__(journal, stream) there")


def _is_journal(thing: Any) -> bool:
    return callable(getattr(thing, "open", None)) and hasattr(thing, "worker")


async def _until(done: Future[Any]) -> asyncio.CancelledError | None:
    """Wait until a future is settled, whoever cancels. Returns the cancellation that came meanwhile."""
    cancelled = None
    while not done.done():
        try:
            await settled(done)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
