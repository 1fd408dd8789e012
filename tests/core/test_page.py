"""The page of semantics begins with a program; it runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.cli.command import ROOT


def test_the_example_of_the_page_runs_and_prints_what_it_says() -> None:
    page = (ROOT / "actors" / "core" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    said = re.search(r"print\(.*\)\s*# (.*)", example[1])
    assert said is not None
    done = subprocess.run([sys.executable, "-W", "error", "-c", example[1]], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == said[1]


def test_every_file_the_page_names_is_there() -> None:
    page = (ROOT / "actors" / "core" / "README.md").read_text(encoding="utf-8")
    table = page[page.index("## Where to find what") :]
    named = re.findall(r"`([\w/]+\.py)`", table)
    core = ROOT / "actors" / "core"
    there = {path.relative_to(core).as_posix() for path in core.rglob("*.py") if path.name != "__init__.py"}
    assert sorted(named) == sorted(there)
