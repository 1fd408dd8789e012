"""The actor base class: a true `pykka.Actor` whose mailbox an event loop serves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

import pykka

from .base.behaviour import Behaviour, check_seconds
from .base.errors import CoreError
from .base.events import Outcome
from .base.lifecycle import move
from .base.typed import Asked, M, M_contra, R, Receives, Returns
from .current import current_system, default_system
from .life.starting import plain_new
from .life.supervision import restart_child
from .mail.ask import StreamAsk
from .mail.cell import DEAD, Cell
from .mail.envelope import SelfStop
from .mail.future import Future
from .mail.mailbox import deliver
from .processing.forwarding import forward
from .processing.jobs import Job, pipe, reply_with
from .processing.stash import stash, unstash_all
from .processing.timers import Patience, Timer
from .refs.ref import ActorRef
from .refs.watching import unwatch, watch
from .spawning import Spawns, spawn

if TYPE_CHECKING:
    from typing import Self

    from .system import System

T = TypeVar("T")
P = ParamSpec("P")
A = TypeVar("A", bound="Actor[Any]")


if TYPE_CHECKING:
    # pykka declares its hooks `-> None`; here they may be coroutines too, so the type of the base is left out.
    _Base = object
else:
    _Base = pykka.Actor


class _Own(Generic[T]):
    """A property that an actor's class, or ``self.name = …``, may replace: the runtime does not read it from there."""

    def __init__(self, get: Callable[[Any], T]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    @overload
    def __get__(self, actor: None, owner: Any = None) -> _Own[T]: ...

    @overload
    def __get__(self, actor: object, owner: Any = None) -> T: ...

    def __get__(self, actor: object, owner: Any = None) -> Any:
        return self if actor is None else self._get(actor)


class _Unstarted:
    """The cell of an actor that was constructed directly, and not started: pykka allows that."""

    def __get__(self, actor: Any, owner: Any = None) -> Cell:
        if actor is None:
            raise AttributeError("_cell")
        cell = Cell(default_system().runtime, None, type(actor))
        cell.ref = ActorRef(cell)
        cell.actor = actor
        move(cell, "stop")
        move(cell, "ended")  # nobody serves it: an ask fails at once
        cell.state = DEAD
        actor._cell = cell
        return cell


class Actor(Spawns, Behaviour[M_contra], _Base):
    """An actor: state that only its own handlers touch, and a mailbox they serve one message at a time.

    Subclass it and implement `on_receive`, or methods to be called through a proxy. Handlers and hooks may be ``def``
    or ``async def``; a ``def`` handler must not block. `mailbox_capacity` bounds the mailbox, `shutdown_timeout` is how
    many seconds the actor may take to stop where no child spec says otherwise, and `supervision` is how it restarts
    children started with a child spec.
    """

    if TYPE_CHECKING:
        _cell: Cell
    else:
        __new__ = plain_new
        # Not by __getattr__: where a class has one, each attribute of its objects takes 0.11 µs to read, not 0.03.
        _cell = _Unstarted()

    def __str__(self) -> str:
        return str(self._cell.ref)

    # -- who it is -------------------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        @property
        def ref(self) -> ActorRef[Self]:
            """The actor's own reference, to hand to others."""

        @property
        def actor_ref(self) -> ActorRef[Self]:
            """The same, under pykka's name."""

        @property
        def _actor_ref(self) -> ActorRef[Self]: ...

    else:
        ref = _Own(lambda self: self._cell.ref)
        actor_ref = _actor_ref = _Own(lambda self: self._cell.ref)

    @_Own
    def actor_urn(self: Any) -> str:
        """See `ActorRef.actor_urn`."""
        return self._cell.ref.actor_urn  # type: ignore[no-any-return]

    @_Own
    def actor_inbox(self: Any) -> Any:
        """See `ActorRef.actor_inbox`."""
        return self._cell.ref.actor_inbox

    @_Own
    def actor_stopped(self: Any) -> Any:
        """See `ActorRef.actor_stopped`."""
        return self._cell.ref.actor_stopped

    @_Own
    def name(self: Any) -> str:
        """See `ActorRef.name`."""
        return self._cell.name  # type: ignore[no-any-return]

    @_Own
    def path(self: Any) -> str:
        """See `ActorRef.path`."""
        return self._cell.path  # type: ignore[no-any-return]

    @_Own
    def system(self: Any) -> System:
        """The system the actor lives in."""
        return self._cell.runtime.system  # type: ignore[no-any-return]

    @_Own
    def expects(self: Any) -> Literal["nothing", "answer", "stream"]:
        """What the sender of the message at work waits for. Only good until the handler first waits itself."""
        ask = self._cell.current
        if ask is None:
            return "nothing"
        return "stream" if isinstance(ask, StreamAsk) else "answer"

    # -- starting and stopping -------------------------------------------------------------------------------------

    @classmethod  # pyright: ignore[reportArgumentType]  # that its first argument is a class
    def start(cls: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> ActorRef[A]:
        """Start an actor at the top level of the current system, as pykka does.

        The current system is the one of the handler this is called in, else the innermost ``async with System()``
        around, else, outside of any event loop, a system on a thread of its own that the process shares.

        Raises:
            SystemClosed: there is none, and a running loop in which none can be made unasked.
        """
        return current_system().spawn(cls, *args, **kwargs)

    def stop(self) -> None:
        """Stop this actor once it has processed what is in its mailbox. A `permanent` child is then restarted."""
        self._cell.runtime.post(deliver, self._cell, SelfStop())

    # -- children --------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # see `Spawns`

        def spawn(self, what: Any, /, *args: Any, name: Any = None, mailbox: Any = None, **kwargs: Any) -> Any:
            """Start a child; see `Spawns.spawn`.

            Children are stopped before their parent's ``on_stop``, the last one first.
            """
            cell = self._cell
            return spawn(cell.runtime, cell, what, args, name, mailbox, kwargs)

    def restart_child(self, child: ActorRef[Any] | str) -> None:
        """Start a healthy child again in its place; its mailbox is kept, and it does not count as a failure.

        Args:
            child: its ref, or its name.

        Raises:
            SpecError: there is no such child, or none any more, or it was started without a child spec.
        """
        restart_child(self._cell, child)

    def find_child(self, name: str) -> ActorRef[Any] | None:
        """Return the child of that name, or None."""
        cell = self._cell.children.find(name)
        return None if cell is None else cell.ref

    # -- work beside the mailbox -----------------------------------------------------------------------------------

    def pipe(self, coro: Coroutine[Any, Any, T], to_message: Callable[[Outcome[T]], Any] | None = None) -> Job:
        """Run a coroutine beside the mailbox; how it ended comes back as a message.

        It dies with this incarnation of the actor, and then sends nothing.

        Args:
            coro: what to run.
            to_message: makes the message from the `Outcome`; by default the outcome is the message.
        """
        return pipe(self._cell, coro, to_message)

    def reply_with(self, coro: Coroutine[Any, Any, T]) -> T:
        """Answer the message at work with the outcome of a coroutine that runs beside the mailbox.

        Write ``return self.reply_with(self.fetch(message))``. Cancelling the ask, or its deadline, cancels the
        coroutine; if this incarnation ends first, the asker gets `ActorDead` or `ActorCrashed`.
        After a ``tell`` there is nobody to answer: a failure then crashes the actor, as a failing handler would.
        """
        return cast("T", reply_with(self._cell, coro))

    @overload
    def forward(self, ref: ActorRef[Receives[M]], message: Asked[M, R]) -> R: ...

    @overload
    def forward(self, ref: ActorRef[Receives[M]], message: M) -> Any: ...

    def forward(self, ref: ActorRef[Any], message: Any) -> Any:
        """Hand the message at work on to another actor, which answers in this one's place.

        Write ``return self.forward(ref, message)``. Who asked gets the other's answer, error or stream. Deadline,
        carried values and priority go along, and giving up reaches whoever has the message; it is no affair of this
        actor's any more. After a ``tell`` it is a tell. To an actor of another system, or of pykka's, it is as if this
        one asked beside its mailbox and passed the answer on (`reply_with`).

        Args:
            ref: whom to; messages forwarded to one actor keep their order.
            message: what the handler was given, or another one in its place.

        Raises:
            CoreError: this is called outside of the actor's handlers.
            ActorDead, MailboxFull: as by ``tell``, for a message that was told; an ask ends in the same error.
            SystemClosed: a stream was to come from another system.
        """
        return forward(self._cell, ref, message)

    @overload
    def stash(self, message: Returns[R]) -> R: ...

    @overload
    def stash(self, message: Any) -> Any: ...

    def stash(self, message: Any) -> Any:
        """Put the message at work aside, to be processed after `unstash_all`; return the result from the handler.

        An ask stays unanswered until then, whatever the handler goes on to return; what it goes on to raise crashes
        the actor. What is stashed is put back before the mailbox's messages when the actor is restarted, and refused
        when it dies.

        Args:
            message: what the handler was given.

        Raises:
            CoreError: this is called outside of the handlers, for another message, or a second time for this one.
            MailboxFull: as many messages are stashed as the mailbox holds.
        """
        return stash(self._cell, message)

    def unstash_all(self) -> None:
        """Put what is stashed back into the mailbox, in its order, before all that waits there."""
        unstash_all(self._cell)

    # -- timers ----------------------------------------------------------------------------------------------------

    def schedule(self, delay: float, message: Any) -> Timer:
        """Send this actor a message after ``delay`` seconds, unless it is cancelled or this incarnation ends first."""
        return Timer(self._cell, check_seconds(delay, "delay"), message, None)

    def schedule_every(self, interval: float, message: Any) -> Timer:
        """Send this actor a message every ``interval`` seconds until it is cancelled or this incarnation ends."""
        interval = check_seconds(interval, "interval")
        if interval == 0:
            raise ValueError("interval is 0 seconds; it must be more than 0")
        return Timer(self._cell, interval, message, interval)

    def set_receive_timeout(self, seconds: float | None) -> None:
        """Have a `ReceiveTimeout` sent to this actor whenever no message has come for a while.

        It ends with this incarnation.

        Args:
            seconds: how long that is, more than 0; None ends it.

        Raises:
            SpecError: it is no number of seconds.
            ActorDead: the actor has stopped.
        """
        details = self._cell.more()
        patience = None if seconds is None else Patience(self._cell, seconds)
        if details.patience is not None:
            details.patience.cancel()
        details.patience = patience

    # -- watching --------------------------------------------------------------------------------------------------

    def watch(self, ref: ActorRef[Any]) -> None:
        """Have `Terminated` sent to this actor, once, when the other is dead for good; at once if it is already.

        Raises:
            CoreError: the ref is not one of this library's actors, which cannot be watched.
        """
        if not isinstance(ref, ActorRef):
            raise CoreError(f"{ref!r} cannot be watched: it is not an actor of this library")
        watch(self._cell, ref._cell)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Take `watch` back; nothing happens if it is not watched."""
        if isinstance(ref, ActorRef):
            unwatch(self._cell, ref._cell)

    # -- pykka's internals -----------------------------------------------------------------------------------------

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise CoreError("a mailbox belongs to a system: start the actor")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        raise CoreError("an actor is served by its system: use start() or System.spawn()")
