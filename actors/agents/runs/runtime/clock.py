"""Alarms for many runs with few timers.

Nearly every run ends long before its time limit, so a timer of its own for each would be made only to be cancelled,
and would lie in the event loop's heap meanwhile. Alarms that are far off share one timer for each
second; they ring up to that much late. Near ones have their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

GRAIN: Final = 1.0
"""Seconds by which a shared alarm may be late."""

NEAR: Final = 30.0
"""Seconds below which an alarm is exact."""


class Alarm:
    """A call to be made at a time, unless it is cancelled."""

    __slots__ = ("_among", "_argument", "_call", "_timer")

    def __init__(self, call: Callable[[Any], object], argument: Any, among: dict[Alarm, None]) -> None:
        self._call = call
        self._argument = argument
        self._among: dict[Alarm, None] = among
        self._timer: asyncio.TimerHandle | None = None
        among[self] = None

    def cancel(self) -> None:
        """Take it back; nothing happens if it has rung."""
        self._among.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ring(self) -> None:
        """Make the call."""
        self._among.pop(self, None)
        self._timer = None
        self._call(self._argument)


def told_by(timer: asyncio.TimerHandle) -> list[Any] | None:
    """Return what alarms tell when a timer of the event loop is due; None if it is no alarm's. Simulations ask."""
    owner = getattr(timer._callback, "__self__", None)  # type: ignore[attr-defined]
    if isinstance(owner, Alarm):
        return [owner._argument]
    if isinstance(owner, Clock):
        return [alarm._argument for alarm in owner._shared[timer._args[0]][1]]
    return None


class Clock:
    """Makes alarms on the running event loop."""

    def __init__(self) -> None:
        self._near: dict[Alarm, None] = {}
        self._shared: dict[int, tuple[asyncio.TimerHandle, dict[Alarm, None]]] = {}

    def call_at(self, when: float, call: Callable[[Any], object], argument: Any) -> Alarm:
        """Call ``call(argument)`` when the event loop's time is ``when`` seconds, or up to `GRAIN` later."""
        loop = asyncio.get_running_loop()
        if when - loop.time() < NEAR:
            alarm = Alarm(call, argument, self._near)
            alarm._timer = loop.call_at(when, alarm.ring)
            return alarm
        slot = int(when / GRAIN) + 1
        shared = self._shared.get(slot)
        if shared is None:
            shared = self._shared[slot] = (loop.call_at(slot * GRAIN, self._ring, slot), {})
        return Alarm(call, argument, shared[1])

    def _ring(self, slot: int) -> None:
        _, alarms = self._shared.pop(slot)
        for alarm in list(alarms):
            alarm.ring()

    def close(self) -> None:
        """Cancel all alarms: what they were to be told to is held no longer."""
        for alarm in list(self._near):
            alarm.cancel()
        for timer, alarms in self._shared.values():
            timer.cancel()
            alarms.clear()
        self._shared.clear()
