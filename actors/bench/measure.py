"""Measures subjects under loads, round by round."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from ...tools.errors import MissingExtra
from ..agents.errors import DefinitionError
from .figures import figures, together
from .load import Ask, Closed, Load, Open, drive
from .report import Report, Result

WARM_UP: Final = 8
"""Questions that are asked of each subject before anything is measured, so that no round pays for connecting."""


async def measure(
    subjects: Mapping[str, Ask],
    loads: Sequence[Load],
    questions: Sequence[str],
    *,
    seconds: float,
    rounds: int = 3,
    timeout: float = 60.0,
    told: Callable[[str], object] = lambda line: None,
) -> Report:
    """Put each load on each subject, in rounds that take turns: what slows the machine down for a while hits all.

    Args:
        subjects: what is asked, by name.
        loads: how many questions.
        questions: what is asked, one after the other.
        seconds: for how long questions are asked, of each subject and load, in all rounds together.
        rounds: how many rounds that makes.
        timeout: seconds after which a question counts as failed.
        told: is called with a line on how far it is.

    Raises:
        MissingExtra: psutil is not installed.
        DefinitionError: there is nothing to measure.
    """
    try:
        import psutil
    except ImportError as error:
        raise MissingExtra("bench", "a benchmark") from error
    if not subjects or not loads or not questions:
        raise DefinitionError("a benchmark needs subjects, loads and questions")
    for load in loads:
        if isinstance(load, Open) and not load.questions(seconds / rounds):
            short = f"{load} are none in a round of {seconds / rounds:g} s"
            raise DefinitionError(f"{short}: it takes more seconds, or fewer than {rounds} rounds")
    process = psutil.Process()
    results: list[Result] = []
    for ask in subjects.values():
        await drive(ask, Closed(WARM_UP), questions, seconds=1e-9, timeout=timeout)
    for load in loads:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in subjects}
        errors = {name: Counter[str]() for name in subjects}
        asked = Counter[str]()
        for number in range(1, rounds + 1):
            in_round = replace(load, seed=load.seed + number) if isinstance(load, Open) else load
            for name, ask in subjects.items():
                told(f"{name}: {load}, round {number} of {rounds}")
                cpu = time.process_time()
                came, took = await drive(ask, in_round, questions, seconds=seconds / rounds, timeout=timeout)
                memory = process.memory_info().rss
                found[name].append(figures(came, took, time.process_time() - cpu, memory))
                errors[name].update(one.error for one in came if one.error)
                asked[name] += len(came)
        for name in subjects:
            by_name = dict(errors[name].most_common())
            results.append(Result(name, str(load), together(found[name]), rounds, asked[name], by_name))
    return Report(tuple(results), machine(), datetime.now(UTC).isoformat(timespec="seconds"), seconds / rounds)


def machine() -> str:
    """The machine, in a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {cores} core{'' if cores == 1 else 's'}, {python}"
