"""Coroutines that were handed something awaitable which a user's function has made already."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Unfinished(Coroutine[Any, Any, T]):
    """Awaits another awaitable. Ended before its first step, as where its actor is killed, it closes that one, too,
    which nobody would await any more.

    Args:
        coro: what awaits it.
        given: what is awaited.
    """

    __slots__ = ("_coro", "_given")

    def __init__(self, coro: Coroutine[Any, Any, T], given: Awaitable[Any]) -> None:
        self._coro = coro
        self._given = given

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coro.__await__()

    def send(self, value: Any) -> Any:
        """Go on until the next wait."""
        return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise something where it waits."""
        try:
            return self._coro.throw(*error)
        except BaseException:
            self._close_given()
            raise

    def close(self) -> None:
        """End it where it is."""
        self._coro.close()
        self._close_given()

    def _close_given(self) -> None:
        close = getattr(self._given, "close", None)
        if close is not None:
            close()
