"""No link of a page is dead, and whoever reads the first page gets to all others, in the repository and in the site."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from .page import ROOT, Page, collecting, paths

COLLECT = collecting()
PATHS = paths()


def targets(path: str) -> list[str]:
    return [found[2] for found in COLLECT.links(Page(path).text)]


def anchors(path: str) -> set[str]:
    """The anchors of a page's headings, as a forge and as the site make them."""
    text = re.sub(r"^ *```.*?^ *```$", "", Page(path).text, flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in re.findall(r"^#+ +(.*?)(?: +#+)?$", text, re.MULTILINE):
        said = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        words = re.sub(r"[^\w\s-]", "", said).strip()
        found |= {words.replace(" ", "-"), re.sub(r"[-\s]+", "-", words)}
    return found


@pytest.mark.parametrize("path", PATHS)
def test_no_link_is_dead(path: str) -> None:
    for target in targets(path):
        where = COLLECT.leads_to(Path(path), target)
        if where is None:
            assert re.match(r"https://|mailto:", target), f"{path}: {target}"
            continue
        assert (ROOT / where).exists(), f"{path}: {target} is not there"
        there = where / "README.md" if (ROOT / where).is_dir() else where
        anchor = target.partition("#")[2]
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there.as_posix()), f"{path}: {target}: there is no such heading"


def test_from_the_first_page_one_gets_to_all_pages() -> None:
    reached, left = set(), ["README.md"]
    while left:
        path = left.pop()
        if path in reached:
            continue
        reached.add(path)
        for target in targets(path):
            where = COLLECT.leads_to(Path(path), target)
            if where is not None:
                left += [one for one in (where.as_posix(), f"{where.as_posix()}/README.md") if one in PATHS]
    assert set(PATHS) - reached == set(), "no page leads to these"


def navigation(nav: list[Any]) -> list[str]:
    found: list[str] = []
    for one in nav:
        if isinstance(one, dict):
            for inner in one.values():
                found += navigation(inner) if isinstance(inner, list) else [inner]
        else:
            found.append(one)
    return found


def test_the_sites_navigation_has_every_page_and_every_part_of_the_reference() -> None:
    config = tomllib.loads((ROOT / ".docs" / "zensical.toml").read_text(encoding="utf-8"))
    named = navigation(config["project"]["nav"])
    parts = {f"api/{COLLECT.file_of(title)}" for title in COLLECT.reference()}
    assert set(named) == {*PATHS, *parts}


def test_links_to_pages_stay_in_the_site_and_others_lead_to_the_repository() -> None:
    text = (
        "[a](../core) [b](../core/README.md#asks) [c](agency.py) [d](../core/life) [e](https://x.example) [f](#here) "
        "![g](../../.docs/pictures/dashboard.png) `[h](nowhere)`\n```\n[i](nowhere)\n```\n"
    )
    known = {Path("actors/core/README.md"), Path("actors/agents/README.md")}
    there = "https://forge.example/callboard"
    assert COLLECT.rewritten(Path("actors/agents/README.md"), text, known, there) == (
        f"[a](../core/README.md) [b](../core/README.md#asks) [c]({there}/blob/main/actors/agents/agency.py) "
        f"[d]({there}/tree/main/actors/core/life) [e](https://x.example) [f](#here) "
        "![g](../../pictures/dashboard.png) `[h](nowhere)`\n```\n[i](nowhere)\n```\n"
    )


def test_everything_that_is_exported_is_in_one_part_of_the_reference() -> None:
    named = [name for names in COLLECT.reference().values() for name in names]
    assert len(named) == len(set(named)) > 500
    assert [title for title, names in COLLECT.reference().items() if not names] == []


def test_what_is_no_page_any_more_is_not_in_what_the_site_is_built_from(tmp_path: Path) -> None:
    gone = tmp_path / "pages" / "gone.md"
    gone.parent.mkdir()
    gone.write_text("# It was here once\n", encoding="utf-8")
    COLLECT.collect(tmp_path)
    assert not gone.exists()
    made = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert {f"pages/{path}" for path in PATHS} <= made
    pictures = {f"pages/pictures/{file.name}" for file in (ROOT / ".docs" / "pictures").iterdir()}
    parts = {f"pages/api/{COLLECT.file_of(title)}": names for title, names in COLLECT.reference().items()}
    assert made == {*(f"pages/{path}" for path in PATHS), *pictures, *parts, "pages/iframe-worker.js", "zensical.toml"}
    for part, names in parts.items():
        text = (tmp_path / part).read_text("utf-8")
        assert text.startswith("# ")
        assert re.findall(r"^::: callboard\.([\w.]+)$", text, re.MULTILINE) == names
