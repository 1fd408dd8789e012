"""Figures for Prometheus: counted while things happen, read when somebody asks, and bounded in how many there are.

A label's values come from outside (a team's agents, the tools that models name, vendors' models), so nobody knows how
many there will be, and a monitoring system dies of too many series. So all figures of one agency share a `Bound`: once
it is used up, what has no series of its own yet is counted under ``other``, for which each name has a series from the
beginning. Sums stay right. What is counted leaves some for what is read when somebody asks: otherwise a job that is
read once, at its end, would tell of no pool.

Nothing here needs an extra: `prometheus_text` and `push_metrics`, in a file of their own, do.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from .labels import OTHER, Key, fitting_key, other

MOST_SERIES: Final = 500

KEPT: Final = 5
"""One series of so many is kept for what is read when somebody asks."""

ERRORS: Final = 25
"""One series of so many is kept for the errors, states and the like of what has no series of its own."""

READ: Final = 32
"""Names of figures that are read when somebody asks, at most: pools have 10, actors 7, runs and the journal 3 each."""

LEAST_SERIES: Final = 200
"""Fewer would leave each name little more than the series of all that has none of its own."""

SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The upper ends of the buckets of times, in seconds, as the conventions for generative AI have them."""

LINES: Final = len(SECONDS) + 3
"""Series that times are written as: buckets, the one for all, how many, and their sum."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Times:
    """How many times were how long.

    Args:
        counts: of those up to each of `SECONDS`, and of those above; each is in one of them.
        sum: of all, in seconds.
    """

    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Family:
    """The figures of one name.

    Args:
        name: as Prometheus has it, without ``_total``.
        help: what is counted, in words.
        kind: ``counter``: only grows; ``gauge``: as it is now; ``histogram``: of times.
        labels: the names of what tells the figures apart.
        samples: the figures by the values of these.
    """

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...] = ()
    samples: Mapping[Key, float | Times] = field(default_factory=dict)

    def total(self, **labels: str) -> float:
        """The sum of the figures that have these labels; of a histogram how many times there are.

        Raises:
            KeyError: there is no such label.
        """
        wanted = [(self.labels.index(name), value) for name, value in labels.items() if self._known(name)]
        found = (sample for key, sample in self.samples.items() if all(key[at] == value for at, value in wanted))
        return sum(sample.count if isinstance(sample, Times) else sample for sample in found)

    def _known(self, label: str) -> bool:
        if label not in self.labels:
            raise KeyError(f"{self.name} has no label {label!r}; there are {', '.join(self.labels) or 'none'}")
        return True


class Bound:
    """How many series there may be.

    Args:
        most: at most.
    """

    __slots__ = ("_errors", "_kept", "left")

    def __init__(self, most: int = MOST_SERIES) -> None:
        self.left = most
        self._kept = most // KEPT
        self._errors = most // ERRORS

    def take(self, number: int, *, kept: bool = False, error: bool = False) -> bool:
        """Whether so many more may be there; they are then.

        Args:
            number: how many.
            kept: whether they may be of those that are kept for what is read.
            error: whether they may be of those that are kept for errors.
        """
        if number > self.left - (0 if kept else self._kept) - (0 if error else self._errors):
            return False
        self.give(number, kept=kept, error=error)
        return True

    def give(self, number: int, *, kept: bool = False, error: bool = False) -> None:
        """Have so many more be there; see `take`."""
        self.left -= number
        if kept:
            self._kept = max(0, self._kept - number)
        if error:
            self._errors = max(0, self._errors - number)

    def place(self, labels: Sequence[str], key: Key, known: Container[Key], number: int, *, kept: bool = False) -> Key:
        """The series in which a figure is counted: its own, or, where there may be no more, one for several.

        Args:
            labels, key: the names of the figure's labels, and their values.
            known: the series that there are.
            number: how many it takes.
            kept: whether they may be of those that are kept for what is read.
        """
        last = (OTHER,) * len(labels)  # whose place the figure's name was given
        if key in known or key == last or self.take(number, kept=kept):
            return key
        rest = other(labels, key)
        return rest if rest in known or self.take(number, kept=kept, error=True) else last


class Counter:
    """Counts.

    Args:
        bound: of the series.
        name, help, labels: see `Family`.
    """

    __slots__ = ("_bound", "_cells", "_family")

    def __init__(self, bound: Bound, name: str, help: str, *labels: str) -> None:
        self._bound = bound
        self._family = (name, help, labels)
        self._cells: dict[Key, list[float]] = {}
        bound.give(1)

    def cell(self, key: Key) -> list[float]:
        """Where the figure with these labels' values stands: a list of one number, for who adds to it often."""
        cell = self._cells.get(key)
        if cell is None:
            key = self._bound.place(self._family[2], fitting_key(key), self._cells, 1)
            cell = self._cells.setdefault(key, [0.0])
        return cell

    def add(self, key: Key, amount: float = 1.0) -> None:
        """Add to the figure with these labels' values."""
        self.cell(key)[0] += amount

    def read(self) -> Family:
        """What was counted by now."""
        name, help, labels = self._family
        return Family(name, help, "counter", labels, {key: cell[0] for key, cell in self._cells.items()})


class Histogram:
    """Counts times.

    Args:
        bound: of the series; each of its label values takes `LINES`.
        name, help, labels: see `Family`.
    """

    __slots__ = ("_bound", "_cells", "_family")

    def __init__(self, bound: Bound, name: str, help: str, *labels: str) -> None:
        self._bound = bound
        self._family = (name, help, labels)
        self._cells: dict[Key, tuple[list[int], list[float]]] = {}
        bound.give(LINES)

    def cell(self, key: Key) -> tuple[list[int], list[float]]:
        """Where the times with these labels' values stand: how many ended in each bucket of `SECONDS`, the last for
        those above, and their sum."""
        cell = self._cells.get(key)
        if cell is None:
            key = self._bound.place(self._family[2], fitting_key(key), self._cells, LINES)
            cell = self._cells.setdefault(key, ([0] * (len(SECONDS) + 1), [0.0]))
        return cell

    def add(self, key: Key, seconds: float) -> None:
        """Add a time to the figure with these labels' values."""
        counts, sum = self.cell(key)
        counts[bisect_left(SECONDS, seconds)] += 1
        sum[0] += seconds

    def read(self) -> Family:
        """What was counted by now."""
        name, help, labels = self._family
        samples = {key: Times(tuple(counts), sum[0]) for key, (counts, sum) in self._cells.items()}
        return Family(name, help, "histogram", labels, samples)


class Gauges:
    """Bounds the figures that are read from elsewhere when somebody asks: the first keep their names, the others are
    one.

    Args:
        bound: of the series.
    """

    __slots__ = ("_bound", "_known")

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._known: dict[str, set[Key]] = {}
        bound.give(READ, kept=True)

    def family(
        self,
        name: str,
        help: str,
        kind: Kind,
        labels: tuple[str, ...],
        samples: Iterable[tuple[Key, float]],
        *,
        most: bool = False,
    ) -> Family:
        """Figures of one name.

        Args:
            name, help, kind, labels: see `Family`.
            samples: the figures.
            most: whether of those that are one, the greatest counts, and not their sum.
        """
        found: dict[Key, float] = {}
        known = self._known.setdefault(name, set())
        for key, value in samples:
            if key not in known:
                key = self._bound.place(labels, fitting_key(key), known, 1, kept=True)
                known.add(key)
            before = found.get(key)
            found[key] = value if before is None else max(before, value) if most else before + value
        return Family(name, help, kind, labels, found)


def together(families: Iterable[Family]) -> tuple[Family, ...]:
    """Figures from several places, those of one name together. Which place they are of their labels must tell."""
    by_name: dict[str, Family] = {}
    for family in families:
        before = by_name.get(family.name)
        samples = family.samples if before is None else {**before.samples, **family.samples}
        by_name[family.name] = replace(family, samples=samples)
    return tuple(by_name.values())


def labelled(families: Iterable[Family], label: str, value: str) -> Iterator[Family]:
    """Figures with one label more."""
    for family in families:
        samples = {(*key, value): sample for key, sample in family.samples.items()}
        yield replace(family, labels=(*family.labels, label), samples=samples)


def written(families: Iterable[Family]) -> str:
    """Figures as JSON, for another process."""
    return json.dumps(
        [
            [one.name, one.help, one.kind, one.labels, [[key, _plain(value)] for key, value in one.samples.items()]]
            for one in families
        ]
    )


def read(text: str) -> tuple[Family, ...]:
    """Figures that another process has written.

    Raises:
        ValueError: it is something else.
    """
    try:
        return tuple(
            Family(name, help, kind, tuple(labels), {tuple(key): _sample(value) for key, value in samples})
            for name, help, kind, labels, samples in json.loads(text)
        )
    except TypeError as error:
        raise ValueError(f"these are no figures: {error}") from None


def _plain(sample: float | Times) -> Any:
    return [sample.counts, sample.sum] if isinstance(sample, Times) else sample


def _sample(value: Any) -> float | Times:
    return Times(tuple(value[0]), value[1]) if isinstance(value, list) else float(value)
