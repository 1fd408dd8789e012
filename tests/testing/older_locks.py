"""Locks that are older than any run, in the places where programs keep them."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

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


def with_default(guard: Any = threading.Lock()) -> None:  # noqa: B008
    with guard:
        time.sleep(1)


def with_keyword(*, guard: Any = threading.Lock()) -> None:  # noqa: B008
    with guard:
        time.sleep(1)
