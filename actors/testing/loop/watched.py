"""A simulated loop that tells what makes what ready: which step set a callback off, and when time went on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from typing import Any, Protocol, TypeVar, TypeVarTuple

from .lanes.lanes import Lane, Schedule
from .lanes.precedence import Precedence
from .lanes.tasks import SimFuture, SimTask
from .loop import SimulationLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Observer(Schedule, Protocol):
    """Who is told; it also chooses."""

    def begin(self, now: Callable[[], float]) -> None:
        """A run begins, perhaps one that has to begin anew.

        Args:
            now: its time, in seconds.
        """

    def step(self, lane: Lane, handle: asyncio.Handle) -> None:
        """A step is about to be made. It may be refused, by an exception: then the run is over."""

    def posted(self, handle: asyncio.Handle, after: Collection[int] = (), *, shared: bool = False) -> None:
        """The step that is being made had this put into a lane.

        Args:
            handle: what will run.
            after: the ages of the steps that it waits for.
            shared: whether it is a callback that belongs to nobody.
        """

    def turn(self, lane: Lane) -> None:
        """The step that is being made had an actor's next turn put into its lane."""

    def timer_set(self, timer: asyncio.TimerHandle) -> None:
        """The step that is being made has set a timer."""

    def time_goes_on(self) -> None:
        """All that was ready has run."""

    def task_touched(self, task: SimTask, cancels: bool) -> None:
        """The step that is being made looks whether a task is done, or cancels it."""

    def task_awaited(self, task: SimTask) -> None:
        """The step that is being made wants to be told of a task's end: in turn with others who do."""

    def future_touched(self, number: int, changes: bool) -> None:
        """The step that is being made looks at a future, or sets it or waits for it."""


class _Precedence(Precedence):
    """Remembers what the last step waits for."""

    after: Collection[int] = ()

    def holds(self, running: Lane, lane: Lane, age: int, handle: asyncio.Handle) -> bool:
        held = super().holds(running, lane, age, handle)
        if held:
            self.after = [step for step, waiting in self.followers.items() if waiting[-1].handle is handle]
        return held


class _WatchedFuture(SimFuture):
    """A future that tells who looks at it and who changes it."""

    def __init__(self, *, loop: Any) -> None:
        self._tell = loop.observer.future_touched
        super().__init__(loop=loop)

    def done(self) -> bool:
        self._tell(self.number, False)
        return super().done()

    def cancelled(self) -> bool:
        self._tell(self.number, False)
        return super().cancelled()

    def result(self) -> Any:
        self._tell(self.number, False)
        return super().result()

    def exception(self) -> BaseException | None:
        self._tell(self.number, False)
        return super().exception()

    def set_result(self, result: Any, /) -> None:
        self._tell(self.number, True)
        super().set_result(result)

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        self._tell(self.number, True)
        super().set_exception(exception)

    def cancel(self, msg: Any | None = None) -> bool:
        self._tell(self.number, True)
        return super().cancel(msg)

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        self._tell(self.number, True)
        super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        self._tell(self.number, True)
        return super().remove_done_callback(fn)


class WatchedLoop(SimulationLoop):
    """A `SimulationLoop` whose schedule is told of each step and what it leads to."""

    _future_class = _WatchedFuture

    def __init__(self, schedule: Observer, **options: Any) -> None:
        schedule.begin(self.time)
        self.observer = schedule
        super().__init__(schedule, **options)
        self._precedence: _Precedence = _Precedence()
        self.watch = schedule.step
        self.touched = schedule.task_touched
        self.awaited = schedule.task_awaited

    def _add(self, callback: Callable[..., Any], handle: asyncio.Handle) -> None:
        self._precedence.after = ()
        super()._add(callback, handle)
        owner = getattr(callback, "__self__", None)
        shared = owner is None or (owner.__class__ is not SimTask and id(owner) not in self._lanes)
        self.observer.posted(handle, self._precedence.after, shared=shared)

    def call_turn(self, cell: Any) -> None:
        """See `SimulationLoop`."""
        super().call_turn(cell)
        self.observer.turn(self._lanes[id(cell)])

    def _set(
        self, when: float, callback: Callable[..., object], args: Sequence[Any], context: Context | None
    ) -> asyncio.TimerHandle:
        timer = super()._set(when, callback, args, context)
        self.observer.timer_set(timer)
        return timer

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """See `SimulationLoop`."""
        future = super().run_in_executor(executor, func, *args)
        lane = self._lanes.get(id(executor))
        if lane is not None and lane.handles:
            self.observer.posted(lane.handles[-1][1])
        return future

    def _advance(self) -> None:
        self.observer.time_goes_on()
        super()._advance()
