"""Locks that are older than any run, in the places where programs keep them."""

from __future__ import annotations

import functools
import threading
import time
from collections import ChainMap, deque
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar, NamedTuple

lock = threading.Lock()


class Base:
    inherited = threading.Lock()
    condition = threading.Condition()
    by_name: ClassVar[dict[str, Any]] = {"x": threading.RLock()}
    among = (threading.Lock(), "not a lock")

    @classmethod
    def of_class(cls) -> None:
        with cls.inherited:
            time.sleep(1)

    @staticmethod
    def static(guard: Any = threading.Lock()) -> None:  # noqa: B008
        with guard:
            time.sleep(1)


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()


slotted = Slotted()


class Private:
    __slots__ = ("__lock",)

    def __init__(self) -> None:
        self.__lock = threading.Lock()

    def work(self) -> None:
        with self.__lock:
            time.sleep(1)


private = Private()


@dataclass(frozen=True)
class Frozen:
    lock: Any = field(default_factory=threading.Lock)


frozen = Frozen()


class Pair(NamedTuple):
    lock: Any
    name: str


pair = Pair(threading.Lock(), "a")
ring: deque[Any] = deque([threading.Lock()])
space = SimpleNamespace(lock=threading.Lock())
view = MappingProxyType({"lock": threading.Lock()})
chain: ChainMap[str, Any] = ChainMap({"lock": threading.Lock()})
error = Exception(threading.Lock())


def under(guard: Any, *, other: Any) -> None:
    with guard, other:
        time.sleep(1)


bound = functools.partial(under, threading.Lock(), other=threading.Lock())


def counted() -> None:
    with counted.lock:  # type: ignore[attr-defined]
        time.sleep(1)


counted.lock = threading.Lock()  # type: ignore[attr-defined]


def with_default(guard: Any = threading.Lock()) -> None:  # noqa: B008
    with guard:
        time.sleep(1)


def with_keyword(*, guard: Any = threading.Lock()) -> None:  # noqa: B008
    with guard:
        time.sleep(1)
