"""When a failed request is sent again: how failures are sorted, how long to wait, and how many retries are affordable.

Pure: time and randomness are passed in. stamina, picked for retries elsewhere, wraps a function and sleeps by itself;
here a retry goes back into the pool's queue and may leave through another endpoint, so only the arithmetic is needed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import Enum

from ....actors.core.base.errors import ActorDead
from ... import checks
from ...errors import (
    AuthenticationFailed,
    BudgetSpent,
    Concern,
    ContextTooLong,
    InvalidRequest,
    ProviderError,
    RateLimited,
    Redirected,
    UnknownModel,
)


class Blame(Enum):
    """What a failure says about what it concerns: a model, or an endpoint."""

    NONE = "none"
    """The request is at fault; the endpoint works."""
    FAILURE = "failure"
    """Counts in the breaker's error rate."""
    PAUSE = "pause"
    """It asked to be left alone for a while."""
    DISABLE = "disable"
    """It will fail every request until someone changes something: a key, access to a model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do after a failure.

    Args:
        elsewhere: another endpoint, or another model, may succeed.
        again: the same may succeed later.
        blame: what it says about what it concerns.
        concerns: what is at fault, and so what is left alone: this model at this endpoint, or the endpoint (with its
            key). An error that concerns the request blames nothing.
    """

    elsewhere: bool
    again: bool
    blame: Blame
    concerns: Concern = "model"


_REFUSED = Verdict(elsewhere=True, again=False, blame=Blame.DISABLE)
_VERDICTS: tuple[tuple[type[BaseException], Verdict], ...] = (
    # Most specific first; the first class that matches decides.
    (AuthenticationFailed, _REFUSED),
    (ContextTooLong, Verdict(elsewhere=True, again=False, blame=Blame.NONE, concerns="request")),
    (UnknownModel, _REFUSED),
    (Redirected, replace(_REFUSED, concerns="endpoint")),
    (InvalidRequest, Verdict(elsewhere=False, again=False, blame=Blame.NONE, concerns="request")),
    (BudgetSpent, Verdict(elsewhere=False, again=False, blame=Blame.NONE, concerns="request")),
    (RateLimited, Verdict(elsewhere=True, again=True, blame=Blame.PAUSE)),
    (ProviderError, Verdict(elsewhere=True, again=True, blame=Blame.FAILURE)),
    (ActorDead, Verdict(elsewhere=True, again=True, blame=Blame.FAILURE, concerns="endpoint")),  # crashed, restarting
    (TimeoutError, Verdict(elsewhere=True, again=True, blame=Blame.FAILURE)),
)
_BUG = Verdict(elsewhere=True, again=False, blame=Blame.FAILURE)
"""An exception that is none of ours: the provider actor's own fault. Others may do better, it will not."""


def judge(error: BaseException) -> Verdict:
    """Return what to do after ``error``."""
    verdict = next((verdict for kind, verdict in _VERDICTS if isinstance(error, kind)), _BUG)
    if not isinstance(error, ProviderError) or error.concerns == verdict.concerns:
        return verdict
    if error.concerns == "request":
        return replace(verdict, again=False, blame=Blame.NONE, concerns="request")
    if isinstance(error, InvalidRequest):  # as a model that is not there is: nothing will do, but elsewhere
        verdict = _REFUSED
    return replace(verdict, concerns=error.concerns)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How an endpoint's failures are retried.

    Args:
        attempts: how often one request is sent at most, over all endpoints, second calls of hedged pairs included. It
            bounds what a request that breaks every endpoint can do; time is bounded by the request's deadline.
        initial: seconds; the first retry on the same endpoint waits a random time up to this.
        factor: growth of that bound with every retry.
        maximum: the largest bound in seconds.
        retry_after_cap: seconds; a longer retry-after is cut to this. By default a day: no vendor is asked before it
            allowed it, and what is longer is a mistake.
        attempt_timeout: seconds one attempt may take, of a stream until its first piece. None for the provider's own
            timeout; and where another endpoint or model could answer, 150 s, or a quarter more than that timeout.
    """

    attempts: int = 10
    initial: float = 0.25
    factor: float = 2.0
    maximum: float = 20.0
    retry_after_cap: float = 86_400.0
    attempt_timeout: float | None = None

    def __post_init__(self) -> None:
        checks.hold(self, attempts=checks.COUNT, initial=checks.SECONDS, factor=checks.FACTOR, maximum=checks.SECONDS)
        checks.hold(self, retry_after_cap=checks.SECONDS, attempt_timeout=checks.SOME_SECONDS.or_none())

    def backoff(self, retry: int, rng: random.Random, retry_after: float | None = None) -> float:
        """Return how many seconds to wait before retry number ``retry`` (1 for the first).

        Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): uniform between 0 and the bound. A vendor's
        retry-after is the least wait, up to the cap; jitter is added on top so that those it sent away do not return
        together.
        """
        bound = min(self.maximum, self.initial * self.factor ** min(retry - 1, 63))
        jitter = rng.uniform(0.0, bound)
        return jitter if retry_after is None else self.pause(retry_after) + jitter

    def pause(self, retry_after: float) -> float:
        """Return the vendor's retry-after within reason."""
        return min(max(retry_after, 0.0), self.retry_after_cap)


class RetryBudget:
    """A token bucket of retries: every first attempt earns a fraction, every retry costs one.

    While an endpoint works, retries are free; when it browns out, retries add at most ``ratio`` to its load. An empty
    bucket does not lose a request, it makes the retry wait.

    Args:
        ratio: retries earned per first attempt.
        reserve: the most that can be saved up, and the start.
        per_second: retries earned per second, so that a quiet endpoint can be retried at all.
    """

    __slots__ = ("_at", "_tokens", "per_second", "ratio", "reserve")

    def __init__(self, ratio: float = 0.2, reserve: float = 10.0, per_second: float = 1.0) -> None:
        self.ratio = ratio
        self.reserve = reserve
        self.per_second = per_second
        self._tokens = reserve
        self._at = 0.0

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.reserve, self._tokens + (now - self._at) * self.per_second)
            self._at = now

    def deposit(self) -> None:
        """Count a first attempt."""
        self._tokens = min(self.reserve, self._tokens + self.ratio)

    def take(self, now: float) -> bool:
        """Take one if there are savings; return whether there were."""
        self._refill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def reserve_retry(self, now: float) -> float:
        """Take one retry and return how many seconds it must wait; 0 while there are savings.

        The bucket goes into debt rather than refuse, so waiting retries leave one by one, in order.
        """
        self._refill(now)
        self._tokens -= 1.0
        return 0.0 if self._tokens >= 0.0 else -self._tokens / self.per_second
