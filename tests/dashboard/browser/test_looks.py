"""How each view looks, and whether everybody can use it: both themes, both widths, without seeing it, too."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from .stage import Stage
from .walk import NARROW, PLACES, THEMES, WIDE, enter, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERIOUS = ("serious", "critical")


async def found_wrong(page: Page) -> list[str]:
    """What axe finds that keeps people out."""
    report = await Axe().run(page)
    violations: Any = report.response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:200]}"
        for one in violations
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


async def too_wide(page: Page) -> Any:
    """By how many pixels the page is wider than its window."""
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


async def test_no_view_keeps_anybody_out_or_scrolls_sideways(stage: Stage, page: Page) -> None:
    wrong: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        await enter(stage, stack, page)
        for place in PLACES:
            for size in (WIDE, NARROW):
                await page.set_viewport_size(size)
                await look(page, place)
                if sideways := await too_wide(page):
                    wrong[f"{place} at {size['width']}"] = f"{sideways} pixels too wide"
                for theme in THEMES:
                    await page.get_by_test_id("theme").select_option(theme)
                    if found := await found_wrong(page):
                        wrong[f"{place} at {size['width']}, {theme}"] = found
    assert wrong == {}


async def test_dialogs_and_the_form_for_the_key_keep_nobody_out(stage: Stage, page: Page, troubles: list[str]) -> None:
    wrong: dict[str, Any] = {}
    await page.goto(stage.url)
    await page.get_by_test_id("drain").click()
    for theme in THEMES:
        await page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        for size in (WIDE, NARROW):
            await page.set_viewport_size(size)
            if found := await found_wrong(page):
                wrong[f"dialog at {size['width']}, {theme}"] = found
    await page.get_by_test_id("dialog-cancel").click()
    await page.get_by_test_id("leave").click()
    for theme in THEMES:
        await page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        if found := await found_wrong(page):
            wrong[f"key, {theme}"] = found
    assert wrong == {}
