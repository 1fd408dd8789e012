"""What measuring tells, as plain values: histograms of seconds, and the figures of one class of actors.

Figures are added up from the moment that measuring began, so that any number of readers may look at them: the
difference of two readings (`Metrics.since`) says what happened between them, with its rates and its quantiles.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Final

BOUNDS: Final = tuple(float(f"{10 ** (tenth / 10):.3g}") for tenth in range(-60, 31))
"""Upper ends of a histogram's buckets in seconds, ten in each power of ten: from 1 µs to 1,000 s."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many times were how long.

    Args:
        counts: in the bucket that ends at each of `bounds`, and in the last, above them all.
        sum: of all the times, in seconds.
        bounds: the upper ends of the buckets, in seconds; each belongs to its bucket.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    sum: float = 0.0
    bounds: tuple[float, ...] = field(default=BOUNDS, repr=False)

    @property
    def count(self) -> int:
        """How many times are in it."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean in seconds; `nan` of none."""
        count = self.count
        return self.sum / count if count else math.nan

    def quantile(self, q: float) -> float:
        """Return the time in seconds that a share of the times does not exceed.

        What is returned is the upper end of a bucket: at most 26 % too long, and 1 µs for what took no time.

        Args:
            q: the share, from 0 to 1: 0.99 for the 99th percentile.

        Returns:
            the time; `nan` if there are none, `inf` if it is above all bounds.

        Raises:
            ValueError: the share is none.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q!r}; it must be a share from 0 to 1")
        wanted = max(1, math.ceil(q * self.count))
        reached = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            reached += count
            if reached >= wanted:
                return bound
        return math.nan

    def __add__(self, other: Histogram) -> Histogram:
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Histogram(counts, self.sum + other.sum)

    def __sub__(self, earlier: Histogram) -> Histogram:
        counts = tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True))
        return Histogram(counts, max(0.0, self.sum - earlier.sum))


class Buckets:
    """A histogram that is being filled."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Add a time, which stands for as many as are said."""
        self._counts[bisect_left(BOUNDS, seconds)] += times
        self._sum += seconds * times

    def read(self) -> Histogram:
        """Return what is in it now."""
        return Histogram(tuple(self._counts), self._sum)


@dataclass(frozen=True, slots=True)
class ActorMetrics:
    """The figures of one class of actors, or of one actor.

    Args:
        actors: that are alive now.
        mailbox_depth: messages that wait now.
        mailbox_depth_max: the most that wait in one mailbox now.
        mailbox_age: seconds that the oldest of them has waited, at least.
        at_work: handlers that have been begun and wait for something now.
        processed: messages whose handler has ended.
        failed: those of them whose handler raised.
        dead_letters: messages that no handler will process.
        restarts: of these actors.
        time_in_mailbox: seconds from when a message is there to when its handler begins.
        processing_time: seconds from when a handler begins to when it ends, with all it waited for.
        seconds: that the figures cover.
    """

    actors: int = 0
    mailbox_depth: int = 0
    mailbox_depth_max: int = 0
    mailbox_age: float = 0.0
    at_work: int = 0
    processed: int = 0
    failed: int = 0
    dead_letters: int = 0
    restarts: int = 0
    time_in_mailbox: Histogram = field(default_factory=Histogram)
    processing_time: Histogram = field(default_factory=Histogram)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Messages processed a second; `nan` over no time."""
        return self.processed / self.seconds if self.seconds > 0 else math.nan

    def since(self, earlier: ActorMetrics) -> ActorMetrics:
        """Return what has come since an earlier reading: counts and times are the difference, the rest is as now."""
        return replace(
            self,
            processed=self.processed - earlier.processed,
            failed=self.failed - earlier.failed,
            dead_letters=self.dead_letters - earlier.dead_letters,
            restarts=self.restarts - earlier.restarts,
            time_in_mailbox=self.time_in_mailbox - earlier.time_in_mailbox,
            processing_time=self.processing_time - earlier.processing_time,
            seconds=self.seconds - earlier.seconds,
        )


@dataclass(frozen=True, slots=True)
class Metrics:
    """A reading of a system's figures.

    Args:
        time: when it was taken, in the loop's seconds.
        seconds: that it covers.
        classes: the figures of each class of actors, by ``module.Class``; those of more than 200 classes together under
            ``other``.
        actors: the figures of the actors that are followed, by path.
    """

    time: float
    seconds: float
    classes: Mapping[str, ActorMetrics]
    actors: Mapping[str, ActorMetrics] = field(default_factory=dict)

    @property
    def total(self) -> ActorMetrics:
        """The figures of all actors together."""
        return reduce(_both, self.classes.values(), ActorMetrics(seconds=self.seconds))

    def since(self, earlier: Metrics) -> Metrics:
        """Return what has come since an earlier reading of the same meter."""
        seconds = self.time - earlier.time
        return Metrics(
            self.time,
            seconds,
            _since(self.classes, earlier.classes, seconds),
            _since(self.actors, earlier.actors, seconds),
        )


def _since(
    now: Mapping[str, ActorMetrics], earlier: Mapping[str, ActorMetrics], seconds: float
) -> dict[str, ActorMetrics]:
    nothing = ActorMetrics()
    return {name: replace(one.since(earlier.get(name, nothing)), seconds=seconds) for name, one in now.items()}


def _both(one: ActorMetrics, other: ActorMetrics) -> ActorMetrics:
    sums: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in _ADDED}
    most = {name: max(getattr(one, name), getattr(other, name)) for name in ("mailbox_depth_max", "mailbox_age")}
    return ActorMetrics(**sums, **most, seconds=one.seconds)


_ADDED: Final[Iterable[str]] = (
    "actors",
    "mailbox_depth",
    "at_work",
    "processed",
    "failed",
    "dead_letters",
    "restarts",
    "time_in_mailbox",
    "processing_time",
)
