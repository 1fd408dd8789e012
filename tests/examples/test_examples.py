"""Each example is a program that runs offline as it stands, and prints what is noted here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import offline

HERE = Path(__file__).parent
PRINTS = {
    "metrics.py": [
        "checkout took None",
        "checkout took ValueError",
        "checkout took None",
        "__main__.Checkout: 3 processed, 1 failed, 0 waiting",
        "half of them took at most 0.01 s: True",
    ],
    "typed_messages.py": ["1750", "1,750 in all", "Ada", "Grace: 1000", "Grace: 500", "Grace: 250"],
}


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_prints_what_it_says(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / name)],
        cwd=tmp_path,
        env=offline(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == PRINTS[name]


def test_every_example_is_run() -> None:
    assert {path.name for path in HERE.glob("*.py")} - {"__init__.py", "test_examples.py"} == set(PRINTS)
