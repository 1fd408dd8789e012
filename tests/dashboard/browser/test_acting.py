"""What is done on the page: each control is clicked, and its effect read from the team and from the audit log."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from callboard.providers.pool.control import GetHealth, GetStats

from .conftest import NewPage
from .stage import KEY, LOOKS, STRANGER, Stage
from .walk import VIEWS, fail, furnish, lamp, look

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def audited(stage: Stage) -> list[dict[str, Any]]:
    """The entries of the audit log, the oldest first."""
    async with httpx.AsyncClient(base_url=stage.it.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        answer = await client.get("/dashboard/api/audit")
        assert answer.status_code == 200, answer.text
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return sorted(entries, key=lambda one: one["position"])


async def confirmed(page: Page, reason: str = "") -> None:
    """Say yes in the dialog, and wait until it has closed."""
    if reason:
        await page.get_by_test_id("dialog-reason").fill(reason)
    await page.get_by_test_id("dialog-confirm").click()
    await expect(page.get_by_test_id("dialog")).to_have_count(0)


async def written_down(stage: Stage, action: str, target: str, reason: str = "") -> None:
    """The last thing that was done is in the audit log, with what came of it."""
    entry = (await audited(stage))[-1]
    assert (entry["who"], entry["action"], entry["outcome"]) == ("ann", action, "done"), entry
    assert target in entry["target"], entry
    assert reason in str(entry["details"]), entry


async def test_an_actor_is_restarted_killed_and_stopped(stage: Stage, page: Page) -> None:
    ref = lamp(stage)
    await page.goto(stage.url)
    await page.get_by_test_id("actor-lamp").click()
    await expect(page.get_by_test_id("chosen")).to_have_text("lamp")
    for times, action in enumerate(("restart", "kill"), 1):
        await page.get_by_test_id(action).click()
        await confirmed(page, f"because of {action}")
        await expect(page.get_by_test_id("actor-lamp")).to_contain_text(str(times))
        (node,) = (one for one in stage.agency.system.tree() if one.name == "lamp")  # type: ignore[union-attr]
        assert node.restarts == times
        await written_down(stage, action, "lamp", f"because of {action}")
    await page.get_by_test_id("stop").click()
    await page.get_by_test_id("dialog-cancel").click()
    assert ref.is_alive()
    await page.get_by_test_id("stop").click()
    await confirmed(page, "no more light")
    await expect(page.get_by_test_id("gone")).to_be_visible()
    assert not ref.is_alive()
    await written_down(stage, "stop", "lamp", "no more light")


async def test_a_run_grows_while_it_works_and_is_cancelled(stage: Stage, page: Page) -> None:
    run = asyncio.ensure_future(stage.agency.run("step 2 tool", conversation="c", user="ann", run_id="r-1"))
    await page.goto(stage.url)
    await page.get_by_test_id("nav-runs").click()
    row = page.get_by_test_id("runs").get_by_role("row").filter(has_text="Clerk")
    await expect(row).to_contain_text("2,000")
    stage.gates["tool"].set()
    assert (await run).usage.input_tokens == 3_000
    await expect(row).to_have_count(0)
    ends = asyncio.ensure_future(stage.agency.run("hold model x", conversation="d", user="ann", run_id="r-2"))
    await page.get_by_test_id("cancel").click()
    await confirmed(page, "enough of it")
    with pytest.raises(Exception, match="enough of it"):
        await ends
    await written_down(stage, "cancel", "r-2", "enough of it")


async def test_providers_are_drained_resumed_probed_and_removed(stage: Stage, page: Page) -> None:
    await stage.agency.run("hello", user="ann")
    pool: Any = stage.agency.pool
    await page.goto(stage.url)
    await page.get_by_test_id("nav-providers").click()
    row = page.get_by_role("row").filter(has_text="two")
    for action in ("drain", "resume", "probe", "remove"):
        await row.get_by_test_id(f"provider-{action}").first.click()
        if action in ("drain", "remove"):
            await expect(page.get_by_test_id("dialog")).to_contain_text("in this process, until it ends")
        await confirmed(page, f"because of {action}")
        await written_down(stage, f"{action} provider", "two", f"because of {action}")
        health = await pool.ask(GetHealth())
        there = [one for one in health.endpoints if one.name == "two"]
        if action == "remove":
            assert there == []
        else:
            assert there[0].available == (action != "drain")
    await expect(row).to_have_count(0)


async def test_a_budget_is_raised(stage: Stage, page: Page) -> None:
    pool: Any = stage.agency.pool
    await stage.agency.run("hello", user="ann")
    await page.goto(stage.url)
    await page.get_by_test_id("nav-money").click()
    await page.get_by_role("row").filter(has_text="Clerk").get_by_test_id("raise-budget").click()
    await expect(page.get_by_test_id("dialog")).to_contain_text("in this process, until that ends")
    await page.get_by_test_id("dialog-limit").fill("75")
    await confirmed(page)
    stats = await pool.ask(GetStats())
    assert {one.account: one.limit for one in stats.budgets}["agent:Clerk"] == 75
    assert (await audited(stage))[-1]["outcome"] == "done"


async def test_the_process_is_drained(stage: Stage, page: Page, troubles: list[str]) -> None:
    await page.goto(stage.url)
    await page.get_by_test_id("drain").click()
    await confirmed(page, "a new version")
    await stage.until(lambda: stage.it.app.state.server.draining)
    await expect(page.get_by_test_id("stopped")).to_be_visible()
    await page.get_by_test_id("nav-providers").click()
    await expect(page.get_by_test_id("stopped")).to_contain_text("The agency of this process has stopped")
    await page.goto("about:blank")  # or it would ask again, and be told so, at any moment
    troubles[:] = [one for one in troubles if "503" not in one]


async def test_a_call_is_approved_with_other_arguments_and_one_is_denied(stage: Stage, page: Page) -> None:
    (stage.folder / "a.txt").write_text("old words\nkept\n")
    writes = asyncio.ensure_future(stage.agency.run("write a.txt", conversation="c", user="ann"))
    await page.goto(stage.url)
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    change = page.get_by_test_id("change")
    await expect(change).to_contain_text("a.txt")
    await expect(change.locator("del")).to_have_text("old words")
    await expect(change.locator("ins")).to_have_text("new words")
    edited = '{"path": "a.txt", "content": "my own words"}'
    await page.get_by_test_id("arguments").fill("{")
    await expect(page.get_by_test_id("arguments-wrong")).to_be_visible()
    await page.get_by_test_id("arguments-undo").click()
    await page.get_by_test_id("arguments").fill(edited)
    await page.get_by_test_id("approve").click()
    await confirmed(page)
    await writes
    assert (stage.folder / "a.txt").read_text() == "my own words"
    assert (await audited(stage))[-1]["outcome"] == "done"
    await expect(page.get_by_test_id("approval-link")).to_have_count(0)
    denied = asyncio.ensure_future(stage.agency.run("write b.txt", conversation="d", user="ann"))
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    await page.get_by_test_id("deny").click()
    await confirmed(page, "not this file")
    await denied
    assert not (stage.folder / "b.txt").exists()
    said = await stage.agency.conversation("d", agent="Clerk")
    assert "not this file" in said.messages[2].text


async def test_a_mistake_in_long_arguments_is_marked_at_its_line_and_gone_to_by_a_click(
    stage: Stage, page: Page
) -> None:
    writes = asyncio.ensure_future(stage.agency.run("write a.txt", conversation="c", user="ann"))
    await page.goto(stage.url)
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    area, wrong = page.get_by_test_id("arguments"), page.get_by_test_id("arguments-wrong")
    gutter = page.locator(".editor-gutter")
    good = "".join(f'  "name {number}": {number},\n' for number in range(100))
    text = f'{{\n{good}  "path": oops\n}}'
    await area.fill(text)
    await expect(wrong).to_contain_text("Line 102, column 11")
    await expect(gutter.locator(".wrong")).to_have_text("⚠ 102")
    await wrong.click()
    await expect(area).to_be_focused()
    start = await area.evaluate("one => one.selectionStart")
    assert text[start : await area.evaluate("one => one.selectionEnd")] == "o"
    assert await area.evaluate("one => one.scrollTop") > 0
    await expect(gutter).to_have_js_property("scrollTop", await area.evaluate("one => one.scrollTop"))
    await page.keyboard.type("p")
    await expect(gutter).to_have_js_property("scrollTop", await area.evaluate("one => one.scrollTop"))
    await page.get_by_test_id("deny").click()
    await confirmed(page, "not now")
    await writes


async def test_what_was_decided_is_in_the_list_no_more_though_an_older_reading_has_it(stage: Stage, page: Page) -> None:
    writes = asyncio.ensure_future(stage.agency.run("write a.txt", conversation="c", user="ann"))
    await page.goto(stage.url)
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    asked = {"view": "approvals", "every": "60"}
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        httpx.AsyncClient(base_url=stage.it.url, headers=headers) as client,
        client.stream("GET", "/dashboard/api/live", params=asked) as answer,
    ):
        lines = answer.aiter_lines()
        older = "\n".join([await anext(lines), await anext(lines), "", ""])
    assert stage.agency.approvals[0].approval in older
    await page.route("**/api/live?*", lambda route: route.fulfill(content_type="text/event-stream", body=older))
    await page.get_by_test_id("approve").click()
    await confirmed(page)
    await writes
    await expect(page.get_by_text("Nothing waits for a person.")).to_be_visible()
    await expect(page.get_by_test_id("approval-link")).to_have_count(0)
    await page.unroute_all()
    again = asyncio.ensure_future(stage.agency.run("write b.txt", conversation="d", user="ann"))
    await expect(page.get_by_test_id("approval-link")).to_have_count(1)
    await stage.agency.deny(stage.agency.approvals[0].approval)
    await again


async def test_what_waits_in_another_process_with_the_same_journal_is_listed_and_approved_too(
    stage: Stage, page: Page, tmp_path: Path, troubles: list[str]
) -> None:
    other = Stage(stage.folder, tmp_path / "journal.db")
    async with other.agency:
        writes = asyncio.ensure_future(other.agency.run("write a.txt", conversation="c", user="ann"))
        await other.until(lambda: other.agency.approvals)
        await page.goto(stage.url)
        await page.get_by_test_id("nav-approvals").click()
        await expect(page.get_by_text("1 decision waits for a person.")).to_be_visible()
        await expect(page.get_by_test_id("approvals")).to_contain_text("in another process")
        await expect(page.get_by_test_id("approvals-elsewhere")).to_contain_text("is as of")
        await page.get_by_test_id("approval-link").click()
        await expect(page.get_by_test_id("approve")).to_be_enabled()
        at = await page.get_by_test_id("summary").evaluate("all => all.innerText")
        await expect(page.get_by_test_id("summary")).not_to_have_text(at)  # another reading does not have it either
        await expect(page.get_by_text("It does not wait any more")).to_be_hidden()
        await page.get_by_test_id("approve").click()
        await confirmed(page)
        await writes
        assert (stage.folder / "a.txt").exists()
        await expect(page.get_by_text("Nothing waits for a person.")).to_be_visible()
        late = asyncio.ensure_future(other.agency.run("write b.txt", conversation="d", user="ann"))
        await other.until(lambda: other.agency.approvals)
        await page.get_by_test_id("nav-runs").click()
        await page.get_by_test_id("nav-approvals").click()
        await page.get_by_test_id("approval-link").click()
        await expect(page.get_by_test_id("approve")).to_be_enabled()
        await other.agency.deny(other.agency.approvals[0])
        await late
        await expect(page.get_by_test_id("decided")).to_contain_text("It does not wait any more.")
        await expect(page.get_by_test_id("approve")).to_be_disabled()
        troubles[:] = [one for one in troubles if "409" not in one and "404" not in one]


async def test_what_other_arguments_would_change_is_shown_before_anything_is_decided(stage: Stage, page: Page) -> None:
    (stage.folder / "a.txt").write_text("old words\nkept\n")
    writes = asyncio.ensure_future(stage.agency.run("write a.txt", conversation="c", user="ann"))
    await page.goto(stage.url)
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    change = page.get_by_test_id("change")
    await expect(change.locator("ins")).to_have_text("new words")
    await expect(page.get_by_test_id("preview")).to_be_hidden()
    await page.get_by_test_id("arguments").fill('{"path": "a.txt", "content": "my own words\\nkept\\n"}')
    await page.get_by_test_id("preview").click()
    await expect(change.locator("ins")).to_have_text("my own words")
    await expect(page.get_by_test_id("preview")).to_be_hidden()
    assert (stage.folder / "a.txt").read_text() == "old words\nkept\n"
    assert await audited(stage) == []
    await page.get_by_test_id("approve").click()
    await confirmed(page)
    await writes
    assert (stage.folder / "a.txt").read_text() == "my own words\nkept\n"


async def decided(stage: Stage, approval: str, verb: str) -> None:
    """Somebody else decides."""
    async with httpx.AsyncClient(base_url=stage.it.url, headers={"authorization": "Bearer bob+admin"}) as client:
        answer = await client.post(f"/dashboard/api/approvals/{approval}/{verb}", json={})
        assert answer.status_code == 200, answer.text


async def test_what_somebody_else_has_decided_is_said_to_be_by_them(
    stage: Stage, page: Page, troubles: list[str]
) -> None:
    writes = asyncio.ensure_future(stage.agency.run("write a.txt", conversation="c", user="ann"))
    await stage.until(lambda: stage.agency.approvals)
    approval = stage.agency.approvals[0].approval
    await page.route("**/api/live?*", lambda route: None)  # the page hears of nothing by itself
    await page.goto(stage.url)
    await page.get_by_test_id("nav-approvals").click()
    await page.evaluate("id => location.hash = `#/approvals/${id}`", approval)
    await expect(page.get_by_test_id("approve")).to_be_enabled()
    await decided(stage, approval, "deny")
    await writes
    await page.get_by_test_id("approve").click()
    await confirmed(page)
    await expect(page.get_by_test_id("decided")).to_contain_text("bob has denied it already.")
    await expect(page.get_by_test_id("approve")).to_be_disabled()
    await expect(page.get_by_test_id("deny")).to_be_disabled()
    await page.get_by_test_id("nav-approvals").click()
    await page.evaluate("id => location.hash = `#/approvals/${id}`", approval)
    await expect(page.get_by_test_id("decided")).to_contain_text("bob has denied it already.")
    await page.unroute_all()
    again = asyncio.ensure_future(stage.agency.run("write b.txt", conversation="d", user="ann"))
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    await expect(page.get_by_test_id("approve")).to_be_enabled()
    await decided(stage, stage.agency.approvals[0].approval, "approve")
    await again
    await expect(page.get_by_test_id("decided")).to_contain_text("bob has approved it already.")
    await expect(page.get_by_test_id("approve")).to_be_disabled()
    troubles[:] = [one for one in troubles if "409" not in one]


async def test_a_run_whose_limit_is_spent_is_given_more(stage: Stage, page: Page) -> None:
    run = asyncio.ensure_future(stage.agency.run("step 4", conversation="c", user="ann"))
    await page.goto(stage.url)
    await page.get_by_test_id("nav-approvals").click()
    await page.get_by_test_id("approval-link").click()
    await page.get_by_test_id("limit-steps").fill("9")
    await page.get_by_test_id("approve").click()
    await confirmed(page)
    assert (await run).text == "I heard: step 4"
    assert (await audited(stage))[-1]["outcome"] == "done"


async def test_a_conversation_is_gone_through_forked_and_replayed(stage: Stage, page: Page) -> None:
    await stage.agency.run("ask Checker", conversation="c", user="ann")
    await stage.agency.run("step 1", conversation="c", user="ann")
    await page.goto(stage.url)
    await page.get_by_test_id("nav-conversations").click()
    await page.get_by_test_id("conversation-link").filter(has_text="c").first.click()
    messages = page.get_by_test_id("message")
    await expect(messages.last).to_contain_text("I heard: step 1")
    await page.get_by_test_id("scrubber-number").fill("1")
    await page.get_by_test_id("scrubber-number").press("Enter")
    await expect(messages.filter(has_text="I heard")).to_have_count(0)
    await page.get_by_test_id("scrubber-on").click()
    await page.get_by_test_id("scrubber-back").click()
    await page.get_by_test_id("scrubber-data").click()
    await page.get_by_test_id("scrubber").press("ArrowRight")
    await page.get_by_test_id("scrubber-now").click()
    await expect(messages.last).to_contain_text("I heard: step 1")
    await page.get_by_test_id("tab-sequence").click()
    await expect(page.get_by_test_id("arrow").first).to_be_visible()
    await page.get_by_test_id("sequence-as-table").click()
    await page.get_by_test_id("look-at-step").first.click()
    await expect(page.get_by_test_id("step").first).to_be_visible()
    await page.get_by_test_id("replay").click()
    await confirmed(page)
    await expect(page.get_by_test_id("replayed")).to_contain_text("same")
    await page.get_by_test_id("replayed-close").click()
    await page.get_by_test_id("fork").click()
    await page.get_by_test_id("dialog-to").fill("another")
    await confirmed(page)
    await page.wait_for_url("**/#/conversations/Clerk/another")
    forked = await stage.agency.conversation("another", agent="Clerk")
    assert forked.messages[0].text == "ask Checker"


async def test_a_conversation_is_forked_behind_one_of_its_steps(stage: Stage, page: Page) -> None:
    for text in ("one", "two"):
        await stage.agency.run(text, conversation="c", user="ann")
    await page.goto(stage.url)
    await page.get_by_test_id("nav-conversations").click()
    await page.get_by_test_id("conversation-link").filter(has_text="c").first.click()
    await page.get_by_test_id("tab-steps").click()
    await page.get_by_test_id("step-summary").first.click()
    await page.get_by_test_id("fork-step").first.click()
    await expect(page.get_by_test_id("dialog-at")).to_have_value("1")
    await page.get_by_test_id("dialog-to").fill("behind-one")
    await confirmed(page)
    await page.wait_for_url("**/#/conversations/Clerk/behind-one")
    forked = await stage.agency.conversation("behind-one", agent="Clerk")
    assert [message.text for message in forked.messages] == ["one", "I heard: one"]
    entry = (await audited(stage))[-1]
    assert (entry["action"], entry["outcome"], entry["details"]) == ("fork", "done", {"at": 1, "to": "behind-one"})


async def test_who_looks_sees_no_button_that_acts_and_a_stranger_sees_nothing(
    stage: Stage, new_page: NewPage, troubles: list[str]
) -> None:
    async with AsyncExitStack() as stack:
        await furnish(stage, stack)
        page = await new_page()
        await page.goto(stage.address(LOOKS))
        await expect(page.get_by_test_id("name")).to_be_visible()
        acts = ("drain", "kill", "restart", "stop", "cancel", "raise-budget", "provider-remove", "approve", "fork")
        for view in VIEWS:
            await page.get_by_test_id(f"nav-{view}").click()
            await expect(page.get_by_test_id(f"view-{view}")).to_be_visible()
            for control in acts:
                await expect(page.get_by_test_id(control)).to_have_count(0)
        stranger = await new_page()
        await stranger.goto(stage.address(STRANGER))
        await expect(stranger.get_by_role("alert")).to_contain_text(
            "no right to look: it needs the scope metrics or admin, and is of no tenant"
        )
        await expect(stranger.get_by_test_id("nav-actors")).to_have_count(0)
    troubles[:] = [one for one in troubles if "403" not in one]


async def test_two_tabs_see_the_same_and_a_crash_as_it_comes(stage: Stage, new_page: NewPage) -> None:
    pages = [await new_page(), await new_page()]
    for page in pages:
        await page.goto(stage.url)
        await look(page, "actors")
    await fail(stage)
    for page in pages:
        await expect(page.get_by_test_id("actor-lamp")).to_contain_text("the lamp is broken")
        await page.get_by_test_id("nav-letters").click()
        await expect(page.get_by_test_id("crashes")).to_contain_text("the lamp is broken")
        await expect(page.get_by_test_id("dead-letters")).to_contain_text("<b>three</b>")


async def test_hostile_texts_are_shown_and_do_nothing(stage: Stage, page: Page) -> None:
    hostile = (
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\x1b[31mred\u202egnp.exe"
    )
    await stage.agency.run(hostile, conversation="<b>c<", user="<i>ann")
    await page.goto(stage.url)
    await page.get_by_test_id("nav-conversations").click()
    await page.get_by_test_id("conversation-link").filter(has_text="<b>c<").click()
    message = page.get_by_test_id("message").first
    await expect(message).to_contain_text("<script>")
    await expect(page.locator("main img, main script, main b, main i")).to_have_count(0)
    shown = await message.inner_text()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    # Whoever writes from right to left reads so, and where nothing is left out nothing is said of it.
    await expect(message.locator(".said")).to_have_attribute("dir", "auto")
    await expect(message.locator(".hint:visible")).to_have_count(0)
    assert "owned" not in await page.title()


async def test_the_tree_is_that_of_the_system_at_ten_thousand_actors(stage: Stage, page: Page) -> None:
    from benchmarks.subjects.dashboard import Many

    many = Many(stage.agency, 10_000)
    try:
        await page.goto(stage.url)
        await expect(page.get_by_test_id("found")).to_contain_text("10,0")
        system: Any = stage.agency.system
        paths: list[str] = []

        def walk(nodes: Any, above: str) -> None:
            for node in nodes:
                paths.append(above + node.name)
                walk(node.children, f"{above}{node.name}/")

        walk(system.tree(), "")
        await expect(page.get_by_test_id("found")).to_have_text(f"{len(paths):,} actors")
        await page.get_by_test_id("expand").click()
        rows = page.get_by_test_id("tree")
        await expect(rows).to_have_attribute("aria-rowcount", str(len(paths) + 1))
        await rows.locator("[role=row][tabindex='0']").focus()
        for key, path in (("End", paths[-1]), ("Home", paths[0]), ("ArrowDown", paths[1]), ("End", paths[-1])):
            await page.keyboard.press(key)
            await expect(page.get_by_test_id("chosen")).to_have_text(path)
        for path in (paths[len(paths) // 3], paths[len(paths) // 2]):
            await page.get_by_test_id("filter").fill(path)
            await expect(page.get_by_test_id(f"actor-{path}")).to_be_visible()
    finally:
        many.full.kill()
