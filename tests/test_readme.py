"""The README's first example is a program that runs, offline, as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .cli.command import ROOT, offline

LONGEST = 25


@pytest.fixture
def example() -> str:
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, "the README has no example"
    return found[1]


def test_the_first_example_is_short(example: str) -> None:
    assert len(example.splitlines()) <= LONGEST


def test_the_first_example_runs_offline_and_prints_the_answer_and_the_handoff_chain(
    example: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env=offline(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *answer, chain = done.stdout.splitlines()
    assert "6" in " ".join(answer)
    assert chain == "Planner → Counter"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
def test_every_file_the_readme_points_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()
