"""What is measured of a load, as figures, and how figures of several rounds are put together. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, TypeAlias

from .load import Outcome

Better: TypeAlias = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of figure.

    Args:
        unit: of its values.
        better: which of two values is.
        title: what it is called.
    """

    unit: str
    better: Better
    title: str


KINDS: Final[Mapping[str, Kind]] = {
    "throughput": Kind("answers/s", "higher", "answers a second"),
    "latency_p50": Kind("ms", "lower", "latency, median"),
    "latency_p90": Kind("ms", "lower", "latency, 90th percentile"),
    "latency_p99": Kind("ms", "lower", "latency, 99th percentile"),
    "latency_max": Kind("ms", "neither", "latency, longest"),
    "first_p50": Kind("ms", "lower", "time to first token, median"),
    "first_p99": Kind("ms", "lower", "time to first token, 99th percentile"),
    "errors": Kind("%", "lower", "questions without an answer"),
    "input_tokens": Kind("tokens/s", "neither", "input tokens a second"),
    "output_tokens": Kind("tokens/s", "neither", "output tokens a second"),
    "cost": Kind("$/1,000", "lower", "cost of 1,000 answers"),
    "cpu": Kind("ms", "lower", "CPU of this process an answer"),
    "memory": Kind("MB", "lower", "memory of this process"),
}
"""The figures that there are, in the order in which they are told."""


def figures(outcomes: Sequence[Outcome], seconds: float, cpu: float, memory: float) -> dict[str, float]:
    """The figures of one round. Latencies are those of what was answered; what is not known is left out.

    Args:
        outcomes: what came of its questions.
        seconds: that it took.
        cpu: seconds of CPU that this process took meanwhile.
        memory: bytes that it had at the end.
    """
    answered = [one for one in outcomes if not one.error]
    made: dict[str, float] = {"memory": memory / 1e6}
    if outcomes:
        made["errors"] = 100.0 * (len(outcomes) - len(answered)) / len(outcomes)
    if answered and seconds > 0:
        made["throughput"] = len(answered) / seconds
        for name in ("input_tokens", "output_tokens"):
            told = [count for one in answered if (count := getattr(one, name)) is not None]
            if told:
                made[name] = sum(told) / seconds
        made["cpu"] = 1_000 * cpu / len(answered)
        latencies = sorted(one.seconds for one in answered)
        for percent in (50, 90, 99):
            made[f"latency_p{percent}"] = 1_000 * percentile(latencies, percent)
        made["latency_max"] = 1_000 * latencies[-1]
        firsts = sorted(one.first for one in answered if one.first is not None)
        if firsts:
            made["first_p50"], made["first_p99"] = (1_000 * percentile(firsts, percent) for percent in (50, 99))
        costs = [one.cost for one in answered if one.cost is not None]
        if costs:
            made["cost"] = 1_000 * sum(costs) / len(costs)
    elif outcomes:
        made["throughput"] = 0.0
    return {name: made[name] for name in KINDS if name in made}


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many of a hundred do not exceed (nearest rank).

    Args:
        values: one or more, the lowest first.
        percent: above 0, up to 100.
    """
    return values[max(1, math.ceil(len(values) * percent / 100)) - 1]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure over several rounds.

    Args:
        value: the median.
        low, high: the lowest and the highest.
    """

    value: float
    low: float
    high: float


def together(rounds: Sequence[Mapping[str, float]]) -> dict[str, Measured]:
    """The figures of several rounds; each of the rounds that have it."""
    found: dict[str, Measured] = {}
    for name in KINDS:
        values = [one[name] for one in rounds if name in one]
        if values:
            found[name] = Measured(median(values), min(values), max(values))
    return found
