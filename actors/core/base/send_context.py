"""What travels with a message besides the message: a deadline and baggage.

A send context is set by ``with send_context(timeout=…, baggage=…):`` or by ``ask(…, timeout=…)``; every send made
inside carries it, and while the receiver handles the message the same one is in force, so nested asks inherit it.
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


class SendContext:
    """A deadline and baggage; immutable.

    Args:
        deadline: the event loop's time, in seconds, by which answers are wanted, or None.
        baggage: what is carried along: a trace context, a request's identity.
    """

    __slots__ = ("baggage", "deadline")

    def __init__(self, deadline: float | None = None, baggage: Mapping[str, Any] = _EMPTY) -> None:
        global in_use
        if deadline is not None or baggage:
            in_use = True
        self.deadline = deadline
        self.baggage = baggage

    def __repr__(self) -> str:
        return f"SendContext(deadline={self.deadline!r}, baggage={sorted(self.baggage)!r})"

    def until(self, deadline: float | None) -> SendContext:
        """Return a context whose deadline is the earlier of the two."""
        if deadline is None or (self.deadline is not None and self.deadline <= deadline):
            return self
        return SendContext(deadline, self.baggage)


NO_CONTEXT = SendContext()
in_use = False
"""Whether there was ever a context with anything in it in this process; until then a send need not look for one (35 ns
of 150)."""
active: ContextVar[SendContext | None] = ContextVar("callboard_send_context", default=None)
"""The context in force, or None where there is none (the common case, kept cheap)."""


def current_send_context() -> SendContext:
    """Return the context in force here; an empty one if there is none."""
    return active.get() or NO_CONTEXT


def carried(clock: Callable[[], float], timeout: float | None) -> SendContext | None:
    """Return what a send carries here: the context in force, with an earlier deadline where ``timeout`` sets one.

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
    return SendContext(deadline) if outer is None else outer.until(deadline)


def _seconds(timeout: float) -> float:
    if isinstance(timeout, (float, int)) and timeout == timeout:  # not NaN, which is neither early nor late
        return min(timeout, FOREVER)
    raise TypeError(f"timeout is {timeout!r:.200}; it must be a number of seconds")


@contextmanager
def send_context(*, timeout: float | None = None, baggage: Mapping[str, Any] | None = None) -> Iterator[SendContext]:
    """Put a deadline and baggage in force for the sends made inside.

    Args:
        timeout: seconds from now; an earlier deadline already in force stays. Needs a running event loop.
        baggage: added to what is carried already.

    Yields:
        the context in force inside.
    """
    outer = current_send_context()
    inner = SendContext(outer.deadline, {**outer.baggage, **baggage} if baggage else outer.baggage)
    if timeout is not None:
        inner = inner.until(asyncio.get_running_loop().time() + _seconds(timeout))
    token = active.set(inner)
    try:
        yield inner
    finally:
        active.reset(token)
