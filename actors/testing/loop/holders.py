"""Who holds asyncio's locks and semaphores: they do not know themselves, so a run that is told takes it down."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_KINDS: tuple[Any, ...] = (asyncio.Lock, asyncio.Semaphore)
_noting: dict[asyncio.AbstractEventLoop, Holders] = {}
_real: list[tuple[Any, Any, Any]] = []
_guard = Lock()


class Holders:
    """Who holds what in one run.

    Args:
        loop: the run's; what happens in other loops is not looked at.
        who: names who is at work.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, who: Callable[[], Any]) -> None:
        self._loop = loop
        self._who = who
        self._holders: dict[int, tuple[Any, list[Any]]] = {}  # by id; the primitive is kept, so none gets it again

    def of(self, primitive: Any) -> list[Any]:
        """Return who holds it, longest first."""
        return self._holders.get(id(primitive), (None, []))[1]

    def acquired(self, primitive: Any) -> None:
        """Who is at work has acquired it."""
        self._holders.setdefault(id(primitive), (primitive, []))[1].append(self._who())

    def released(self, primitive: Any) -> None:
        """It has been released: by who is at work, if they hold it, else for who has held it longest."""
        if holders := self.of(primitive):
            who = self._who()
            holders.remove(who if who in holders else holders[0])

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take down what is acquired and released meanwhile; other loops, and other threads', are not touched."""
        with _guard:
            if not _noting:
                _real[:] = [(kind, kind.acquire, kind.release) for kind in _KINDS]
                for kind, acquire, release in _real:
                    kind.acquire, kind.release = _acquire(acquire), _release(release)
            _noting[self._loop] = self
        try:
            yield
        finally:
            with _guard:
                del _noting[self._loop]
                if not _noting:
                    for kind, acquire, release in _real:
                        kind.acquire, kind.release = acquire, release


def _here() -> Holders | None:
    loop = asyncio._get_running_loop()
    return None if loop is None else _noting.get(loop)


def _acquire(real: Any) -> Any:
    @functools.wraps(real)
    async def acquire(primitive: Any) -> Any:
        result = await real(primitive)
        if (holders := _here()) is not None:
            holders.acquired(primitive)
        return result

    return acquire


def _release(real: Any) -> Any:
    @functools.wraps(real)
    def release(primitive: Any) -> Any:
        if (holders := _here()) is not None:
            holders.released(primitive)
        return real(primitive)

    return release
