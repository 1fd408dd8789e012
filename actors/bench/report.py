"""What was measured, as a table and as JSON, and an earlier report beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ..agents.errors import DefinitionError
from ..agents.evaluation.reportfile import not_that, read_report_of, write_report
from .columns import aligned, number
from .figures import KINDS, Measured

_FORMAT: Final = "callboard bench 1"
TOLERANCE: Final = 0.1
"""By how much a figure may be worse before it counts, where its rounds do not overlap with the earlier ones."""

_HEADS: Final[Mapping[str, str]] = {
    "throughput": "answers/s",
    "latency_p50": "p50 ms",
    "latency_p99": "p99 ms",
    "first_p50": "first ms",
    "errors": "errors %",
    "output_tokens": "tokens/s",
    "cost": "$/1,000",
    "cpu": "CPU ms",
    "memory": "MB",
}
"""What the table shows, and over which heads."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one subject under one load.

    Args:
        subject: what load was put on.
        load: which, in words.
        figures: by name, see `KINDS`.
        rounds: how many there were.
        asked: questions in all of them.
        errors: how many ended in which error.
    """

    subject: str
    load: str
    figures: Mapping[str, Measured]
    rounds: int
    asked: int
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured in one run.

    Args:
        results: in the order in which they were measured.
        machine: where, in words.
        date: when, as ISO 8601 has it.
        seconds: of each round.
    """

    results: tuple[Result, ...]
    machine: str
    date: str
    seconds: float

    @property
    def subjects(self) -> tuple[str, ...]:
        """What was measured, each once."""
        return tuple(dict.fromkeys(result.subject for result in self.results))

    @property
    def loads(self) -> tuple[str, ...]:
        """The loads, each once."""
        return tuple(dict.fromkeys(result.load for result in self.results))

    def table(self) -> str:
        """All of it as text: medians of the rounds, errors by name, and the rounds' spread where there were several."""
        heads = ["load", "subject", *(_HEADS[name] for name in _HEADS)]
        rows = [heads]
        for result in self.results:
            figures = result.figures
            rows.append([result.load, result.subject, *(_cell(figures.get(name)) for name in _HEADS)])
        lines = aligned(rows, left=(0, 1))
        for result in self.results:
            if result.errors:
                told = ", ".join(f"{name} {count}" for name, count in result.errors.items())
                lines.append(f"errors of {result.subject}, {result.load}: {told}")
        if any(result.rounds > 1 for result in self.results):
            lines += ["", "lowest to highest of the rounds"]
            spread = ["throughput", "latency_p50", "latency_p99"]
            rows = [["load", "subject", *(_HEADS[name] for name in spread)]]
            for result in self.results:
                rows.append([result.load, result.subject, *(_range(result.figures.get(name)) for name in spread)])
            lines += aligned(rows, left=(0, 1))
        lines += ["", *self.notes()]
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What must be known to read the figures."""
        rounds = max((result.rounds for result in self.results), default=0)
        told = [f"{self.date}, {self.machine}", f"medians of {rounds} rounds of {self.seconds:g} s, interleaved"]
        if len(self.subjects) == 1:
            told.append(f"one subject, {self.subjects[0]}: these are figures of its own, not a comparison")
        return told

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data, with the unit of each figure."""
        results = []
        for result in self.results:
            figures = {name: {**asdict(one), "unit": KINDS[name].unit} for name, one in result.figures.items()}
            results.append({**asdict(result), "figures": figures})
        about = {"machine": self.machine, "date": self.date, "seconds": self.seconds}
        return {"format": _FORMAT, **about, "results": results}

    def save(self, path: str | Path) -> None:
        """Write it into a file, as JSON.

        Raises:
            DefinitionError: it cannot be written.
        """
        write_report(path, self.as_json())


def read_report(path: str | Path) -> Report:
    """Read what `Report.save` wrote.

    Raises:
        DefinitionError: it cannot be read, or is something else.
    """
    found = read_report_of(Report, path, _FORMAT, "a benchmark", "callboard bench")
    there: set[tuple[str, str]] = set()
    for result in found.results:
        which = f"{result.subject!r:.80}, {result.load!r:.80}"
        if (result.subject, result.load) in there:
            raise not_that(path, "a benchmark", f"{which} is there twice")
        there.add((result.subject, result.load))
        for name, one in result.figures.items():
            if not all(0 <= value < math.inf for value in (one.value, one.low, one.high)):
                raise not_that(path, "a benchmark", f"{name!r:.80} of {which} is no number from 0 on")
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure beside an earlier one.

    Args:
        subject, load, figure: which.
        earlier, later: its values.
        worse: whether it is worse by more than `TOLERANCE`, and by more than the rounds differ.
    """

    subject: str
    load: str
    figure: str
    earlier: Measured
    later: Measured
    worse: bool

    @property
    def ratio(self) -> float:
        """The later one by the earlier one; infinite where that is 0 and this is not."""
        if self.earlier.value == 0:
            return 1.0 if self.later.value == 0 else math.inf
        return self.later.value / self.earlier.value


def differences(earlier: Report, later: Report) -> tuple[Difference, ...]:
    """Put a report beside an earlier one. Where each has one subject, they are taken for the same by whichever name.

    Raises:
        DefinitionError: nothing of the one was measured in the other: subjects and loads have other names.
    """
    before = matching(earlier, later.subjects, later.loads)
    found: list[Difference] = []
    for result in later.results:
        old = before.get((result.subject, result.load))
        if old is None:
            continue
        for name, now in result.figures.items():
            then = old.figures.get(name)
            if then is not None and KINDS[name].better != "neither":
                found.append(Difference(result.subject, result.load, name, then, now, _worse(name, then, now)))
    return tuple(found)


def matching(earlier: Report, subjects: Sequence[str], loads: Sequence[str]) -> dict[tuple[str, str], Result]:
    """What an earlier report has of subjects and loads, by their names of today.

    Raises:
        DefinitionError: nothing.
    """
    there = {(result.subject, result.load): result for result in earlier.results}
    alone = len(earlier.subjects) == len(subjects) == 1
    found: dict[tuple[str, str], Result] = {}
    for subject in subjects:
        for load in loads:
            old = there.get((earlier.subjects[0] if alone else subject, load))
            if old is not None:
                found[subject, load] = old
    if not found:
        had = ", ".join(f"{subject} ({load})" for subject, load in there) or "nothing"
        raise DefinitionError(f"nothing of this run was measured in the earlier one, which has {had:.300}")
    return found


def _worse(name: str, then: Measured, now: Measured) -> bool:
    if name == "errors":  # in points: one of none is no ratio
        return now.value > then.value + 100 * TOLERANCE / 10 and now.low > then.high
    if KINDS[name].better == "higher":
        return now.value < then.value * (1 - TOLERANCE) and now.high < then.low
    return now.value > then.value * (1 + TOLERANCE) and now.low > then.high


def differences_table(found: Sequence[Difference]) -> str:
    """Differences as text, a line for each figure that is worse, or else for those of throughput and latency."""
    rows = [["", "load", "subject", "figure", "earlier", "now", "ratio"]]
    for one in found:
        if not one.worse and one.figure not in ("throughput", "latency_p50", "latency_p99"):
            continue
        verdict = "WORSE" if one.worse else ""
        ratio = "-" if math.isinf(one.ratio) else f"{one.ratio:.2f}"
        title = KINDS[one.figure].title
        rows.append([verdict, one.load, one.subject, title, _cell(one.earlier), _cell(one.later), ratio])
    return "\n".join(aligned(rows, left=range(4)))


def _cell(one: Measured | None) -> str:
    return "-" if one is None else number(one.value)


def _range(one: Measured | None) -> str:
    return "-" if one is None else f"{number(one.low)}–{number(one.high)}"
