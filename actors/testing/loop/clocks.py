"""What time and chance are inside a run: clocks show virtual time, and randomness is the same in every run.

The functions of `time` and the sources of `uuid4` and `secrets` are replaced while a run lasts, and only for the thread
it runs in; other threads go on with the real ones. A function whose name was bound before (``from time import time``)
is still the real one, and so is ``datetime.now``.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any

EPOCH = 1_735_689_600.0
"""What ``time.time()`` says when a run begins: 2025-01-01, UTC."""


class _Source:
    """The time and chance of one run."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._chance: random.Random | None = None

    def bytes(self, size: int) -> bytes:
        if self._chance is None:  # made when it is wanted: it costs as much as all the rest
            self._chance = random.Random(0)
        return self._chance.randbytes(size)


_REPLACED: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (time, "time", lambda source: EPOCH + source.now()),
    (time, "time_ns", lambda source: round((EPOCH + source.now()) * 1e9)),
    # Not an hour more or less than the loop's own time: code hands `time.monotonic() + 5` to `loop.call_at`.
    (time, "monotonic", lambda source: source.now()),
    (time, "monotonic_ns", lambda source: round(source.now() * 1e9)),
    (time, "perf_counter", lambda source: source.now()),
    (time, "perf_counter_ns", lambda source: round(source.now() * 1e9)),
    (os, "urandom", lambda source, size: source.bytes(size)),  # where uuid4 looks
    (random, "_urandom", lambda source, size: source.bytes(size)),  # where SystemRandom and secrets look
)
_running: dict[int, _Source] = {}
_real: list[Any] = []
_lock = Lock()


def _replacement(real: Any, virtual: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        source = _running.get(get_ident())
        return real(*args) if source is None else virtual(source, *args)

    return function


@contextmanager
def follow(now: Callable[[], float]) -> Iterator[None]:
    """Have clocks and randomness follow a run in this thread.

    Args:
        now: the run's time, in seconds since it began.
    """
    random.seed(0)
    thread = get_ident()
    with _lock:
        if not _running:
            _real[:] = [getattr(module, name) for module, name, _ in _REPLACED]
            for real, (module, name, virtual) in zip(_real, _REPLACED, strict=True):
                setattr(module, name, _replacement(real, virtual))
        _running[thread] = _Source(now)
    try:
        yield
    finally:
        with _lock:
            del _running[thread]
            if not _running:
                for real, (module, name, _) in zip(_real, _REPLACED, strict=True):
                    setattr(module, name, real)
