"""The harness's nouns: Sample, Case, Suite, Row, Comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

OURS = "callboard"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number. ``suffix`` is appended to the scenario's name: ``Sample(12.0, "µs", "_p99")``."""

    value: float
    unit: str
    suffix: str = ""


class Unsupported(Exception):
    """The subject lacks what the scenario is about; the message says what."""


@dataclass(frozen=True, slots=True)
class Case:
    """One subject in one scenario. ``run`` does the work once and returns what it measured.

    It may raise: the case is then left out of the table, and the reason is printed; :class:`Unsupported` is no failure.
    ``beside`` names subjects that it is compared with besides the suite's baseline, ``repeats`` how often it is run
    where that is not as often as the suite's others.
    """

    scenario: str
    subject: str
    run: Callable[[], Sample | Sequence[Sample]]
    beside: Sequence[str] = ()
    repeats: int | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """What ``suite(quick)`` returns.

    ``baseline`` names the subject all ratios refer to, ``skipped`` maps a subject that is not here to the reason,
    ``close`` is called at the end, whatever happened. ``notes`` are printed under the table.
    """

    baseline: str
    cases: Sequence[Case]
    skipped: Mapping[str, str] = field(default_factory=dict)
    repeats: int = 5
    notes: Sequence[str] = ()
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the median of a case's runs and their spread.

    ``ratio`` is the median divided by the baseline's, None without a baseline; ``ratio_low`` and ``ratio_high`` are the
    lowest and the highest ratio within one round.
    """

    scenario: str
    subject: str
    value: float
    low: float
    high: float
    unit: str
    ratio: float | None
    ratio_low: float | None = None
    ratio_high: float | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "scenario": self.scenario,
            "subject": self.subject,
            "value": self.value,
            "unit": self.unit,
            "ratio": self.ratio,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A subject's median beside another's, and the median, the lowest and the highest of the rounds' ratios.

    The median of the ratios is not quite the ratio of the medians, and steadier: on two cores that others use too, ten
    rounds of the same code differed by up to 10 % in the one and by up to 35 % in the other.
    """

    scenario: str
    subject: str
    other: str
    value: float
    other_value: float
    unit: str
    ratio: float
    low: float
    high: float
