"""Finds the locks that the code under test made before the run, and its names for what `locks` replaces.

A lock made at the top of a module, in a class or by an object that is older than the run is an ordinary one. A thread
that is interrupted while it has one would block whoever wants it next, for good and in C. So for the time of a run a
lock stands in for it wherever it is found: in the user's modules and classes, in what the scenario closes over, and in
the attributes, slots, lists, tuples and dicts of objects there, and in the defaults of functions.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinMethodType, CellType, FunctionType, MethodType, ModuleType
from typing import Any, Final, TypeAlias

from .interrupts import is_user

DEEP: Final = 3
"""How far from a module or a scenario a lock is looked for."""
MANY: Final = 100
"""Lists and dicts that are longer are not looked through."""

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_BUILT_OF_LOCKS = {threading.__name__, queue.__name__}
_LEAVES = {str, bytes, int, float, bool, type(None), frozenset, set, BuiltinMethodType}
StandIn: TypeAlias = Callable[[Any], Any]


class Place:
    """Where something was found: an attribute, a cell, an item of a list or dict."""

    __slots__ = ("_holder", "_key", "new", "old")

    def __init__(self, holder: Any, key: Any, old: Any, new: Any) -> None:
        self._holder, self._key, self.old, self.new = holder, key, old, new

    def change(self) -> None:
        """Put the new in the place of the old."""
        self._swap(self.old, self.new)

    def put_back(self) -> None:
        """Put the old in the place of the new."""
        self._swap(self.new, self.old)

    def _swap(self, before: Any, after: Any) -> None:
        holder, key = self._holder, self._key
        if isinstance(holder, dict | list):
            known = holder.get(key) if isinstance(holder, dict) else holder[key] if key < len(holder) else None
            if known is before:
                holder[key] = after
        elif getattr(holder, key, None) is before:
            setattr(holder, key, after)


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
        self._made: dict[int, Any] = {}
        self._seen: set[int] = set()
        self._places: list[Place] = []

    def look(self, scenario: Any) -> tuple[list[Place], list[Any]]:
        """Return where locks were found, and what stands in for them."""
        for module in _modules():
            self._each(module, vars(module).items(), DEEP)
        self._visit(scenario, DEEP)
        return self._places, list(self._made.values())

    def _other(self, value: Any) -> Any:
        """Return what stands in for a value, or None."""
        kind = type(value)
        if kind is _LOCK or kind is _RLOCK:
            made = self._made.get(id(value))
            if made is None:
                made = self._made[id(value)] = self._stand_in(value)
            return made
        if kind is BuiltinMethodType and type(value.__self__) in (_LOCK, _RLOCK):  # a condition keeps its lock's
            return getattr(self._other(value.__self__), value.__name__, None)
        if kind is tuple and len(value) <= MANY:
            others = [self._other(each) for each in value]
            if any(other is not None for other in others):
                return tuple(each if other is None else other for each, other in zip(value, others, strict=True))
        return None

    def _visit(self, value: Any, deep: int) -> None:
        if not deep or id(value) in self._seen or not _lets_look(value):
            return
        self._seen.add(id(value))
        if isinstance(value, MethodType):
            self._visit(value.__self__, deep)
            value = value.__func__
        if isinstance(value, FunctionType):
            for cell in value.__closure__ or ():
                self._each(cell, _contents(cell), deep)
            self._each(value, [("__defaults__", value.__defaults__)], deep + 1)
            if value.__kwdefaults__:
                self._each(value.__kwdefaults__, value.__kwdefaults__.items(), deep)
        elif isinstance(value, staticmethod | classmethod):
            self._visit(value.__func__, deep)
        elif isinstance(value, tuple):
            for each in value[:MANY]:
                if type(each) not in _LEAVES:
                    self._visit(each, deep)
        elif isinstance(value, dict) and len(value) <= MANY:
            if isinstance(value, defaultdict):
                self._visit(value.default_factory, deep)
            self._each(value, value.items(), deep)
        elif isinstance(value, list) and len(value) <= MANY:
            self._each(value, enumerate(value), deep)
        elif isinstance(value, type):
            if _is_users(sys.modules.get(value.__module__)):
                self._each(value, vars(value).items(), deep)
        elif isinstance(value, ModuleType):
            return
        elif (attributes := getattr(value, "__dict__", None)) is not None or hasattr(value, "__slots__"):
            attributes = {**(attributes or {}), **_slots(value)}
            module = type(value).__module__
            if module in _BUILT_OF_LOCKS:
                self._each(value, attributes.items(), deep + 1)
            elif _is_users(sys.modules.get(module)):
                self._each(value, attributes.items(), deep)
        elif hasattr(value, "func"):  # functools.partial
            self._visit(value.func, deep)

    def _each(self, holder: Any, items: Iterable[tuple[Any, Any]], deep: int) -> None:
        for key, value in list(items):
            if (other := self._other(value)) is not None:
                self._places.append(Place(holder, key, value, other))
            elif type(value) not in _LEAVES:
                self._visit(value, deep - 1)


def _lets_look(value: Any) -> bool:
    """Whether one can ask what a value is: a proxy for nothing raises then, as Flask's does outside of a request."""
    try:
        return value.__class__ is not None
    except Exception:
        return False


def _slots(value: Any) -> dict[str, Any]:
    """The slots of an object that are set."""
    slots = (vars(kind).get("__slots__", ()) for kind in type(value).__mro__)
    names = (name for each in slots for name in ((each,) if isinstance(each, str) else each))
    missing = object()
    return {name: it for name in names if (it := getattr(value, name, missing)) is not missing}


def _contents(cell: CellType) -> list[tuple[str, Any]]:
    try:
        return [("cell_contents", cell.cell_contents)]
    except ValueError:  # not set yet
        return []
