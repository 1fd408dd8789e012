"""What the simulation loop schedules: lanes, and tasks and futures whose hashes are the same in every run."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .loop import SimulationLoop


class Lane:
    """What runs in order. ``handles`` hold ``(age, handle)``; ``turn`` counts the steps taken."""

    __slots__ = ("_children", "handles", "label", "priority", "siblings", "source", "turn")

    def __init__(self, source: Any, siblings: deque[Lane] | None = None) -> None:
        self.source = source
        self.label = ""
        self.handles: deque[tuple[int, asyncio.Handle]] = deque()
        self.turn = 0
        self.siblings = siblings
        """The unstarted tasks of this one's parent, oldest first, until this one has started."""
        self._children: deque[Lane] | None = None
        self.priority: float | None = None

    def __repr__(self) -> str:
        return f"<Lane {self.label} turn {self.turn}>"

    @property
    def children(self) -> deque[Lane]:
        """The tasks made by this lane that have not started yet, oldest first."""
        if self._children is None:
            self._children = deque()
        return self._children


class Schedule(Protocol):
    """Chooses which lane runs next."""

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        """Return an index into ``order``, the ages of the ready lanes, oldest first; ``lanes`` maps age to lane."""
        ...


class SimTask(asyncio.Task[Any]):
    """A task whose hash is a number counted by the loop.

    ``TaskGroup`` and ``asyncio.wait`` keep tasks in sets; with the usual hash, an address, they would be cancelled
    in another order in each process.
    """

    lane: Lane | None = None
    """Where its steps are queued; there from its first step on."""

    def __init__(self, coro: Any, *, loop: SimulationLoop, name: str | None, context: Context | None) -> None:
        self._sim_loop = loop
        self.number = loop.next_number()
        self.unnamed = name is None
        super().__init__(coro, loop=loop, name=name or f"Task-{self.number}", context=context)

    def __hash__(self) -> int:
        return self.number

    def set_name(self, value: object, /) -> None:
        self.unnamed = False
        super().set_name(value)
        if self.lane is not None and self.lane.label:
            self._sim_loop.relabel(self.lane)


class SimFuture(asyncio.Future[Any]):
    """A future whose hash is a number counted by the loop."""

    def __init__(self, *, loop: SimulationLoop) -> None:
        self.number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class Step(asyncio.Handle):
    """A handle that does not ask the loop for its debug mode, which is never on: a tenth of a microsecond a step."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., Any], args: Sequence[Any], loop: SimulationLoop, context: Context | None
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class ExecutorCall:
    """A function handed to an executor: runs inline, as a step of the executor's own lane."""

    __slots__ = ("args", "func", "future", "label")

    def __init__(
        self, label: str, func: Callable[..., Any], args: tuple[Any, ...], future: asyncio.Future[Any]
    ) -> None:
        self.label = label
        self.func = func
        self.args = args
        self.future = future

    def run(self) -> None:
        if self.future.cancelled():
            return
        try:
            result = self.func(*self.args)
        except Exception as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Executor:
    """Names the lane of one executor, and keeps that executor alive with it."""

    label = "executor"

    def __init__(self, executor: Any) -> None:
        self.executor = executor
