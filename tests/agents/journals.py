"""Journals in memory and in a file, for tests that hold for both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from callboard.actors.journal import MemoryJournal

NewJournal = Callable[[], "MemoryJournal | Path | None"]


@pytest.fixture(params=["its own", "in memory", "in a file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryJournal | Path | None:
    """What an agency is given as its journal."""
    if request.param == "in a file":
        return tmp_path / "j.db"
    return MemoryJournal() if request.param == "in memory" else None
