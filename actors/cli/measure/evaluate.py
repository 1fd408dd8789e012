"""``callboard eval``: a team is asked the cases of a file. The report goes to stdout, progress to stderr."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...agents.errors import DefinitionError
from ...agents.evaluation.casefile import Cases, load_cases
from ...agents.evaluation.comparing import compare_evaluations
from ...agents.evaluation.evaluate import evaluate as ask_cases
from ...agents.evaluation.reportfile import check_place
from ...agents.evaluation.results import Attempt, Evaluation, put_together, read_evaluation
from ...core.base.errors import CallboardError
from ..parts.printed import plain, progress, say, verdict
from ..parts.team import running


class NoSuchCase(CallboardError):
    """A case is named that the file has not."""


def evaluate(
    case_file: Path,
    team_file: Path,
    folder: Path,
    only: Sequence[str],
    repeat: int | None,
    concurrency: int,
    report: Path | None,
    earlier: Path | None,
) -> int:
    """Ask a team its cases, and print how it did.

    Args:
        case_file, team_file: the files.
        folder: what the team's file tools are confined to.
        only: names of cases; empty for all.
        repeat: how many times each is asked that says nothing else; None for as the file says.
        concurrency: how many at once.
        report: where the report is written; None for nowhere.
        earlier: the report to compare with; None for none.

    Returns:
        0; 1 where a case fails, or with an earlier report where one has become worse.

    Raises:
        CallboardError: a file is wrong, or a name is not there.
        KeyboardInterrupt: it was interrupted; what was done until then is in the report, and printed.
    """
    cases = _chosen(load_cases(case_file), only)
    before = None if earlier is None else read_evaluation(earlier)
    if report is not None:
        check_place(report)
    made: list[Attempt] = []
    began = time.monotonic()
    try:
        done = asyncio.run(_asked(cases, team_file, folder, repeat, concurrency, made))
    except KeyboardInterrupt:
        if made:
            times = cases.repeat if repeat is None else repeat
            partly = put_together(cases.cases, made, times, time.monotonic() - began)
            if report is not None:
                partly.save(report)
            say(partly.table())
        raise
    if report is not None:  # first: it was paid for, and printing may fail
        try:
            done.save(report)
        except DefinitionError:
            say(done.table())
            raise
    if before is None:
        return verdict(int(not done.passed), done.table())
    comparison = compare_evaluations(_within(before, only), done)
    return verdict(int(bool(comparison.worse)), f"{done.table()}\n\n{comparison.table()}")


async def _asked(
    cases: Cases, team_file: Path, folder: Path, repeat: int | None, concurrency: int, made: list[Attempt]
) -> Evaluation:
    def told(attempt: Attempt) -> None:
        made.append(attempt)
        progress(f"{plain(attempt.case)} #{attempt.number}: {'right' if attempt.passed else 'wrong'}")

    times = cases.repeat if repeat is None else repeat
    async with running(team_file, folder, journal=None) as agency:
        return await ask_cases(agency, cases.cases, repeat=times, concurrency=concurrency, judge=cases.judge, told=told)


def _chosen(cases: Cases, only: Sequence[str]) -> Cases:
    there = {case.name: case for case in cases.cases}
    for name in only:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(there):.300}"
            raise NoSuchCase(f"no case is called {name!r}; {hint}")
    return replace(cases, cases=tuple(case for case in cases.cases if not only or case.name in only))


def _within(evaluation: Evaluation, only: Sequence[str]) -> Evaluation:
    """An earlier evaluation without the cases that are not asked now."""
    return replace(evaluation, cases=tuple(case for case in evaluation.cases if not only or case.name in only))
