"""The loop's own tasks, futures and handles: their hashes are numbers, the same in every run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import Any, Protocol

from .lanes import Lane


class Numbering(Protocol):
    """What tasks and futures need of the event loop that they belong to."""

    touched: Callable[[SimTask, bool], object] | None
    awaited: Callable[[SimTask], object] | None

    def next_number(self) -> int:
        """Return the next number that identifies a task or future."""
        ...

    def relabel(self, lane: Lane) -> None:
        """Take note that the lane's task has another name now."""
        ...

    def label_of(self, task: SimTask) -> str:
        """Return what a task is called."""
        ...


class SimTask(asyncio.Task[Any]):
    """A task whose hash is a number counted by the loop.

    ``TaskGroup`` and ``asyncio.wait`` keep tasks in sets; with the usual hash, an address, they would be cancelled
    in another order in each process.
    """

    lane: Lane | None = None
    """Where its steps are queued; there from its first step on."""
    process: Any = None
    """The simulated process that it belongs to."""
    first: asyncio.Handle | None = None
    """The first step of a task that does not start by itself."""

    def __init__(
        self, coro: Any, *, loop: Numbering, name: str | None, context: Context | None, eager: bool = False
    ) -> None:
        self._sim_loop = loop
        self.number = loop.next_number()
        self.unnamed = name is None
        options: dict[str, Any] = {"eager_start": True} if eager else {}  # Python 3.12
        super().__init__(coro, loop=loop, name=name or f"Task-{self.number}", context=context, **options)  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return self.number

    @property
    def label(self) -> str:
        """What it is called wherever a run is told: in holds, in the trace, in a deadlock; no other task is."""
        lane = self.lane
        return lane.label if lane is not None and lane.label else self._sim_loop.label_of(self)

    def done(self) -> bool:
        if self._sim_loop.touched is not None:
            self._sim_loop.touched(self, False)
        return super().done()

    def cancel(self, msg: Any | None = None) -> bool:
        if self._sim_loop.touched is not None:
            self._sim_loop.touched(self, True)
        return super().cancel(msg)

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        if self._sim_loop.awaited is not None:
            self._sim_loop.awaited(self)
        super().add_done_callback(fn, context=context)

    def set_name(self, value: object, /) -> None:
        self.unnamed = False
        super().set_name(value)
        if self.lane is not None and self.lane.label:
            self._sim_loop.relabel(self.lane)


class SimFuture(asyncio.Future[Any]):
    """A future whose hash is a number counted by the loop."""

    primitive: Any = None
    """The lock, event, condition, semaphore or queue that somebody waits at with it."""

    def __init__(self, *, loop: Numbering) -> None:
        self.number = loop.next_number()
        super().__init__(loop=loop)  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return self.number


class Step(asyncio.Handle):
    """A handle that does not ask the loop for its debug mode, which is never on: a tenth of a microsecond a step."""

    __slots__ = ()
    # Written in debug mode only.
    _repr = None
    _source_traceback = None

    def __init__(
        self,
        callback: Callable[..., Any],
        args: Sequence[Any],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False


def name_of(owner: Any) -> str | None:
    """Return whose step it is: the path of an actor, of the one whose handler a task goes on with, or a task's name.

    None for a callback that is nobody's.
    """
    if isinstance(owner, SimTask):
        return _function_of(owner) if owner.unnamed else owner.get_name()
    label = getattr(owner, "label", None)
    return label if isinstance(label, str) else None


def task_name(task: asyncio.Task[Any]) -> str:
    """What a task is called, before it is told from others of that name."""
    if task.__class__ is SimTask and task.unnamed:
        return _function_of(task)
    name = task.get_name()
    cell = getattr(task.get_coro(), "cell", None)
    # A handler that waits: by its message, counted as faults count them.
    return f"{name}#{cell.details.processed}" if cell is not None and cell.path == name and cell.details else name


def _function_of(task: asyncio.Task[Any]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", "task")).rpartition(".")[2]


def owner_of(handle: Any) -> Any:
    """Whose step a handle is: of a turn, the actor's."""
    callback = handle._callback
    return handle._args[0] if getattr(callback, "__name__", "") == "run_alone" else getattr(callback, "__self__", None)
