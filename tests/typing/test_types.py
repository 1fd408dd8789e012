"""mypy (strict) and pyright see the types the library promises, and refuse what it says they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT

HERE = Path(__file__).parent
FILES = ("vocabulary.py", "accepted.py", "refused.py")
Refusals = dict[int, set[str]]
"""The codes of the errors in a file, by line."""


MYPY = ("mypy", "--no-pretty", "--show-error-codes")
PYRIGHT = ("pyright", "--pythonpath", sys.executable, "--outputjson")


@pytest.fixture(scope="module")
def printed() -> Iterator[dict[str, str]]:
    """What each type checker prints of the files; both say with status 1 that they found errors. They run at once."""
    paths = [str(HERE / name) for name in FILES]
    running = {
        command[0]: subprocess.Popen(
            [sys.executable, "-m", *command, *paths],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for command in (MYPY, PYRIGHT)
    }
    try:
        found = {name: process.communicate(timeout=300) for name, process in running.items()}
        for name, process in running.items():
            assert process.returncode == 1, f"{name} ended with {process.returncode}: {found[name]}"
        yield {name: out for name, (out, _) in found.items()}
    finally:
        for process in running.values():
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def by_mypy(printed: dict[str, str]) -> dict[str, Refusals]:
    found: dict[str, Refusals] = {name: {} for name in FILES}
    for line in printed["mypy"].splitlines():
        error = re.fullmatch(r"(.+?):(\d+): error: .*\[([a-z-]+)\]", line)
        if error is not None:
            found[Path(error[1]).name].setdefault(int(error[2]), set()).add(error[3])
    return found


@pytest.fixture(scope="module")
def by_pyright(printed: dict[str, str]) -> dict[str, Refusals]:
    found: dict[str, Refusals] = {name: {} for name in FILES}
    output: dict[str, Any] = json.loads(printed["pyright"])
    for problem in output["generalDiagnostics"]:
        line = problem["range"]["start"]["line"] + 1
        found[Path(problem["file"]).name].setdefault(line, set()).add(problem.get("rule", problem["message"]))
    return found


@pytest.fixture(scope="module")
def marked() -> Refusals:
    lines = (HERE / "refused.py").read_text(encoding="utf-8").splitlines()
    marks = {number: re.search(r"# refused: (.+)", line) for number, line in enumerate(lines, 1)}
    return {number: set(mark[1].split(", ")) for number, mark in marks.items() if mark is not None}


@pytest.mark.parametrize("name", ["vocabulary.py", "accepted.py"])
def test_both_checkers_see_the_types_that_are_asserted(
    name: str, by_mypy: dict[str, Refusals], by_pyright: dict[str, Refusals]
) -> None:
    assert by_mypy[name] == {}
    assert by_pyright[name] == {}


def test_mypy_refuses_exactly_the_marked_lines(by_mypy: dict[str, Refusals], marked: Refusals) -> None:
    assert marked, "no line is marked"
    assert by_mypy["refused.py"] == marked


def test_pyright_refuses_exactly_the_marked_lines(by_pyright: dict[str, Refusals], marked: Refusals) -> None:
    assert set(by_pyright["refused.py"]) == set(marked)
