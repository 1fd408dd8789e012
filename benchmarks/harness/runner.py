"""Running a suite's cases, interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from .model import Case, Row, Sample, Suite


@dataclass(slots=True)
class Results:
    """``rows`` in the suite's order, ``failures`` as (scenario, subject, reason)."""

    rows: list[Row] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)


def measure(suite: Suite, only: Sequence[str] = (), progress: Callable[[str], None] = lambda _line: None) -> Results:
    """Run every case of ``suite`` (or of the scenarios named in ``only``) ``suite.repeats`` times.

    A case that raises is not run again; it becomes a failure and the others go on.
    """
    results = Results()
    scenarios = dict.fromkeys(case.scenario for case in suite.cases)
    for scenario in scenarios:
        if only and scenario not in only:
            continue
        progress(scenario)
        cases = [case for case in suite.cases if case.scenario == scenario]
        results.rows += _interleave(cases, suite, results.failures)
    return results


def _interleave(cases: list[Case], suite: Suite, failures: list[tuple[str, str, str]]) -> list[Row]:
    samples: dict[str, dict[tuple[str, str], list[float]]] = {case.subject: {} for case in cases}
    broken: set[str] = set()
    for _round in range(suite.repeats):
        for case in cases:
            if case.subject in broken:
                continue
            try:
                outcome = case.run()
            except Exception as error:
                broken.add(case.subject)
                failures.append((case.scenario, case.subject, f"{type(error).__name__}: {error}"))
                continue
            for sample in [outcome] if isinstance(outcome, Sample) else outcome:
                key = (case.scenario + sample.suffix, sample.unit)
                samples[case.subject].setdefault(key, []).append(sample.value)
    keys = dict.fromkeys(key for by_key in samples.values() for key in by_key)
    rows = []
    for key in keys:
        values = {name: by_key[key] for name, by_key in samples.items() if key in by_key and name not in broken}
        reference = median(values[suite.baseline]) if suite.baseline in values else None
        for name, runs in values.items():
            middle = median(runs)
            ratio = middle / reference if reference else None
            rows.append(Row(key[0], name, middle, min(runs), max(runs), key[1], ratio))
    return rows
