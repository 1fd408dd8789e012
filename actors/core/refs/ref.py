"""References: how everybody else reaches an actor. A ref stays valid across restarts, and after death says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, Literal, ParamSpec, TypeVar, cast, overload

import pykka
from pykka.messages import ProxyCall, ProxySetAttr, _ActorStop

from ..base import send_context as send_contexts
from ..base.errors import ActorDead, BlockingCall, SpecError, brief
from ..base.lifecycle import Phase
from ..base.send_context import active
from ..base.typed import Asked, M, R, Receives
from ..life.crash import kill
from ..life.ending import ask_to_stop
from ..life.supervision import check_restartable, restart_in_place
from ..mail.ask import Admission, Ask, ProbedAsk, StreamAsk
from ..mail.cell import DEAD, READY, SUSPENDED, Cell, describe
from ..mail.channel import Channel
from ..mail.envelope import Envelope
from ..mail.future import Future
from ..mail.mailbox import admit_or_wait, dead, is_alive, send, send_ask, send_probed
from ..runtime.runtime import Runtime
from .stream import Stream
from .views import Inbox, Stopped, when_changed

P = ParamSpec("P")
A = TypeVar("A", bound=Receives[Any])
A_co = TypeVar("A_co", bound=Receives[Any], covariant=True)
_new: Final[Any] = object.__new__


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
        return f"<ActorRef {self._cell.place} ({self.actor_class.__name__}, {self.actor_urn})>"

    def __str__(self) -> str:
        return f"{describe(self._cell)} ({self.actor_urn})"

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
            self._urn: str = self._cell.runtime.new_urn()
            return self._urn

    @property
    def actor_inbox(self) -> Inbox:
        """The mailbox as pykka's protocol."""
        return Inbox(self._cell, self.tell, lambda message: self.ask(message))

    @property
    def actor_stopped(self) -> Stopped:
        """An event-like view of whether the actor has stopped."""
        return Stopped(self._cell)

    @property
    def _actor_weakref(self) -> Any:
        cell = self._cell
        details = cell.details
        # Between two incarnations a proxy looks at the last one's attributes.
        return lambda: cell.actor if cell.actor is not None or details is None else details.previous

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
        return is_alive(self._cell)

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
        runtime = cell.runtime
        state = cell.state
        if priority != 0 or state > SUSPENDED or get_ident() != runtime.home:
            if priority == 0 and runtime.probe is not None:
                send_probed(cell, Envelope(message, active.get()))
            else:
                send(cell, self._item(message, priority))
            return
        item: Any = message
        if send_contexts.in_use and (carried := active.get()) is not None:
            item = Envelope(message, carried)
        queue = cell.queue
        if queue is None and cell.capacity >= 1:  # else threads have all its places
            queues = runtime.queues
            cell.queue = queue = queues.pop() if queues else deque()
        elif queue is None or len(queue) >= cell.capacity:
            send(cell, item)
            return
        queue.append(item)
        if not state:  # IDLE
            cell.state = READY
            runtime.ready.append(cell)
            if not runtime.scheduled:
                self._schedule(queue)

    def _item(self, message: Any, priority: int) -> Any:
        """Return what is put into the mailbox for a told message."""
        carried = active.get()
        if priority.__class__ is not int:
            raise TypeError(f"priority is {brief(priority)}; it must be a whole number, lower is processed first")
        if carried is not None or priority or self._cell.runtime.probe is not None:
            return Envelope(message, carried, priority)
        return message

    def _schedule(self, queue: deque[Any]) -> None:
        """Have the dispatcher called; where it could not be, the message just sent was not sent."""
        cell = self._cell
        try:
            cell.runtime.schedule()
        except BaseException:
            queue.pop()
            cell.state = 0
            cell.runtime.ready.remove(cell)
            raise

    async def put(self: ActorRef[Receives[M]], message: M, *, priority: int = 0) -> None:
        """Send a message, waiting for room if the mailbox is full. Senders that wait are let in one after another.

        Raises:
            ActorDead: the actor has stopped, or stopped while this waited.
            AskTimeout: there was no room before the deadline in force here.
            AskCycle: actors wait for room in each other's mailboxes, or for each other's answers.
        """
        cell = self._cell
        runtime = cell.runtime
        if (
            priority == 0
            and cell.state <= SUSPENDED
            and get_ident() == runtime.home
            and (cell.details is None or not cell.details.waiting)
            and (0 if cell.queue is None else len(cell.queue)) < cell.capacity
        ):
            self.tell(message)
            return
        runtime.check_reachable()
        if not is_alive(cell):
            raise dead(cell, f"{self} not found")
        admitted = Admission(cell, active.get())
        runtime.post(admit_or_wait, cell, self._item(message, priority), admitted)
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
        runtime = cell.runtime
        state = cell.state
        if block or priority != 0 or state > SUSPENDED or get_ident() != runtime.home:
            if (
                block
                or priority.__class__ is not int
                or timeout is not None
                or runtime.probe is None
                or active.get() is not None
            ):
                return self._ask(message, block, timeout, priority)
            probed = ProbedAsk(cell, message, None, priority)
            try:
                send_probed(cell, probed)
            except Exception as refused:
                probed.fail(refused)
            return probed
        queue = cell.queue
        if queue is None and cell.capacity >= 1:
            queues = runtime.queues
            cell.queue = queue = queues.pop() if queues else deque()
        elif queue is None or len(queue) >= cell.capacity:
            return self._ask(message, block, timeout, priority)
        ask: Ask = _new(Ask)  # an `__init__` would take a third of the time that an ask takes
        ask._state = 0
        ask._callbacks = None
        ask.cell = cell
        ask.message = message
        ask.work = None
        if timeout is not None or send_contexts.in_use:
            carried = send_contexts.carried(runtime.time, timeout)
            if carried is not None:
                ask.context = carried
                deadline = carried.deadline
                if deadline is not None:
                    # A deadline that was not made just now may have passed.
                    if (timeout is None or timeout <= 0 or active.get() is not None) and ask.is_late(runtime.clock()):
                        return ask
                    runtime.deadlines.add(deadline, ask)
        queue.append(ask)
        if not state:  # IDLE
            cell.state = READY
            runtime.ready.append(cell)
            if not runtime.scheduled:
                try:
                    self._schedule(queue)
                except Exception as refused:
                    ask.fail(refused)
        return ask

    def _ask(self, message: Any, block: bool | None, timeout: float | None, priority: int) -> Any:
        cell = self._cell
        runtime = cell.runtime
        if block is None and message.__class__ is ProxySetAttr and get_ident() != runtime.thread:
            block = True  # pykka's proxies wait for an assignment, to raise what it raises
        if priority.__class__ is not int:
            raise TypeError(f"priority is {brief(priority)}; it must be a whole number, lower is processed first")
        if block and is_alive(cell):
            _check_may_block(runtime)
        carried = send_contexts.carried(runtime.time, timeout)
        ask = (Ask if runtime.probe is None else ProbedAsk)(cell, message, carried, priority)
        send_ask(cell, ask)
        return ask.get(timeout=timeout) if block else ask

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
        if buffer.__class__ is not int or buffer < 1:
            raise SpecError(f"buffer is {brief(buffer)}; it must be a whole number of items, at least 1")
        ask = StreamAsk(cell, message, send_contexts.carried(cell.runtime.time, timeout))
        ask.channel = Channel(buffer)
        send_ask(cell, ask)
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
            args, kwargs: what to call it with. A deadline is set by `send_context`.

        Returns:
            the future of what the method returns, as `ask` gives it.
        """
        name = getattr(method, "__name__", None)
        if name is None or not callable(method):
            raise TypeError(f"{brief(method)} is no method: name it by the class, as in ref.call(Counter.add, 3)")
        return self.ask(ProxyCall(attr_path=(name,), args=args, kwargs=kwargs))

    # -- its life --------------------------------------------------------------------------------------------------

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...

    @overload
    def stop(self, *, block: bool | None = None, timeout: float | None = None) -> Any: ...

    def stop(self, *, block: bool | None = None, timeout: float | None = None) -> Any:
        """Ask the actor to stop once it has processed what was sent before.

        Args:
            block: whether to wait in this thread; by default it does, except in a running event loop.
            timeout: seconds to wait.

        Returns:
            whether there was something to stop: as a bool, or, not blocking, as a future of it.
        """
        cell = self._cell
        runtime = cell.runtime
        if block is None:
            block = not runtime.owns_this_thread() and asyncio._get_running_loop() is None
        if block and cell.state != DEAD:
            _check_may_block(runtime)
        ask = Ask(cell, _ActorStop(), None)
        if cell.state == DEAD:
            ask.answer(False)
        else:
            runtime.check_reachable()
            runtime.post(ask_to_stop, cell, ask)
        if block:
            return ask.get(timeout=timeout)
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
        await when_changed(cell, lambda: cell.phase == Phase.RUNNING)
        if cell.phase == Phase.DEAD:
            details = cell.details
            error = None if details is None else details.error
            why = "it was stopped" if error is None else brief(error)
            raise ActorDead(f"{cell.place} died before it had started: {why}") from error
        return self

    async def terminated(self) -> None:
        """Wait until the actor is dead for good."""
        cell = self._cell
        await when_changed(cell, lambda: cell.state == DEAD)

    def kill(self) -> None:
        """Crash the actor now, in the middle of whatever it does. Its supervisor restarts it as after any crash."""
        cell = self._cell
        cell.runtime.check_reachable()
        cell.runtime.post(kill, cell)

    def restart(self) -> None:
        """Start the actor again in its place, as `Actor.restart_child` does for its parent: the message at work is
        finished first, the mailbox is kept, and no failure is counted. One that is being started again already, or
        stops meanwhile, is let be.

        Raises:
            ActorDead: the actor has stopped.
            SpecError: it was started without a child spec, so that nobody knows how it is made.
        """
        cell = self._cell
        cell.runtime.check_reachable()
        if cell.phase == Phase.DEAD:
            raise dead(cell, f"{self} not found")
        check_restartable(cell)
        cell.runtime.post(restart_in_place, cell)


def _check_may_block(runtime: Runtime) -> None:
    """Refuse to wait where nobody else could do the work; before anything is sent."""
    if runtime.owns_this_thread():
        raise BlockingCall("a blocking ask or stop on the event loop's own thread would never end: await it instead")
