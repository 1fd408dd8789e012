"""What the journal's writer and reader run on: a thread each, or whatever a simulation offers in its place.

They are generators that yield where they wait: for so many seconds, or None for ever, but not once they are woken. So
they are the same under simulation, where there are no threads and time is virtual.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import Protocol, TypeAlias, TypeVar


class Closable(Protocol):
    """What a database's connections are: something to let go of."""

    def close(self) -> None:
        """Let go of every resource."""
        ...


T = TypeVar("T")
S = TypeVar("S", bound=Closable)
Waits: TypeAlias = Generator[float | None, None, T]


def until(when: float, over: Callable[[], bool]) -> Generator[float, None, None]:
    """Wait, woken or not, until a time by the monotonic clock, or until it is over."""
    while not over() and (left := when - time.monotonic()) > 0:
        yield left


class Runner(Protocol):
    """Runs a generator."""

    def start(self) -> None:
        """Begin."""
        ...

    def wake(self) -> None:
        """End its present wait, or the next one. From any thread."""
        ...

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, for so long at most; whether it has."""
        ...

    def is_current(self) -> bool:
        """Whether it is what runs here."""
        ...


class Host(Protocol):
    """What decides how journals run, and what else has a store on threads, that are made where it is set
    (`hosting`)."""

    def store(self, backend: S) -> S:
        """What is used in place of a database."""
        ...

    def runner(self, steps: Waits[None], name: str) -> Runner:
        """What a generator runs on."""
        ...


hosting: ContextVar[Host | None] = ContextVar("callboard_journals", default=None)
"""A simulation's. Of the context, not of the event loop: journals are made on other threads, too (``to_thread``)."""


class ThreadRunner:
    """Runs a generator on a thread.

    Args:
        steps: the generator.
        name: the thread's.
    """

    def __init__(self, steps: Waits[None], name: str) -> None:
        self._steps = steps
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """See `Runner.start`."""
        self._thread.start()

    def wake(self) -> None:
        """See `Runner.wake`."""
        self._wake.put(None)

    def join(self, seconds: float) -> bool:
        """See `Runner.join`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def is_current(self) -> bool:
        """See `Runner.is_current`."""
        return current_thread() is self._thread

    def _run(self) -> None:
        for seconds in self._steps:
            with suppress(Empty):
                self._wake.get(timeout=seconds)
