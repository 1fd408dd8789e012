"""What came of cases: attempts, the results of cases, and a whole evaluation, as text and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ..rendering.flow import harmless
from .case import Case
from .reportfile import not_that, read_report_of, write_report

_FORMAT: Final = "callboard evaluation 1"
_WIDEST: Final = 100
"""Characters of a problem in the table."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a case was asked.

    Args:
        case: its name.
        number: counted from 1.
        problems: what was not as expected, in words; empty if all was.
        error: the name of the error that the run ended in; empty for none.
        run: the id of the last run.
        text: what the agent answered last.
        scores: of the rules that a model judged, in their order; None where it could not.
        steps, tokens, cost, seconds: of all of the case's runs; US dollars.
        judge_cost: US dollars that the judge took besides.
    """

    case: str
    number: int
    problems: tuple[str, ...] = ()
    error: str = ""
    run: str = ""
    text: str = field(default="", repr=False)
    scores: tuple[float | None, ...] = ()
    steps: int = 0
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    judge_cost: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case.

    Args:
        name: the case's.
        at_least: the share of its attempts that had to be as expected.
        attempts: all of them, in order.
    """

    name: str
    at_least: float
    attempts: tuple[Attempt, ...]

    @property
    def successes(self) -> int:
        """How many attempts were as expected."""
        return sum(attempt.passed for attempt in self.attempts)

    @property
    def share(self) -> float:
        """The share of them, 0 to 1."""
        return self.successes / len(self.attempts)

    @property
    def passed(self) -> bool:
        """Whether enough of them were: as many as ``at_least`` asks for, a remainder of floats forgiven."""
        return self.successes >= math.ceil(self.at_least * len(self.attempts) - 1e-9)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of all cases.

    Args:
        cases: in their order.
        seconds: from the first question to the last answer.
        unmade: attempts that were not made, as it was stopped; cases without any are left out.
    """

    cases: tuple[CaseResult, ...]
    seconds: float
    unmade: int = 0

    @property
    def passed(self) -> bool:
        """Whether every case was, and all were asked."""
        return not self.unmade and all(case.passed for case in self.cases)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of those that were not."""
        return tuple(case.name for case in self.cases if not case.passed)

    @property
    def cost(self) -> float:
        """US dollars of all attempts, with what the judge took."""
        return sum(attempt.cost + attempt.judge_cost for case in self.cases for attempt in case.attempts)

    @property
    def tokens(self) -> int:
        """Tokens in and out of all attempts, without the judge's."""
        return sum(attempt.tokens for case in self.cases for attempt in case.attempts)

    def table(self) -> str:
        """All of it as text: a line for each case, and what was wrong below those where anything was."""
        wide = max((len(harmless(case.name)) for case in self.cases), default=4)
        lines = [f"{'':6}  {'case':<{wide}}  {'right':>7}  {'seconds':>8}  {'tokens':>8}  {'cost':>9}"]
        for case in self.cases:
            right = f"{case.successes}/{len(case.attempts)}"
            seconds, tokens, cost = (mean(case, figure) for figure in ("seconds", "tokens", "cost"))
            verdict = "passed" if case.passed else "FAILED"
            name = harmless(case.name)
            lines.append(
                f"{verdict:6}  {name:<{wide}}  {right:>7}  {seconds:>8.3f}  {tokens:>8.0f}  {f'${cost:.4f}':>9}"
            )
            wrong = Counter(problem for attempt in case.attempts for problem in attempt.problems)
            for problem, count in wrong.items():
                times = "" if len(case.attempts) == 1 else f" ({count} of {len(case.attempts)})"
                lines.append(f"        {_short(problem)}{times}")
        passed = sum(case.passed for case in self.cases)
        lines.append(
            f"{passed} of {len(self.cases)} cases passed; {self.tokens} tokens, ${self.cost:.4f}, {self.seconds:.3f} s"
        )
        if self.unmade:
            lines.append(f"stopped: {self.unmade} attempts were not made")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data, with what the agents answered."""
        cases = [
            {
                "name": case.name,
                "at_least": case.at_least,
                "share": case.share,
                "passed": case.passed,
                "attempts": [{**asdict(attempt), "passed": attempt.passed} for attempt in case.attempts],
            }
            for case in self.cases
        ]
        total = {"passed": self.passed, "cost": self.cost, "tokens": self.tokens, "seconds": self.seconds}
        total["unmade"] = self.unmade
        return {"format": _FORMAT, **total, "cases": cases}

    def save(self, path: str | Path) -> None:
        """Write it into a file, as JSON.

        Raises:
            DefinitionError: it cannot be written.
        """
        write_report(path, self.as_json())


def put_together(cases: Iterable[Case], attempts: Iterable[Attempt], repeat: int, seconds: float) -> Evaluation:
    """The evaluation of attempts.

    Args:
        cases: what was to be asked.
        attempts: what came, in any order.
        repeat: how many times cases are asked that say nothing else.
        seconds: from the first question to the last answer.
    """
    found: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        found.setdefault(attempt.case, []).append(attempt)
    several = list(cases)
    results = tuple(
        CaseResult(case.name, case.at_least, tuple(sorted(found[case.name], key=lambda one: one.number)))
        for case in several
        if case.name in found
    )
    made = sum(map(len, found.values()))
    return Evaluation(results, seconds, sum(case.repeat or repeat for case in several) - made)


def read_evaluation(path: str | Path) -> Evaluation:
    """Read what `Evaluation.save` wrote.

    Raises:
        DefinitionError: it cannot be read, or is something else.
    """
    found = read_report_of(Evaluation, path, _FORMAT, "an evaluation", "callboard eval")
    wrong = _wrong(found)
    if wrong:
        raise not_that(path, "an evaluation", wrong)
    return found


def _wrong(found: Evaluation) -> str:
    """What cannot be in an evaluation that was read; empty for nothing."""
    names: set[str] = set()
    for case in found.cases:
        if case.name in names:
            return f"the case {case.name!r:.80} is there twice"
        names.add(case.name)
        if not case.attempts:
            return f"a case has no attempts: {case.name!r:.80}"
        figures = [("at_least", case.at_least)]
        for one in case.attempts:
            figures += [(name, getattr(one, name)) for name in ("steps", "tokens", "cost", "seconds", "judge_cost")]
        for name, value in figures:
            if not 0 <= value < math.inf:
                return f"{name} of the case {case.name!r:.80} is {value}; expected a number from 0 on"
    if found.unmade < 0:
        return f"unmade is {found.unmade}; expected a number from 0 on"
    return "" if 0 <= found.seconds < math.inf else f"seconds is {found.seconds}; expected a number from 0 on"


def mean(case: CaseResult, name: str) -> float:
    """The mean of a figure of a case's attempts.

    Args:
        case: it.
        name: of the figure: ``cost``, ``seconds``, ``tokens`` or ``steps``.
    """
    values: Sequence[float] = [getattr(attempt, name) for attempt in case.attempts]
    return sum(values) / len(values)


def _short(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
