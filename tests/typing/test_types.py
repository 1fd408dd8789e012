"""mypy (strict) and pyright see the types the library promises, and refuse what it says they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT

HERE = Path(__file__).parent
FILES = ("vocabulary.py", "accepted.py", "refused.py")
Refusals = dict[int, set[str]]
"""The codes of the errors in a file, by line."""


def run(*command: str) -> str:
    """Run a type checker over the files; both say with status 1 that they found errors."""
    paths = [str(HERE / name) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", *command, *paths], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 1, f"{done.returncode}: {done.stderr or done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def by_mypy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refusals]:
    found: dict[str, Refusals] = {name: {} for name in FILES}
    output = run("mypy", "--cache-dir", str(tmp_path_factory.mktemp("cache")), "--no-pretty", "--show-error-codes")
    for line in output.splitlines():
        error = re.fullmatch(r"(.+?):(\d+): error: .*\[([a-z-]+)\]", line)
        if error is not None:
            found[Path(error[1]).name].setdefault(int(error[2]), set()).add(error[3])
    return found


@pytest.fixture(scope="module")
def by_pyright() -> dict[str, Refusals]:
    found: dict[str, Refusals] = {name: {} for name in FILES}
    output: dict[str, Any] = json.loads(run("pyright", "--pythonpath", sys.executable, "--outputjson"))
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
