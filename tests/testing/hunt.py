"""Looking for a bug as a user would: Hypothesis draws the workload, `simulate` searches the schedules."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from callboard.actors.testing import SimulationFailed, simulate

from .gallery import Bug, Operations

SEEDS = 12
"""Schedules searched for each workload, beside the ordinary one."""


@dataclass(slots=True)
class Found:
    """A bug that was found: how soon, and how small its report is."""

    failure: SimulationFailed
    operations: Operations
    schedules: int
    cpu: float


def hunt(bug: Bug, *, seed: int = 0, budget: int = 500) -> Found | None:
    """Search for a bug.

    Args:
        bug: which one.
        seed: of the workloads drawn.
        budget: schedules to spend until the first failure; making it small is not counted.

    Returns:
        what was found, or None.
    """
    schedules = 0
    first: int | None = None
    last: Operations = ()

    @hypothesis.seed(seed)
    @settings(
        max_examples=budget // (SEEDS + 1),
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.lists(st.sampled_from(bug.alphabet), min_size=1, max_size=bug.longest))
    def search(operations: list[object]) -> None:
        nonlocal schedules, first, last
        try:
            simulate(bug.build(operations, False), seeds=SEEDS, faults=bug.faults, timing=bug.timing)
        except SimulationFailed as failed:
            if first is None:
                first = schedules + failed.schedules
            last = tuple(operations)
            raise
        schedules += SEEDS + 1

    began = time.process_time()
    try:
        search()
    except SimulationFailed as failed:
        assert first is not None
        return Found(failed, last, first, time.process_time() - began)
    return None


def check_found(bug: Bug) -> None:
    """A bug must be found within 500 schedules, and its report must be small."""
    found = hunt(bug, seed=1)
    assert found is not None, f"{bug.name} was not found within 500 schedules"
    assert found.schedules <= 500, f"{bug.name} took {found.schedules} schedules"
    assert len(found.operations) <= 5, f"the workload was not shrunk: {found.operations}"
    assert found.failure.run.deviations <= 4, f"the schedule was not shrunk: {found.failure}"


def check_twin(bug: Bug, count: int) -> None:
    """A bug's fixed twin must hold under ``count`` schedules, 50 for each of the workloads drawn."""
    rng = random.Random(bug.name)
    for first in range(0, count, 50):
        operations = [rng.choice(bug.alphabet) for _ in range(rng.randint(1, bug.longest))]
        simulate(bug.build(operations, True), seeds=range(first, first + 50), faults=bug.faults, timing=bug.timing)
