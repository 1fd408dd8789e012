"""The simulator finds each bug of the gallery, makes it small, and accuses none of the fixed twins."""

from __future__ import annotations

import pytest

from .gallery import GALLERY, Bug
from .hunt import check_found, check_twin

SCHEDULES = 1_000


@pytest.mark.parametrize("bug", GALLERY, ids=lambda bug: bug.name)
def test_the_bug_is_found_and_its_report_is_small(bug: Bug) -> None:
    check_found(bug)


@pytest.mark.parametrize("bug", GALLERY, ids=lambda bug: bug.name)
def test_the_fixed_twin_passes_a_thousand_schedules(bug: Bug) -> None:
    check_twin(bug, SCHEDULES)
