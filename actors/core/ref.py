"""References: how everybody else reaches an actor. A ref stays valid across restarts, and after death says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

import pykka
from pykka.messages import ProxyCall, ProxySetAttr, _ActorStop

from . import life
from . import scope as scopes
from .cell import DEAD, READY, SUSPENDED
from .envelope import Ask, Envelope, ProbedAsk, StreamAsk
from .errors import ActorDead, AskTimeout, BlockingCall, CoreError, ReplyAlreadySet
from .future import Future
from .lifecycle import Phase
from .scope import active
from .stream import Channel, Stream
from .typed import Asked, M, R, Receives

if TYPE_CHECKING:
    from .cell import Cell

P = ParamSpec("P")
A = TypeVar("A", bound=Receives[Any])
A_co = TypeVar("A_co", bound=Receives[Any], covariant=True)


if TYPE_CHECKING:

    class _Base(Generic[A_co]):
        """pykka's ref, whose `ask` blocks by default and whose attributes are plain, without its type."""

        def proxy(self) -> pykka.ActorProxy[Any]: ...
else:
    _Base = pykka.ActorRef


class ActorRef(_Base[A_co]):
    """A reference to an actor; send it, keep it, compare it."""

    __slots__ = ("_cell", "_urn")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def __repr__(self) -> str:
        return f"<ActorRef {self._cell.path} ({self.actor_class.__name__}, {self.actor_urn})>"

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} {self._cell.path} ({self.actor_urn})"

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    # -- pykka's attributes ----------------------------------------------------------------------------------------

    @property
    def actor_class(self) -> type[A_co]:
        """The class of the actor."""
        return cast("type[A_co]", self._cell.actor_class)

    @property
    def actor_urn(self) -> str:
        """A universally unique name, made when it is first asked for (uuid4 costs more than the rest of an actor)."""
        try:
            return self._urn
        except AttributeError:
            self._urn: str = self._cell.system.new_urn()
            return self._urn

    @property
    def actor_inbox(self) -> Inbox:
        """The mailbox as pykka's protocol."""
        return Inbox(self)

    @property
    def actor_stopped(self) -> Stopped:
        """An event-like view of whether the actor has stopped."""
        return Stopped(self._cell)

    @property
    def _actor_weakref(self) -> Any:
        return lambda: self._cell.actor

    # -- who it is -------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The actor's name, unique among its siblings."""
        return self._cell.name

    @property
    def path(self) -> str:
        """The names from the top-level actor down, joined by slashes."""
        return self._cell.path

    def is_alive(self) -> bool:
        """Whether the actor takes messages: it has not stopped, and is not stopping. A restarting actor is alive."""
        cell = self._cell
        if cell.phase == Phase.FAILING:
            return cell.rare is not None and cell.rare.spec is not None
        return cell.phase != Phase.DEAD and cell.phase != Phase.STOPPING

    # -- sending ---------------------------------------------------------------------------------------------------

    def tell(self: ActorRef[Receives[M]], message: M, *, priority: int = 0) -> None:
        """Send a message and go on.

        Args:
            message: any object; it is not copied.
            priority: lower is processed first; messages of equal priority in the order sent.

        Raises:
            ActorDead: the actor has stopped.
            MailboxFull: its mailbox has no room.
        """
        cell = self._cell
        system = cell.system
        if (
            priority
            or cell.state > SUSPENDED
            or get_ident() != system.fast_thread
            or (scopes.in_use and active.get() is not None)
        ):
            self._send(message, priority)
            return
        queue = cell.queue
        if queue is None:
            queues = system.queues
            cell.queue = queue = queues.pop() if queues else deque()
        elif len(queue) >= cell.capacity:
            cell.check_room()
        queue.append(message)
        if not cell.state:  # IDLE
            cell.state = READY
            system.ready.append(cell)
            if not system.dispatcher.scheduled:
                system.dispatcher.schedule()

    def _send(self, message: Any, priority: int) -> None:
        cell = self._cell
        self._check_alive()
        cell.check_room()
        system = cell.system
        carried = active.get()
        item = message
        if carried is not None or priority or system.probe is not None:
            item = Envelope(message, carried, priority)
        system.deliver(cell, item)

    async def put(self: ActorRef[Receives[M]], message: M, *, priority: int = 0) -> None:
        """Send a message, waiting for room if the mailbox is full. Senders that wait are let in one after another.

        Raises:
            ActorDead: the actor has stopped, or stopped while this waited.
        """
        cell = self._cell
        system = cell.system
        self._check_alive()
        carried = active.get()
        item: Any = message
        if carried is not None or priority or system.probe is not None:
            item = Envelope(message, carried, priority)
        admitted: Future[None] = Future(system)
        system.post(cell.admit_or_wait, item, admitted)
        await admitted

    # Three for each way of waiting: a message that declares its reply; the same, where another reply is expected of it
    # (else mypy would go on to the third); a message that declares none.

    @overload
    def ask(  # pyright: ignore[reportOverlappingOverload]
        self: ActorRef[Receives[M]],
        message: Asked[M, R],
        *,
        block: Literal[False] | None = None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Future[R]: ...

    @overload
    def ask(
        self: ActorRef[Receives[M]],
        message: Asked[M, Any],
        *,
        block: Literal[False] | None = None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Future[object]: ...

    @overload
    def ask(
        self: ActorRef[Receives[M]],
        message: M,
        *,
        block: Literal[False] | None = None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Future[Any]: ...

    @overload
    def ask(
        self: ActorRef[Receives[M]],
        message: Asked[M, R],
        *,
        block: Literal[True],
        timeout: float | None = None,
        priority: int = 0,
    ) -> R: ...

    @overload
    def ask(
        self: ActorRef[Receives[M]],
        message: Asked[M, Any],
        *,
        block: Literal[True],
        timeout: float | None = None,
        priority: int = 0,
    ) -> object: ...

    @overload
    def ask(
        self: ActorRef[Receives[M]],
        message: M,
        *,
        block: Literal[True],
        timeout: float | None = None,
        priority: int = 0,
    ) -> Any: ...

    @overload
    def ask(
        self: ActorRef[Receives[M]],
        message: M,
        *,
        block: bool | None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Any: ...

    def ask(self, message: Any, *, block: bool | None = None, timeout: float | None = None, priority: int = 0) -> Any:
        """Send a message that wants an answer.

        Args:
            message: any object; it is not copied.
            block: True waits in this thread and returns the answer itself.
            timeout: seconds for the answer; an earlier deadline in force here stays.
            priority: lower is processed first.

        Returns:
            the future of the answer: ``await`` it on the loop, ``get(timeout=…)`` it in another thread. It ends with
            the handler's value or exception, `ActorDead`, `ActorCrashed`, `AskTimeout`, `AskCycle`, `MailboxFull`, or
            by being cancelled, which cancels the handler too.
        """
        cell = self._cell
        system = cell.system
        if (
            timeout is not None
            or block
            or priority
            or cell.state > SUSPENDED
            or get_ident() != system.fast_thread
            or (scopes.in_use and active.get() is not None)
        ):
            return self._ask(message, block, timeout, priority)
        queue = cell.queue
        if queue is None:
            queues = system.queues
            cell.queue = queue = queues.pop() if queues else deque()
        elif len(queue) >= cell.capacity:
            return self._ask(message, block, timeout, priority)
        ask = Ask(cell, message, None)
        queue.append(ask)
        if not cell.state:  # IDLE
            cell.state = READY
            system.ready.append(cell)
            if not system.dispatcher.scheduled:
                system.dispatcher.schedule()
        return ask

    def _ask(self, message: Any, block: bool | None, timeout: float | None, priority: int) -> Any:
        cell = self._cell
        system = cell.system
        if block is None and get_ident() != system.thread and message.__class__ is ProxySetAttr:
            block = True  # pykka's proxies wait for an assignment, to raise what it raises
        carried = scopes.carried(system.loop, timeout)
        ask = (Ask if system.probe is None else ProbedAsk)(cell, message, carried, priority)
        self._deliver(ask)
        return _blocked(ask, timeout) if block else ask

    def _deliver(self, ask: Ask) -> None:
        """Put an ask into the mailbox, or fail it at once."""
        cell = self._cell
        try:
            self._check_alive()
            cell.check_room()
        except CoreError as refused:
            ask.fail(refused)
        else:
            cell.system.deliver(cell, ask)

    @overload
    def stream(
        self: ActorRef[Receives[M]],
        message: Asked[M, AsyncIterator[R]],
        *,
        buffer: int = 16,
        timeout: float | None = None,
    ) -> Stream[R]: ...

    @overload
    def stream(
        self: ActorRef[Receives[M]], message: Asked[M, Any], *, buffer: int = 16, timeout: float | None = None
    ) -> Stream[object]: ...

    @overload
    def stream(
        self: ActorRef[Receives[M]], message: M, *, buffer: int = 16, timeout: float | None = None
    ) -> Stream[Any]: ...

    def stream(self, message: Any, *, buffer: int = 16, timeout: float | None = None) -> Stream[Any]:
        """Send a message that is answered by a stream of items.

        Args:
            message: what to ask for.
            buffer: how many items the actor may be ahead of the reader.
            timeout: seconds until the stream must have begun; what it sends later inherits the deadline too.

        Returns:
            an async iterator; leaving it cancels the producer. Reading it raises what `ask` would, or what the
            producer raised.
        """
        cell = self._cell
        ask = StreamAsk(cell, message, scopes.carried(cell.system.loop, timeout))
        ask.channel = Channel(max(1, buffer))
        self._deliver(ask)
        return Stream(ask)

    @overload
    def call(
        self: ActorRef[A],
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[R]: ...

    @overload
    def call(
        self: ActorRef[A], method: Callable[Concatenate[A, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a method in the actor, in its turn among the messages, as a proxy does; types are checked.

        Args:
            method: named by the class: ``ref.call(Counter.add, 3)``. A subclass's own one is called where there is one.
            args, kwargs: what to call it with. A deadline is set by `scope`.

        Returns:
            the future of what the method returns, as `ask` gives it.
        """
        return self.ask(ProxyCall(attr_path=(method.__name__,), args=args, kwargs=kwargs))

    def _check_alive(self) -> None:
        if not self.is_alive():
            raise ActorDead(f"{self} not found")

    # -- its life --------------------------------------------------------------------------------------------------

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...

    @overload
    def stop(self, *, block: bool | None = None, timeout: float | None = None) -> Any: ...

    def stop(self, *, block: bool | None = None, timeout: float | None = None) -> Any:
        """Ask the actor to stop once it has processed what was sent before.

        Args:
            block: whether to wait in this thread; by default it does, except on the system's own loop.
            timeout: seconds to wait.

        Returns:
            whether there was something to stop: as a bool, or, not blocking, as a future of it.
        """
        cell = self._cell
        if block is None:
            block = not cell.system.owns_this_thread()
        ask = Ask(cell, _ActorStop(), None)
        if cell.state == DEAD:
            ask.answer(False)
        else:
            cell.system.post(life.ask_to_stop, cell, ask)
        if block:
            return _blocked(ask, timeout)
        return ask

    def has_started(self) -> bool:
        """Whether the actor is up: it has started, and has not crashed or stopped since."""
        return self._cell.phase == Phase.RUNNING

    async def started(self) -> ActorRef[A_co]:
        """Wait until the actor has started; return this ref.

        Raises:
            ActorDead: it died instead.
        """
        cell = self._cell
        while cell.phase not in (Phase.RUNNING, Phase.DEAD):
            await _change(cell)
        if cell.phase == Phase.DEAD:
            rare = cell.rare
            raise ActorDead(
                f"{self.path} died before it had started: {rare.error if rare is not None else 'stopped'!r}"
            )
        return self

    async def terminated(self) -> None:
        """Wait until the actor is dead for good."""
        cell = self._cell
        while cell.state != DEAD:
            await _change(cell)

    def kill(self) -> None:
        """Crash the actor now, in the middle of whatever it does. Its supervisor restarts it as after any crash."""
        self._cell.system.post(life.kill, self._cell)


def _change(cell: Cell) -> Future[None]:
    """Return a future that is done when the actor has started or ended next, or is dead."""
    changed: Future[None] = Future(cell.system)

    def tell() -> None:
        if not changed.done():
            changed.set(None)

    def subscribe() -> None:
        if cell.state == DEAD:
            tell()
        else:
            cell.more().settled.append(tell)

    cell.system.post(subscribe)
    return changed


class Inbox:
    """A mailbox as pykka's code sees it."""

    __slots__ = ("_ref",)

    def __init__(self, ref: ActorRef[Any]) -> None:
        self._ref = ref

    def put(self, envelope: Any) -> None:
        """Add a pykka envelope, as another runtime's `ask` would."""
        if envelope.reply_to is None:
            self._ref.tell(envelope.message)
            return
        reply = envelope.reply_to
        self._ref.ask(envelope.message).when_done(lambda ask: _forward(ask, reply))

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._ref._cell.queue


def _forward(ask: Ask, reply: Any) -> None:
    try:
        reply.set(ask.result())
    except BaseException as error:
        reply.set_exception((type(error), error, error.__traceback__))


class Stopped:
    """Whether an actor has stopped, with the interface of `threading.Event` that pykka's code uses."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def is_set(self) -> bool:
        """Whether it has stopped."""
        return self._cell.state == DEAD

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread until it has.

        Args:
            timeout: seconds.
        """
        cell = self._cell
        done: Future[None] = Future(cell.system)

        def look() -> None:
            if cell.state == DEAD:
                done.set(None)
            else:
                cell.more().settled.append(look)

        cell.system.post(look)
        try:
            done.get(timeout=timeout)
        except AskTimeout:
            return False
        return True


def _blocked(ask: Future[Any], timeout: float | None) -> Any:
    system = ask._system
    if system is not None and system.owns_this_thread() and not ask.done():
        raise BlockingCall("a blocking ask or stop on the event loop's own thread would never end: await it instead")
    return ask.get(timeout=timeout)


@overload
def ask(ref: pykka.ActorRef[Any], message: Asked[Any, R], *, timeout: float | None = None) -> Future[R]: ...


@overload
def ask(ref: pykka.ActorRef[Any], message: Any, *, timeout: float | None = None) -> Future[Any]: ...


def ask(ref: pykka.ActorRef[Any], message: Any, *, timeout: float | None = None) -> Future[Any]:
    """Ask any pykka actor, one on a thread of its own too, without blocking the loop.

    Args:
        ref: a ref of this library or of pykka.
        message: what to send.
        timeout: seconds.

    Returns:
        a future to await.
    """
    if isinstance(ref, ActorRef):
        return ref.ask(message, timeout=timeout)
    from pykka._envelope import Envelope as PykkaEnvelope

    reply: Future[Any] = _BridgeReply()
    if not ref.is_alive():
        reply.set_exception(ActorDead(f"{ref} not found"))
        return reply
    ref.actor_inbox.put(PykkaEnvelope(message, reply))
    loop = asyncio.get_running_loop() if timeout is not None else asyncio._get_running_loop()
    carried = None if loop is None else scopes.carried(loop, timeout)
    if loop is not None and carried is not None and carried.deadline is not None:
        timer = loop.call_at(carried.deadline, _expire, reply, ref, message)
        reply.add_done_callback(lambda _: timer.cancel())
    return reply


class _BridgeReply(Future[Any]):
    """The reply of another runtime's actor, which must not notice that nobody waits any more."""

    __slots__ = ()

    def set(self, value: Any = None) -> None:
        try:
            super().set(value)
        except ReplyAlreadySet:
            return

    def set_exception(self, exc_info: Any = None) -> None:
        try:
            super().set_exception(exc_info)
        except ReplyAlreadySet:
            return


def _expire(reply: Future[Any], ref: Any, message: Any) -> None:
    reply.set_exception(AskTimeout(f"{ref} did not answer {message!r:.200} in time"))
