"""The page of semantics names every file of the core."""

from __future__ import annotations

import re

from tests.pages.page import ROOT, Page


def test_every_file_the_page_names_is_there() -> None:
    page = Page("actors/core/README.md").text
    table = page[page.index("## Where to find what") :]
    named = re.findall(r"`([\w/]+\.py)`", table)
    core = ROOT / "actors" / "core"
    there = {path.relative_to(core).as_posix() for path in core.rglob("*.py") if path.name != "__init__.py"}
    assert sorted(named) == sorted(there)
