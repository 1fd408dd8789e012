"""What the campaign of kills reads out of its history: each thing that must not be is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.campaigns.history import Findings, Log, check, read


def found(tmp_path: Path, *lines: str, keys: tuple[str, ...] = ()) -> Findings:
    path = tmp_path / "history"
    path.write_text("".join(f"{line}\n" for line in lines))
    return check(read(path), keys)


def test_a_history_in_which_all_is_well_violates_nothing(tmp_path: Path) -> None:
    lines = (
        "1.0 7 ask k",
        "1.1 7 buy k/Front/0",
        "1.2 7 begin work k.0",
        "1.3 7 end work k.0",
        "1.4 7 buy k/Front/1",
        "1.5 1 kill 7",
        "2.0 8 buy k/Front/1",
        "2.1 8 over k answered",
        "2.2 8 done k answered",
    )
    findings = found(tmp_path, *lines, keys=("k",))
    assert findings.violations == {}
    assert findings.counts["completions lost in a kill"] == 1


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["1 7 ask k"], "every turn has an outcome"),
        (["1 7 done k wrong"], "a run answers what it was asked"),
        (["1 7 done k answered", "2 8 done k RunFailed"], "a run ends once"),
        (["1 7 done k answered", "1 7 over k answered", "2 8 over k RunFailed"], "a run ends once"),
        (["1 7 cancelled k", "2.5 8 begin work k.0"], "nothing cancelled is executed"),
        (["1 7 cancelled k", "2.5 8 buy k.1/Helper/0"], "nothing cancelled is bought"),
        (
            ["1 7 done k answered", "1 7 begin work k.0", "2 7 end work k.0", "3 8 begin work k.0"],
            "no effect twice (after it had ended)",
        ),
        (
            ["1 7 done k answered", "1 7 begin work k.0", "3 8 begin work k.0"],
            "no effect twice (after it was interrupted)",
        ),
        (
            ["1 7 done k answered", "1 7 buy k/Front/0", "3 1 kill 7", "4 8 buy k/Front/0"],
            "completions bought are those needed and those in flight at a kill",
        ),
    ],
)
def test_what_must_not_be_is_seen(tmp_path: Path, lines: list[str], sentence: str) -> None:
    assert list(found(tmp_path, *lines, keys=("k",)).violations) == [sentence]


def test_lines_are_appended_whole_and_read_back(tmp_path: Path) -> None:
    for word in ("ask", "cancelled"):
        log = Log(tmp_path / "history")
        log.write(word, "k")
        log.close()
    lines = read(tmp_path / "history")
    assert [(line.pid, line.word, line.rest) for line in lines] == [
        (os.getpid(), "ask", ("k",)),
        (os.getpid(), "cancelled", ("k",)),
    ]
    assert lines[0].at <= lines[1].at
