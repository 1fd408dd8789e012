"""A system: one event loop, one tree of actors, one queue of those that are ready.

Nothing of a system is shared with another but pykka's registry, which is a directory of the process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import logging
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka

from . import life
from . import scope as scopes
from .actor import Actor, binding
from .cell import DEAD, Cell
from .children import ONE_FOR_ONE, Children, Supervision
from .deadletters import DeadLetters
from .dispatcher import Dispatcher
from .envelope import Ask, Envelope, ProbedAsk
from .errors import ActorDead, BlockingCall, CoreError, SpecError, StartFailed, SystemClosed
from .events import Event, Node, Terminated
from .future import Future
from .lifecycle import NAMES, Phase
from .ref import ActorRef
from .registry import register
from .spec import ChildSpec, check_name
from .worker import Done, Worker

if TYPE_CHECKING:
    from types import TracebackType

    from .events import DeadLetter
    from .scope import Scope

logger = logging.getLogger("callboard")
PATIENCE = 1.0
"""Seconds that a stop waits for the tasks of what it has killed; longer only tasks that ignore cancellation need."""

T = TypeVar("T")
A = TypeVar("A", bound=Actor)

current: contextvars.ContextVar[System | None] = contextvars.ContextVar("callboard_system", default=None)
handling: contextvars.ContextVar[Cell | None] = contextvars.ContextVar("callboard_cell", default=None)


class Root(Cell):
    """The parent of the top-level actors; the system itself in the tree."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return ""

    @property
    def path(self) -> str:
        return ""


class System:
    """Actors, and the event loop that serves them.

    Use it as ``async with System() as system:`` in a running loop, or get one on a thread of its own from `in_thread`.

    Args:
        name: for logs.
        supervision: how top-level actors with a child spec are restarted; when that gives up, the system stops.
        seed: for the jitter of restarts; the same seed gives the same waits.
    """

    def __init__(
        self, name: str = "system", *, supervision: Supervision = ONE_FOR_ONE, seed: int | None = None
    ) -> None:
        self.name = name
        self.supervision = supervision
        self.seed = seed
        self.rng: random.Random = cast("random.Random", None)
        self.dead_letters = DeadLetters()
        self.loop: asyncio.AbstractEventLoop = cast("asyncio.AbstractEventLoop", None)
        self.thread = 0
        self.fast_thread = -1
        self.probe: Any = None
        self.ready: Any = deque()
        self.dispatcher: Dispatcher = cast("Dispatcher", None)
        self.handling = handling
        self.queues: deque[deque[Any]] = deque(maxlen=1000)  # empty ones, for the next mailbox that needs one
        self.active: Cell | None = None
        self.closing = False
        self.closed = False
        self.failure: BaseException | None = None
        self.workers: dict[Worker, None] = {}
        self.pristine = contextvars.Context()
        self.root = Root(self, None, Actor)
        self.observed = False
        self._subscribers: list[Callable[[Event], object]] = []
        self._inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._inbox_flag = False
        self._inbox_lock = threading.RLock()
        self._ids = 0
        self._stopped: Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._token: contextvars.Token[System | None] | None = None
        self._own_thread: threading.Thread | None = None
        self._stopping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = (
            "closed" if self.closed else "closing" if self.closing else "running" if self.loop is not None else "new"
        )
        return f"<System {self.name} {state}>"

    # -- running ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> System:
        self._attach(asyncio.get_running_loop())
        self._token = current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # left in another context than entered: a fixture, an exit stack
                current.reset(self._token)
        await self.stop()
        if self.failure is not None and error is None:
            raise self.failure

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.loop is not None:
            raise SystemClosed(f"{self!r} has been started already; make a new System for each run")
        self.loop = loop
        self.thread = get_ident()
        self.probe = getattr(loop, "callboard_probe", None)
        # Under a probe the waits are the same in every run.
        self.rng = random.Random(0 if self.seed is None and self.probe is not None else self.seed)
        self.observed = self.observed or self.probe is not None
        self.pristine.run(current.set, self)
        self._stopped = Future(self)
        self.dispatcher = Dispatcher(self, self.pristine, choose=getattr(loop, "callboard_dispatcher", None))
        self.ready = self.dispatcher.ready
        if self.probe is None:
            self.fast_thread = self.thread
        self.root.ref = ActorRef(self.root)
        self.root.phase = Phase.RUNNING
        self.root.more().label = ""
        self.root.more().name = ""
        self.root.more().children = Children(self.root, self.supervision)

    @classmethod
    def in_thread(cls, name: str = "system", **options: Any) -> System:
        """Start a system on a thread and an event loop of its own, for a synchronous program.

        Use it as ``with System.in_thread() as system:``, or call `close`.
        """
        system = cls(name, **options)
        begun = threading.Event()

        async def serve() -> None:
            system._attach(asyncio.get_running_loop())
            begun.set()
            assert system._stopped is not None
            await system._stopped

        system._own_thread = threading.Thread(
            target=lambda: asyncio.run(serve()), name=f"callboard-{name}", daemon=True
        )
        system._own_thread.start()
        begun.wait()
        return system

    def __enter__(self) -> System:
        if self._own_thread is None:
            raise SystemClosed("`with` is for System.in_thread(); in a running loop use `async with System()`")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
            if self.loop is not None and self.owns_this_thread():
                raise BlockingCall("run() on the event loop's own thread would never end: await the coroutine instead")
            if self.loop is None or self.closed:
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

    async def stop(self, timeout: float = 10.0) -> None:
        """Stop all actors, the last one first; nothing is left running afterwards.

        Args:
            timeout: seconds for an orderly stop; then what is left is killed.
        """
        if self.loop is None:
            self.closed = True
            return
        if asyncio.get_running_loop() is not self.loop:
            raise SystemClosed(f"{self!r} runs in another event loop; stop it there, or with close() from a thread")
        assert self._stopped is not None
        self._begin_stop(timeout)
        if self.closed:
            return
        try:
            await asyncio.shield(self._stopped)
        except asyncio.CancelledError:
            if self.handling_here() is None:  # a handler that stops its system is itself stopped
                self._kill_all()
                await asyncio.shield(self._stopped)
            raise

    def _begin_stop(self, timeout: float = 10.0) -> None:
        if not self.closing:
            self.closing = True
            if self.probe is not None:
                self.probe.event("system_stopping", actor="")
            # A task of its own, not the caller's: that one may be a handler, which the stop ends.
            context = self.pristine.copy()
            self._stopping = self.loop.create_task(self._stop(timeout), name=f"{self.name}-stop", context=context)

    async def _stop(self, timeout: float) -> None:
        assert self._stopped is not None
        killer = self.loop.call_later(timeout, self._kill_all)
        try:
            self.root.phase = Phase.STOPPING
            for child in reversed(list(self.root.children.cells)):
                life.stop(child)
                while child.state != DEAD:
                    gone: Future[None] = Future(self)
                    child.more().settled.append(lambda gone=gone: gone.done() or gone.set(None))
                    await gone
        finally:
            killer.cancel()
            self._kill_all()
            self.dispatcher.close()
            if self.workers:
                self._idle = self.loop.create_future()
                patience = self.loop.call_later(PATIENCE, self._leave_behind)
                await self._idle
                patience.cancel()
            await asyncio.sleep(0)  # the last worker's task is done in this very step
            self.closed = True
            self._drain_inbox()
            self.emit("system_stopped", self.root)
            self._stopped.set(None)

    def _kill_all(self) -> None:
        for child in reversed(list(self.root.children.cells)):
            life.bury(child)

    def _leave_behind(self) -> None:
        names = sorted(worker.task.get_name() for worker in self.workers)
        logger.error("%r: tasks of killed actors wait for tasks of theirs that ignore cancellation: %s", self, names)
        self.workers.clear()
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def worker_ended(self, worker: Worker) -> None:
        """Told by each worker as it ends."""
        self.workers.pop(worker, None)
        if self._idle is not None and not self.workers and not self._idle.done():
            self._idle.set_result(None)

    async def wait(self) -> None:
        """Wait until the system has stopped."""
        assert self._stopped is not None
        await asyncio.shield(self._stopped)

    def escalate(self, cell: Cell, error: BaseException) -> None:
        """A parent has given its children up: it fails itself; at the top the system stops."""
        if cell is not self.root:
            life.fail_soon(cell, error)
            return
        logger.critical("%r: %s; the system stops", self, error)
        self.failure = error
        self._begin_stop()

    def interrupt(self, error: KeyboardInterrupt) -> None:
        """A handler was interrupted from the keyboard: that is the program's affair, not the actor's alone."""

        def again() -> None:
            raise error

        self.loop.call_soon(again)

    # -- actors ----------------------------------------------------------------------------------------------------

    def spawn(self, what: type[A] | ChildSpec, *args: Any, name: str | None = None, **kwargs: Any) -> ActorRef[A]:
        """Start an actor at the top level. It is not restarted when it crashes, unless ``what`` is a child spec.

        Args:
            what: an actor class, called with the further arguments, or a child spec.
            name: unique at the top level; made from the class where it is left out.

        Raises:
            SpecError: the name is taken.
            SystemClosed: the system does not run.
        """
        return cast("ActorRef[A]", self.spawn_in(self.root, what, args, name, kwargs))

    def supervise(self, spec: ChildSpec) -> ActorRef[Any]:
        """Start an actor at the top level, restarted as its child spec says.

        Raises:
            StartFailed: its factory raised.
            SpecError: its name is taken.
            SystemClosed: the system does not run.
        """
        return self.spawn_in(self.root, spec, (), None, {})

    def find(self, path: str) -> ActorRef[Any] | None:
        """Return the actor at a path, such as ``planner/conversation-1``, or None."""
        cell: Cell | None = self.root
        for name in path.split("/"):
            if cell is None or cell.rare is None or cell.rare.children is None:
                return None
            cell = cell.rare.children.find(name)
        return None if cell is None else cell.ref

    def tree(self) -> tuple[Node, ...]:
        """Return the actors that run, from the top level down. On the loop's thread only."""

        def nodes(cell: Cell) -> tuple[Node, ...]:
            rare = cell.rare
            return () if rare is None or rare.children is None else tuple(map(node, rare.children.cells))

        def node(cell: Cell) -> Node:
            kind = cell.actor_class if isinstance(cell.actor_class, type) else type(cell.actor)
            restarts = cell.rare.incarnation - 1 if cell.rare is not None else 0
            return Node(cell.name, kind.__name__, NAMES[cell.phase], len(cell.queue or ()), restarts, nodes(cell))

        return nodes(self.root)

    def spawn_in(self, parent: Cell, what: Any, args: tuple[Any, ...], name: str | None, kwargs: Any) -> ActorRef[Any]:
        """Start a child of ``parent``; `spawn` of actors and systems come here."""
        if self.closing or self.loop is None:
            raise SystemClosed(f"{self!r} does not run: actors start inside `async with System()`")
        spec: ChildSpec | None = None
        factory = what
        if what.__class__ is ChildSpec:
            spec = what
            factory, args, kwargs, name = spec.factory, spec.args, spec.kwargs, name or spec.name
        elif Actor not in getattr(what, "__mro__", ()):  # issubclass() of an ABC costs a fifth of a spawn
            raise SpecError(f"{what!r} is neither an Actor class nor a ChildSpec")
        if parent.phase > Phase.RUNNING:
            raise ActorDead(f"{parent.path} is stopping and takes no more children")
        cell = Cell(self, parent, factory)
        ref: ActorRef[Any] = ActorRef(cell)
        cell.ref = ref
        if name is not None or spec is not None:
            check_name(name)
            rare = cell.more()
            rare.name = name
            rare.spec = spec
        children = parent.children
        children.add(cell, name)
        try:
            self.build(cell, factory, args, kwargs)
        except BaseException as error:
            cell.phase, cell.state = Phase.DEAD, DEAD
            life.discard(cell)
            children.remove(cell)
            if spec is None or not isinstance(error, Exception):
                raise
            raise StartFailed(f"{cell.path} could not start: its factory raised {error!r}") from error
        register(ref)
        if self.probe is not None:
            self.probe.event("spawn", actor=cell.path, parent=parent.path)
        if get_ident() == self.thread:
            life.start(cell)
        else:
            self.post(self._start_from_elsewhere, cell)
        return ref

    def _start_from_elsewhere(self, cell: Cell) -> None:
        if self.closing:
            life.die(cell, "stopped: the system is stopping")
        elif cell.phase == Phase.NEW:
            life.start(cell)

    def build(self, cell: Cell, factory: Any, args: Any, kwargs: Any) -> None:
        """Make the actor object of a cell."""
        if isinstance(factory, type) and getattr(factory, "__new__", None) is Actor.__new__:
            actor: Any = object.__new__(factory)
            actor._cell = cell
            cell.actor = actor
            actor.__init__(*args, **kwargs)
            return
        token = binding.set(cell)
        try:
            actor = factory(*args, **kwargs)
        finally:
            binding.reset(token)
        if not isinstance(actor, Actor):
            raise SpecError(f"the factory of {cell.path} returned {type(actor).__name__}, which is no callboard Actor")
        cell.actor = actor
        cell.actor_class = type(actor)
        cell.capacity = actor.mailbox_capacity
        actor._cell = cell

    def forget(self, cell: Cell) -> None:
        """An actor is dead."""
        if self.probe is not None:
            self.probe.event("dead", actor=cell.path)

    def watch(self, watcher: Cell, watched: Cell) -> None:
        """Have ``watcher`` told, once, that ``watched`` is dead."""
        watching = watcher.more().watching
        if watched in watching:
            return
        watching[watched] = None

        def add() -> None:
            if watched.state != DEAD:
                watched.more().watched_by[watcher] = None
            elif watched.system is self:
                tell()
            else:
                self.post(tell)

        def tell() -> None:
            if watched in watching:
                reason = watched.rare.exit if watched.rare is not None else ""
                watcher.signal(Terminated(watched.ref, reason or "stopped"))

        if watched.system is self:
            add()
        else:
            watched.system.post(add)

    # -- telling about it ------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Callable[[Event], object]) -> Callable[[], None]:
        """Have lifecycle events told to a function, on the loop's thread. Return a function that ends that."""
        self._subscribers.append(subscriber)
        self.observed = True

        def end() -> None:
            self._subscribers.remove(subscriber)
            self.observed = bool(self._subscribers) or self.probe is not None

        return end

    def emit(self, kind: str, cell: Cell, detail: str = "") -> None:
        """Tell an event to the subscribers and the probe."""
        if self._subscribers or self.probe is not None:
            event = Event(kind, cell.path, self.loop.time(), detail)
            if self.probe is not None:
                self.probe.event(kind, actor=event.actor, detail=detail)
            self._publish(event)

    def _publish(self, event: Event) -> None:
        for tell in list(self._subscribers):
            try:
                tell(event)
            except Exception:
                logger.exception("a subscriber of events raised")

    def dead_letter(self, cell: Cell, item: Any, letter: DeadLetter) -> None:
        """Take in a message that no handler will process."""
        self.dead_letters.publish(letter)
        if self.probe is not None:
            id = getattr(item, "id", 0)
            self.probe.event("dead_letter", actor=cell.path, id=id, message=letter.message, reason=letter.reason)
        if self._subscribers:
            self._publish(
                Event("dead_letter", cell.path, self.loop.time(), f"{letter.reason}: {letter.message!r:.100}")
            )

    def next_id(self) -> int:
        """A number no other envelope of this system has."""
        self._ids += 1
        return self._ids

    def new_urn(self) -> str:
        """A universally unique name; under a probe, one that is the same in every run."""
        if self.probe is not None:
            return uuid.UUID(int=self.rng.getrandbits(128), version=4).urn
        return uuid.uuid4().urn

    # -- delivering ------------------------------------------------------------------------------------------------

    def owns_this_thread(self) -> bool:
        """Whether this is the thread of the system's loop."""
        return get_ident() == self.thread

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread: now if this is it, else soon, in the order posted from each thread.

        When the system has stopped, all its actors are dead and its loop may be gone: then it is called here and now.
        """
        if get_ident() == self.thread:
            call(*args)
            return
        self._inbox.append((call, args))
        # First in, then the look: a system that closes looks into the inbox afterwards, so one of the two sees it.
        if self.closed:
            self._drain_inbox()
        elif not self._inbox_flag:
            self._inbox_flag = True
            try:
                self.loop.call_soon_threadsafe(self._drain_inbox)
            except RuntimeError:  # the loop is closed
                self._drain_inbox()

    def _drain_inbox(self) -> None:
        self._inbox_flag = False
        with self._inbox_lock:  # once it is closed, on whichever threads still send
            while self._inbox:
                call, args = self._inbox.popleft()
                try:
                    call(*args)
                except Exception:
                    logger.exception("%r: what another thread has sent failed", self)

    def deliver(self, cell: Cell, item: Any) -> None:
        """Put an item into a mailbox from any thread."""
        if get_ident() == self.thread:
            self._deliver_here(cell, item)
        else:
            self.post(self._deliver_here, cell, item)

    def _deliver_here(self, cell: Cell, item: Any) -> None:
        if (
            isinstance(item, Ask)
            and item.scope is not None
            and item.scope.deadline is not None
            and not item.done()
            and cell.state != DEAD
        ):
            item.arm(item.scope.deadline)
        if self.probe is not None:
            self._probed(cell, item)
        else:
            cell.enqueue(item)

    def _probed(self, cell: Cell, item: Any) -> None:
        probe = self.probe
        if not isinstance(item, (ProbedAsk, Envelope)):
            cell.enqueue(item)
            return
        if isinstance(item.message, pykka.messages._ActorStop):
            cell.enqueue(item)
            return
        item.id = self.next_id()
        item.sender = self.sender()
        kind = "ask" if isinstance(item, Ask) else "send"
        path = cell.path
        probe.event(kind, actor=path, sender=item.sender, id=item.id, message=item.message, priority=item.priority)
        if probe.on_send is None:
            cell.enqueue(item)
            return
        for delay in probe.on_send(item, path):
            if delay:
                self.loop.call_later(delay, cell.enqueue, item)
            else:
                cell.enqueue(item)

    def own_message(self, cell: Cell, message: Any) -> None:
        """Put a message of an actor to itself into its mailbox: what a timer or a job beside the mailbox brings."""
        if self.probe is not None:
            message = Envelope(message, None, 0, cell.path, self.next_id())
        cell.enqueue(message)

    def sender(self) -> str:
        """The path of the actor at work here, or the name of the task."""
        cell = self.active or handling.get()
        if cell is not None:
            return cell.path
        task = asyncio.current_task() if asyncio._get_running_loop() is not None else None
        return task.get_name() if task is not None else "outside"

    # -- scheduling ------------------------------------------------------------------------------------------------

    def make_ready(self, cell: Cell) -> None:
        """Queue a cell for its turn."""
        self.ready.append(cell)
        if not self.dispatcher.scheduled:
            self.dispatcher.schedule()

    # -- work beside mailboxes -------------------------------------------------------------------------------------

    def start_job(
        self,
        cell: Cell,
        coro: Coroutine[Any, Any, Any],
        on_done: Done,
        *,
        answering: bool = False,
        scope: Scope | None = None,
    ) -> Worker:
        """Run a coroutine beside a mailbox, as part of the actor's incarnation.

        Raises:
            ActorDead: the incarnation that would own it is over.
        """
        if cell.state == DEAD:
            coro.close()
            raise ActorDead(f"{cell.ref} has stopped: nothing runs beside it any more")
        context = contextvars.copy_context()
        context.run(handling.set, cell)
        context.run(scopes.active.set, scope)
        jobs = cell.more().jobs
        worker = Worker(self, context, f"{cell.path}+job")
        worker.answering = answering

        def ended(job: Worker, value: Any, error: BaseException | None) -> None:
            jobs.pop(job, None)
            try:
                on_done(job, value, error)
            except Exception as raised:  # the actor's own function, which was to make a message of the outcome
                life.fail_soon(cell, raised)
            if cell.phase > Phase.RUNNING:
                life.advance(cell)

        worker.assign(cell, coro, ended)
        jobs[worker] = None
        return worker

    def handling_here(self) -> Cell | None:
        """The actor whose handler's own task is running here, or None: that one's mailbox waits for this await."""
        cell = self.active
        if cell is not None:
            return cell
        cell = handling.get()
        if cell is None:
            return None
        worker = cell.worker
        return cell if worker is not None and worker.task is asyncio.current_task(self.loop) else None


_default: System | None = None
_default_lock = threading.Lock()


def default_system() -> System:
    """The system of actors started outside of any other: on a thread of its own, made when it is first needed."""
    global _default
    with _default_lock:
        if _default is None or _default.closing:
            _default = System.in_thread("default")
        return _default


def current_system() -> System:
    """The system of the handler at work here, or the innermost ``async with System()``, or the default one.

    Raises:
        SystemClosed: this is a running event loop, and no system was started in it.
    """
    system = current.get()
    if system is not None and not system.closed:
        return system
    if asyncio._get_running_loop() is not None:
        raise SystemClosed("no system runs here: start actors inside `async with System()`")
    return default_system()
