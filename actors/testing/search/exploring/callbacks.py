"""What a callback of the loop is for: whether anybody can see when it runs, what it joins, whom it is about."""

from __future__ import annotations

import asyncio
from typing import Any

from ....core.mail.ask import Ask
from ....core.mail.cell import Cell
from ....core.mail.future import VALUE, Future
from ....core.processing.timers import Patience, Timer
from ....core.runtime.driver import NOTHING, Driver
from ...loop.lanes.lanes import Lane
from ...loop.lanes.tasks import SimTask

_WAKES = ("_set_result_unless_cancelled", "_run_until_complete_cb", "_release_waiter")
_FIRST = "_wait.<locals>._on_completion"
_GATHER = "gather.<locals>._done_callback"
_JOINS = ("TaskGroup._on_task_done", _GATHER, _FIRST)
_COUNTS = (
    *_JOINS,
    "shield.<locals>._inner_done_callback",
    "shield.<locals>._outer_done_callback",
)


def is_internal(lane: Lane, handle: asyncio.Handle) -> bool:
    """Whether a step only carries on what an earlier one began, so that nobody sees when it comes."""
    source = lane.source
    if source is None:
        return is_benign(handle)
    if source.__class__ is SimTask:
        coro = source.get_coro()
        return (
            isinstance(coro, Driver) and (coro.pending is not NOTHING or coro.coro is None) and not source.cancelling()
        )
    return False


def is_benign(handle: asyncio.Handle) -> bool:
    """Whether it only wakes who waits, as asyncio's own callbacks do where nothing has failed."""
    callback = callback_of(handle)
    if not str(getattr(callback, "__module__", "")).startswith("asyncio."):
        return False
    name = getattr(callback, "__qualname__", "")
    if name in _WAKES:
        return True
    if name in _COUNTS:
        return _succeeded(handle._args[0])
    return False


def callback_of(handle: asyncio.Handle) -> Any:
    """The function that is called."""
    callback = handle._callback  # type: ignore[attr-defined]
    return getattr(callback, "func", callback)


def joins(callback: Any) -> bool:
    """Whether what it sets off comes after all that it is called for: a group of tasks, a gather."""
    return getattr(callback, "__qualname__", "") in _JOINS


def _succeeded(future: Any) -> bool:
    if isinstance(future, Future):
        return future._state == VALUE
    return not future.cancelled() and future._exception is None


def settled(handle: asyncio.Handle) -> Any:
    """The future that one of several callbacks settles: of an `asyncio.wait` for the first, or a gather; or None."""
    callback = callback_of(handle)
    name = getattr(callback, "__qualname__", "")
    if name not in (_FIRST, _GATHER):
        return None
    closure = zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True)
    inside = {variable: cell.cell_contents for variable, cell in closure}
    if inside.get("return_when") == asyncio.ALL_COMPLETED:
        return None
    if name == _GATHER and _succeeded(handle._args[0]) and inside["nfinished"] + 1 < inside["nfuts"]:
        return None  # one that only counts: the last one settles it
    return inside.get("waiter") or inside.get("outer")


def owner_of(handle: asyncio.Handle) -> Any:
    """What a callback is a method of."""
    return getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]


def place_of(handle: asyncio.Handle) -> Cell | None:
    """The actor that a callback of the runtime's own is about."""
    callback = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    found: Any = None
    if isinstance(owner, Timer | Patience):
        found = owner._cell
    elif isinstance(owner, Ask | Driver):
        found = owner.cell
    elif owner is None and str(getattr(callback, "__module__", "")).startswith("callboard."):
        found = handle._args[0] if handle._args else None
    return found if isinstance(found, Cell) else None
