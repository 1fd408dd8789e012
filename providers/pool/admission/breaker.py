"""A circuit breaker: admit, run, record. Pure: the caller passes the time and runs the call itself.

::

    closed ──(error rate over the last calls)──▶ open ──(pause over, one probe admitted)──▶ half-open
      ▲                                           ▲                                          │   │
      └──────(the probe succeeded; return is a ramp)─────────────────────────────────────────┘   │
                                                  └──────(the probe failed; the pause doubles)───┘
    half-open ──(the probe was cancelled)──▶ half-open, with the probe slot free again

The state machine is pybreaker's; outcomes are handed to it through ``breaker.call``. Around it stands what pybreaker
does not do: the error rate over a window (as its state storage), time from the caller instead of the wall clock, one
probe at a time, and a gradual return. A cancelled call is neither a failure nor a success and is never recorded.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from dataclasses import dataclass
from datetime import datetime

import pybreaker

from ... import checks


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When an endpoint is left alone, and how it returns.

    Args:
        window: how many of the latest calls the error rate is taken over.
        error_rate: the share of failures in a full window at which it opens, 0 to 1. Fewer calls than a window open it
            at the same *number* of failures, so a dead endpoint is left alone after ``window * error_rate`` requests.
        max_age: seconds after which an outcome no longer counts.
        pause: seconds it stays open the first time.
        factor: by what the pause grows when a probe fails.
        max_pause: the longest pause in seconds.
        ramp: concurrent requests at which a returning endpoint counts as fully back. It starts at 2 and every success
            adds one; in a tenth of a second no more leave than that were allowed at its beginning. So the load doubles
            per round trip, but not faster than each tenth of a second.
    """

    window: int = 10
    error_rate: float = 0.3
    max_age: float = 60.0
    pause: float = 0.5
    factor: float = 1.5
    max_pause: float = 30.0
    ramp: int = 64

    def __post_init__(self) -> None:
        checks.hold(self, window=checks.COUNT, error_rate=checks.SHARE, ramp=checks.COUNT, factor=checks.FACTOR)
        checks.hold(self, max_age=checks.SOME_SECONDS, pause=checks.SECONDS, max_pause=checks.SECONDS)

    @property
    def failures_to_open(self) -> int:
        """How many failures among the latest ``window`` calls open the breaker."""
        return max(1, round(self.window * self.error_rate))


_STEP = 0.1
"""Seconds of one step of a ramp. Without it an endpoint that answers in 5 ms gets the full load within 50 ms."""

_DISABLED = 60.0
"""Seconds between two probes of an endpoint that is disabled."""


class _CallFailed(Exception):
    """Tells pybreaker that a call failed."""


def _fail() -> None:
    raise _CallFailed


def _succeed() -> None:
    return None


class _RateWindow(pybreaker.CircuitBreakerStorage):
    """pybreaker's storage, with the failures among the latest calls in place of its count of consecutive ones."""

    def __init__(self, policy: BreakerPolicy) -> None:
        super().__init__("window")
        self._policy = policy
        self._state = pybreaker.STATE_CLOSED
        self._calls: deque[tuple[float, bool]] = deque(maxlen=policy.window)
        self.failures = 0
        """Among the calls that are remembered."""
        self.now = 0.0

    @property
    def state(self) -> str:
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state

    def _add(self, failed: bool) -> None:
        calls = self._calls
        if len(calls) == calls.maxlen:
            self.failures -= calls[0][1]
        calls.append((self.now, failed))
        self.failures += failed

    def increment_counter(self) -> None:
        self._add(True)

    def reset_counter(self) -> None:
        # pybreaker calls this for every success.
        self._add(False)

    def clear(self) -> None:
        self._calls.clear()
        self.failures = 0

    @property
    def counter(self) -> int:
        calls, horizon = self._calls, self.now - self._policy.max_age
        while calls and calls[0][0] < horizon:
            self.failures -= calls.popleft()[1]
        return self.failures

    def increment_success_counter(self) -> None:
        pass

    def reset_success_counter(self) -> None:
        pass

    @property
    def success_counter(self) -> int:
        return 1  # one good probe closes the breaker; the ramp does the rest

    @property
    def opened_at(self) -> datetime | None:
        return None  # when it may be probed is decided by Breaker, on the caller's clock

    @opened_at.setter
    def opened_at(self, value: datetime) -> None:
        pass


class Trial:
    """One admitted call. Ends exactly once: in `Breaker.record` or `Breaker.cancel`."""

    __slots__ = ("ended", "fresh", "generation", "probe", "sequence")

    def __init__(self, sequence: int, generation: int, probe: bool, fresh: bool) -> None:
        self.sequence = sequence
        self.generation = generation
        self.probe = probe
        self.fresh = fresh
        self.ended = False


class Breaker:
    """Decides whether one endpoint may be called, from how its calls ended.

    Args:
        policy: thresholds and times.
        rng: source of the jitter on the pause, so that many processes do not probe in step.
    """

    def __init__(self, policy: BreakerPolicy, rng: random.Random) -> None:
        self.policy = policy
        self._rng = rng
        self._storage = _RateWindow(policy)
        self._machine = pybreaker.CircuitBreaker(
            fail_max=policy.failures_to_open,
            success_threshold=1,
            state_storage=self._storage,
            throw_new_error_on_trip=False,
        )
        self._sequence = 0
        self._generation = 0
        self._in_flight = 0  # of this generation
        self._probe: Trial | None = None
        self._pause = policy.pause
        self._until = 0.0
        self._ramp: int | None = None
        self._step_ends = 0.0
        self._step_left = 0
        # Suspicion: after a failure only as many calls go out as it takes to open, until one started later succeeds.
        self._streak = 0
        self._streak_from = 0
        self._fresh = 0
        self.disabled = ""
        """Why calling it is in vain until somebody changes something (a refused key); empty if it is not."""

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return str(self._storage.state)

    @property
    def ramping(self) -> bool:
        """Whether it has closed recently and the load is still being raised."""
        return self._ramp is not None

    def down(self, now: float) -> bool:
        """Return whether nobody can be served: disabled, open, or half-open with the probe still out."""
        state = self._storage.state
        if state == pybreaker.STATE_CLOSED:
            return False
        return now < self._until if state == pybreaker.STATE_OPEN else self._probe is not None

    def allows(self, now: float) -> bool:
        """Return whether a call may be admitted at ``now``."""
        state = self._storage.state
        if state == pybreaker.STATE_CLOSED:
            if self._ramp is not None and (self._in_flight >= self._ramp or self._step_used_up(now)):
                return False
            return not self._streak or self._fresh < max(1, self.policy.failures_to_open - self._streak)
        if state == pybreaker.STATE_OPEN:
            return now >= self._until
        return self._probe is None

    def admit(self, now: float) -> Trial:
        """Admit a call that `allows`. The trial must be ended by `record` or `cancel`."""
        state = self._storage.state
        if state == pybreaker.STATE_OPEN:
            self._machine.half_open()
            self._new_generation()
            state = pybreaker.STATE_HALF_OPEN
        probe = state == pybreaker.STATE_HALF_OPEN
        if self._ramp is not None:
            if now >= self._step_ends:
                self._step_ends, self._step_left = now + _STEP, self._ramp
            self._step_left -= 1
        self._sequence += 1
        trial = Trial(self._sequence, self._generation, probe, self._streak > 0)
        self._in_flight += 1
        self._fresh += trial.fresh
        if probe:
            self._probe = trial
        return trial

    def cancel(self, trial: Trial) -> bool:
        """End a call without an outcome: a cancelled probe frees the probe slot, and nothing is recorded.

        Returns:
            whether the call belongs to the present state; False if it was admitted before the last change.
        """
        return self._end(trial)

    def record(self, trial: Trial, ok: bool, now: float) -> None:
        """End a call with its outcome.

        A call admitted before the last change of state is only ended: it says nothing about the endpoint as it is now.
        """
        if not self._end(trial):
            return
        storage = self._storage
        storage.now = now
        if ok:
            if not storage.failures and self._ramp is None and storage.state == pybreaker.STATE_CLOSED:
                # The usual case: among successes only, one more changes nothing. Saves 4 µs.
                if trial.sequence > self._streak_from:
                    self._streak = 0
                return
            self._machine.call(_succeed)
            self.disabled = ""
            if trial.sequence > self._streak_from:
                self._streak = 0
            if trial.probe:
                self._storage.clear()
                self._new_generation()
                self._ramp = 2
                self._step_ends = now
            elif self._ramp is not None:
                self._ramp += 1
                if self._ramp >= self.policy.ramp:
                    self._ramp = None
                    self._pause = self.policy.pause
            return
        if not self._streak:
            self._streak_from = trial.sequence
        self._streak += 1
        with contextlib.suppress(_CallFailed):
            self._machine.call(_fail)
        if self._storage.state == pybreaker.STATE_CLOSED and self._ramp is not None:
            self._machine.open()  # one failure is enough for an endpoint that has only just come back
        if self._storage.state == pybreaker.STATE_OPEN:
            self._opened(now, 0.0)

    def trip(self, now: float, pause: float | None = None) -> None:
        """Open at once, because the endpoint said so itself (a rate limit).

        Args:
            now: the time.
            pause: seconds it asked for, the least it is left alone; the policy's growing pause may be longer.
        """
        if self.state == pybreaker.STATE_OPEN:
            self._until = max(self._until, now + (pause or 0.0))
            return
        self._machine.open()
        self._opened(now, pause or 0.0)

    def disable(self, now: float, reason: str) -> None:
        """Open for long, and say why: only a change from outside will help. A probe a minute finds out about that."""
        self.trip(now, _DISABLED)
        self.disabled = reason

    def reset(self) -> None:
        """Forget all that was learned: closed, as new."""
        if self.state != pybreaker.STATE_CLOSED:
            self._machine.close()
        self._storage.clear()
        self._new_generation()
        self._ramp = None
        self._pause = self.policy.pause
        self.disabled = ""

    def next_time(self, now: float) -> float | None:
        """Return when an open breaker may be probed, or the next step of a ramp begins.

        None when only an event, not time, can change what it allows.
        """
        if self._storage.state == pybreaker.STATE_OPEN:
            return max(now, self._until)
        if self._ramp is not None and self._in_flight < self._ramp and self._step_used_up(now):
            return self._step_ends
        return None

    def _step_used_up(self, now: float) -> bool:
        return self._step_left <= 0 and now < self._step_ends

    def _opened(self, now: float, at_least: float) -> None:
        # Half fixed, half random: never at once, and not in step with others.
        pause = self._pause * (0.5 + 0.5 * self._rng.random())
        self._pause = min(self.policy.max_pause, self._pause * self.policy.factor)
        self._until = now + max(pause, at_least)
        self._ramp = None
        self._storage.clear()
        self._new_generation()

    def _new_generation(self) -> None:
        self._generation += 1
        self._in_flight = 0
        self._fresh = 0
        self._streak = 0
        self._probe = None

    def _end(self, trial: Trial) -> bool:
        """Take the trial out of the books; return whether its outcome counts."""
        if trial.ended:
            return False
        trial.ended = True
        if trial.generation != self._generation:
            return False
        self._in_flight -= 1
        self._fresh -= trial.fresh
        if trial is self._probe:
            self._probe = None
        return True
