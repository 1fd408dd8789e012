"""A site of two pages and a part of the reference is built, and is looked at and searched from its files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import expect

from callboard import testing
from tests.dashboard.browser.chromium import PATIENCE, chromium, found

from .page import ROOT, collecting

KEPT = ("README.md", "actors/core/pykka.md", "api/testing.md")
BUILDER = Path(sys.executable).with_name("zensical")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not BUILDER.exists():
        pytest.skip("zensical is not installed: pip install 'callboard[docs]'")
    folder = tmp_path_factory.mktemp("site")
    collecting().collect(folder)
    for page in (folder / "pages").rglob("*.md"):
        if page.relative_to(folder / "pages").as_posix() not in KEPT:
            page.unlink()
    config = folder / "zensical.toml"
    text = re.sub(r"^nav = \[.*?^\]$", f"nav = {list(KEPT)}", config.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    config.write_text(text.replace("../.src", str(ROOT / ".src")), "utf-8")
    command = [str(BUILDER), "build", "--config-file", config.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def test_pages_stand_where_they_stand_in_the_repository_and_the_reference_is_of_docstrings(site: Path) -> None:
    assert {"index.html", "actors/core/pykka.html", "api/testing.html"} <= {
        file.relative_to(site).as_posix() for file in site.rglob("*.html")
    }
    text = (site / "api" / "testing.html").read_text("utf-8")
    assert 'id="callboard.simulate"' in text
    others = {name for name in testing.__all__ if f'id="callboard.testing.{name}"' not in text}
    assert others == {"simulate", "maybe"}, "which callboard exports"


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for file in site.rglob("*.html"):
        loads = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)", file.read_text("utf-8")
        )
        assert loads == [], file


async def test_the_search_works_from_files(site: Path) -> None:
    program = found()
    if program is None:
        pytest.skip("needs a chromium: make browser")
    asked: list[str] = []
    async with chromium(program) as browser:
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        await page.goto((site / "actors" / "core" / "pykka.html").as_uri())
        await page.get_by_role("button", name="Search").first.click()
        field = page.locator("input:visible").first
        await field.fill("simulate")
        await expect(page.get_by_text(re.compile(r"\d+ results?"))).to_be_visible(timeout=PATIENCE)
        await expect(page.get_by_text("callboard.simulate").first).to_be_visible(timeout=PATIENCE)
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
