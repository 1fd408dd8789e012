"""The page's frame: who may look, where one is, how it looks."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .stage import KEY, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
