"""What travels with a message besides the message: a deadline and carried values.

A scope is set by ``with scope(timeout=…, values=…):`` or by ``ask(…, timeout=…)``; every send made inside carries it,
and while the receiver handles the message the same scope is in force, so nested asks inherit it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

FOREVER = 1e9
"""Seconds that no clock will see; longer ones are as good, and some overflow a loop's timers."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Scope:
    """A deadline and carried values; immutable.

    Args:
        deadline: the event loop's time, in seconds, by which answers are wanted, or None.
        values: what is carried along: a trace context, a request's identity.
    """

    __slots__ = ("deadline", "values")

    def __init__(self, deadline: float | None = None, values: Mapping[str, Any] = _EMPTY) -> None:
        global in_use
        if deadline is not None or values:
            in_use = True
        self.deadline = deadline
        self.values = values

    def __repr__(self) -> str:
        return f"Scope(deadline={self.deadline!r}, values={sorted(self.values)!r})"

    def until(self, deadline: float | None) -> Scope:
        """Return a scope whose deadline is the earlier of the two."""
        if deadline is None or (self.deadline is not None and self.deadline <= deadline):
            return self
        return Scope(deadline, self.values)


NO_SCOPE = Scope()
in_use = False
"""Whether there was ever a scope with anything in it in this process; until then a send need not look for one (35 ns of
150)."""
active: ContextVar[Scope | None] = ContextVar("callboard_scope", default=None)
"""The scope in force, or None where there is none (the common case, kept cheap)."""


def current_scope() -> Scope:
    """Return the scope in force here; an empty one if there is none."""
    return active.get() or NO_SCOPE


def carried(clock: Callable[[], float], timeout: float | None) -> Scope | None:
    """Return what a send carries here: the scope in force, with an earlier deadline where ``timeout`` sets one.

    Args:
        clock: the time of the receiver's loop.
        timeout: seconds from now.

    Raises:
        TypeError: the timeout is no number.
    """
    outer = active.get()
    if timeout is None:
        return outer
    deadline = clock() + _seconds(timeout)
    return Scope(deadline) if outer is None else outer.until(deadline)


def _seconds(timeout: float) -> float:
    if isinstance(timeout, (float, int)) and timeout == timeout:  # not NaN, which is neither early nor late
        return min(timeout, FOREVER)
    raise TypeError(f"timeout is {timeout!r:.200}; it must be a number of seconds")


@contextmanager
def scope(*, timeout: float | None = None, values: Mapping[str, Any] | None = None) -> Iterator[Scope]:
    """Put a deadline and carried values in force for the sends made inside.

    Args:
        timeout: seconds from now; an earlier deadline already in force stays. Needs a running event loop.
        values: added to the values already carried.

    Yields:
        the scope in force inside.
    """
    outer = current_scope()
    inner = Scope(outer.deadline, {**outer.values, **values} if values else outer.values)
    if timeout is not None:
        inner = inner.until(asyncio.get_running_loop().time() + _seconds(timeout))
    token = active.set(inner)
    try:
        yield inner
    finally:
        active.reset(token)
