"""What the parts of one system share, and the door through which other threads and loops reach it.

Slots are filled in as a system starts; they are the only ways from here up: `schedule`, `serve`, `help` and `run_alone`
(the dispatcher), `on_down` (supervision), `on_failed` and `on_idle` (the system).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any, Final, Protocol, cast

from ..base.errors import SystemClosed
from ..base.events import DeadLetter, Event
from .deadletters import DeadLetters
from .deadlines import Deadlines, Timers
from .eventstream import EventStream
from .parts import Drives, Probe

logger = logging.getLogger("callboard")

KILL_GRACE: Final = 1.0
"""Seconds that a stop waits for the tasks of what it has killed; longer only tasks that ignore cancellation need."""

NOWHERE: Final = -1
"""No thread's number: nobody may take the short way into a mailbox."""


class Receiver(Protocol):
    """An actor as those below its cell see it."""

    runtime: Runtime
    waiting_for: Any
    driver: Any

    @property
    def path(self) -> str:
        """The names from the top-level actor down."""

    @property
    def place(self) -> str:
        """The path, as texts show it."""

    @property
    def shutdown(self) -> float:
        """Seconds the actor may take to stop."""


handling: contextvars.ContextVar[Any] = contextvars.ContextVar("callboard_cell", default=None)
"""The cell whose handler this code belongs to."""


class Runtime:
    """One event loop, and what the actors on it have in common.

    Args:
        name: for logs.
        seed: for the jitter of restarts.

    Attributes:
        system: the `System` that users hold; set by it, and read only where an actor asks for it.
        home: the thread whose sends may go straight into a mailbox; `NOWHERE` while that cannot be known to be right.
        active: the cell whose handler makes its first steps right now.
        time: the loop's time, in seconds, called without the loop's own Python around it where there is any.
        clock: the same time, exact while many messages are processed in one pass of the loop.
        endings: cells whose incarnation's ending can go on; worked off in a loop, so that depth costs no stack.
        spawned: the class whose settings were last looked at.
        drivers: the coroutines that tasks run for actors of this system.
        observer: who looks at messages, an `Observer`; None while nobody does.
    """

    __slots__ = (
        "__weakref__",
        "_ids",
        "_inbox",
        "_inbox_flag",
        "_inbox_lock",
        "active",
        "base_context",
        "clock",
        "closed",
        "closing",
        "crashes",
        "dead_letters",
        "deadlines",
        "drivers",
        "ending",
        "endings",
        "events",
        "forked",
        "help",
        "home",
        "loop",
        "name",
        "observer",
        "on_down",
        "on_failed",
        "on_idle",
        "probe",
        "queues",
        "ready",
        "rng",
        "root",
        "run_alone",
        "schedule",
        "scheduled",
        "seed",
        "serve",
        "spawned",
        "system",
        "thread",
        "time",
    )

    def __init__(self, name: str, seed: int | None) -> None:
        self.name = name
        self.seed = seed
        self.system: Any = None
        self.root: Any = None
        self.loop: asyncio.AbstractEventLoop = cast("asyncio.AbstractEventLoop", None)
        self.clock: Callable[[], float] = time.monotonic
        self.time: Callable[[], float] = time.monotonic
        self.rng: random.Random = cast("random.Random", None)
        self.deadlines: Deadlines | Timers = cast("Deadlines", None)
        self.probe: Probe | None = None
        self.observer: Any = None
        self.events = EventStream()
        self.dead_letters = DeadLetters()
        self.base_context = contextvars.Context()
        self.thread = NOWHERE
        self.home = NOWHERE
        self.forked = False
        self.closing = False
        self.closed = False
        self.active: Any = None
        self.ready: Any = deque()
        self.queues: deque[deque[Any]] = deque(maxlen=1000)  # empty ones, for the next mailbox that needs one
        self.endings: deque[Any] = deque()
        self.ending = False
        self.spawned: Any = None
        self.crashes: dict[Any, Any] = {}
        self.drivers: dict[Drives, None] = {}
        self.scheduled = False
        self.schedule: Callable[[], None] = _not_started
        self.help: Callable[[], None] = _not_started
        self.serve: Callable[[], None] = _not_started
        self.run_alone: Callable[[Any], None] = _not_started
        self.on_down: Callable[[Any], None] = _not_started
        self.on_failed: Callable[[BaseException], None] = _not_started
        self.on_idle: Callable[[], None] | None = None
        self._inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._inbox_flag = False
        self._inbox_lock = threading.RLock()
        self._ids = 0

    def __repr__(self) -> str:
        state = (
            "closed" if self.closed else "closing" if self.closing else "running" if self.loop is not None else "new"
        )
        return f"<System {self.name} {state}>"

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to live on the running loop, in this thread."""
        self.loop = loop
        self.thread = get_ident()
        plain = type(loop).time is asyncio.BaseEventLoop.time
        self.time = time.monotonic if plain else loop.time
        # uvloop reads its clock once a pass, and many messages are processed in one.
        cached = type(loop).__module__.partition(".")[0] == "uvloop"
        self.clock = time.monotonic if cached else self.time
        self.probe = getattr(loop, "callboard_probe", None)
        simulated = getattr(loop, "callboard_dispatcher", None) is not None
        self.deadlines = Timers(loop) if simulated else Deadlines(loop, self.clock)
        # Under a probe the waits are the same in every run.
        self.rng = random.Random(0 if self.seed is None and self.probe is not None else self.seed)
        # Handlers see what was set where the system was started, a decimal precision or a trace context; what one of
        # them sets, no other sees.
        self.base_context = contextvars.copy_context()
        if self.probe is None:
            self.home = self.thread
        else:
            self.events.observe()
        _running.add(self)

    # -- which thread, which loop, which process ---------------------------------------------------------------------

    def owns_this_thread(self) -> bool:
        """Whether this is the thread of the system's loop."""
        return get_ident() == self.thread

    def check_reachable(self) -> None:
        """Refuse what could never arrive.

        Raises:
            SystemClosed: the loop is closed, is not the one that runs in its thread now, or belongs to the process
                that this one was forked from.
        """
        if self.forked:
            raise SystemClosed(f"{self!r} belongs to the process that this one was forked from: start one here")
        loop = self.loop
        if loop is None or self.closed:
            return  # all its actors are dead, and say so
        if loop.is_closed():
            raise SystemClosed(f"{self!r} was not stopped before its event loop was closed: nothing is processed there")
        if get_ident() == self.thread:
            running = asyncio._get_running_loop()
            if running is not None and running is not loop:
                raise SystemClosed(
                    f"{self!r} runs in another event loop of this thread, which stands still while this one runs"
                )

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread: now if this is it, else soon, in the order posted from each thread.

        When the system has stopped, all its actors are dead and its loop may be gone: then it is called here and now.

        Raises:
            SystemClosed: see `check_reachable`.
        """
        if get_ident() == self.thread:
            if self.home == NOWHERE:
                self.check_reachable()
            call(*args)
            return
        if self.forked:
            self.check_reachable()
        self._inbox.append((call, args))
        # First in, then the look: a system that closes looks into the inbox afterwards, so one of the two sees it.
        if self.closed:
            self.drain_inbox()
        elif not self._inbox_flag:
            self._inbox_flag = True
            try:
                self.loop.call_soon_threadsafe(self.drain_inbox, context=self.base_context.copy())
            except RuntimeError:  # the loop is closed
                if self.closed:
                    self.drain_inbox()
                    return
                self._inbox_flag = False
                self._inbox.remove((call, args))
                self.check_reachable()
                raise

    def drain_inbox(self) -> None:
        """Do what other threads have posted."""
        self._inbox_flag = False
        # What arrives is served at once and not in another pass of the loop, which asks its sockets first: the CPU of a
        # thread's blocking ask is 1.11 times pykka's, and was 1.28 times.
        at_once = not self.scheduled and not self.closed
        if at_once:
            self.scheduled = True
        try:
            with self._inbox_lock:  # once it is closed, on whichever threads still send
                while self._inbox:
                    call, args = self._inbox.popleft()
                    try:
                        call(*args)
                    except Exception:
                        logger.exception("%r: what another thread has sent failed", self)
        finally:
            if at_once:
                self.serve()

    # -- scheduling ------------------------------------------------------------------------------------------------

    def make_ready(self, cell: Any) -> None:
        """Queue a cell for its turn."""
        self.ready.append(cell)
        if not self.scheduled:
            self.schedule()

    def handling_here(self) -> Any:
        """The cell whose handler's own task is running here, or None: its mailbox waits for what this code awaits."""
        cell = self.active
        if cell is not None:
            return cell
        cell = handling.get()
        if cell is None or cell.runtime is not self:
            return None
        driver = cell.driver
        return cell if driver is not None and driver.task is asyncio.current_task(self.loop) else None

    def sender(self) -> str:
        """The path of the actor at work here, or the name of the task."""
        cell = self.active or handling.get()
        if cell is not None:
            return cell.path  # type: ignore[no-any-return]
        task = asyncio.current_task() if asyncio._get_running_loop() is not None else None
        return task.get_name() if task is not None else "external"

    def driver_ended(self, driver: Drives) -> None:
        """Told by each driver as it ends."""
        drivers = self.drivers
        drivers.pop(driver, None)
        if self.on_idle is not None and not drivers:
            self.on_idle()

    def interrupt(self, error: KeyboardInterrupt) -> None:
        """A handler was interrupted from the keyboard: that is the program's affair, not the actor's alone."""

        def again() -> None:
            raise error

        self.loop.call_soon(again)

    # -- names -----------------------------------------------------------------------------------------------------

    def next_id(self) -> int:
        """A number no other envelope of this system has."""
        self._ids += 1
        return self._ids

    def new_urn(self) -> str:
        """A universally unique name; under a probe, one that is the same in every run."""
        if self.probe is not None:
            return uuid.UUID(int=self.rng.getrandbits(128), version=4).urn
        return uuid.uuid4().urn

    # -- telling about it ------------------------------------------------------------------------------------------

    def emit(self, kind: str, path: str, detail: str = "") -> None:
        """Tell a lifecycle fact to the subscribers and the probe."""
        if self.probe is not None:
            self.probe.event(kind, actor=path, detail=detail)
        if self.events:
            self.events.publish(Event(kind, path, self.loop.time(), detail))

    def dead_letter(self, path: str, item: Any, letter: DeadLetter, text: str) -> None:
        """Take in a message that no handler will process."""
        self.dead_letters.publish(letter)
        if self.probe is not None:
            id = getattr(item, "id", 0)
            self.probe.event("dead_letter", actor=path, id=id, message=letter.message, reason=letter.reason)
        if self.events:
            self.events.publish(Event("dead_letter", path, self.loop.time(), f"{letter.reason}: {text}"))


def _not_started(*_args: Any) -> None:
    raise SystemClosed("the system was not started: actors start inside `async with System()`")


_running: weakref.WeakSet[Runtime] = weakref.WeakSet()


def in_this_process() -> Iterator[Runtime]:
    """The runtimes that were started in this process and not stopped yet."""
    return (runtime for runtime in list(_running) if not runtime.closed and not runtime.forked)


def _forked() -> None:
    for runtime in list(_running):
        runtime.forked = True
        runtime.home = runtime.thread = NOWHERE
    _running.clear()


os.register_at_fork(after_in_child=_forked)
