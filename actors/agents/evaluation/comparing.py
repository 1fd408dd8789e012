"""An evaluation beside an earlier one. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ..rendering.flow import harmless
from .results import CaseResult, Evaluation, mean

_CHANCE: Final = 0.05
"""What happens less often if nothing has changed is taken for a change."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a case did earlier and later.

    Args:
        name: the case's.
        earlier, later: its result; None where it was not asked.
    """

    name: str
    earlier: CaseResult | None
    later: CaseResult | None

    @property
    def worse(self) -> bool:
        """Whether it passed and does not any more, is new and does not pass, or fails more often than by chance."""
        if self.later is None:
            return False
        if self.earlier is None:
            return not self.later.passed
        return (self.earlier.passed and not self.later.passed) or chance(self.earlier, self.later) < _CHANCE

    @property
    def better(self) -> bool:
        """The same the other way round."""
        if self.later is None or self.earlier is None:
            return False
        return (self.later.passed and not self.earlier.passed) or chance(self.later, self.earlier) < _CHANCE


def chance(better: CaseResult, worse: CaseResult) -> float:
    """With which probability a case would do this much worse, or more, if nothing had changed.

    Source: Fisher's exact test, one-sided (Fisher 1922).

    Args:
        better: the result to measure by.
        worse: the one that may be worse.
    """
    n, m, right = len(better.attempts), len(worse.attempts), better.successes + worse.successes
    all_ways = math.comb(n + m, right)
    fewest = max(0, right - n)
    ways = sum(math.comb(m, k) * math.comb(n, right - k) for k in range(fewest, worse.successes + 1))
    return ways / all_ways


@dataclass(frozen=True, slots=True)
class Comparison:
    """An evaluation beside an earlier one.

    Args:
        changes: of each case in one of them, those of the later one first.
    """

    changes: tuple[Change, ...]

    @property
    def worse(self) -> tuple[str, ...]:
        """The names of the cases that have become worse."""
        return tuple(change.name for change in self.changes if change.worse)

    def table(self) -> str:
        """What changed, a line for each case."""
        wide = max((len(harmless(change.name)) for change in self.changes), default=4)
        lines = [f"{'':6}  {'case':<{wide}}  {'right':>15}  {'cost':>8}  {'seconds':>8}"]
        for change in self.changes:
            lines.append(f"{_said(change):6}  {harmless(change.name):<{wide}}  {_figures(change)}")
        return "\n".join(lines)


def compare_evaluations(earlier: Evaluation, later: Evaluation) -> Comparison:
    """Put an evaluation beside an earlier one, case by case, by their names."""
    before = {case.name: case for case in earlier.cases}
    after = {case.name: case for case in later.cases}
    return Comparison(tuple(Change(name, before.get(name), after.get(name)) for name in {**after, **before}))


def _said(change: Change) -> str:
    if change.later is None:
        return "gone"
    if change.worse:
        return "WORSE"
    if change.earlier is None:
        return "new"
    return "better" if change.better else "same"


def _figures(change: Change) -> str:
    both = [one for one in (change.earlier, change.later) if one is not None]
    right = " → ".join(f"{one.successes}/{len(one.attempts)}" for one in both)
    return f"{right:>15}  {_ratio(change, 'cost'):>8}  {_ratio(change, 'seconds'):>8}"


def _ratio(change: Change, name: str) -> str:
    if change.earlier is None or change.later is None or mean(change.earlier, name) <= 0:
        return "-"
    return f"{mean(change.later, name) / mean(change.earlier, name) - 1:+.0%}"
