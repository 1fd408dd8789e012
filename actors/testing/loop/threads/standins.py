"""Finds the locks that the code under test made before the run, and its names for what `locks` replaces.

A lock made at the top of a module, in a class or by an object that is older than the run is an ordinary one. A thread
that is interrupted while it has one would block whoever wants it next, for good and in C. So for the time of a run a
lock stands in for it wherever it is found: in the user's modules and classes, in what the scenario closes over, in the
attributes, slots, lists, tuples and dicts of objects there, and in the defaults and partial arguments of functions.
"""

from __future__ import annotations

import functools
import gc
import queue
import sys
import threading
import types
from collections import ChainMap, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import BuiltinMethodType, CellType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final, TypeAlias

from .interrupts import is_user

DEEP: Final = 3
"""How far from a module or a scenario a lock is looked for."""
MANY: Final = 100
"""Lists and dicts that are longer are not looked through."""

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_OPEN = {it.__name__ for it in (threading, queue, functools, types)} | {ChainMap.__module__}
"""Whose objects are looked into as one with what they hold: conditions, queues, cached properties, namespaces."""
_LEAVES = {str, bytes, int, float, bool, type(None), frozenset, set, BuiltinMethodType}
StandIn: TypeAlias = Callable[[Any], Any]


class Place:
    """Where something was found: an attribute, a cell, an item of a list or dict, the arguments of a partial."""

    __slots__ = ("_holder", "_key", "new", "old")

    def __init__(self, holder: Any, key: Any, old: Any, new: Any) -> None:
        self._holder, self._key, self.old, self.new = holder, key, old, new

    def __str__(self) -> str:
        """What the code calls it, as nearly as that is known."""
        holder, key = self._holder, self._key
        if isinstance(holder, dict | list | deque):
            return f"[{key!r:.40}] of a {type(holder).__name__}"
        if isinstance(holder, CellType):
            return "in a closure"
        named = holder if isinstance(holder, type | ModuleType | FunctionType) else type(holder)
        return f"{named.__name__}.{key}"

    def change(self) -> bool:
        """Put the new in the place of the old; say whether that was there."""
        return self._swap(self.old, self.new)

    def put_back(self) -> None:
        """Put the old in the place of the new."""
        self._swap(self.new, self.old)

    def _swap(self, before: Any, after: Any) -> bool:
        holder, key = self._holder, self._key
        kind = type(holder)
        if issubclass(kind, dict | list | deque):
            known = holder.get(key) if issubclass(kind, dict) else holder[key] if key < len(holder) else None
            if known is before:
                holder[key] = after
        elif (known := _attribute(holder, key)) is before:
            if issubclass(kind, functools.partial):
                _, _, state = holder.__reduce__()
                holder.__setstate__((state[0], after, *state[2:]))
            elif issubclass(kind, type):
                type.__setattr__(holder, key, after)
            elif issubclass(kind, ModuleType):
                setattr(holder, key, after)
            else:  # past what a class of the user's makes of it, which may be to refuse
                object.__setattr__(holder, key, after)
        return known is before


def _attribute(holder: Any, key: str) -> Any:
    with suppress(Exception):  # of a property of the user's
        return getattr(holder, key, None)
    return None


def names(replaced: dict[int, Any]) -> list[Place]:
    """Return where modules of the user's have a name that was bound before.

    Args:
        replaced: what stands in for a function or class, by the ``id`` of that.
    """
    return [
        Place(module, name, value, replaced[id(value)])
        for module in _modules()
        for name, value in vars(module).items()
        if id(value) in replaced
    ]


_looked: tuple[object, list[str]] = None, []
"""When modules were looked at last, and which of them were the user's."""


def _modules() -> Iterator[ModuleType]:
    """The user's modules. They are looked for again only where one was added, which then is the last."""
    global _looked
    now = len(sys.modules), next(reversed(sys.modules))
    if _looked[0] != now:
        users = (name for name, it in list(sys.modules.items()) if isinstance(it, ModuleType) and _is_users(it))
        _looked = now, [*users]
    for name in _looked[1]:
        module = sys.modules.get(name)
        if isinstance(module, ModuleType):
            yield module


def _is_users(module: Any) -> bool:
    return is_user(getattr(module, "__file__", None) or "<")


class Finder:
    """Looks for locks that are older than a run.

    Args:
        stand_in: makes what stands in for a lock.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self.made: dict[int, Any] = {}
        """What stands in for locks, by the ``id`` of those."""
        self.places: list[Place] = []
        """Where they were found."""
        self._seen: set[int] = set()

    def look(self, scenario: Any) -> None:
        """Look in modules and in what the scenario closes over, whatever was seen before."""
        self._seen.clear()
        self._look_in_modules()
        self._visit(scenario, DEEP)

    def look_again(self, scenario: Any) -> None:
        """Look in what the scenario closes over, and in modules only if any has more names than it had.

        In a large program they take 50 ms, and most searches have nothing to do with locks.
        """
        global _found
        modules = tuple((module.__name__, id(module), len(vars(module))) for module in _modules())
        if _found is None or _found[0] != modules:
            self._look_in_modules()
            _found = modules, self.made.copy(), self.places.copy()
        else:
            self.made, self.places = _found[1].copy(), _found[2].copy()
        self._visit(scenario, DEEP)

    def _look_in_modules(self) -> None:
        for module in _modules():
            self._each(module, vars(module).items(), DEEP)

    def _other(self, value: Any) -> Any:
        """Return what stands in for a value, or None."""
        kind = type(value)
        if kind is _LOCK or kind is _RLOCK:
            made = self.made.get(id(value))
            if made is None:
                made = self.made[id(value)] = self._stand_in(value)
            return made
        if kind is BuiltinMethodType and type(value.__self__) in (_LOCK, _RLOCK):  # a condition keeps its lock's
            return getattr(self._other(value.__self__), value.__name__, None)
        if issubclass(kind, tuple) and len(value) <= MANY and (kind is tuple or hasattr(kind, "_make")):
            others = [self._other(each) for each in value]
            if any(other is not None for other in others):
                items = [each if other is None else other for each, other in zip(value, others, strict=True)]
                return tuple.__new__(kind, items)
        return None

    def _visit(self, value: Any, deep: int) -> None:
        if not deep or id(value) in self._seen or not _lets_look(value):
            return
        self._seen.add(id(value))
        kind = type(value)  # not its `__class__`: a proxy's may raise
        if kind is MethodType:
            self._visit(value.__self__, deep)
            value, kind = value.__func__, type(value.__func__)
        if kind is FunctionType:
            for cell in value.__closure__ or ():
                self._each(cell, _contents(cell), deep)
            self._each(value, [("__defaults__", value.__defaults__), *value.__dict__.items()], deep + 1)
            if value.__kwdefaults__:
                self._each(value.__kwdefaults__, value.__kwdefaults__.items(), deep)
        elif kind in (staticmethod, classmethod):
            self._visit(value.__func__, deep)
        elif issubclass(kind, functools.partial):
            self._visit(value.func, deep)
            self._each(value, [("args", value.args)], deep + 1)
            self._each(value.keywords, value.keywords.items(), deep)
        elif kind is functools._lru_cache_wrapper:
            self._visit(value.__wrapped__, deep)
        elif kind is MappingProxyType:
            for each in gc.get_referents(value):
                self._visit(each, deep)
        elif issubclass(kind, tuple):
            for each in value[:MANY]:
                if type(each) not in _LEAVES:
                    self._visit(each, deep)
        elif issubclass(kind, dict):
            if len(value) <= MANY:
                if issubclass(kind, defaultdict):
                    self._visit(value.default_factory, deep)
                self._each(value, value.items(), deep)
        elif issubclass(kind, list | deque):
            if len(value) <= MANY:
                self._each(value, enumerate(value), deep)
        elif issubclass(kind, type):
            if _is_users(sys.modules.get(value.__module__)):
                self._each(value, vars(value).items(), deep)
        elif issubclass(kind, BaseException):
            self._each(value, [("args", value.args), *value.__dict__.items()], deep + 1)
        elif kind.__module__ in _OPEN:
            self._each(value, _attributes(value).items(), deep + 1)
        elif _is_users(sys.modules.get(kind.__module__)):
            self._each(value, _attributes(value).items(), deep)

    def _each(self, holder: Any, items: Iterable[tuple[Any, Any]], deep: int) -> None:
        for key, value in list(items):
            if (other := self._other(value)) is not None:
                self.places.append(Place(holder, key, value, other))
            elif type(value) not in _LEAVES:
                self._visit(value, deep - 1)


def _lets_look(value: Any) -> bool:
    """Whether one can ask what a value is: a proxy for nothing raises then, as Flask's does outside of a request."""
    try:
        return value.__class__ is not None
    except Exception:
        return False


_found: tuple[object, dict[int, Any], list[Place]] | None = None
"""The modules that were looked at last, and what stands in for locks there, and where."""


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes and the slots of an object that are set."""
    found: dict[str, Any] = {}
    with suppress(Exception):  # of a property of the user's
        found.update(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            key = f"_{kind.__name__.lstrip('_')}{name}" if private else name
            with suppress(Exception):
                found[key] = getattr(value, key)
    return found


def _contents(cell: CellType) -> list[tuple[str, Any]]:
    try:
        return [("cell_contents", cell.cell_contents)]
    except ValueError:  # not set yet
        return []
