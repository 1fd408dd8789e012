"""A way through all that the page shows, with something to see in each view."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

from playwright.async_api import Page, ViewportSize, expect

from callboard import ChildSpec, Mailbox

from .stage import Fragile, Stage

VIEWS: Final = ("actors", "runs", "providers", "money", "approvals", "conversations", "letters", "audit")
DEEPER: Final = ("approval", "limits", "conversation", "steps", "sequence")
PLACES: Final = (*VIEWS, *DEEPER)
"""Each view, and what is opened from it."""

WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
NARROW: Final[ViewportSize] = {"width": 390, "height": 844}
THEMES: Final = ("light", "dark")
SHOWN: Final = {
    "actors": "actor-agency",
    "runs": "run-conversation",
    "providers": "provider-probe",
    "money": "raise-budget",
    "approvals": "approval-link",
    "conversations": "conversation-link",
    "letters": "crashes-order-at",
}
"""What is there, once a view shows something."""


async def furnish(stage: Stage, stack: AsyncExitStack) -> None:
    """Have something of everything happen.

    Args:
        stage: whose team it is.
        stack: what is begun ends with it.
    """
    agency = stage.agency
    (stage.folder / "a.txt").write_text("old words\nkept\n")
    options: Any = {"user": "ann"}
    await agency.run("What do you keep?", conversation="first", **options)
    await agency.run("ask Checker", conversation="first", **options)
    await agency.run("step 3", conversation="first", **options)
    begun = {
        "writes": "write a.txt",
        "waits-for-a-model": "hold model go on",
        "waits-for-a-tool": "step 2 tool",
        "wants-more": "step 50",
    }
    tasks = [asyncio.ensure_future(agency.run(text, conversation=name, **options)) for name, text in begun.items()]

    async def over() -> None:
        for gate in stage.gates.values():
            gate.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(over)
    await stage.until(lambda: len(agency.approvals) == 2)
    await stage.until(lambda: len(agency.under_way()) == len(begun))


def lamp(stage: Stage, name: str = "lamp", **options: Any) -> Any:
    """An actor that can fail, restarted by its supervisor."""
    assert stage.agency.system is not None
    return stage.agency.system.supervise(ChildSpec(Fragile, (stage.lamp,), name=name, **options))


async def enter(stage: Stage, stack: AsyncExitStack, page: Page) -> None:
    """Have something to be seen in every place, and the page live."""
    await furnish(stage, stack)
    await page.goto(stage.url)
    await expect(page.locator("[data-testid=state][data-state=live]")).to_be_visible()
    await fail(stage)


async def fail(stage: Stage) -> None:
    """Have an actor crash and messages be lost; whoever looks on sees it."""
    assert stage.agency.system is not None
    lamp(stage).tell("fail")
    full = stage.agency.system.spawn(Fragile, stage.lamp, name="full", mailbox=Mailbox(2, "drop_newest"))
    for message in ("hold", "one", "two", "<b>three</b>"):
        full.tell(message)
        await asyncio.sleep(0)


async def look(page: Page, place: str) -> None:
    """Open a view, or what is opened from one, and wait until it shows what there is."""
    view = {"approval": "approvals", "limits": "approvals"}.get(place, place if place in VIEWS else "conversations")
    await page.get_by_test_id(f"nav-{view}").click()
    await expect(page.get_by_test_id(f"view-{view}")).to_be_visible()
    await expect(page.locator("[data-testid=state][data-state=live]")).to_be_visible()
    if view in SHOWN:
        await expect(page.get_by_test_id(SHOWN[view]).first).to_be_visible()
    if place in ("approval", "limits"):
        words = "Write" if place == "approval" else "More than its limits"
        await page.get_by_test_id("approval-link").filter(has_text=words).click()
        await expect(page.get_by_test_id("approve")).to_be_enabled()
    elif place in DEEPER:
        await page.get_by_test_id("conversation-link").filter(has_text="first").first.click()
        await expect(page.get_by_test_id("tab-steps")).to_be_visible()
        if place == "steps":
            await page.get_by_test_id("tab-steps").click()
            await page.get_by_test_id("step-summary").first.click()
        elif place == "sequence":
            await page.get_by_test_id("tab-sequence").click()
            await page.get_by_test_id("sequence-as-table").click()
