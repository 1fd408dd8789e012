"""Which objects a task or an actor can reach that it may change: where two reach the same one, their order matters.

Only what hangs on arguments, closures and attributes is followed; module globals and class attributes are not.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import types
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias

from ....core.actor import Actor
from ....core.mail.cell import Cell
from ....core.mail.future import Future
from ....core.refs.ref import ActorRef
from ....core.runtime.runtime import Runtime
from ....core.system import System
from ...loop.lanes.tasks import SimFuture, SimTask
from ..running.scenario import Simulation

LIMIT = 5_000
"""Objects looked at; whoever reaches more is taken to touch everything."""

_PLAIN = (
    *(str, int, float, complex, bytes, type(None), type, Enum),
    *(types.ModuleType, types.BuiltinFunctionType, types.CodeType, types.FrameType),
    # What is looked at by itself, or belongs to the machinery.
    *(ActorRef, System, Simulation, Actor, Cell, Runtime, Future),
    *(SimFuture, SimTask, asyncio.AbstractEventLoop, asyncio.TaskGroup, asyncio.Timeout, asyncio.Handle),
)


def reachable(roots: Iterable[Any]) -> tuple[dict[int, Any], bool]:
    """Return the objects that can be reached and can change, by their ids, and whether those are all.

    Args:
        roots: coroutines, or the attributes of an actor; themselves not counted.
    """
    found: dict[int, Any] = {}
    seen: set[int] = set()
    pending: list[Any] = []
    for root in roots:
        pending.extend(contents(root))
    while pending and len(seen) < LIMIT:
        value = pending.pop()
        kind = type(value)
        try:
            look, changes = _looks[kind]
        except KeyError:
            look, changes = _looks[kind] = _look_at(kind)
        if look is None or id(value) in seen:
            continue
        seen.add(id(value))
        if changes:
            found[id(value)] = value
        pending.extend(look(value))
    return found, not pending


def contents(value: Any) -> list[Any]:
    """Return what an object holds at one level: it has changed where two of these are not the same objects."""
    look, _ = _looks.get(type(value)) or _look_at(type(value))
    return [] if look is None else look(value)


_Look: TypeAlias = Callable[[Any], list[Any]] | None
_looks: dict[type, tuple[_Look, bool]] = {}
"""By type: how to see what an object holds, None where that is of no interest; and whether it can change."""


def _look_at(kind: type) -> tuple[_Look, bool]:
    if issubclass(kind, _PLAIN):
        return None, False
    if issubclass(kind, asyncio.Future):  # those that are watched by themselves are plain
        return _future, True
    for base, look, changes in _KINDS:
        if issubclass(kind, base):
            return look, changes
    slots = [slot for base in kind.__mro__ for slot in _names(base.__dict__.get("__slots__", ()))]

    def attributes(value: Any) -> list[Any]:
        parts = list(vars(value).values()) if hasattr(value, "__dict__") else []
        return parts + [getattr(value, name) for name in slots if hasattr(value, name)]

    return attributes, True


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else [name for name in slots if name not in ("__dict__", "__weakref__")]


def _closure(function: types.FunctionType) -> list[Any]:
    return [
        *(function.__closure__ or ()),
        *(function.__defaults__ or ()),
        *(function.__kwdefaults__ or {}).values(),
    ]


def _future(future: asyncio.Future[Any]) -> list[Any]:
    return [future._state, *(callback for callback, _ in future._callbacks or ())]


def _cell(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not assigned yet
        return []


_KINDS: tuple[tuple[Any, Callable[[Any], list[Any]], bool], ...] = (
    (dict, lambda value: [*value.keys(), *value.values()], True),
    ((list, set, deque), list, True),
    ((tuple, frozenset), list, False),
    (types.CellType, _cell, True),
    (types.CoroutineType, gc.get_referents, False),  # its function, what is in its frame, and what it awaits
    (types.FunctionType, _closure, False),
    (types.MethodType, lambda value: [value.__self__, value.__func__], False),
    (functools.partial, lambda value: [value.func, *value.args, *value.keywords.values()], False),
)
