"""Whether one model at one endpoint may be sent a request, and the right to send one. Pure.

Vendors limit, overload and retire single models, so all that is learned is kept for each model of each endpoint
(`Gate`). What concerns an endpoint as a whole (its key, its connection, limits that its models share) is kept once, in
the `EndpointGate` behind them: a request must pass both.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ...messages import RateLimits, Usage
from ..accounts.budgets import Reservation
from ..accounts.estimate import OutputEstimate
from ..accounts.stats import EndpointCounts, Latencies
from .breaker import Breaker
from .limiter import Limiter, Need, need
from .retry import RetryBudget


class Spacing(Protocol):
    """What spaces departures of one endpoint (`pacing.Pacer`)."""

    unit: float

    def ready(self) -> bool: ...

    def take(self) -> None: ...

    def change(self, requests_per_minute: float) -> None: ...


class EndpointGate:
    """What all models of one endpoint share.

    Args:
        name: the endpoint's name.
        limiter: the limits its models share.
        breaker: what concerns its key or the endpoint as a whole.
        priority, weight: for routing.
        cache_reads_count: whether tokens read from a prompt cache count against its token limits.
    """

    __slots__ = (
        "active",
        "breaker",
        "cache_reads_count",
        "drained",
        "limiter",
        "name",
        "on_idle",
        "pacer",
        "present",
        "priority",
        "up",
        "weight",
    )

    def __init__(
        self,
        name: str,
        limiter: Limiter,
        breaker: Breaker,
        *,
        priority: int = 0,
        weight: float = 1.0,
        cache_reads_count: bool = True,
    ) -> None:
        self.name = name
        self.limiter = limiter
        self.breaker = breaker
        self.priority = priority
        self.weight = weight
        self.cache_reads_count = cache_reads_count
        self.pacer: Spacing | None = None
        self.present = True
        """Whether it is there: False once it was removed, replaced, or its actor was stopped."""
        self.up = True
        """Whether it has an actor: False while that is waiting to be started again."""
        self.drained = False
        """Whether somebody wants nothing to be sent there, until it is resumed."""
        self.active = 0
        """Grants that have not ended."""
        self.on_idle: Callable[[], None] | None = None
        """Called when the last grant has ended; set once the endpoint gets no more."""

    @property
    def open(self) -> bool:
        """Whether requests may go there at all."""
        return self.present and self.up and not self.drained

    def used(self, usage: Usage) -> Need:
        """Return what an answered request has taken of the limits."""
        read = 0 if self.cache_reads_count else usage.cache_read_tokens
        return need(usage.input_tokens - read, usage.output_tokens)


_HALF_LIFE = 5.0
"""Seconds in which what is known of a latency loses half of its weight, if at the same time it was
``_HALF_LIFE_CALLS`` times the reason to choose another. By time alone a quiet pool would forget who is slow between
two requests; by calls alone a busy one would send one request in some dozens to it."""
_HALF_LIFE_CALLS = 10


class Gate:
    """One model at one endpoint: its own limits, its breaker, and what is known of its answers.

    Args:
        endpoint: what it shares with the endpoint's other models.
        model: as the endpoint knows it; empty for the provider's own default.
        limiter: the model's own limits.
        breaker: what concerns the model alone.
        price: for routing.
        member: the endpoint, for whom it is granted; of no use here.
    """

    __slots__ = (
        "answered_from",
        "average",
        "breaker",
        "budget",
        "counts",
        "embeds",
        "endpoint",
        "flying",
        "last_error",
        "latencies",
        "latency",
        "limiter",
        "measured",
        "member",
        "model",
        "name",
        "outputs",
        "passed_over",
        "price",
        "recent",
        "tail",
    )

    def __init__(
        self,
        endpoint: EndpointGate,
        model: str,
        limiter: Limiter,
        breaker: Breaker,
        *,
        price: float = float("inf"),
        counts: EndpointCounts | None = None,
        member: Any = None,
    ) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self.model = model
        self.limiter = limiter
        self.breaker = breaker
        self.price = price
        self.member = member
        self.counts = EndpointCounts() if counts is None else counts
        self.latencies = Latencies()
        self.average = 0.0
        """Seconds its calls take on average; 0 while unknown."""
        self.measured = 0.0
        """When it answered last."""
        self.passed_over = 0
        """How often another was chosen since."""
        self.tail = 0.0
        """Seconds within which 95 % of its calls end."""
        self.latency = 0.0
        """Seconds a call is expected to take, as of the last `look`."""
        self.answered_from = float("-inf")
        """When the latest call was sent that has been answered."""
        self.outputs: OutputEstimate | None = None
        """How long its answers are; None before the first."""
        self.recent: deque[bool] = deque(maxlen=100)
        """How the latest calls ended."""
        self.last_error: BaseException | None = None
        self.embeds = False
        """Whether it was asked for embeddings, and so can be again; other requests it would refuse."""
        self.budget = RetryBudget()
        self.flying: dict[Grant, Grant | None] = {}
        """Calls in flight, the oldest first."""

    @property
    def present(self) -> bool:
        """Whether the endpoint is there."""
        return self.endpoint.present

    @property
    def priority(self) -> int:
        return self.endpoint.priority

    @property
    def weight(self) -> float:
        return self.endpoint.weight

    @property
    def in_flight(self) -> int:
        return self.limiter.places.taken

    @property
    def counts_tokens(self) -> bool:
        """Whether the token estimate of a request matters here."""
        return self.limiter.counts_tokens or self.endpoint.limiter.counts_tokens

    @property
    def disabled(self) -> str:
        """Why it refuses until somebody changes something, or empty."""
        return self.endpoint.breaker.disabled or self.breaker.disabled

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``: the endpoint's, or the model's where that is well."""
        state = self.endpoint.breaker.state
        return self.breaker.state if state == "closed" else state

    @property
    def cause(self) -> BaseException | None:
        """The last error that tells why it does not answer, if there was one."""
        shared: BaseException | None = getattr(self.member, "last_error", None)
        if shared is not None and (
            not (self.endpoint.present and self.endpoint.up) or self.endpoint.breaker.state != "closed"
        ):
            return shared
        return self.last_error or shared

    def look(self, now: float) -> None:
        """Bring `latency` up to date: the average, or how long the oldest call has been out, if that is unusual.

        What hangs answers nothing, so its average stays as good as it was; this is how it shows. And who was slow once
        is not asked any more, so its average must fade, or it would never be found to be well again.
        """
        self.latency = self.average * self._weight(now)
        if self.flying and self.average:
            age = now - next(iter(self.flying)).at
            if age > self.tail:
                self.latency = max(age, self.average)

    def took(self, seconds: float, now: float) -> None:
        """Learn how long a call took that has been answered now."""
        latencies = self.latencies
        latencies.add(seconds, self._weight(now))
        self.measured = now
        self.passed_over = 0
        self.average = latencies.average
        self.tail = latencies.quantile(0.95)

    def _weight(self, now: float) -> float:
        """What is left of the weight of what is known, 0 to 1."""
        if not self.passed_over:
            return 1.0
        return math.exp2(-min((now - self.measured) / _HALF_LIFE, self.passed_over / _HALF_LIFE_CALLS))

    def down(self, now: float) -> bool:
        """Return whether it cannot serve anyone now, however small."""
        endpoint = self.endpoint
        return not endpoint.open or self.breaker.down(now) or endpoint.breaker.down(now)

    def free(self, need: Need, now: float) -> bool:
        """Return whether the model itself may be sent a request now, whatever the endpoint says."""
        return self.breaker.allows(now) and self.limiter.fits(need, now)

    def ready(self, need: Need, now: float) -> bool:
        """Return whether a request that takes ``need`` may be sent now."""
        endpoint = self.endpoint
        return (
            endpoint.present
            and endpoint.up
            and not endpoint.drained
            and self.breaker.allows(now)
            and endpoint.breaker.allows(now)
            and self.limiter.fits(need, now)
            and endpoint.limiter.fits(need, now)
            and (endpoint.pacer is None or endpoint.pacer.ready())
        )

    @property
    def dormant(self) -> bool:
        """Whether its shares of limits are not known yet, since nothing has been asked for lately."""
        return self.limiter.closed or self.endpoint.limiter.closed

    def refuse(self, need: Need, now: float) -> None:
        """Note that a request waits for it, whatever it is that it waits for."""
        pacer = self.endpoint.pacer
        self.limiter.refuse(need, now)
        self.endpoint.limiter.refuse(need, now, paced=pacer is not None and not pacer.ready())

    def lacks(self, need: Need, now: float) -> str:
        """Return in words which limits let no request go now that takes ``need``; empty where none holds it up."""
        return ", ".join((*self.limiter.lacks(need, now), *self.endpoint.limiter.lacks(need, now)))

    def next_time(self, need: Need, now: float) -> float | None:
        """Return when time alone may make it ready; None if only an event can."""
        endpoint = self.endpoint
        if not endpoint.open or self.limiter.full or endpoint.limiter.full:
            return None
        at = max(
            self.limiter.next_fit(need, now),
            endpoint.limiter.next_fit(need, now),
            self.breaker.next_time(now) or now,
            endpoint.breaker.next_time(now) or now,
        )
        pacer = endpoint.pacer
        if pacer is not None and not pacer.ready():
            at = max(at, now + pacer.unit)
        return at if at > now else None


class Grant:
    """The right to send one request to one model of one endpoint, now: takes its place in limits and breakers.

    It ends exactly once: in `close` and `record`, or in `refund`; what is called later does nothing.

    Args:
        gate: that is `Gate.ready`.
        need: the estimate it is admitted by.
        now: the time.
        tier: where in the request's plan the gate stands.
    """

    __slots__ = (
        "at",
        "endpoint_permit",
        "endpoint_trial",
        "gate",
        "overtaken",
        "permit",
        "reservation",
        "slow",
        "tier",
        "trial",
        "unsent",
    )

    def __init__(self, gate: Gate, need: Need, now: float, tier: int = 0) -> None:
        endpoint = gate.endpoint
        if endpoint.pacer is not None:
            endpoint.pacer.take()
        self.gate = gate
        self.tier = tier
        self.at = now
        self.permit = gate.limiter.take(need, now)
        self.endpoint_permit = endpoint.limiter.take(need, now)
        self.trial = gate.breaker.admit(now)
        self.endpoint_trial = endpoint.breaker.admit(now)
        endpoint.active += 1
        gate.flying[self] = None
        self.reservation: Reservation | None = None
        self.slow = False
        """Whether it took too long, for a hedge or for its deadline: then its cancellation may count as a failure."""
        self.overtaken = False
        """Whether the other call of a hedged pair was faster."""
        self.unsent = False
        """Whether the provider's actor did not take the request."""

    @property
    def probe(self) -> bool:
        """Whether a breaker let it through to see how things are."""
        return self.trial.probe or self.endpoint_trial.probe

    def close(self, now: float, usage: Usage | None = None, limits: RateLimits | None = None) -> None:
        """Give its place in the limits back. Its trials in the breakers end separately: see `record`.

        Args:
            now: the time.
            usage: what was really used; None keeps the estimate.
            limits: what the answer's headers said of the model's limits.
        """
        if self._left():
            gate = self.gate
            used = None if usage is None else gate.endpoint.used(usage)
            gate.limiter.release(self.permit, used, now)
            gate.endpoint.limiter.release(self.endpoint_permit, used, now)
            if limits is not None and gate.present:  # or they may be of the key before
                gate.limiter.correct(limits, self.at, now)

    def record(self, now: float, model: bool | None, endpoint: bool | None) -> None:
        """End its trials: whether the call says that the model, and the endpoint, work; None where it says nothing."""
        for breaker, trial, ok in (
            (self.gate.breaker, self.trial, model),
            (self.gate.endpoint.breaker, self.endpoint_trial, endpoint),
        ):
            if ok is None:
                breaker.cancel(trial)
            else:
                breaker.record(trial, ok, now)

    def refund(self, now: float) -> None:
        """Give it back unused."""
        if self._left():
            self.gate.limiter.refund(self.permit, now)
            self.gate.endpoint.limiter.refund(self.endpoint_permit, now)
            self.record(now, None, None)

    def _left(self) -> bool:
        """Take it off the calls in flight; return whether it was among them."""
        if self.gate.flying.pop(self, self) is self:
            return False
        endpoint = self.gate.endpoint
        endpoint.active -= 1
        if not endpoint.active and endpoint.on_idle is not None:
            endpoint.on_idle()
        return True
