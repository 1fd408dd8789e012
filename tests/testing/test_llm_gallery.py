"""The simulator finds each bug of services around language models, and accuses none of the fixed twins.

``CALLBOARD_SCHEDULES=1000`` tries as many schedules of each twin; all of it in five repeats is ``python -m benchmarks
simulation``.
"""

from __future__ import annotations

import os
import random

import pytest

from callboard.actors.testing import simulate

from .gallery import Bug
from .hunt import hunt
from .llm_gallery import LLM_GALLERY

SCHEDULES = int(os.environ.get("CALLBOARD_SCHEDULES", "50"))


@pytest.mark.parametrize("bug", LLM_GALLERY, ids=lambda bug: bug.name)
def test_the_bug_is_found_and_its_report_is_small(bug: Bug) -> None:
    found = hunt(bug, seed=1)
    assert found is not None, f"{bug.name} was not found within 500 schedules"
    assert found.schedules <= 500
    assert len(found.operations) <= 5, f"the workload was not shrunk: {found.operations}"
    assert found.failure.run.deviations <= 4, f"the schedule was not shrunk: {found.failure}"


@pytest.mark.parametrize("bug", LLM_GALLERY, ids=lambda bug: bug.name)
def test_the_fixed_twin_passes(bug: Bug) -> None:
    rng = random.Random(bug.name)
    schedules = 0
    while schedules < SCHEDULES:
        operations = [rng.choice(bug.alphabet) for _ in range(rng.randint(1, bug.longest))]
        simulate(
            bug.build(operations, True), seeds=range(schedules, schedules + 50), faults=bug.faults, timing=bug.timing
        )
        schedules += 50
