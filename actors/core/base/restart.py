"""Whether, when, and with whom an actor that has ended is started again. Pure: no actors, no clock, no loop.

The model is Erlang/OTP's supervisor: https://www.erlang.org/doc/system/sup_princ.html
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

from .errors import SpecError, brief

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
RESTARTS: tuple[str, ...] = get_args(Restart)
STRATEGIES: tuple[str, ...] = get_args(Strategy)
C = TypeVar("C")


def check_number(value: Any, name: str, where: object) -> None:
    """Refuse what is no number.

    Raises:
        SpecError: it is none.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise SpecError(f"{type(where).__name__}: {name} is {brief(value)}; it must be a number")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: ``initial * factor ** n`` for the n-th restart in a row, at most ``maximum``.

    Args:
        initial: seconds before the first restart; 0 restarts at once.
        factor: growth from one restart to the next.
        maximum: longest wait, in seconds.
        jitter: share of the wait that is random, 0 to 1: with 0.2 a wait of 10 s is drawn from 8 to 10 s.

    Raises:
        SpecError: a number is out of range.
    """

    initial: float = 0.0
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_number(self.initial, "initial", self)
        check_number(self.factor, "factor", self)
        check_number(self.maximum, "maximum", self)
        check_number(self.jitter, "jitter", self)
        # Asked the other way round, so that NaN is refused too.
        if not (self.initial >= 0 and self.maximum >= 0 and self.factor >= 1):
            raise SpecError(f"{self!r}: initial and maximum must be at least 0 seconds, factor at least 1")
        if not 0 <= self.jitter <= 1:
            raise SpecError(f"{self!r}: jitter must lie between 0 and 1")

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Return the seconds to wait before restart number ``attempt``, counted from 0."""
        if self.initial == 0:
            return 0.0
        try:
            wait = min(self.maximum, self.initial * self.factor**attempt)
        except OverflowError:  # 2.0 ** 1100; the maximum was reached long before
            wait = self.maximum
        return wait * (1 - self.jitter * rng.random()) if self.jitter else wait


NO_BACKOFF: Final = Backoff()


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a parent restarts its children.

    Args:
        strategy: which siblings are restarted with a child that ended.
        intensity: how many restarts ``period`` may see; one more ends the parent with `RestartLimit`.
        period: seconds.

    Raises:
        SpecError: the strategy is unknown, or a number is out of range.
    """

    strategy: Strategy = "one_for_one"
    intensity: int = 3
    period: float = 5.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise SpecError(f"supervision strategy {self.strategy!r} is not one of {', '.join(STRATEGIES)}")
        check_number(self.period, "period", self)
        if self.intensity.__class__ is not int:
            raise SpecError(f"intensity is {brief(self.intensity)}; it must be a whole number of restarts")
        if not (self.intensity >= 0 and self.period > 0):
            raise SpecError(f"{self!r}: intensity must be at least 0 and period more than 0 seconds")


ONE_FOR_ONE: Final = Supervision()


class Intensity:
    """At most ``limit`` restarts within ``period`` seconds; one more is too many (OTP's intensity and period)."""

    __slots__ = ("_times", "limit", "period")

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._times: deque[float] = deque()

    def record(self, now: float) -> bool:
        """Note a restart at ``now`` (seconds); return whether it is still within the limit."""
        times = self._times
        times.append(now)
        while now - times[0] > self.period:
            times.popleft()
        return len(times) <= self.limit


class History:
    """What is remembered of one child's restarts.

    Args:
        since: the time, in seconds, at which its incarnation came up.
        in_a_row: restarts since it last stayed up for its supervisor's period.
    """

    __slots__ = ("in_a_row", "since")

    def __init__(self) -> None:
        self.since = 0.0
        self.in_a_row = 0


@dataclass(frozen=True, slots=True)
class Die:
    """The child is not started again."""


@dataclass(frozen=True, slots=True)
class Again:
    """The child alone is started again, after ``delay`` seconds; at once if that is 0."""

    delay: float


@dataclass(frozen=True, slots=True)
class Group:
    """The child and siblings of it are started again, together, after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It was once too often: the parent fails."""


Verdict: TypeAlias = Die | Again | Group | GiveUp
DIE: Final = Die()
AT_ONCE: Final = Again(0.0)
GIVE_UP: Final = GiveUp()


def decide(
    supervision: Supervision,
    intensity: Intensity,
    history: History,
    restart: Restart,
    backoff: Backoff,
    failed: bool,
    failed_to_start: bool,
    now: float,
    rng: random.Random,
) -> Verdict:
    """Decide about a child that has ended and that nobody asked to stop.

    The wait grows with each restart until the child has stayed up for a period.

    Args:
        supervision: the parent's policy.
        intensity: the restarts of all its children so far; a restart is recorded.
        history: this child's restarts so far; brought up to date.
        restart, backoff: as its child spec says.
        failed: whether it crashed.
        failed_to_start: whether it crashed before it was up.
        now: seconds.
        rng: for the jitter.
    """
    if restart == "temporary" or (restart == "transient" and not failed):
        return DIE
    if not intensity.record(now):
        return GIVE_UP
    delay = 0.0
    if backoff.initial:
        if not failed_to_start and now - history.since > supervision.period:
            history.in_a_row = 0
        delay = backoff.delay(history.in_a_row, rng)
        history.in_a_row += 1
    if supervision.strategy != "one_for_one":
        return Group(delay)
    return Again(delay) if delay else AT_ONCE


def affected(strategy: Strategy, latest_first: Iterable[C], failed: Iterable[C]) -> list[C]:
    """Return the children that are restarted when some of them failed, in start order, the failed ones among them.

    With ``rest_for_one`` no more of the siblings are looked at than are affected: the last of 100,000 costs no more
    than the last of two.

    Args:
        strategy: one that restarts several together.
        latest_first: all supervised siblings, the last started first.
        failed: which of them failed.
    """
    if strategy == "one_for_all":
        hit = list(latest_first)
    else:
        hit = []
        missing = set(failed)
        for child in latest_first:
            if not missing:
                break
            hit.append(child)
            missing.discard(child)
    hit.reverse()
    return hit
