"""What runs in order whatever the schedule: lanes, what chooses among them, and calls on an executor."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from ...trace.rendering import shown

_LIBRARY = f"{__name__.partition('.')[0]}."
_BLOCKING = tuple(f"{__name__.partition('.testing.')[0]}.{room}." for room in ("core", "testing"))
process: ContextVar[Any] = ContextVar("callboard_process", default=None)
"""The simulated process that a context belongs to; None for the scenario itself."""


class Lane:
    """What runs in order. ``handles`` hold ``(age, handle)``; ``turn`` counts the steps taken."""

    __slots__ = ("handles", "held", "label", "made", "priority", "ran", "source", "turn", "turns")

    def __init__(self, source: Any) -> None:
        self.source = source
        self.label = ""
        self.handles: deque[tuple[int, asyncio.Handle]] = deque()
        self.turn = 0
        self.ran = 0
        """The age of the step taken last."""
        self.made: tuple[Lane, int, int, int] | None = None
        """Of what its steps made ready last: lane and age, the turn of that step, and the age of the first it made."""
        self.held = 0
        """The age of the last step of its own that had to wait for others."""
        self.priority: float | None = None
        self.turns: asyncio.Handle | None = None
        """The turns of an actor are all this one handle."""

    def __repr__(self) -> str:
        return f"<Lane {self.label} turn {self.turn}>"


class Schedule(Protocol):
    """Chooses which lane runs next.

    It may have two methods more: ``ready(lane)``, told of each lane that becomes ready, and ``interrupts(lane)``, asked
    at which of its points a thread is interrupted.
    """

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        """Return an index into ``order``, the ages of the ready lanes, oldest first; ``lanes`` maps age to lane."""
        ...


def interrupts(schedule: Schedule | None, lane: str) -> Iterable[int]:
    """Return at which of its points a schedule interrupts a thread: at none, where it says nothing of threads."""
    chosen = getattr(schedule, "interrupts", None)
    return () if chosen is None else chosen(lane)


def settle(future: asyncio.Future[Any], label: str, value: Any, error: BaseException | None) -> None:
    """Have the future of a call on an executor, of this label, end as the call did, unless it was cancelled."""
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
        return
    if isinstance(error, StopIteration):  # no future can carry it
        error = RuntimeError(f"{label} raised {shown(error)}")
    future.set_exception(error)


class Before:
    """Stands before another schedule, which still says where threads are interrupted, and is told what is ready.

    Args:
        schedule: the other one.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.ready: Callable[[Lane], None] | None = getattr(schedule, "ready", None)

    def interrupts(self, lane: str) -> Iterable[int]:
        """Return at which of its points a thread is interrupted."""
        return interrupts(self._schedule, lane)


class ExecutorCall:
    """A function handed to an executor that runs inline, as one step."""

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
            value, error = self.func(*self.args), None
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as raised:
            value, error = None, raised
        settle(self.future, self.label, value, error)


def executor_call(executor: Any, func: Callable[..., Any]) -> tuple[str, str, bool]:
    """Say what a call on an executor is: of which kind, the function's name, and whether it can interleave.

    What the library itself does in threads (a journal is opened, a client is made) is one step: there is no code of the
    user's in it. But its core has functions that wait for actors, and `time.sleep` is ours while a run lasts.
    """
    target: Any = func
    if func.__class__ is partial and getattr(func.func, "__name__", "") == "run" and func.args:
        target = func.args[0]  # as `asyncio.to_thread` hands it over
    while hasattr(target, "func"):
        target = target.func
    name = getattr(target, "__name__", type(target).__name__)
    if getattr(executor, "callboard_processes", False) or type(executor).__module__ == "concurrent.futures.process":
        return "process", name, False
    module = f"{getattr(target, '__module__', None) or type(target).__module__}."
    return "thread", name, not module.startswith(_LIBRARY) or module.startswith(_BLOCKING)


class Executor:
    """Names the lane of one executor, and keeps that executor alive with it."""

    label = "executor"

    def __init__(self, executor: Any) -> None:
        self.executor = executor
