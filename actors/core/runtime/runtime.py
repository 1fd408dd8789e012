"""What the parts of one system share.

Slots are filled in as a system starts; they are the only ways from here up: `schedule`, `serve`, `help` and `run_alone`
(the dispatcher), `on_down` (supervision), `on_failed` and `on_idle` (the system).
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from ..base.errors import brief
from ..base.events import SUPPRESSED, DeadLetter, Event
from ..base.log import logger_of
from .deadletters import DeadLetters
from .deadlines import Deadlines, Timers
from .eventstream import EventStream
from .parts import Drives
from .threads import Reachable, not_started

logger = logger_of()

KILL_GRACE: Final = 1.0
"""Seconds that a stop waits for the tasks of what it has killed; longer only tasks that ignore cancellation need."""


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


class Runtime(Reachable):
    """One event loop, and what the actors on it have in common.

    Args:
        name: for logs.
        seed: for the jitter of restarts.

    Attributes:
        spare_task, start_task: of a simulated loop: makes a task that does not start by itself, and starts one, here
            and now. No schedule then holds steps in which nothing happens.
        system: the `System` that users hold; set by it, and read only where an actor asks for it.
        active: the cell whose handler makes its first steps right now.
        time: the loop's time, in seconds, called without the loop's own Python around it where there is any.
        clock: the same time, exact while many messages are processed in one pass of the loop.
        endings: cells whose incarnation's ending can go on; worked off in a loop, so that depth costs no stack.
        entered: the task under whose identity handlers make their first steps.
        spawned: the class whose settings were last looked at.
        drivers: the coroutines that tasks run for actors of this system.
        leader: who serves the ready actors.
        passes: how often the dispatcher has been called.
        observer: who looks at messages, an `Observer`; None while nobody does.
    """

    __slots__ = (
        "_ids",
        "_rng",
        "active",
        "clock",
        "closing",
        "crashes",
        "dead_letters",
        "deadlines",
        "drivers",
        "ending",
        "endings",
        "entered",
        "events",
        "help",
        "leader",
        "name",
        "observer",
        "on_down",
        "on_failed",
        "on_idle",
        "passes",
        "queues",
        "ready",
        "root",
        "run_alone",
        "schedule",
        "seed",
        "spare_task",
        "spawned",
        "start_task",
        "system",
        "time",
    )

    def __init__(self, name: str, seed: int | None) -> None:
        super().__init__()
        self.name = name
        self.seed = seed
        self.system: Any = None
        self.root: Any = None
        self.clock: Callable[[], float] = time.monotonic
        self.time: Callable[[], float] = time.monotonic
        self._rng: random.Random | None = None
        self.deadlines: Deadlines | Timers = cast("Deadlines", None)
        self.observer: Any = None
        self.events = EventStream()
        self.dead_letters = DeadLetters()
        self.closing = False
        self.active: Any = None
        self.ready: Any = deque()
        self.queues: deque[deque[Any]] = deque(maxlen=1000)  # empty ones, for the next mailbox that needs one
        self.endings: deque[Any] = deque()
        self.ending = False
        self.spawned: Any = None
        self.passes = 0
        self.leader: Any = None
        self.entered: asyncio.Task[Any] | None = None
        self.crashes: dict[Any, Any] = {}
        self.drivers: dict[Drives, None] = {}
        self.schedule: Callable[[], None] = not_started
        self.help: Callable[[], None] = not_started
        self.run_alone: Callable[[Any], None] = not_started
        self.spare_task: Callable[[Any, str, contextvars.Context], asyncio.Task[Any]] | None = None
        self.start_task: Callable[[asyncio.Task[Any]], None] | None = None
        self.on_down: Callable[[Any], None] = not_started
        self.on_failed: Callable[[BaseException], None] = not_started
        self.on_idle: Callable[[], None] | None = None
        self._ids = 0

    def __repr__(self) -> str:
        state = (
            "closed" if self.closed else "closing" if self.closing else "running" if self.loop is not None else "new"
        )
        return f"<System {self.name} {state}>"

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to live on the running loop, in this thread."""
        self.live_here(loop)
        self.time = time.monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
        # uvloop reads its clock once a pass, and many messages are processed in one.
        cached = type(loop).__module__.partition(".")[0] == "uvloop"
        self.clock = time.monotonic if cached else self.time
        simulated = getattr(loop, "callboard_dispatcher", None) is not None
        if simulated:
            self.spare_task = loop.spare_task  # type: ignore[attr-defined]
            self.start_task = loop.start_task  # type: ignore[attr-defined]
        self.deadlines = Timers(loop) if simulated else Deadlines(loop, self.clock)
        if self.probe is not None:
            self.events.observe()

    @property
    def rng(self) -> random.Random:
        """What the jitter of restarts is drawn from."""
        if self._rng is None:  # made when it is wanted: a tenth of the time that a system takes to start
            # Under a probe the waits are the same in every run.
            self._rng = random.Random(0 if self.seed is None and self.probe is not None else self.seed)
        return self._rng

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
            # None: a `def` handler. Another task than the leader's: one that the handler has started eagerly.
            task = asyncio.current_task(self.loop)
            return cell if task is None or task is self.entered else None
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
        task = asyncio.current_task(self.loop)
        if task is None:
            return "external"
        return getattr(task, "label", "") or task.get_name()  # a simulated task has a name of its own among its like

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

    def viewed(self, path: str | None = None) -> None:
        """Tell the probe that somebody looks at the system; see `Probe`."""
        if self.probe is not None and self.probe.on_view is not None:
            self.probe.on_view(path)

    # -- telling about it ------------------------------------------------------------------------------------------

    def emit(self, kind: str, path: str, detail: str = "") -> None:
        """Tell a lifecycle fact to the subscribers and the probe."""
        if self.probe is not None:
            self.probe.event(kind, actor=path, detail=detail)
        if self.events:
            self.events.publish(Event(kind, path, self.loop.time(), detail))

    def dead_letter(self, path: str, item: Any, letter: DeadLetter) -> None:
        """Take in a message that no handler will process."""
        suppressed = letter.message.__class__ in SUPPRESSED
        if self.probe is not None:
            told = {"id": getattr(item, "id", 0), "message": letter.message, "reason": letter.reason}
            self.probe.event("dead_letter", actor=path, **told, expected=suppressed)
        if suppressed:
            return
        self.dead_letters.publish(letter)
        if self.events and letter.message.__class__ is not Event:  # else a subscriber's full mailbox has dropped it
            self.events.publish(
                Event("dead_letter", path, self.loop.time(), f"{letter.reason}: {brief(letter.message)}")
            )
