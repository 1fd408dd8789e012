"""Whoever reads about the dashboard gets to each of its pages."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.command import ROOT


def reached(page: Path) -> set[Path]:
    """The pages that a page links to, and those that these link to."""
    found: set[Path] = set()
    left = [page]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            links = re.findall(r"\]\(([^):#]+\.md)", one.read_text("utf-8"))
            left += [(one.parent / link).resolve() for link in links]
    return found


def test_from_the_first_page_one_gets_to_each_page_of_the_dashboard() -> None:
    pages = set((ROOT / "actors" / "serving" / "dashboard").resolve().rglob("README.md"))
    assert len(pages) >= 4
    assert pages <= reached((ROOT / "README.md").resolve())
