"""The soak, for a few seconds: the whole of it, with kills every few tenths of a second."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.campaigns.soak import Options, soak


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "sqlite"])
def test_a_few_seconds_of_the_soak_violate_nothing(tmp_path: Path, durable: bool) -> None:
    journal = str(tmp_path / "journal.db") if durable else ""
    report = soak(Options(3.0, seed=1, journal=journal, clients=8, threads=4, every=0.3, patience=10.0))
    assert report.totals.outcomes.total() > 0, "nobody asked anything"
    assert report.chaos.counts.total() > 0, "nothing was killed"
    assert report.violations() == [], report.text()
