"""Each control that the page offers is used by a test here: whoever adds one adds how it is used."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page, expect

from callboard.actors import Actor

from .stage import Fragile, Stage
from .walk import PLACES, VIEWS, enter, furnish, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTROLS: Final = "a, button, input, select, textarea, summary"
_USED: Final = re.compile(
    r'get_by_test_id\(f?"([^"]+)"\)(?:\.first|\.last|\.filter\([^)]*\))*\.(?:click|fill|press|select_option|focus)\('
)
_ACTIONS: Final = (
    "restart",
    "kill",
    "provider-drain",
    "provider-resume",
    "provider-probe",
    "provider-remove",
    "map-in",
    "map-out",
    "map-whole",
)
"""Clicked in a loop, by a name that is put together."""

_SHOWS: Final = ("waiting", "off", "restarted", "crashed", "all")


def used() -> set[str]:
    """The controls that the tests beside this one use."""
    found = {name for file in Path(__file__).parent.glob("*.py") for name in _USED.findall(file.read_text("utf-8"))}
    return {*found, *_ACTIONS, *(f"nav-{view}" for view in VIEWS), *(f"show-{show}" for show in _SHOWS), "change-path"}


async def test_each_control_of_each_view_is_used_by_a_test(stage: Stage, page: Page) -> None:
    there: dict[str, str] = {}
    unnamed: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        await enter(stage, stack, page)
        for place in PLACES:
            await look(page, place)
            for name, html in await page.locator(CONTROLS).evaluate_all(
                "all => all.map(one => [one.dataset.testid ?? '', one.outerHTML.slice(0, 160)])"
            ):
                (there if name else unnamed).setdefault(name or html, place)
    ordered = {name for name in there if "-order-" in name or name.startswith("order-")}
    paged = {
        name
        for name in there
        if re.match(
            r"(first|earlier|later|last)-|.*-(first|earlier|later|last|latest)$|.*-(more|previous|next|newer|older)$",
            name,
        )
    }
    assert {name: there[name] for name in there.keys() - used() - ordered - paged} == {}


async def test_columns_order_and_what_is_looked_for_is_found(stage: Stage, page: Page) -> None:
    async with AsyncExitStack() as stack:
        await furnish(stage, stack)
        await page.goto(stage.url)
        for column in ("waiting", "age", "restarts"):
            await page.get_by_test_id(f"order-{column}").click()
            await expect(page.locator(f"[data-column={column}]")).to_have_attribute("aria-sort", "descending")
        await page.get_by_test_id(f"order-{column}").click()
        for show in _SHOWS:
            await page.get_by_test_id(f"show-{show}").click()
            await expect(page.get_by_test_id(f"show-{show}")).to_have_attribute("aria-pressed", "true")
        await page.get_by_test_id("phase").select_option("running")
        await page.get_by_test_id("filter").fill("wants-more")
        await expect(page.get_by_test_id("found")).to_contain_text("1 actor")
        await page.get_by_test_id("filter").fill("")
        await page.get_by_test_id("phase").select_option("")
        await page.get_by_test_id("collapse").click()
        await expect(page.get_by_test_id("actor-agency/Clerk")).to_have_count(0)
        await page.get_by_test_id("expand").click()
        await page.get_by_test_id("actor-agency/Clerk").click()
        for button in ("map-in", "map-out", "map-whole"):
            await page.get_by_test_id(button).click()
        await page.get_by_test_id("nav-runs").click()
        await page.get_by_test_id("only-stuck").click()
        await expect(page.get_by_test_id("found")).to_contain_text("0 of 4")
        await page.get_by_test_id("only-stuck").click()
        await page.get_by_test_id("run-conversation").first.click()
        await page.get_by_test_id("back-to-conversations").click()
        await page.get_by_test_id("conversations-search").fill("wants")
        await expect(page.get_by_test_id("conversation-link")).to_have_count(1)
        await page.get_by_test_id("conversations-agent").select_option("Checker")
        await expect(page.get_by_test_id("conversation-link")).to_have_count(0)
        await page.get_by_test_id("conversations-refresh").click()
        await page.get_by_test_id("nav-approvals").click()
        await page.get_by_test_id("approval-link").first.click()
        await page.get_by_test_id("approval-conversation").click()
        await page.get_by_test_id("tab-messages").click()
        await page.get_by_test_id("nav-approvals").click()
        await page.get_by_test_id("approval-link").first.click()
        await page.get_by_test_id("back-to-approvals").click()
        await page.get_by_test_id("nav-audit").click()
        await page.get_by_test_id("audit-refresh").click()
        await page.get_by_test_id("nav-letters").click()
        await page.get_by_test_id("show-stuck").click()
        await expect(page.get_by_test_id("only-stuck")).to_have_attribute("aria-pressed", "true")


class Keeper(Actor):
    """Has a lamp below it."""

    def __init__(self, gate: asyncio.Event):
        super().__init__()
        self.gate = gate

    def on_start(self) -> None:
        self.spawn(Fragile, self.gate, name="lamp")


async def test_what_waits_below_a_collapsed_actor_is_told_in_the_columns_of_what_waits(
    stage: Stage, page: Page
) -> None:
    system = stage.agency.system
    assert system is not None
    system.spawn(Keeper, stage.lamp, name="keeper")
    await stage.until(lambda: system.find("keeper/lamp"))
    lamp = system.find("keeper/lamp")
    assert lamp is not None
    for _ in range(13):
        lamp.tell("hold")
    await page.goto(stage.url)
    await page.get_by_test_id("actor-keeper").locator(".twisty").click()
    row = page.get_by_test_id("actor-keeper")
    await expect(row).to_have_attribute("aria-expanded", "false")
    await expect(row.locator(".cell-waiting")).to_have_text("12")
    await expect(row.locator(".cell-age")).not_to_be_empty()
    await expect(row.locator(".cell-crash")).to_be_empty()
    await expect(row.locator(".cell-name")).to_contain_text("1 below")
    await row.locator(".twisty").click()
    await expect(row.locator(".cell-waiting")).to_be_empty()


async def test_with_keys_alone_one_gets_to_each_view_and_through_the_tree(stage: Stage, page: Page) -> None:
    await page.goto(stage.url)
    await expect(page.get_by_test_id("actor-agency")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_test_id("skip")).to_be_focused()
    before = page.url
    await page.get_by_test_id("skip").press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    assert page.url == before
    await page.keyboard.press("Tab")
    await expect(page.locator("#main :focus")).to_have_count(1)
    for view in VIEWS:
        await page.get_by_test_id(f"nav-{view}").press("Enter")
        await expect(page.get_by_test_id(f"view-{view}")).to_be_visible()
        await expect(page.get_by_test_id(f"nav-{view}")).to_have_attribute("aria-current", "page")
    await page.get_by_test_id("nav-actors").press("Enter")
    await page.locator("[role=row][tabindex='0']").press("Home")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("[role=row][tabindex='0']")).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_test_id("chosen")).to_contain_text("/")
    await page.get_by_test_id("kill").press("Enter")
    await expect(page.get_by_test_id("dialog-reason")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("kill")).to_be_focused()
