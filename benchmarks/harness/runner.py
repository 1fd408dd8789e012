"""Running a suite's cases, interleaved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from .model import Case, Comparison, Row, Sample, Suite, Unsupported


@dataclass(slots=True)
class Results:
    """Rows and comparisons in the suite's order; failures and what was skipped as (scenario, subject, reason)."""

    rows: list[Row] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)


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
        _interleave(cases, suite, results)
    return results


def _interleave(cases: list[Case], suite: Suite, results: Results) -> None:
    samples: dict[str, dict[tuple[str, str], list[float]]] = {case.subject: {} for case in cases}
    broken: set[str] = set()
    for round_ in range(suite.repeats):
        for case in cases:
            if case.subject in broken or (case.repeats is not None and round_ >= case.repeats):
                continue
            try:
                outcome = case.run()
            except Unsupported as reason:
                broken.add(case.subject)
                results.skipped.append((case.scenario, case.subject, str(reason)))
                continue
            except Exception as error:
                broken.add(case.subject)
                results.failures.append((case.scenario, case.subject, f"{type(error).__name__}: {error}"))
                continue
            for sample in [outcome] if isinstance(outcome, Sample) else outcome:
                key = (case.scenario + sample.suffix, sample.unit)
                samples[case.subject].setdefault(key, []).append(sample.value)
    keys = dict.fromkeys(key for by_key in samples.values() for key in by_key)
    for key in keys:
        values = {name: by_key[key] for name, by_key in samples.items() if key in by_key and name not in broken}
        baseline = values.get(suite.baseline, [])
        reference = median(baseline) if baseline else 0.0
        for name, runs in values.items():
            middle = median(runs)
            row = Row(key[0], name, middle, min(runs), max(runs), key[1], middle / reference if reference else None)
            if reference and (ratios := _by_round(runs, baseline)):
                row = replace(row, ratio_low=min(ratios), ratio_high=max(ratios))
            results.rows.append(row)
        results.comparisons += _comparisons(key, cases, values)


def _comparisons(key: tuple[str, str], cases: list[Case], values: Mapping[str, list[float]]) -> list[Comparison]:
    scenario, unit = key
    found = []
    for case in cases:
        for other in case.beside:
            runs, others = values.get(case.subject, []), values.get(other, [])
            if ratios := _by_round(runs, others):
                spread = (median(ratios), min(ratios), max(ratios))
                found.append(Comparison(scenario, case.subject, other, median(runs), median(others), unit, *spread))
    return found


def _by_round(runs: Sequence[float], others: Sequence[float]) -> list[float]:
    """The ratio of each round: what slows the machine down for a while hits both subjects of it."""
    return [run / other for run, other in zip(runs, others, strict=False) if other]
