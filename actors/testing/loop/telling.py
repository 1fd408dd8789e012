"""A loop that also tells what a trace for people wants to say: tasks, cancels, timers, and holds where they happen.

A schedule that holds pays for none of it. A failing run is run once more here before it is reported; what is told
stands beside the trace and not in it, so that the run has the same events, and the same digest, as anywhere else.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from ..trace.beside import Beside
from .holders import Holders
from .lanes.lanes import Before, Lane, Schedule
from .lanes.tasks import SimTask
from .loop import Order, SimulationLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_WAKES = {
    "_set_result_unless_cancelled": "slept",
    "_on_timeout": "timeout",
    "_release_waiter": "timeout",  # of wait_for, before Python 3.12
}
_NAMED = 6
"""Of those that go before a lane that is held back."""
_OURS = __name__.partition(".")[0]
_TESTING = __name__.partition(".loop.")[0]


class TellingLoop(SimulationLoop):
    """Takes the same steps as its base class, and takes them down."""

    def __init__(self, schedule: Schedule | None = None, *, order: Order = "contract", max_steps: int = 20_000) -> None:
        super().__init__(schedule, order=order, max_steps=max_steps)
        self.happened: Callable[[], int] = int
        """How many events the trace has."""
        self.sender: Callable[[], str] = str
        """Who would send, were something sent now."""
        self.told: list[tuple[int, float, str, dict[str, Any]]] = []
        """As `Beside.events`, but that a task stands for its name, which it may get later."""
        self._wakes: list[tuple[int, str, SimTask]] = []
        self._internal: set[SimTask] = set()
        self.picked_at: list[int] = []
        """How many events the trace had at each contested step."""
        self.holders = Holders(self, self.who_runs)
        if schedule is not None:
            self.schedule = _Holds(schedule, self)

    def tell(self, kind: str, **fields: Any) -> None:
        """Take something down."""
        self.told.append((self.happened(), self._now, kind, fields))

    def beside(self, count: int | None = None) -> Beside:
        """Return what has been told, or the first ``count`` events of it; but not what the runtime's own tasks do."""
        events = [
            (index, time, kind, {name: self._name(name, value) for name, value in fields.items()})
            for index, time, kind, fields in self.told[:count]
            if fields.get("task") not in self._internal
        ]
        actors = {cell.path for cell in self.actors() if _is_library(getattr(cell.actor_class, "__module__", ""))}
        tasks = {self.label_of(task) for task in self._internal if getattr(task.get_coro(), "cell", None) is None}
        internal = frozenset(actors | tasks)
        return Beside(events, internal, [(index, who, self.node(task)) for index, who, task in self._wakes])

    def node(self, task: Any) -> str:
        """Return by which name the trace knows a task: by the actor's, for its handlers and jobs."""
        cell = getattr(task.get_coro(), "cell", None)
        return str(self.label_of(task) if cell is None else cell.path)

    def _name(self, name: str, value: Any) -> Any:
        if isinstance(value, SimTask):
            return self.node(value) if name == "who" else self.label_of(value)
        if isinstance(value, list):
            more = [f"{len(value) - _NAMED} more"] if len(value) > _NAMED else []
            return ", ".join([*value[:_NAMED], *more])
        return value

    def who_runs(self) -> str:
        """Who is at work, by the name that the trace has for a sender."""
        sender = self.sender() if asyncio._get_running_loop() is self else ""
        return sender if sender and sender != "external" else self._running_lane.label or "loop"

    def run_forever(self) -> None:
        with self.holders.noting():
            super().run_forever()

    # -- tasks -------------------------------------------------------------------------------------------------

    def create_task(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        task: Any = super().create_task(coro, **options)
        if asyncio._get_running_loop() is self:  # else it is the scenario itself
            self.tell("task", task=task, who=task, by=self.who_runs())
            if _is_internal(task):
                self._internal.add(task)
        task.cancel = _Cancel(self, task)
        return task  # type: ignore[no-any-return]

    def spare_task(self, coro: Any, name: str, context: Context) -> asyncio.Task[Any]:
        task: Any = super().spare_task(coro, name, context)
        self._internal.add(task)
        return task  # type: ignore[no-any-return]

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle: Any = super().call_soon(callback, *args, context=context)
        owner = getattr(callback, "__self__", None)
        if owner.__class__ is SimTask:
            handle._callback = _Step(self, callback, owner)
            self._wakes.append((self.happened(), self.who_runs(), owner))
        return handle  # type: ignore[no-any-return]

    # -- timers ------------------------------------------------------------------------------------------------

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer: Any = super().call_at(when, callback, *args, context=context)
        module = str(getattr(callback, "__module__", ""))
        if not module.startswith(_OURS):  # the runtime's own are told by what they lead to
            timer._callback = _Timer(self, callback, self._now)
        return timer  # type: ignore[no-any-return]


class _Wrapped:
    """Stands for a callback: has its owner and its names."""

    def __init__(self, loop: TellingLoop, callback: Callable[..., Any]) -> None:
        self._loop = loop
        self._wrapped = callback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class _Step(_Wrapped):
    def __init__(self, loop: TellingLoop, callback: Callable[..., Any], task: SimTask) -> None:
        super().__init__(loop, callback)
        self._task = task

    def __call__(self, *args: Any) -> Any:
        result = self._wrapped(*args)
        task = self._task
        if task.done():
            error = None if task.cancelled() else task._exception  # not as seen
            how = "was cancelled" if task.cancelled() else "ended" if error is None else "raised"
            self._loop.tell("task_end", task=task, who=task, how=how, error=error)
        return result


class _Timer(_Wrapped):
    def __init__(self, loop: TellingLoop, callback: Callable[..., Any], since: float) -> None:
        super().__init__(loop, callback)
        self._since = since
        self._by = loop.who_runs()

    def __call__(self, *args: Any) -> Any:
        loop = self._loop
        name = getattr(self._wrapped, "__name__", "")
        seconds = round(loop.time() - self._since, 6)
        kind = _WAKES.get(name, "timer")
        if kind == "timer":
            loop.tell(kind, who=self._by, what=getattr(self._wrapped, "__qualname__", name), seconds=seconds)
        elif kind != "slept" or not (args and args[0].done()):  # the sleeper has been cancelled
            loop.tell(kind, who=self._by, seconds=seconds)
        return self._wrapped(*args)


class _Cancel:
    """Stands before a task's ``cancel``."""

    def __init__(self, loop: TellingLoop, task: SimTask) -> None:
        self._loop = loop
        self._task = task

    def __call__(self, msg: Any = None) -> bool:
        done = self._task.done()
        if not done:
            self._loop.tell("cancel", task=self._task, who=self._task, by=self._loop.who_runs())
        return SimTask.cancel(self._task, msg)


class _Holds(Before):
    """Stands before a schedule, and says which lane waits while others go first."""

    def __init__(self, schedule: Schedule, loop: TellingLoop) -> None:
        super().__init__(schedule)
        self._loop = loop
        self._held: dict[tuple[str, int], list[str]] = {}

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        loop = self._loop
        loop.picked_at.append(loop.happened())
        pick = self._schedule.pick(order, lanes)
        first = lanes[order[pick]].label
        for age in order[:pick]:
            lane = lanes[age]
            key = lane.label, lane.turn + 1
            if key not in self._held:
                self._held[key] = []
                whose = lane.source if lane.source.__class__ is SimTask else lane.label
                loop.tell("hold", lane=lane.label, who=whose, turn=lane.turn + 1, first=self._held[key])
            self._held[key].append(first)
        return pick


def _is_internal(task: SimTask) -> bool:
    """Whether a task, made just now, is the library's own, not made for somebody; a job is its actor's."""
    if "+job" in task.get_name():
        return False
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith(("asyncio", _TESTING)):
            return _is_library(name)
        frame = frame.f_back
    return False


def _is_library(module: str) -> bool:
    """Whether a module is the library's; its models, which stand for somebody's, are not."""
    return module.startswith(f"{_OURS}.") and not module.startswith(_TESTING)
