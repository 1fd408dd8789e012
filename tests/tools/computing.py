"""Functions that tests run in processes of their own: those import this module."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callboard.tools import ToolError, tool


@dataclass
class Point:
    x: int
    y: int


class Stubborn(Exception):
    """An exception that comes back from no pickle."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


@tool(process=True, risk="safe")
def where(n: int) -> list[int]:
    """Which process it is, and what was given."""
    return [os.getpid(), n]


@tool(process=True)
def moved(point: Point, by: int = 1) -> Point:
    return Point(point.x + by, point.y + by)


@tool(process=True)
def fails(how: str) -> Any:
    if how == "told":
        raise ToolError("the disk is full")
    if how == "stubborn":
        raise Stubborn("all", "wrong")
    if how == "lock":
        return threading.Lock()
    if how == "exits":
        raise SystemExit(3)
    if how == "dies":
        os._exit(7)
    if how == "ends":
        return next(iter([]))
    return ["value", how][5]


@tool(process=True, timeout=0.05)
def spins(path: str) -> None:
    """Computes for ever, and says in which process."""
    Path(path).write_text(str(os.getpid()))
    while True:
        pass


@tool(process=True, timeout=None)
def spins_on(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:
        pass


@tool(process=True)
def takes(what: Any) -> str:
    return str(what)


def doubled(n: int) -> int:
    return 2 * n
