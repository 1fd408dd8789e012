"""The page while what it shows ends, begins again, or comes to a stop."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect
from starlette.requests import HTTPConnection

from callboard import Caller
from callboard.actors.serving.dashboard.figures import plain, reading
from tests.dashboard.test_beside import agency, shown

from .stage import KEY, Stage, staged, who
from .walk import lamp

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_goes_on_by_itself_when_the_server_has_begun_again(
    tmp_path: Path, page: Page, troubles: list[str]
) -> None:
    state = page.get_by_test_id("state")
    async with staged(tmp_path) as before:
        lamp(before, "old-lamp")
        await page.goto(before.url)
        await expect(page.get_by_test_id("actor-old-lamp")).to_be_visible()
        port = int(before.it.url.rpartition(":")[2])
    await expect(state).to_have_attribute("data-state", "cut")
    await expect(page.get_by_test_id("actor-old-lamp")).to_be_visible()
    async with staged(tmp_path, port=port) as after:
        lamp(after, "new-lamp")
        await expect(page.get_by_test_id("actor-new-lamp")).to_be_visible()
        await expect(page.get_by_test_id("actor-old-lamp")).to_have_count(0)
        await expect(state).to_have_attribute("data-state", "live")
        await page.close()
    troubles.clear()  # that nobody answered


async def test_a_key_that_is_known_no_more_is_asked_for_again(tmp_path: Path, page: Page, troubles: list[str]) -> None:
    known = {KEY}

    def authenticate(connection: HTTPConnection) -> Caller | None:
        return who(connection) if known else None

    async with staged(tmp_path, authenticate=authenticate) as stage:
        await page.goto(stage.url)
        await expect(page.get_by_test_id("actor-agency")).to_be_visible()
        known.clear()
        await expect(page.get_by_role("alert")).to_contain_text("no longer good")
        await expect(page.get_by_test_id("nav-actors")).to_have_count(0)
    troubles[:] = [one for one in troubles if "401" not in one]


async def test_a_view_whose_module_did_not_come_is_asked_for_again(
    stage: Stage, page: Page, troubles: list[str]
) -> None:
    refused: list[str] = []

    async def not_at_once(route: Route) -> None:
        if not refused:
            refused.append(route.request.url)
            await route.abort("connectionrefused")
        else:
            await route.continue_()

    await page.goto(stage.url)
    await page.route("**/views/providers.js*", not_at_once)
    await page.get_by_test_id("nav-providers").click()
    await expect(page.get_by_test_id("view-providers")).to_be_visible()
    assert len(refused) == 1
    troubles.clear()  # that it did not come


async def test_the_page_goes_on_to_another_process_when_its_own_has_ended(
    tmp_path: Path, page: Page, troubles: list[str]
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(agency(tmp_path))
        _, client = stack.enter_context(shown(tmp_path, str(first.pid)))
        key = client.headers["authorization"].removeprefix("Bearer ")
        await page.goto(f"{client.base_url}#key={key}")
        about = page.locator("#header .about").first
        await expect(about).to_contain_text(f"process {first.pid}")
        second = stack.enter_context(agency(tmp_path))
        first.kill()
        first.wait()
        said = f"Process {first.pid} has ended. This is process {second.pid}."
        await expect(page.get_by_text(said)).to_be_visible()
        await expect(about).to_contain_text(f"process {second.pid}")
        await expect(page.get_by_test_id("state")).to_have_attribute("data-state", "live")
        second.kill()
        second.wait()
        await expect(page.locator("#main").get_by_text("that process has ended")).to_be_visible()
        third = stack.enter_context(agency(tmp_path))
        await expect(about).to_contain_text(f"process {third.pid}")
        await expect(page.get_by_test_id("actor-agency")).to_be_visible()
        await page.close()
    troubles.clear()  # that it has ended, and that nobody answered


async def test_a_run_that_gives_no_sign_of_work_is_told_as_stuck_and_one_that_waits_for_a_person_is_not(
    stage: Stage, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reading, plain):
        monkeypatch.setattr(module, "STUCK_AFTER", 0.0)
    runs = [
        asyncio.ensure_future(stage.agency.run(text, conversation=name, user="ann"))
        for text, name in (("hold model x", "hangs"), ("write a.txt", "waits"))
    ]
    await stage.until(lambda: stage.agency.approvals)
    await page.goto(stage.url)
    await expect(page.get_by_test_id("summary-stuck")).to_have_text("1")
    await expect(page.get_by_test_id("nav-runs")).to_contain_text("1")
    await page.get_by_test_id("nav-runs").click()
    await expect(page.get_by_test_id("stuck-note")).to_contain_text("1 run stuck")
    await expect(page.get_by_test_id("found")).to_have_text("2 runs")
    await page.get_by_test_id("only-stuck").click()
    await expect(page.get_by_test_id("found")).to_have_text("1 of 2 runs")
    row = page.get_by_test_id("runs").get_by_role("row").filter(has_text="hangs")
    await expect(row).to_contain_text("stuck")
    await page.get_by_test_id("nav-letters").click()
    await page.get_by_test_id("show-stuck").click()
    await expect(page.get_by_test_id("only-stuck")).to_have_attribute("aria-pressed", "true")
    await expect(row).to_be_visible()
    stage.gates["model"].set()
    await runs[0]
    await expect(page.get_by_test_id("stuck-note")).to_be_hidden()
    await expect(page.get_by_test_id("summary-stuck")).to_have_text("0")
    runs[1].cancel()
    await asyncio.gather(*runs, return_exceptions=True)
