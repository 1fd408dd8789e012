"""Requests that take turns: what two of them would both begin, in this process, is begun by one."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final
from weakref import WeakValueDictionary

from ...server import Server

_LOCKS: Final[WeakValueDictionary[tuple[int, str], asyncio.Lock]] = WeakValueDictionary()


def turn(server: Server, name: str) -> AbstractAsyncContextManager[object]:
    """A turn at what has a name; none is needed for the empty one. Between processes the journal decides."""
    if not name:
        return nullcontext()
    return _LOCKS.setdefault((id(server), name), asyncio.Lock())
