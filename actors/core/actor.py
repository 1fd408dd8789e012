"""The actor base class: a true `pykka.Actor` whose mailbox an event loop serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Literal, ParamSpec, TypeGuard, TypeVar, overload

import pykka

from . import life
from .cell import DEAD, DEFERRED, Cell, SelfStop
from .children import ONE_FOR_ONE, Supervision
from .envelope import StreamAsk
from .errors import ActorDead, CoreError
from .events import Outcome
from .future import Future
from .lifecycle import Phase
from .ref import ActorRef
from .scope import active
from .typed import M_contra, Receives

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .spec import ChildSpec
    from .system import System
    from .worker import Worker

T = TypeVar("T")
P = ParamSpec("P")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
logger = logging.getLogger("callboard")
A = TypeVar("A", bound="Actor[Any]")

binding: ContextVar[Cell | None] = ContextVar("callboard_binding", default=None)
"""The cell that the next actor to be constructed belongs to, where a factory other than the class itself makes it."""


if TYPE_CHECKING:
    # pykka declares its hooks `-> None`; here they may be coroutines too, so the type of the base is left out.
    _Base = object
else:
    _Base = pykka.Actor


class Actor(Receives[M_contra], _Base):
    """An actor: state that only its own handlers touch, and a mailbox they serve one message at a time.

    Subclass it and implement `on_receive`, or methods to be called through a proxy. Handlers and hooks may be ``def``
    or ``async def``; a ``def`` handler must not block. `mailbox_capacity` bounds the mailbox, `shutdown_timeout` is how
    many seconds the actor may take to stop where no child spec says otherwise, and `supervision` is how it restarts
    children started with a child spec.
    """

    mailbox_capacity: ClassVar[int] = 100_000
    shutdown_timeout: ClassVar[float] = 5.0
    supervision: ClassVar[Supervision] = ONE_FOR_ONE

    _cell: Cell

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        cell = binding.get()
        if cell is not None:
            binding.set(None)
            self._cell = cell
            cell.actor = self
            cell.actor_class = cls  # the cell knows only the factory so far
            cell.capacity = cls.mailbox_capacity
        return self

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name == "_cell":  # constructed directly, not started: pykka allows that
            from .system import default_system

            cell = Cell(default_system(), None, type(self))
            cell.ref = ActorRef(cell)
            cell.actor = self
            cell.phase, cell.state = Phase.DEAD, DEAD  # nobody serves it: an ask fails at once
            self._cell = cell
            return cell
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __str__(self) -> str:
        return str(self._cell.ref)

    # -- who it is -------------------------------------------------------------------------------------------------

    @property
    def ref(self) -> ActorRef[Self]:
        """The actor's own reference, to hand to others."""
        return self._cell.ref

    @property
    def actor_ref(self) -> ActorRef[Self]:
        """The same, under pykka's name."""
        return self._cell.ref

    @property
    def _actor_ref(self) -> ActorRef[Self]:
        return self._cell.ref

    @property
    def actor_urn(self) -> str:
        """See `ActorRef.actor_urn`."""
        return self._cell.ref.actor_urn

    @property
    def actor_inbox(self) -> Any:
        """See `ActorRef.actor_inbox`."""
        return self._cell.ref.actor_inbox

    @property
    def actor_stopped(self) -> Any:
        """See `ActorRef.actor_stopped`."""
        return self._cell.ref.actor_stopped

    @property
    def name(self) -> str:
        """See `ActorRef.name`."""
        return self._cell.name

    @property
    def path(self) -> str:
        """See `ActorRef.path`."""
        return self._cell.path

    @property
    def system(self) -> System:
        """The system the actor lives in."""
        return self._cell.system

    # -- starting and stopping -------------------------------------------------------------------------------------

    @classmethod  # pyright: ignore[reportArgumentType]  # that its first argument is a class
    def start(cls: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> ActorRef[A]:
        """Start an actor at the top level of the current system, as pykka does.

        The current system is the one of the handler this is called in, else the innermost ``async with System()``
        around, else, outside of any event loop, a system on a thread of its own that the process shares.

        Raises:
            SystemClosed: there is none, and a running loop in which none can be made unasked.
        """
        from .system import current_system

        return current_system().spawn(cls, *args, **kwargs)

    def stop(self) -> None:
        """Stop this actor once it has processed what is in its mailbox. A `permanent` child is then restarted."""
        self._cell.system.deliver(self._cell, SelfStop())

    # -- children --------------------------------------------------------------------------------------------------

    # A ParamSpec leaves no room for a keyword of ours: with `name` the first three positional arguments are checked.

    @overload
    def spawn(self, what: ChildSpec[A], /, *, name: str | None = None) -> ActorRef[A]: ...

    @overload
    def spawn(self, what: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[A]: ...

    @overload  # mypy takes any keyword for one of P's; it comes here nevertheless
    def spawn(  # type: ignore[overload-cannot-match]
        self, what: Callable[..., A], /, *, name: str | None, **kwargs: Any
    ) -> ActorRef[A]: ...

    @overload
    def spawn(
        self, what: Callable[Concatenate[T1, P], A], arg1: T1, /, *, name: str | None, **kwargs: Any
    ) -> ActorRef[A]: ...

    @overload
    def spawn(
        self, what: Callable[Concatenate[T1, T2, P], A], arg1: T1, arg2: T2, /, *, name: str | None, **kwargs: Any
    ) -> ActorRef[A]: ...

    @overload
    def spawn(
        self,
        what: Callable[Concatenate[T1, T2, T3, P], A],
        arg1: T1,
        arg2: T2,
        arg3: T3,
        /,
        *args: Any,
        name: str | None,
        **kwargs: Any,
    ) -> ActorRef[A]: ...

    def spawn(self, what: Any, /, *args: Any, name: Any = None, **kwargs: Any) -> ActorRef[Any]:
        """Start a child. Children are stopped before their parent's ``on_stop``, the last one first.

        Args:
            what: an actor class, called with the further arguments and not restarted when it crashes, or a child spec,
                which says itself how it is made and restarted.
            name: unique among the siblings; made from the class where it is left out.

        Raises:
            SpecError: a sibling has that name.
        """
        return self._cell.system.spawn_in(self._cell, what, args, name, kwargs)

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
        cell = self._cell

        def ended(job: Worker, value: Any, error: BaseException | None) -> None:
            if _fatal(error):
                life.fail_soon(cell, error)
            elif cell.phase <= Phase.RUNNING and not _called_off(job, error):
                outcome: Outcome[T] = Outcome(value, error)
                cell.system.own_message(cell, outcome if to_message is None else to_message(outcome))

        return Job(cell.system.start_job(cell, coro, ended, scope=active.get()))

    def reply_with(self, coro: Coroutine[Any, Any, T]) -> T:
        """Answer the message at work with the outcome of a coroutine that runs beside the mailbox.

        Return its result from the handler: ``return self.reply_with(self.fetch(message))``. Cancelling the ask, or its
        deadline, cancels the coroutine; if this incarnation ends first, the asker gets `ActorDead` or `ActorCrashed`.
        After a ``tell`` there is nobody to answer: a failure then crashes the actor, as a failing handler would.
        """
        cell = self._cell
        ask = cell.current
        if ask is not None and ask.done():  # the asker has given up meanwhile
            coro.close()
            return DEFERRED  # type: ignore[return-value]  # the answer comes later

        def ended(job: Worker, value: Any, error: BaseException | None) -> None:
            if ask is not None:
                if ask.work is job:
                    ask.work = None
                if error is None:
                    ask.answer(value)
                elif isinstance(error, Exception):
                    ask.fail(error)
                else:
                    ask.fail(life.interrupted(cell, error))
            if _fatal(error) or (ask is None and isinstance(error, Exception) and cell.phase == Phase.RUNNING):
                life.fail_soon(cell, error)

        job = cell.system.start_job(cell, coro, ended, answering=True, scope=active.get())
        if ask is not None:
            ask.work = job
        return DEFERRED  # type: ignore[return-value]

    @property
    def expects(self) -> Literal["nothing", "answer", "stream"]:
        """What the sender of the message at work waits for. Only good until the handler first waits itself."""
        ask = self._cell.current
        if ask is None:
            return "nothing"
        return "stream" if isinstance(ask, StreamAsk) else "answer"

    # -- timers ----------------------------------------------------------------------------------------------------

    def schedule(self, delay: float, message: Any) -> Timer:
        """Send this actor a message after ``delay`` seconds, unless it is cancelled or this incarnation ends first."""
        return Timer(self._cell, delay, message, None)

    def schedule_every(self, interval: float, message: Any) -> Timer:
        """Send this actor a message every ``interval`` seconds until it is cancelled or this incarnation ends."""
        if interval <= 0:
            raise ValueError(f"interval is {interval} seconds; it must be more than 0")
        return Timer(self._cell, interval, message, interval)

    # -- watching --------------------------------------------------------------------------------------------------

    def watch(self, ref: ActorRef[Any]) -> None:
        """Have `Terminated` sent to this actor, once, when the other is dead for good; at once if it is already.

        Raises:
            CoreError: the ref is not one of this library's actors, which cannot be watched.
        """
        if not isinstance(ref, ActorRef):
            raise CoreError(f"{ref!r} cannot be watched: it is not an actor of this library")
        self._cell.system.watch(self._cell, ref._cell)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Take `watch` back; nothing happens if it is not watched."""
        self._cell.more().watching.pop(ref._cell, None)
        if ref._cell.rare is not None:
            ref._cell.rare.watched_by.pop(self._cell, None)

    def on_receive(self, message: M_contra) -> Any:
        """Handle a message; what is returned answers an ask. Implement it in the subclass.

        The default hands the message to the method that `handles` its class. Where there is none it logs a warning,
        for a message that nobody expects.
        """
        for kind in type(message).__mro__:
            if kind in self._handlers:
                return getattr(self, self._handlers[kind])(message)
        logger.warning("Unexpected message received by %s: %s", self, message)

    # -- pykka's hooks, which here may be coroutines too -----------------------------------------------------------

    def on_start(self) -> Any:
        """Called before the first message. A failure counts as a crash."""

    def on_stop(self) -> Any:
        """Called after the last message, when the children have stopped. Not called after a crash."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        """Called after a crash, before a supervisor starts the next incarnation."""

    # -- pykka's internals -----------------------------------------------------------------------------------------

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise CoreError("a mailbox belongs to a system: start the actor")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        raise CoreError("an actor is served by its system: use start() or System.spawn()")


life._BASE = Actor


def _fatal(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether work beside the mailbox raised what crashes an actor wherever it is raised: `SystemExit` or the like."""
    return error is not None and not isinstance(error, (Exception, asyncio.CancelledError))


def _called_off(job: Worker, error: BaseException | None) -> bool:
    """Whether the work ended because it was cancelled from outside, and not by a cancellation of its own."""
    return isinstance(error, asyncio.CancelledError) and job.task.cancelling() > 0


class Job:
    """A handle on work that runs beside a mailbox."""

    __slots__ = ("_worker",)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def cancel(self) -> None:
        """Cancel the work. Nothing comes back, unless the coroutine catches the cancellation and returns or raises."""
        self._worker.cancel_softly()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._worker.coro is None


class Timer:
    """A message to an actor itself, later."""

    __slots__ = ("_cell", "_handle", "_interval", "_message")

    def __init__(self, cell: Cell, delay: float, message: Any, interval: float | None) -> None:
        if cell.state == DEAD:
            raise ActorDead(f"{cell.ref} has stopped: nothing can be scheduled for it")
        self._cell = cell
        self._message = message
        self._interval = interval
        self._handle: asyncio.TimerHandle | None = cell.system.loop.call_later(delay, self._fire)
        cell.more().timers[self] = None

    def _fire(self) -> None:
        cell = self._cell
        if self._interval is None:
            cell.more().timers.pop(self, None)
            self._handle = None
        else:
            self._handle = cell.system.loop.call_later(self._interval, self._fire)
        cell.system.own_message(cell, self._message)

    def cancel(self) -> None:
        """Take it back; nothing happens if it has fired."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._cell.rare is not None:
            self._cell.rare.timers.pop(self, None)
