"""Which objects a task or an actor can reach that it may change: where two reach the same one, their order matters.

Only what hangs on arguments, closures, attributes and context variables is followed; module globals and class
attributes are not. What an object of a kind made in C holds beside its attributes is seen where the kind is known.
Where it is not, as of an iterator, who reaches it counts as changing it.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import decimal
import functools
import gc
import logging
import operator
import re
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

from ....core.mail.cell import Cell
from ....core.mail.future import ERROR, VALUE, Future
from ....core.refs.ref import ActorRef
from ....core.runtime.runtime import Runtime
from ....core.system import System
from ...loop.lanes.tasks import SimFuture, SimTask
from ..running.scenario import Simulation

LIMIT = 5_000
"""Objects looked at; whoever reaches more is taken to touch everything."""

Change: TypeAlias = Literal["none", "seen", "told", "hidden"]
"""How one knows that an object has changed: it never does; by what it holds; the loop tells, and what it holds is only
looked at for what hangs on it; not at all, so that who reaches it is taken to change it."""

_METHODS: Final = (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType)
_PLAIN = (
    *(
        str,
        int,
        float,
        complex,
        bytes,
        type(None),
        type,
        Enum,
        range,
        slice,
        types.NotImplementedType,
        types.EllipsisType,
    ),
    *(types.ModuleType, types.CodeType, types.FrameType, types.TracebackType, types.GenericAlias, types.UnionType),
    *_METHODS,
    *(types.GetSetDescriptorType, types.MemberDescriptorType, property, TypeVar, ParamSpec),
    *(
        datetime.date,
        datetime.time,
        datetime.timedelta,
        datetime.tzinfo,
        decimal.Decimal,
        decimal.Context,
        re.Pattern,
        re.Match,
    ),
    *(operator.itemgetter, operator.attrgetter, operator.methodcaller),
    *(contextvars.ContextVar, contextvars.Context, contextvars.Token, logging.Logger, logging.Handler),
    # What belongs to the machinery.
    *(ActorRef, System, Simulation, Cell, Runtime),
    *(asyncio.AbstractEventLoop, asyncio.TaskGroup),
)
_CARRIES = ("FutureIter", "coroutine_wrapper", "anext_awaitable")
"""Kinds that only hand on what they were made of."""


def reachable(roots: Iterable[Any]) -> tuple[dict[int, Any], bool]:
    """Return the objects that can be reached and can change, by their ids, and whether those are all.

    Args:
        roots: coroutines, actors, messages.
    """
    found: dict[int, Any] = {}
    seen: set[int] = set()
    pending: list[Any] = list(roots)
    while pending and len(seen) < LIMIT:
        value = pending.pop()
        look, change = _looks[type(value)]
        if look is None or id(value) in seen:
            continue
        seen.add(id(value))
        if change != "none":
            found[id(value)] = value
        pending.extend(look(value))
    return found, not pending


def contents(value: Any) -> list[Any]:
    """Return what an object holds at one level: it has changed where two of these are not the same objects."""
    look, _ = _looks[type(value)]
    return [] if look is None else look(value)


def change_of(value: Any) -> Change:
    """Return how one knows that an object has changed."""
    return _looks[type(value)][1]


_Look: TypeAlias = Callable[[Any], list[Any]]


class _Looks(dict[type, tuple[_Look | None, Change]]):
    """By type: how to see what an object holds, None where that is of no interest; and how one knows of a change."""

    def __missing__(self, kind: type) -> tuple[_Look | None, Change]:
        found = self[kind] = _look_at(kind)
        return found


_looks: Final = _Looks()


def _look_at(kind: type) -> tuple[_Look | None, Change]:
    if issubclass(kind, _PLAIN):
        return None, "none"
    if seen := _first(_OWN, kind):
        return seen
    native = next(base for base in kind.__mro__ if _is_native(base))
    attributes = _attributes_of(kind)
    if native is object:
        return attributes, "seen"
    if (seen := _first(_NATIVE, kind)) is None:  # what it holds the garbage collector knows, what else it is nobody
        return gc.get_referents, "none" if kind.__name__ in _CARRIES else "hidden"
    if native is kind or attributes is None:
        return seen
    own, inner = attributes, seen[0]
    return lambda value: [*inner(value), *own(value)], "seen"


def _first(kinds: _Kinds, kind: type) -> tuple[_Look, Change] | None:
    return next(((look, change) for base, look, change in kinds if issubclass(kind, base)), None)


def _is_native(kind: type) -> bool:
    """Whether a class was made in C: some of its methods, or how one is made, were."""
    return any(
        (type(value) in _METHODS and value.__objclass__ is kind)
        or (type(value) is types.BuiltinFunctionType and value.__self__ is kind)
        for value in vars(kind).values()
    )


def _attributes_of(kind: type) -> _Look | None:
    """How to see the attributes of objects of a class; None where they have none."""
    made = [base for base in kind.__mro__ if not _is_native(base)]
    slots = [slot for base in made for slot in vars(base).values() if type(slot) is types.MemberDescriptorType]
    if not slots and not kind.__dictoffset__:
        return None

    def attributes(value: Any) -> list[Any]:
        try:
            own = object.__getattribute__(value, "__dict__")  # whatever its class says is done at a look
        except AttributeError:
            own = None
        parts = list(own.values()) if own.__class__ is dict else []
        for slot in slots:
            try:
                parts.append(slot.__get__(value))
            except AttributeError:  # not assigned yet
                continue
        return parts

    return attributes


def _function(function: types.FunctionType) -> list[Any]:
    return [
        *(function.__closure__ or ()),
        *(function.__defaults__ or ()),
        *(function.__kwdefaults__ or {}).values(),
        *vars(function).values(),
    ]


def _future(future: asyncio.Future[Any]) -> list[Any]:
    return [future._state, *_result(future), *(callback for callback, _ in future._callbacks or ())]


def _result(future: Any) -> list[Any]:
    return [future._result, future._exception] if future._state == "FINISHED" else []


def _reply(future: Future[Any]) -> list[Any]:
    return [future._value] if future._state == VALUE else [future._value.error] if future._state == ERROR else []


def _cell(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not assigned yet
        return []


def _owner(method: Any) -> list[Any]:
    owner = method.__self__
    return [] if owner is None or isinstance(owner, types.ModuleType) else [owner]


def _error(error: BaseException) -> list[Any]:
    more = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [*error.args, error.__cause__, error.__context__, *more, *vars(error).values()]


_Kinds: TypeAlias = tuple[tuple[Any, _Look, Change], ...]
_OWN: _Kinds = (
    ((SimTask, SimFuture), _result, "told"),
    (Future, _reply, "told"),
    (asyncio.Future, _future, "seen"),
    (asyncio.Handle, lambda handle: [handle._cancelled], "seen"),
)
"""Those of which only this is of interest."""
_NATIVE: _Kinds = (
    (dict, lambda value: [*value.keys(), *value.values()], "seen"),
    ((list, set, deque), list, "seen"),
    ((tuple, frozenset), list, "none"),
    (types.CellType, _cell, "seen"),
    (types.CoroutineType, gc.get_referents, "none"),  # its function, what is in its frame, and what it awaits
    (types.FunctionType, _function, "seen"),
    (types.MethodType, lambda value: [value.__self__, value.__func__], "none"),
    ((types.BuiltinFunctionType, types.MethodWrapperType), _owner, "none"),
    ((staticmethod, classmethod), lambda value: [value.__func__], "none"),
    (functools.partial, lambda value: [value.func, *value.args, *value.keywords.values()], "none"),
    ((types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items())), gc.get_referents, "none"),
    (types.SimpleNamespace, lambda value: list(vars(value).values()), "seen"),
    (weakref.ref, lambda value: [value()], "none"),
    (BaseException, _error, "seen"),
)
"""Those made in C, and what of them can be seen: the attributes of a class made in Python upon one come to that."""
