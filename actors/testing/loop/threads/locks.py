"""Locks that never really block a run: what `threading` and `queue` make of them, and sleeping, while one lasts.

`threading.Lock` and `RLock` are replaced while a run lasts; conditions, events, semaphores, barriers and queues are
built of them. A lock made in a run knows who waits for it and who holds it; outside of one it is an ordinary lock.
"""

from __future__ import annotations

import _thread
import os
import queue
import selectors
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from types import CodeType
from typing import Any

from ....core.mail import future
from ..isolation.by_thread import set_here
from . import threads
from .standins import Finder, Place, names
from .threads import Agent, Threads, here
from .workers import agents

_real_lock = _thread.allocate_lock
_real_rlock = _thread.RLock
_real_sleep = time.sleep
_real_select: Any = selectors.DefaultSelector.select
_MACHINERY = (threading.__file__, queue.__file__, __file__, future.__file__)


class Lock:
    """Stands in for `threading.Lock` while a run lasts."""

    def __new__(cls, made: str | None = None) -> Any:
        """Make a lock; in a thread that no run has to do with, a real one."""
        return _real_lock() if made is None and here() is None else super().__new__(cls)

    def __init__(self, made: str | None = None) -> None:
        self._real = _real_lock()
        self._made = _caller() if made is None else made
        self.older = made is not None
        self.waiters: list[threads.ThreadCall] = []
        self.holder: Agent | None = None

    def __str__(self) -> str:
        made = self._made
        if not isinstance(made, str):
            made = f"made at {os.path.basename(made[0].co_filename)}:{made[1]}"
        return f"the {type(self).__name__} {made}"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See `threading.Lock.acquire`; the timeout is in virtual seconds."""
        agent = here()
        if agent is None or (timeout != -1 and (timeout < 0 or not blocking)):  # the real one refuses these
            return self._real.acquire(blocking, timeout)
        agent.point()
        return self.take() or (blocking and agent.wait_for(self, timeout))

    def take(self, seconds: float = 0.0) -> bool:
        """Take it if it is free, or becomes so within so many real seconds."""
        if not self._real.acquire(timeout=seconds):
            return False
        self.holder = here()
        return True

    def release(self) -> None:
        """See `threading.Lock.release`."""
        self.holder = None
        self._real.release()
        self._released()

    def _released(self) -> None:
        agent = here()
        if agent is None:
            return
        waiters, self.waiters = self.waiters, []
        for call in waiters:
            call.wake()
        agent.point()

    def locked(self) -> bool:
        """See `threading.Lock.locked`."""
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real = _real_lock()
        self.waiters, self.holder = [], None


class RLock(Lock):
    """Stands in for `threading.RLock` while a run lasts."""

    def __new__(cls, made: str | None = None) -> Any:
        """Make a lock; in a thread that no run has to do with, a real one."""
        return _real_rlock() if made is None and here() is None else super().__new__(cls)

    def __init__(self, made: str | None = None) -> None:
        super().__init__(made)
        self._owner = 0
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See `threading.RLock.acquire`; the timeout is in virtual seconds."""
        me = get_ident()
        if self._owner != me:
            if not super().acquire(blocking, timeout):
                return False
            self._owner = me
        self._count += 1
        return True

    def release(self) -> None:
        """See `threading.RLock.release`."""
        if self._owner != get_ident():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = 0
            super().release()

    # What `threading.Condition` asks of a lock.

    def _is_owned(self) -> bool:
        return self._owner == get_ident()

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _release_save(self) -> tuple[int, int]:
        state = self._count, self._owner
        self._count = self._owner = 0
        super().release()
        return state

    def _acquire_restore(self, state: tuple[int, int]) -> None:
        super().acquire()
        self._count, self._owner = state

    def _at_fork_reinit(self) -> None:
        super()._at_fork_reinit()
        self._owner = self._count = 0


def _caller() -> tuple[CodeType, int]:
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename in _MACHINERY:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno  # put into words only where somebody waits for the lock


def _sleep(seconds: float) -> None:
    agent = here()
    if agent is None:
        _real_sleep(seconds)
    elif seconds < 0:
        raise ValueError("sleep length must be non-negative")
    elif seconds != seconds:
        raise ValueError("Invalid value NaN (not a number)")
    else:
        agent.sleep(seconds)


def _select(self: Any, timeout: float | None = None) -> Any:
    agent = here()
    if isinstance(agent, threads.ThreadCall) and (timeout is None or timeout > 0):
        # Until what is real happens, or its timeout is over: by a clock that stands meanwhile.
        agent.loop.refuse(f"{agent.lane.label} waits in an event loop of its own, or for a socket,")
    return _real_select(self, timeout)


def _monotonic() -> float:
    return time.monotonic()  # as it is named now: the run's, in its threads


_REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (threading, "Lock", Lock),
    (threading, "RLock", RLock),
    (threading, "_allocate_lock", Lock),  # what a condition's waiters wait for
    (threading, "_time", _monotonic),
    (queue, "time", _monotonic),
    (queue, "SimpleQueue", queue._PySimpleQueue),  # type: ignore[attr-defined]  # the other blocks in C
    (future, "allocate_lock", Lock),  # our own replies' `get`
    (time, "sleep", _sleep),
    (selectors.DefaultSelector, "select", _select),  # an event loop's
)
_before: list[Any] = []
_bound: list[Place] = []
_searches = 0
_changing = _real_lock()
_older: dict[int, _Older] = {}


@contextmanager
def replaced() -> Iterator[None]:
    """Replace what `threading`, `queue` and `time` have of locks and sleeping, also where a name was bound before.

    This is for a whole search. What is put in their place acts in the runs only, and in their threads.
    """
    global _searches
    with _changing:
        if not _searches:
            _before[:] = [getattr(module, name) for module, name, _ in _REPLACED]
            for module, name, ours in _REPLACED:
                setattr(module, name, ours)
        _searches += 1
        bound = names({id(real): ours for real, (_, _, ours) in zip(_before, _REPLACED, strict=True)})
        for place in bound:
            place.change()
        _bound.extend(bound)  # one of several searches finds what the others have left
    thread = get_ident()
    _older[thread] = _Older()
    try:
        yield
    finally:
        del _older[thread]
        with _changing:
            _searches -= 1
            if not _searches:
                for place in _bound:
                    place.put_back()
                _bound.clear()
                for real, (module, name, _) in zip(_before, _REPLACED, strict=True):
                    setattr(module, name, real)


@contextmanager
def interleaved(loop: Any, scenario: Any) -> Iterator[Threads]:
    """While this lasts, functions that the loop hands to executors interleave, and no lock of theirs blocks the run."""
    older = _older.get(get_ident()) or _Older()
    loop.threads = ours = Threads(loop, _unwatched, lambda: older.find_more(scenario), older.left_held)
    with set_here(agents, ours):
        try:
            older.stand_in(scenario)
            yield ours
        finally:
            older.put_back()


class _Older:
    """The locks that are older than a search: looked for as it begins, and more closely when its first thread does."""

    def __init__(self) -> None:
        self._finder = Finder(_stand_in)
        self._looked = self._closely = False
        self._changed: list[Place] = []

    def find_more(self, scenario: Any) -> bool:
        """Look more closely, once a search; say whether there are more."""
        if self._closely:
            return False
        self._closely = True
        before = len(self._finder.places)
        self._finder.look(scenario)
        return len(self._finder.places) > before

    def stand_in(self, scenario: Any) -> None:
        """Put locks of a run's in the place of older ones."""
        if not self._looked:
            self._looked = True
            if threading.active_count() == 1:  # other threads may be in the middle of a lock, and free it
                self._finder.look_again(scenario)
        for place in self._finder.places:
            if place.change():
                self._changed.append(place)

    def left_held(self, calls: Collection[Any]) -> list[str]:
        """Name the locks that somebody has left held who is not at work any more: not one of these calls."""
        places = {id(place.new): place for place in reversed(self._finder.places)}
        held = [lock for lock in self._finder.made.values() if lock.holder is not None and lock.holder not in calls]
        return [f"{places.get(id(lock), lock)}, by {threads.name_of(lock.holder)}" for lock in held]

    def put_back(self) -> None:
        """Put the older ones back."""
        if not self._changed:
            return
        while self._changed:
            self._changed.pop().put_back()
        for lock in self._finder.made.values():
            if lock.locked() or lock.waiters:
                lock._at_fork_reinit()  # the next run finds it free


def _stand_in(lock: Any) -> Lock:
    return (RLock if type(lock) is _real_rlock else Lock)("made before the run")


def _unwatched() -> AbstractContextManager[None]:
    """Make real locks in this thread for a while: for the machinery's own threads."""
    return set_here(agents, None)
