"""The campaign of kills, small: one worker on an SQLite file, killed three times."""

from __future__ import annotations

from pathlib import Path

from benchmarks.campaigns.kills import Campaign, Options, report


def test_a_worker_that_is_killed_three_times_ends_each_turn_once(tmp_path: Path) -> None:
    options = Options(str(tmp_path / "journal.db"), tmp_path, kills=3, conversations=20, turns=2, every=1.2)
    findings = Campaign(options).run()
    assert findings.counts["kill"] == 3
    assert findings.counts["outcome answered"] > 0
    assert findings.violations == {}, report(findings)
