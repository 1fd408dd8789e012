"""The simulator finds each bug of services around language models, and accuses none of the fixed twins.

``CALLBOARD_SCHEDULES=1000`` tries as many schedules of each twin; all of it in five repeats is ``python -m benchmarks
simulation``.
"""

from __future__ import annotations

import os

import pytest

from .gallery import Bug
from .hunt import check_found, check_twin
from .llm_gallery import LLM_GALLERY

SCHEDULES = int(os.environ.get("CALLBOARD_SCHEDULES", "50"))


@pytest.mark.parametrize("bug", LLM_GALLERY, ids=lambda bug: bug.name)
def test_the_bug_is_found_and_its_report_is_small(bug: Bug) -> None:
    check_found(bug)


@pytest.mark.parametrize("bug", LLM_GALLERY, ids=lambda bug: bug.name)
def test_the_fixed_twin_passes(bug: Bug) -> None:
    check_twin(bug, SCHEDULES)
