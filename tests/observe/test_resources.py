"""What a process uses of its machine."""

from __future__ import annotations

import os
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from callboard.actors.observe.resources import resources


def test_a_process_tells_what_it_uses_and_what_is_left(tmp_path: Path) -> None:
    found = resources(tmp_path / "runs.db")
    assert found.memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert found.processor == pytest.approx(time.process_time(), rel=0.1, abs=0.2)
    assert found.load == pytest.approx(os.getloadavg()[0] / (os.cpu_count() or 1), rel=0.5, abs=0.5)
    assert found.disk_free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert resources().disk_free is None
    assert resources(tmp_path / "no" / "runs.db").disk_free is None


def test_where_the_system_does_not_say_it_is_the_most_that_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> Any:
        raise OSError("not here")

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(os, "getloadavg", refuse)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = resources()
    assert before <= found.memory <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert found.load is None
