"""A system: one event loop, one tree of actors, one queue of those that are ready. How it starts and stops.

Nothing of a system is shared with another but pykka's registry, which is a directory of the process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import math
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from .base.behaviour import check_seconds
from .base.errors import BlockingCall, CoreError, SpecError, SystemClosed, brief
from .base.events import ActorState, Event, Node
from .base.lifecycle import NAMES, move
from .base.log import logger_of
from .base.restart import ONE_FOR_ONE, Supervision
from .base.spec import ChildSpec
from .life.death import bury
from .life.ending import stop
from .life.supervision import down, restart_child
from .mail.cell import DEAD, Cell, Root, below, living
from .mail.future import Future
from .processing.dispatcher import Dispatcher
from .processing.intercepting import Interceptor
from .processing.metering import Meter
from .processing.observing import Observer, oldest
from .processing.simulated import SimulatedDispatcher
from .processing.surveying import survey
from .refs.ref import ActorRef
from .runtime.deadletters import DeadLetters
from .runtime.runtime import KILL_GRACE, Runtime
from .spawning import A, Spawns, spawn

if TYPE_CHECKING:
    import random
    from types import TracebackType

logger = logger_of()

STOP_TIMEOUT: Final = 10.0
"""Seconds for an orderly stop where nothing else is said."""

PASSES: Final = 5
"""Passes of the loop that the tasks of what was killed need to end."""

T = TypeVar("T")

current: contextvars.ContextVar[System | None] = contextvars.ContextVar("callboard_system", default=None)
"""The system whose handler, or whose ``with`` block, this code is in."""

_in_threads: weakref.WeakSet[System] = weakref.WeakSet()

# asyncio makes its policy at the first loop, under a lock that a fork at that moment leaves locked in the child for
# ever: of 4,200 processes forked while threads began, 6 hung. As this is imported nobody forks; it costs 0.03 ms.
asyncio.new_event_loop().close()


def threads_of_their_own() -> list[System]:
    """The systems on threads of their own that still run in this process."""
    return [system for system in list(_in_threads) if not system.closed and not system.runtime.forked]


class System(Spawns):
    """Actors, and the event loop that serves them.

    Use it as ``async with System() as system:`` in a running loop, or `start` it and `aclose` it, or get one on a
    thread of its own from `in_thread`.

    Args:
        name: for logs.
        supervision: how top-level actors with a child spec are restarted; when that gives up, the system stops.
        seed: for the jitter of restarts; the same seed gives the same waits.

    Attributes:
        runtime: what its parts share; not for users.
        failure: why it stopped of itself, or None.

    Raises:
        SpecError: the supervision is none.
    """

    def __init__(
        self, name: str = "system", *, supervision: Supervision = ONE_FOR_ONE, seed: int | None = None
    ) -> None:
        if not isinstance(name, str):
            raise SpecError(f"name is {brief(name)}, which is no text")
        if not isinstance(supervision, Supervision):
            raise SpecError(f"supervision is {brief(supervision)}, which is no Supervision")
        self.runtime = Runtime(name, seed)
        self.runtime.system = self
        self.supervision = supervision
        self.failure: BaseException | None = None
        self._dispatcher: Dispatcher = cast("Dispatcher", None)
        self._stopped: Future[None] = Future(self.runtime)
        self._idle: asyncio.Future[None] | None = None
        self._token: contextvars.Token[System | None] | None = None
        self._body: asyncio.Task[Any] | None = None
        self._body_cancelled = False
        self._own_thread: threading.Thread | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._stop_by = math.inf
        self._stopping: asyncio.Task[None] | None = None
        self._observer = Observer(self.runtime)

    def __repr__(self) -> str:
        return repr(self.runtime)

    @property
    def name(self) -> str:
        """For logs."""
        return self.runtime.name

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it runs on; None until it is started."""
        return self.runtime.loop

    @property
    def rng(self) -> random.Random:
        """What the jitter of restarts is drawn from; seeded by ``seed``, or the simulation."""
        return self.runtime.rng

    @property
    def dead_letters(self) -> DeadLetters:
        """Where messages end that no handler will process."""
        return self.runtime.dead_letters

    @property
    def closing(self) -> bool:
        """Whether its stop has begun."""
        return self.runtime.closing

    @property
    def closed(self) -> bool:
        """Whether it has stopped."""
        return self.runtime.closed

    # -- running ---------------------------------------------------------------------------------------------------

    def start(self) -> System:
        """Start on the running event loop; end it with `aclose`. Return this system.

        Raises:
            SystemClosed: it has been started already, or no event loop runs here.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise SystemClosed(
                "no event loop runs here: start the system in a coroutine, or use System.in_thread()"
            ) from None
        runtime = self.runtime
        if runtime.loop is not None or runtime.closed:
            raise SystemClosed(f"{self!r} has been started already; make a new System for each run")
        runtime.attach(loop)
        runtime.base_context.run(current.set, self)
        runtime.on_down = down
        runtime.on_failed = self._failed
        choose = getattr(loop, "callboard_dispatcher", None)
        self._dispatcher = Dispatcher(runtime) if choose is None else SimulatedDispatcher(runtime, choose)
        root = runtime.root = Root(runtime, self.supervision)
        root.ref = ActorRef(root)
        move(root, "start")
        move(root, "started")
        return self

    async def aclose(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop it, see `stop`; raise why it had stopped of itself, if it had.

        Args:
            timeout: seconds for an orderly stop; then what is left is killed.
        """
        await self.stop(timeout)
        if self.failure is not None:
            raise self.failure

    async def __aenter__(self) -> System:
        self.start()
        self._token = current.set(self)
        self._body = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        body, self._body = self._body, None
        self._leave()
        ours = False
        if self._body_cancelled and body is not None and body is asyncio.current_task():
            # As in a task group: the cancellation that told the body of the failure ends here. It may not have been
            # delivered, if the body ended without waiting once more.
            if not isinstance(error, asyncio.CancelledError):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
            ours = body.uncancel() == 0
        await self.stop()
        if self.failure is not None and (error is None or (ours and isinstance(error, asyncio.CancelledError))):
            raise self.failure

    def _leave(self) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # left in another context than entered: a fixture, an exit stack
                current.reset(self._token)
            self._token = None

    @classmethod
    def in_thread(cls, name: str = "system", **options: Any) -> System:
        """Start a system on a thread and an event loop of its own, for a synchronous program.

        Use it as ``with System.in_thread() as system:``, or call `close`; at the end of the program what is queued is
        processed first.

        Args:
            name: for logs.
            options: see the class.
        """
        system = cls(name, **options)
        begun = threading.Event()

        async def serve() -> None:
            system.start()
            begun.set()
            await system.wait()

        # In the caller's context: what is set here, its actors see.
        context = contextvars.copy_context()
        system._own_thread = threading.Thread(
            target=lambda: context.run(asyncio.run, serve()), name=f"callboard-{name}", daemon=True
        )
        system._own_thread.start()
        begun.wait()
        _in_threads.add(system)
        return system

    def __enter__(self) -> System:
        if self._own_thread is None:
            raise SystemClosed("`with` is for System.in_thread(); in a running loop use `async with System()`")
        self._token = current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        self.close()
        if self.failure is not None and error is None:
            raise self.failure

    def run(self, coro: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the system's loop and wait for it in this thread.

        Args:
            coro: what to run.
            timeout: seconds to wait.

        Raises:
            SystemClosed: the system does not run, or stopped before the coroutine had ended.
            BlockingCall: this is the thread of the system's loop.
        """
        try:
            if self.loop is not None and self.runtime.owns_this_thread():
                raise BlockingCall("run() on the event loop's own thread would never end: await the coroutine instead")
            if self.loop is None or self.closed or self.runtime.forked:
                raise SystemClosed(f"{self!r} does not run")
            future = asyncio.run_coroutine_threadsafe(coro, self.loop)
        except BaseException as error:
            coro.close()
            if isinstance(error, RuntimeError) and not isinstance(error, CoreError):  # the loop has closed just now
                raise SystemClosed(f"{self!r} does not run") from error
            raise
        try:
            return future.result(timeout)
        except concurrent.futures.CancelledError:
            if not self.closed:
                raise
            raise SystemClosed(f"{self!r} stopped before the coroutine had ended") from None

    def close(self, timeout: float = 10.0) -> None:
        """Stop the system from another thread, and wait until its thread has ended.

        Args:
            timeout: seconds for an orderly stop; then what is left is killed.

        Raises:
            BlockingCall: this is the thread of the system's loop.
        """
        if not self.closed:
            with contextlib.suppress(SystemClosed):  # it has stopped of itself meanwhile
                self.run(self.stop(timeout))
        if self._own_thread is not None:
            self._own_thread.join()

    def is_at_work(self) -> bool:
        """Whether a message waits, a handler is at work, or an answer is under way. On the loop's thread only."""
        for cell in living(self.runtime.root):
            details = cell.details
            if cell.queue or cell.driver:
                return True
            if details is not None and details.has("jobs") and any(job.answering for job in details.jobs):
                return True
        return False

    async def activity(self) -> tuple[bool, int]:
        """Whether it is at work, and how often it has been so far."""
        return self.is_at_work(), self.runtime.passes

    async def drained(self) -> None:
        """Wait until it is not at work; looked at again and again, as a program ends: no actor has to tell."""
        while self.is_at_work():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def join(self, timeout: float) -> bool:
        """Wait, in another thread, until the system's own thread has ended. Return whether it has.

        Args:
            timeout: seconds.
        """
        thread = self._own_thread
        if thread is None:
            return True
        thread.join(max(0.0, timeout))
        return not thread.is_alive()

    async def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop all actors, the last one first; nothing is left running afterwards.

        Neighbours of one class that were started without a child spec stop together.

        Args:
            timeout: seconds it may take in all; what has not stopped by then is killed.

        Raises:
            SystemClosed: it runs in another event loop.
            SpecError: the timeout is no number of seconds.
        """
        check_seconds(timeout, "timeout")
        runtime = self.runtime
        if runtime.loop is None:
            runtime.closed = True
            return
        if asyncio.get_running_loop() is not runtime.loop:
            raise SystemClosed(f"{self!r} runs in another event loop; stop it there, or with close() from a thread")
        self._begin_stop(timeout)
        if runtime.closed:
            return
        try:
            await asyncio.shield(self._stopped)
        except asyncio.CancelledError:
            if runtime.handling_here() is None:  # a handler that stops its system is itself stopped
                self._kill_all()
                await asyncio.shield(self._stopped)
            raise

    def _begin_stop(self, timeout: float = STOP_TIMEOUT) -> None:
        runtime = self.runtime
        deadline = runtime.loop.time() + timeout
        if deadline < self._stop_by:  # also where it has begun already: then it has less time from now on
            self._stop_by = deadline
            if self._killer is not None:
                self._kill_in(timeout)
        if not runtime.closing:
            runtime.closing = True
            move(runtime.root, "stop")  # from now on nobody is started at the top, nor started again
            if runtime.probe is not None:
                runtime.probe.event("system_stopping", actor="")
            # A task of its own, not the caller's: that one may be a handler, which the stop ends.
            context = runtime.base_context.copy()
            self._stopping = runtime.loop.create_task(self._stop(), name=f"{self.name}-stop", context=context)

    def _kill_in(self, timeout: float) -> None:
        """Have what has not stopped by then killed."""
        if self._killer is not None:
            self._killer.cancel()
        self._killer = self.runtime.loop.call_later(timeout, self._kill_all)

    async def _stop(self) -> None:
        runtime = self.runtime
        loop = runtime.loop
        self._kill_in(self._stop_by - loop.time())
        try:
            for together in _in_turn(runtime.root.children.latest_first()):
                for child in together:
                    stop(child)
                for child in together:
                    await self._gone(child)
        finally:
            if self._killer is not None:
                self._killer.cancel()
            self._kill_all()
            self._dispatcher.close()
            for _ in range(PASSES):
                if runtime.drivers:
                    await asyncio.sleep(0)
            if runtime.drivers:
                idle = self._idle = loop.create_future()
                runtime.on_idle = self._no_driver_left
                patience = loop.call_at(min(self._stop_by, loop.time() + KILL_GRACE), self._leave_behind)
                await idle
                patience.cancel()
            await asyncio.sleep(0)  # the last driver's task is done in this very step
            runtime.deadlines.clear()
            runtime.live_no_more()
            runtime.emit("system_stopped", "")
            self._stopped.set(None)

    async def _gone(self, child: Cell) -> None:
        while child.state != DEAD:
            gone: Future[None] = Future(self.runtime)
            child.more().on_change[lambda gone=gone: gone.done() or gone.set(None)] = None  # type: ignore[misc]
            await gone

    def _kill_all(self) -> None:
        for child in self.runtime.root.children.latest_first():
            bury(child)

    def _leave_behind(self) -> None:
        drivers = self.runtime.drivers
        names = sorted(driver.task.get_name() for driver in drivers)
        logger.error("%r: tasks of killed actors wait for tasks of theirs that ignore cancellation: %s", self, names)
        drivers.clear()
        self._no_driver_left()

    def _no_driver_left(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def wait(self) -> None:
        """Wait until the system has stopped."""
        await asyncio.shield(self._stopped)

    def _failed(self, error: BaseException) -> None:
        """The top level has given its children up: the system stops, and who runs its block is told."""
        logger.critical("%r: %s; the system stops", self, error)
        self.failure = error
        self._begin_stop()
        if self._body is not None and not self._body.done() and not self._body_cancelled:
            self._body_cancelled = True
            self._body.cancel()

    # -- actors ----------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # see `Spawns`

        def spawn(self, what: Any, /, *args: Any, name: Any = None, mailbox: Any = None, **kwargs: Any) -> Any:
            """Start an actor at the top level; see `Spawns.spawn`."""
            runtime = self.runtime
            return spawn(runtime, runtime.root, what, args, name, mailbox, kwargs)

    def supervise(self, spec: ChildSpec[A]) -> ActorRef[A]:
        """Start an actor at the top level, restarted as its child spec says.

        Raises:
            StartFailed: its factory raised.
            SpecError: its name is taken, or it is no child spec.
            SystemClosed: the system does not run.
        """
        if not isinstance(spec, ChildSpec):
            raise SpecError(f"{brief(spec)} is no ChildSpec; an actor class is started with spawn()")
        return spawn(self.runtime, self.runtime.root, spec, (), None, None, {})

    def restart_child(self, child: ActorRef[Any] | str) -> None:
        """Start a healthy actor of the top level again in its place; see `Actor.restart_child`.

        From another thread than the loop's, this waits there until it has been asked for on the loop's.

        Args:
            child: its ref, or its name.

        Raises:
            SpecError: there is no such actor at the top level, or it was started without a child spec.
            SystemClosed: the system does not run.
        """
        if self.loop is None or self.closing or self.closed:
            raise SystemClosed(f"{self!r} does not run")
        self.runtime.check_reachable()
        if self.runtime.owns_this_thread():
            restart_child(self.runtime.root, child)
            return

        async def there() -> None:
            self.restart_child(child)

        self.run(there())

    def find(self, path: str) -> ActorRef[Any] | None:
        """Return the actor at a path, such as ``planner/conversation-1``, or None."""
        cell: Cell | None = self.runtime.root
        if not isinstance(path, str):
            raise SpecError(f"{brief(path)} is no path, such as 'planner/conversation-1'")
        self.runtime.viewed(path)
        for name in path.split("/"):
            if cell is None or cell.details is None or cell.details.children is None:
                return None
            cell = cell.details.children.find(name)
        return None if cell is None else cell.ref

    def tree(self) -> tuple[Node, ...]:
        """Return the actors that run, from the top level down. On the loop's thread only."""
        self.runtime.viewed()
        now = self.runtime.clock()
        made: dict[Cell, Node] = {}
        for cell in reversed(list(living(self.runtime.root))):  # children before their parents, without the stack
            kind = cell.actor_class if isinstance(cell.actor_class, type) else type(cell.actor)
            restarts = cell.details.incarnation - 1 if cell.details is not None else 0
            children = tuple(made.pop(child) for child in below(cell))
            waiting, age = len(cell.queue or ()), oldest(cell, now)
            made[cell] = Node(cell.name, kind.__name__, NAMES[cell.phase], waiting, restarts, children, age)
        return tuple(made[child] for child in below(self.runtime.root))

    def survey(self, most: int) -> tuple[dict[str, ActorState], int]:
        """Return how the actors that run are, by their paths, level by level, and how many there are: `tree`, flat and
        cheap. On the loop's thread only.

        Args:
            most: of more actors those nearest to the top are told.
        """
        self.runtime.viewed()
        return survey(self.runtime.root, self._observer, self.runtime.clock(), most)

    def subscribe(self, subscriber: Callable[[Event], object]) -> Callable[[], None]:
        """Have lifecycle events told to a function, on the loop's thread. Return a function that ends that."""
        self.runtime.viewed()
        return self.runtime.events.subscribe(subscriber)

    def intercept(self, interceptor: Interceptor) -> Callable[[], None]:
        """Have a function called as each handler begins, and what it returns, if anything, as that handler ends.

        Both are called where the handler is, in its context. They look on: nothing they do changes the message or its
        answer. Interceptors are called in the order they were added, at the end in reverse; one that raises is logged
        and called no more.

        Returns:
            a function that ends it; calling it again does nothing.

        Raises:
            SpecError: it is no plain function.
            SystemClosed: the system has been closed.
        """
        if self.closed:
            raise SystemClosed(f"{self!r} does not run")
        observer = self._observer
        observer.intercept(interceptor)
        ends = [lambda: observer.intercept_no_more(interceptor)]

        def end() -> None:
            while ends:
                ends.pop()()

        return end

    def measure(self, *, times: bool = True) -> Meter:
        """Measure messages, mailboxes and handlers from now on, until the meter is closed.

        Args:
            times: whether messages are timed: `ActorMetrics.time_in_mailbox` and, of handlers that do not wait,
                `ActorMetrics.processing_time`. Without that what is counted costs next to nothing.

        Returns:
            what is read, from any thread; use it in a ``with``, or `Meter.close` it.

        Raises:
            SystemClosed: the system does not run.
            SpecError: ``times`` is neither True nor False.
        """
        if not isinstance(times, bool):
            raise SpecError(f"times is {brief(times)}; it is True or False")
        if self.loop is None or self.closed:
            raise SystemClosed(f"{self!r} does not run")
        return Meter(self._observer, self.find, times)


def _in_turn(latest_first: list[Cell]) -> Iterator[list[Cell]]:
    """Top-level actors in the order they are stopped in: neighbours of one class without a child spec together."""

    def key(cell: Cell) -> object:
        return cell if cell.details is not None and cell.details.spec is not None else cell.actor_class

    for _, cells in groupby(latest_first, key):
        yield list(cells)
