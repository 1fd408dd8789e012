"""The README's first example is a program that runs, offline, as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
    offline = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env={**offline, "PYTHONPATH": str(ROOT / ".src"), "PYTHONUTF8": "1"},
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
