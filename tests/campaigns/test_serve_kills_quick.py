"""The campaign of workers that serve, small: killed, and replaced, while clients leave and come back."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.campaigns.serve_kills import Options, campaign, report

from tests.postgres import Server

QUICK = {"questions": 60, "clients": 40, "pace": 10.0, "every": 2.0}


def test_workers_that_are_killed_lose_no_run_and_no_event(tmp_path: Path) -> None:
    seen = campaign(Options(str(tmp_path / "journal.db"), tmp_path, kills=2, **QUICK))  # type: ignore[arg-type]
    assert seen.counts["kills"] == 2
    assert seen.counts["answered"] > 0
    assert seen.violations == {}, report(seen)


@pytest.mark.parametrize("drain", [5.0, 0.1])
def test_workers_that_are_replaced_lose_no_request(tmp_path: Path, drain: float) -> None:
    seen = campaign(Options(str(tmp_path / "journal.db"), tmp_path, restarts=1, drain=drain, **QUICK))  # type: ignore[arg-type]
    assert seen.counts["restarts"] == 1
    assert seen.violations == {}, report(seen)


def test_workers_on_a_database_are_killed_and_replaced(tmp_path: Path, postgres: Server) -> None:
    postgres.execute("CREATE DATABASE served")
    url = postgres.url.replace("/postgres?", "/served?")
    seen = campaign(Options(url, tmp_path, kills=1, restarts=1, **QUICK))  # type: ignore[arg-type]
    assert seen.violations == {}, report(seen)
