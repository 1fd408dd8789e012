"""The tasks and futures of a simulated loop: numbered in the order in which they are made, and named in it too."""

from __future__ import annotations

import asyncio
import itertools
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

from ....core.runtime.driver import Driver
from ...errors import SimulationError
from .lanes import Lane, process
from .precedence import primitive
from .tasks import SimFuture, SimTask, task_name

T = TypeVar("T")


class NumberedTasks(asyncio.BaseEventLoop):
    """Makes tasks and futures, and keeps the tasks."""

    touched: Callable[[SimTask, bool], object] | None = None
    """Told of each task that somebody looks at, or (True) cancels."""
    awaited: Callable[[SimTask], object] | None = None
    """Told of each task whose end somebody wants to be told of."""
    _future_class: type[SimFuture] = SimFuture

    def __init__(self) -> None:
        super().__init__()
        self.strict = False
        """Whether there are no lanes, but one queue."""
        self.closing = False
        self.killed: set[Any] = set()
        """Processes of which nothing runs any more."""
        self._number = 0
        # Not asyncio.all_tasks(): it goes through the tasks of all loops, those of earlier runs among them. Keeping
        # the tasks also means that when the garbage collector runs decides nothing.
        self._tasks: list[SimTask] = []
        self._calls: list[tuple[str, asyncio.Future[Any]]] = []
        """Of each function handed to an executor what it is called and what it gives; kept like the tasks."""
        self._sparing = False
        self._eager = False
        self._unlabelled: list[Lane] = []
        self._labels: dict[str, int] = {}

    def next_number(self) -> int:
        """Return the next number that identifies a task or future."""
        self._number += 1
        return self._number

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future with a stable hash."""
        future = self._future_class(loop=self)
        future.primitive = primitive()
        return future

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        eager_start: bool | None = None,
        **_: Any,
    ) -> asyncio.Task[T]:
        """Make a task with a stable hash."""
        self._check_closed()  # type: ignore[attr-defined]
        if self.closing:
            coro.close()
            raise SimulationError("the simulation is over: no new task can start")
        eager = (self._eager and not isinstance(coro, Driver)) if eager_start is None else eager_start
        task = SimTask(coro, loop=self, name=None if name is None else str(name), context=context, eager=eager)
        task.process = process.get() if context is None else context.get(process)
        self._tasks.append(task)
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Have tasks start eagerly, or not.

        Args:
            factory: `asyncio.eager_task_factory` or None.

        Raises:
            SimulationError: it is another one: its tasks would be strangers here, in another order in each process.
        """
        if factory is not None and factory is not getattr(asyncio, "eager_task_factory", None):
            name = getattr(factory, "__qualname__", type(factory).__name__)
            raise SimulationError(
                f"the task factory {name} makes tasks that a simulation cannot number: "
                "set none, or asyncio.eager_task_factory"
            )
        super().set_task_factory(factory)
        self._eager = factory is not None

    def spare_task(self, coro: Any, name: str, context: Context) -> asyncio.Task[Any]:
        """Make a task that takes no step before `start_task`; the systems' dispatchers ask for them."""
        self._sparing = True
        try:
            task = SimTask(coro, loop=self, name=name, context=context)
        finally:
            self._sparing = False
        task.process = context.get(process)
        task.lane = Lane(task)
        self._tasks.append(task)
        return task

    def start_task(self, task: SimTask) -> None:
        """Have a task of `spare_task` take its first step here and now, as a part of the step under way."""
        first, task.first = task.first, None
        if first is None:
            return
        assert task.lane is not None
        self._unlabelled.append(task.lane)
        outer = asyncio.current_task(self)
        if outer is not None:
            _leave_task(self, outer)
        try:
            first._run()
        finally:
            if outer is not None:
                _enter_task(self, outer)

    def unfinished(self) -> list[SimTask]:
        """Return the tasks that are not done, oldest first; of killed processes there are none any more."""
        return [task for task in self._tasks if not task.done() and task.process not in self.killed]

    def unseen(self) -> tuple[str, BaseException] | None:
        """Return what failed first of tasks and functions in executors, and how, if nobody has looked at it.

        A stock loop tells its exception handler of it when the garbage collector comes.
        """
        tasks = ((task, "") for task in self._tasks if task.process not in self.killed)
        calls = ((future, label) for label, future in self._calls)
        for future, label in itertools.chain[tuple[Any, str]](tasks, calls):
            if future._log_traceback:
                return label or f"task {self.label_of(future)}", future.exception()
        return None

    def relabel(self, lane: Lane) -> None:
        """Give the lane a label anew before the next choice: its task has another name now."""
        lane.label = ""
        self._unlabelled.append(lane)

    def _name_lanes(self) -> None:
        """Label the lanes made in the last step, in the order in which they were made.

        Not at once: before Python 3.13 a task gets its name after it was made.
        """
        for lane in self._unlabelled:
            source = lane.source
            label = task_name(source) if isinstance(source, asyncio.Task) else source.label
            lane.label = self._distinct(label)
        self._unlabelled.clear()

    def _distinct(self, label: str) -> str:
        seen = self._labels[label] = self._labels.get(label, 0) + 1
        return label if seen == 1 else f"{label}~{seen}"

    def label_of(self, task: SimTask) -> str:
        """Return what a task is called in this run; where it is not in a lane yet, what it calls itself."""
        if self.strict and task.lane is None:
            task.lane = Lane(task)
            task.lane.label = self._distinct(task_name(task))
        return task.lane.label if task.lane is not None and task.lane.label else task_name(task)
