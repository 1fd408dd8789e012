"""What time and chance are inside a run: clocks show virtual time, and randomness is the same in every run.

Only for the thread a run is in; other threads go on with the real ones. The wall clock (``time.time``,
``datetime.now``, ``localtime`` and their like) is replaced by time-machine, in C and in place: names bound before,
defaults of parameters and factories of fields follow. The others are replaced wherever a module holds them, under
whatever name; a default of a parameter keeps the real one, and so does C code of others that asks the operating system
itself (numpy's legacy generator, uuid-utils, pendulum).
"""

from __future__ import annotations

import functools
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock, get_ident
from types import ModuleType
from typing import Any, TypeAlias

from ...errors import SimulationError
from . import fence
from .by_thread import set_here

Function: TypeAlias = Callable[..., Any]
Replacement: TypeAlias = Callable[[Function], Function]
EPOCH = 1_735_689_600.0
"""What ``time.time()`` says when a run begins: 2025-01-01, UTC."""
_NODE = 0x02_00_00_00_00_01
"""The hardware address in a run's ``uuid1``: a locally administered one, which no device was given."""
_REALTIME_COARSE, _MONOTONIC_COARSE = 5, 6
"""Clocks of Linux that `time` has no names for."""


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


_urandom = os.urandom


class _Clocks(_Source):
    """The time of one run, whose chance is the real one."""

    def bytes(self, size: int) -> bytes:
        return _urandom(size)


_running: dict[int, _Source] = {}
_lock = Lock()
_in_use = 0
"""How many searches and tests have the functions replaced at present."""


def _in_a_run(virtual: Function) -> Replacement:
    """Return what makes a replacement of a real function: in a run it calls ``virtual``, with the run first."""

    def make(real: Function) -> Function:
        @functools.wraps(real)
        def function(*args: Any, **options: Any) -> Any:
            source = _running.get(get_ident())
            return real(*args, **options) if source is None else virtual(source, *args, **options)

        return function

    return make


def _of_a_clock(scale: Callable[[float], Any]) -> Replacement:
    steady = {getattr(time, name, None) for name in ("CLOCK_MONOTONIC", "CLOCK_MONOTONIC_RAW", "CLOCK_BOOTTIME")}
    of_the_wall = {getattr(time, "CLOCK_TAI", None)}
    if sys.platform == "linux":
        steady.add(_MONOTONIC_COARSE)
        of_the_wall.add(_REALTIME_COARSE)

    def make(real: Function) -> Function:
        def function(*args: Any) -> Any:
            source = _running.get(get_ident())
            if source is not None and args:
                if args[0] in steady:
                    return scale(source.now())
                if args[0] in of_the_wall:
                    return scale(source.wall())
            return real(*args)

        return function

    return make


def _of_a_time(real: Function) -> Function:
    """Return a replacement for a function of a time that, given none, takes the present one in local time."""

    def function(*args: Any) -> Any:
        return real(*args) if args not in ((), (None,)) or get_ident() not in _running else time.strftime(_ASCTIME)

    return function


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


_ASCTIME = "%a %b %e %H:%M:%S %Y"
_FUNCTIONS: tuple[tuple[Function, Replacement], ...] = (
    # Not an hour more or less than the loop's own time: code hands `time.monotonic() + 5` to `loop.call_at`.
    (time.monotonic, _in_a_run(lambda source: source.now())),
    (time.monotonic_ns, _in_a_run(lambda source: _nanoseconds(source.now()))),
    (time.perf_counter, _in_a_run(lambda source: source.now())),
    (time.perf_counter_ns, _in_a_run(lambda source: _nanoseconds(source.now()))),
    (time.ctime, _of_a_time),
    (time.asctime, _of_a_time),
    (os.urandom, _in_a_run(lambda source, size: source.bytes(size))),  # where uuid4, secrets and SystemRandom look
)
"""Looked up now: a test may put a clock of its own in the place of one."""
if hasattr(time, "clock_gettime"):  # not on Windows; its CLOCK_REALTIME is time-machine's
    _FUNCTIONS += (
        (time.clock_gettime, _of_a_clock(float)),
        (time.clock_gettime_ns, _of_a_clock(_nanoseconds)),
    )
if hasattr(os, "getrandom"):  # Linux
    _FUNCTIONS += ((os.getrandom, _in_a_run(lambda source, size, flags=0: source.bytes(size))),)
_FUNCTIONS += tuple(fence.replacements())
_REAL = {id(real): real for real, _ in _FUNCTIONS}
_WAITING = ("threading", "queue", "subprocess", __name__)
"""Modules that wait in real time until a clock has come so far, which that of a run never would."""


def _seed(real: Function) -> Function:
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        source = _running.get(get_ident()) if a is None else None
        real(self, a if source is None else int.from_bytes(source.bytes(32)), version)

    return seed


_kept: list[tuple[ModuleType, str]] = []
"""Where the modules that make UUIDs of times (uuid6 is a backport) keep the time of the last: it is never less. And
where `tempfile` keeps what draws its names."""


class _Replacements:
    """All that is replaced, made with the first run."""

    def __init__(self) -> None:
        self._instead = {id(real): make(real) for real, make in _FUNCTIONS}
        self._seed = _seed(random.Random.seed)
        self._getnode = _in_a_run(lambda source: _NODE)(uuid.getnode)
        self._modules = 0
        self._looked_at: dict[str, tuple[int, int]] = {}
        self._holders: set[str] = set()
        self._put: list[tuple[Any, str, Any, Any]] = []
        self._travel: Any = None

    def replace(self) -> None:
        self._travel = _traveller()
        self._put = [
            (random.Random, "seed", random.Random.seed, self._seed),
            (random, "seed", random.seed, self._seed.__get__(random._inst)),
            (uuid, "getnode", uuid.getnode, self._getnode),
            *fence.methods(),
            *self._bound(),
        ]
        for holder, name, _, instead in self._put:
            setattr(holder, name, instead)

    def _bound(self) -> Iterator[tuple[Any, str, Any, Any]]:
        """Where modules hold the real functions; as long as no module is added, those that do are known."""
        if self._modules != len(sys.modules):
            self._modules = len(sys.modules)
            self._look()
        for where in self._holders | {"__main__"}:
            module = sys.modules.get(where)
            held = {} if module is None else vars(module)
            for name in [name for name, it in zip(held, map(id, held.values()), strict=False) if it in _REAL]:
                value = held[name]
                yield module, name, value, self._instead[id(value)]

    def _look(self) -> None:
        for where, module in list(sys.modules.items()):
            if not isinstance(module, ModuleType) or where in _WAITING:
                continue
            held = vars(module)
            if self._looked_at.get(where) != (id(module), len(held)):
                self._looked_at[where] = id(module), len(held)
                if not _REAL.keys().isdisjoint(map(id, list(held.values()))):
                    self._holders.add(where)

    def restore(self) -> None:
        for holder, name, real, instead in self._put:
            if vars(holder).get(name) is instead:
                setattr(holder, name, real)
        self._travel.stop()


def _traveller() -> Any:
    """Have time-machine replace the wall clock: in a run it shows the run's time, in other threads the real one.

    Raises:
        SimulationError: time-machine is not installed.
    """
    try:
        from time_machine import escape_hatch, travel
    except ImportError:
        raise SimulationError('simulations need time-machine: pip install "callboard[testing]"') from None
    real = escape_hatch.time.time_ns

    def time_ns() -> int:
        source = _running.get(get_ident())
        return real() if source is None else _nanoseconds(source.wall())

    journey = travel(EPOCH, tick=False)
    journey.start().time_ns = time_ns  # type: ignore[method-assign]
    return journey


_replacements: _Replacements | None = None


@contextmanager
def replaced() -> Iterator[None]:
    """Have the functions replaced: what a run asks while `follow` lasts, and the real ones else.

    Held for a whole search, so that a run does not replace them each time.

    Raises:
        SimulationError: time-machine is not installed.
    """
    global _in_use, _replacements
    with _lock:
        if _replacements is None:
            _replacements = _Replacements()
        if not _in_use:
            _replacements.replace()
            _kept[:] = [
                (module, name)
                for module in filter(None, map(sys.modules.get, ("uuid", "uuid6")))
                for name in vars(module)
                if name.startswith("_last_") and "timestamp" in name
            ]
            _kept.append((tempfile, "_name_sequence"))
            with suppress(OSError):  # it is tried once in a process by writing, and the first run is like the others
                tempfile.gettempdir()
        _in_use += 1
    try:
        yield
    finally:
        with _lock:
            _in_use -= 1
            if not _in_use:
                _replacements.restore()


@contextmanager
def follow(now: Callable[[], float], wall: Callable[[], float] | None = None) -> Iterator[None]:
    """Have clocks and randomness follow a run in this thread, while they are `replaced`.

    Args:
        now: the run's time, in seconds since it began.
        wall: what its wall clock says, in seconds since 1970; None for `EPOCH` and ``now``.
    """
    random.seed(0)
    last = [(module, name, getattr(module, name)) for module, name in _kept]
    for module, name, _ in last:
        setattr(module, name, None)
    try:
        with set_here(_running, _Source(now, wall or (lambda: EPOCH + now()))):
            yield
    finally:
        for module, name, value in last:
            setattr(module, name, value)


@contextmanager
def clocks_follow(now: Callable[[], float]) -> Iterator[None]:
    """Have clocks, and nothing else, follow an ordinary test in this thread.

    Args:
        now: as for `follow`.

    Raises:
        SimulationError: time-machine is not installed.
    """
    with replaced(), set_here(_running, _Clocks(now, lambda: EPOCH + now())):
        yield


def joined(owner: int) -> AbstractContextManager[None]:
    """Have clocks and randomness follow the run of the thread ``owner`` in this thread too."""
    return set_here(_running, _running[owner])
