"""How many schedules a search needs with feedback, and by chance: each bug with one workload and the same seeds.

A gallery's workload is as long as its bug's may be and drawn by the bug's name, again until the bug is in it, which is
found by chance and with other seeds than are measured. Beside the galleries: the bugs of ``tests/testing/deep.py``,
with few steps. Where chance needs 20 schedules, there is nothing to learn from: `compared` tells of the others.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from tests.testing.deep import DEEP, Deep
from tests.testing.gallery import GALLERY, Bug, Scenario
from tests.testing.llm_gallery import LLM_GALLERY

from callboard.actors.testing import Fault, Run, Timing
from callboard.actors.testing.search.running.run import reproducible
from callboard.actors.testing.search.running.runner import Runner
from callboard.actors.testing.search.simulation import Search

SEARCHES = 15
"""Five medians of five searches each for one bug, by chance alone, were between 35 and 71 schedules."""
SOON = 20
"""Schedules by chance up to which a bug is left out."""
_MAX_STEPS = 20_000


class _Found(Exception):
    pass


class _Search(Search):
    """Ends with the first failure; nobody reads it."""

    def fail(self, run: Run, found: str) -> NoReturn:
        raise _Found


@dataclass(frozen=True, slots=True)
class Load:
    """A scenario that has a bug, and what it needs."""

    name: str
    build: Callable[[], Scenario]
    faults: Sequence[Fault] = ()
    timing: Timing | None = None


def until(load: Load, strategy: str, seeds: range) -> int | None:
    """Return the number of schedules until the bug shows; None if it does not."""
    runner = Runner(load.build(), load.faults, (), _MAX_STEPS, "contract", load.timing)
    try:
        with reproducible():
            _Search(runner, strategy).search(iter(seeds), 1)
    except _Found:
        return runner.runs
    return None


def deep(bug: Deep, steps: int) -> Load:
    """Return a deep bug behind so many steps."""
    return Load(bug.name, partial(bug.build, steps, False))


def loads() -> Iterator[Load]:
    """Yield what is compared, in the order of the galleries."""
    for bug in (*GALLERY, *LLM_GALLERY):
        yield _drawn(bug)
    for each in DEEP:
        yield deep(each, each.few)


def _drawn(bug: Bug) -> Load:
    rng = random.Random(bug.name)
    while True:
        operations = [rng.choice(bug.alphabet) for _ in range(bug.longest)]
        load = Load(bug.name, partial(bug.build, operations, False), bug.faults, bug.timing)
        if until(load, "mix", range(500)) is not None:
            return load


def compared(first: int, budget: int) -> list[tuple[str, float, float]]:
    """Return the bugs that chance does not find soon: their names, and the medians by chance and with feedback.

    Args:
        first: the first seed of the first search.
        budget: schedules of a search; one that finds nothing counts as one more.
    """
    found = []
    for load in loads():
        chance, learned = (
            statistics.median(
                until(load, strategy, range(seed, seed + budget)) or budget + 1
                for seed in range(first, first + SEARCHES * budget, budget)
            )
            for strategy in ("mix", "feedback")
        )
        if chance > SOON:
            found.append((load.name, chance, learned))
    return found
