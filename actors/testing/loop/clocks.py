"""What time and chance are inside a run: clocks show virtual time, and randomness is the same in every run.

The functions are replaced in place (see `patch`), so it does not matter how their names were bound, and only for the
thread a run is in: other threads go on with the real ones. What the C code of others asks the operating system for
itself (numpy's legacy generator, uuid-utils, pendulum) is real, and so is the time that a process has used.
"""

from __future__ import annotations

import os
import queue
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from threading import Lock, get_ident
from typing import Any, TypeAlias

from .patch import Builtin, ClassMethod

Function: TypeAlias = Callable[..., Any]
Replacement: TypeAlias = Callable[[Function], Function]
EPOCH = 1_735_689_600.0
"""What ``time.time()`` says when a run begins: 2025-01-01, UTC."""
_NODE = 0x02_00_00_00_00_01
"""The hardware address in a run's ``uuid1``: a locally administered one, which no device was given."""


class _Source:
    """The time and chance of one run."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self.now = now
        self.wall = wall
        self._chance: random.Random | None = None

    def bytes(self, size: int) -> bytes:
        if self._chance is None:  # made when it is wanted: it costs as much as all the rest
            self._chance = random.Random(0)
        return self._chance.randbytes(size)


_running: dict[int, _Source] = {}
_lock = Lock()
_holders = 0


def _in_a_run(virtual: Function) -> Replacement:
    """Return what makes a replacement of a real function: in a run it calls ``virtual``, with the run first."""

    def make(real: Function) -> Function:
        def function(*args: Any, **options: Any) -> Any:
            source = _running.get(get_ident())
            return real(*args, **options) if source is None else virtual(source, *args, **options)

        return function

    return make


def _of_a_time(required: int, present: Callable[[_Source], Any]) -> Replacement:
    """The same for a function whose last argument is a time, and without it ``present``."""

    def make(real: Function) -> Function:
        def function(*args: Any) -> Any:
            source = _running.get(get_ident())
            if source is None or args[required:] not in ((), (None,)):
                return real(*args)
            return real(*args[:required], present(source))

        return function

    return make


def _of_a_clock(scale: Callable[[float], Any]) -> Replacement:
    steady = {getattr(time, name, None) for name in ("CLOCK_MONOTONIC", "CLOCK_MONOTONIC_RAW", "CLOCK_BOOTTIME")}

    def make(real: Function) -> Function:
        def function(*args: Any) -> Any:
            source = _running.get(get_ident())
            if source is not None and args[:1] == (time.CLOCK_REALTIME,):
                return scale(source.wall())
            return scale(source.now()) if source is not None and args and args[0] in steady else real(*args)

        return function

    return make


def _now(real: Function) -> Function:
    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        source = _running.get(get_ident())
        return real(cls, tz) if source is None else cls.fromtimestamp(source.wall(), tz)

    return now


def _utcnow(real: Function) -> Function:
    def utcnow(cls: type[datetime]) -> datetime:
        source = _running.get(get_ident())
        # Not utcfromtimestamp(): it warns, and the warning would name this line.
        return real(cls) if source is None else cls(1970, 1, 1) + timedelta(seconds=source.wall())

    return utcnow


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _local(source: _Source) -> Any:
    return time.localtime(source.wall())


_FUNCTIONS: tuple[tuple[Function, Replacement], ...] = (
    # Not an hour more or less than the loop's own time: code hands `time.monotonic() + 5` to `loop.call_at`.
    (time.monotonic, _in_a_run(lambda source: source.now())),
    (time.monotonic_ns, _in_a_run(lambda source: _nanoseconds(source.now()))),
    (time.perf_counter, _in_a_run(lambda source: source.now())),
    (time.perf_counter_ns, _in_a_run(lambda source: _nanoseconds(source.now()))),
    (time.time, _in_a_run(lambda source: source.wall())),
    (time.time_ns, _in_a_run(lambda source: _nanoseconds(source.wall()))),
    (time.gmtime, _of_a_time(0, lambda source: source.wall())),
    (time.localtime, _of_a_time(0, lambda source: source.wall())),
    (time.ctime, _of_a_time(0, lambda source: source.wall())),
    (time.asctime, _of_a_time(0, _local)),
    (time.strftime, _of_a_time(1, _local)),
    (os.urandom, _in_a_run(lambda source, size: source.bytes(size))),  # where uuid4, secrets and SystemRandom look
)
"""Looked up now: a test may put a clock of its own in the place of one."""
if hasattr(time, "clock_gettime"):  # not on Windows
    _FUNCTIONS += (
        (time.clock_gettime, _of_a_clock(float)),
        (time.clock_gettime_ns, _of_a_clock(_nanoseconds)),
    )
_METHODS = (("now", _now), ("utcnow", _utcnow))
"""Of `datetime`; ``today``, of dates too, asks `time.time`."""


def _seed(real: Function) -> Function:
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        source = _running.get(get_ident()) if a is None else None
        real(self, a if source is None else int.from_bytes(source.bytes(32)), version)

    return seed


def _timestamps() -> Iterator[tuple[Any, str]]:
    """Where the modules that make UUIDs of times (uuid6 is a backport) keep the time of the last: it is never less."""
    for module in filter(None, map(sys.modules.get, ("uuid", "uuid6"))):
        for name in vars(module):
            if name.startswith("_last_") and "timestamp" in name:
                yield module, name


class _Replacements:
    """All that is replaced, made with the first run."""

    def __init__(self) -> None:
        functions = [Builtin(*it) for it in _FUNCTIONS]
        self._builtins: tuple[Builtin | ClassMethod, ...] = (
            *functions,
            *(ClassMethod(datetime, *it) for it in _METHODS),
        )
        monotonic = functions[0].real
        seed = _seed(random.Random.seed)
        self._attributes: tuple[tuple[Any, str, Any], ...] = (
            (random.Random, "seed", seed),
            (random, "seed", seed.__get__(random._inst)),
            (uuid, "_generate_time_safe", None),  # then `uuid1` is made of time.time_ns
            (uuid, "getnode", _in_a_run(lambda source: _NODE)(uuid.getnode)),
            # They wait in real time until a clock has come so far, which that of a run never would.
            (threading, "_time", monotonic),
            (queue, "time", monotonic),
        )
        self._originals: list[Any] = []

    def replace(self) -> None:
        self._originals = [getattr(holder, name) for holder, name, _ in self._attributes]
        for holder, name, value in self._attributes:
            setattr(holder, name, value)
        for builtin in self._builtins:
            builtin.replace()

    def restore(self) -> None:
        for builtin in self._builtins:
            builtin.restore()
        for (holder, name, _), value in zip(self._attributes, self._originals, strict=True):
            setattr(holder, name, value)


_replacements: _Replacements | None = None


@contextmanager
def replaced() -> Iterator[None]:
    """Have the functions replaced: what a run asks while `follow` lasts, and the real ones else.

    Held for a whole search, so that a run does not replace them each time.

    Raises:
        SimulationError: this interpreter is not CPython.
    """
    global _holders, _replacements
    with _lock:
        if _replacements is None:
            _replacements = _Replacements()
        if not _holders:
            _replacements.replace()
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if not _holders:
                _replacements.restore()


@contextmanager
def follow(now: Callable[[], float], wall: Callable[[], float] | None = None) -> Iterator[None]:
    """Have clocks and randomness follow a run in this thread.

    Args:
        now: the run's time, in seconds since it began.
        wall: what its wall clock says, in seconds since 1970; None for `EPOCH` and ``now``.
    """
    thread = get_ident()
    with replaced():
        random.seed(0)
        last = [(module, name, getattr(module, name)) for module, name in _timestamps()]
        for module, name, _ in last:
            setattr(module, name, None)
        _running[thread] = _Source(now, wall or (lambda: EPOCH + now()))
        try:
            yield
        finally:
            del _running[thread]
            for module, name, value in last:
                setattr(module, name, value)


@contextmanager
def joined(owner: int) -> Iterator[None]:
    """Have clocks and randomness follow the run of the thread ``owner`` in this thread too."""
    thread = get_ident()
    _running[thread] = _running[owner]
    try:
        yield
    finally:
        del _running[thread]
