"""How much of its time a run has used, which stands still while a person is asked."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from ....turns.rules import NOTHING
from ...runtime.clock import Alarm, Clock


class Stopwatch:
    """The time of one run in one incarnation of its conversation.

    Args:
        time: the event loop's, in seconds.
        alarms: rings when the time is up.
        used: seconds that earlier incarnations have used.

    Attributes:
        paused: the approvals that this run waits for, and those it handed work to.
    """

    __slots__ = ("_alarm", "_alarms", "_elapsed", "_started", "_time", "paused")

    def __init__(self, time: Callable[[], float], alarms: Clock, used: float) -> None:
        self._time = time
        self._alarms = alarms
        self._alarm: Alarm | None = None
        self._elapsed = used
        self._started = time()
        self.paused = NOTHING

    def used(self) -> float:
        """Seconds of the run's time that are used."""
        if self.paused:
            return self._elapsed
        return self._elapsed + self._time() - self._started

    def at_least(self, used: float) -> None:
        """An incarnation that is known here has used so many seconds."""
        self._elapsed = max(self._elapsed, used)

    def start(self) -> None:
        """Time goes on from now."""
        self._started = self._time()

    def ring_once_used(self, seconds: float, call: Callable[[Any], object], argument: Any) -> None:
        """Call ``call(argument)`` once so many seconds are used, unless the time stands still before."""
        self._alarm = self._alarms.call_at(self._started + seconds - self._elapsed, call, argument)

    def ring_after(self, seconds: float, call: Callable[[Any], object], argument: Any) -> None:
        """Call ``call(argument)`` in so many seconds from now, however many are used."""
        self.stop_alarm()
        self._alarm = self._alarms.call_at(self._time() + seconds, call, argument)

    def stop_alarm(self) -> None:
        """Nothing tells any more that the time is up."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def stand_still(self, approvals: Set[str]) -> None:
        """No time passes until these are decided."""
        if approvals and not self.paused:
            self._elapsed = self.used()
            self.stop_alarm()
        self.paused |= approvals

    def decided(self, approval: str) -> bool:
        """A person has decided. Returns whether that was the last one it stood still for."""
        if approval not in self.paused:
            return False
        self.paused -= {approval}
        return not self.paused

    def stop(self) -> None:
        """No more time passes, for good."""
        self.stand_still({""})
