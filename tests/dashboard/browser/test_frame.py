"""The page's frame: who may look, where one is, how it looks."""

from __future__ import annotations

import os
import re

import pytest
from playwright.async_api import Page, Route, expect

from .stage import KEY, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_address_that_somebody_has_typed_is_taken_as_it_is(stage: Stage, page: Page) -> None:
    await stage.agency.run("hello", conversation="100%")
    await page.goto(stage.address("ann&bob 100%+admin"))
    await expect(page.get_by_test_id("name")).to_have_text("agency")
    assert "key" not in page.url
    for typed in ("100%", "100%25"):
        await page.evaluate("hash => { location.hash = hash; }", f"#/conversations/Clerk/{typed}")
        await expect(page.get_by_test_id("message").first).to_contain_text("hello")
        await page.get_by_test_id("nav-audit").click()
        await expect(page.get_by_test_id("message")).to_have_count(0)


async def test_a_key_that_no_browser_can_send_is_not_known(stage: Stage, page: Page) -> None:
    await page.goto(stage.address("ключ ключ"))
    await expect(page.get_by_test_id("key")).to_be_focused()
    await expect(page.get_by_role("alert")).to_have_text("This key is not known here.")
    await page.get_by_test_id("key").fill(KEY)
    await page.get_by_test_id("sign-in").click()
    await expect(page.get_by_test_id("name")).to_have_text("agency")


async def test_the_key_goes_out_of_the_address_and_stays_in_the_tab(stage: Stage, page: Page) -> None:
    await page.goto(stage.url)
    await expect(page.get_by_test_id("name")).to_have_text("agency")
    assert "key" not in page.url
    await page.reload()
    await expect(page.get_by_test_id("name")).to_have_text("agency")
    await page.get_by_test_id("leave").click()
    await expect(page.get_by_test_id("key")).to_be_focused()
    await page.reload()
    await expect(page.get_by_test_id("sign-in")).to_be_visible()
    await page.get_by_test_id("key").fill(KEY)
    await page.get_by_test_id("sign-in").click()
    await expect(page.get_by_test_id("name")).to_have_text("agency")


@pytest.mark.parametrize("address", ["conversations/Clerk/%", "approvals/100%"])
async def test_an_address_that_none_has_made_is_shown_as_what_is_not_there(
    stage: Stage, page: Page, troubles: list[str], address: str
) -> None:
    await page.goto(stage.url)
    await expect(page.get_by_test_id("view-actors")).to_be_visible()
    await page.evaluate("to => location.hash = `#/${to}`", address)
    await expect(page.get_by_test_id(f"view-{address.partition('s/')[0]}")).to_be_visible()
    await expect(page.locator("#main")).to_contain_text(re.compile("has no conversation '%'|does not wait any more"))
    troubles[:] = [one for one in troubles if "404" not in one]


async def test_a_process_that_comes_later_can_be_chosen_too(stage: Stage, page: Page) -> None:
    await page.clock.install()
    await page.goto(stage.url)
    await expect(page.locator("[data-testid=state][data-state=live]")).to_be_visible()
    await expect(page.get_by_test_id("process")).to_have_count(0)
    others: list[int] = [1]

    async def me(route: Route) -> None:
        told = await (await route.fetch()).json()
        await route.fulfill(json={**told, "processes": [*told["processes"], *({"process": one} for one in others)]})

    await page.route("**/api/me*", me)
    await page.clock.fast_forward("00:31")
    await expect(page.get_by_test_id("process").locator("option")).to_have_count(2)
    await expect(page.get_by_test_id("process")).to_have_value(str(os.getpid()))
    others.clear()
    await page.clock.fast_forward("00:31")
    await expect(page.get_by_test_id("process")).to_have_count(0)
