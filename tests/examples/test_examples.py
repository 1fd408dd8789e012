"""Each example is a program that runs as it stands, and prints what its docstring says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import offline

EXAMPLES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith(("test_", "__")))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_prints_what_it_says(example: Path) -> None:
    said = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8")))
    assert said is not None
    assert "It prints::" in said
    expected = [line.strip() for line in said.split("It prints::")[1].strip().splitlines()]
    done = subprocess.run(
        [sys.executable, "-W", "error", example], env=offline(), capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
