"""``python -m tests.dashboard.browser.shots FOLDER``: pictures of all that a dashboard shows."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import expect

from .chromium import PATIENCE, chromium, found
from .stage import staged
from .walk import NARROW, PLACES, THEMES, WIDE, enter, look


async def shoot(path: Path, folder: Path) -> None:
    """Write the pictures.

    Args:
        path: to a chromium.
        folder: where they are written; ``VIEW-WIDTH-THEME.png``.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = work / "files"
        await asyncio.to_thread(files.mkdir)
        stage = await stack.enter_async_context(staged(files, work / "journal.db"))
        browser = await stack.enter_async_context(chromium(path))
        page = await browser.new_page(viewport=WIDE)
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: print(error))
        page.on("console", lambda said: print(said.text) if said.type == "error" else None)
        await enter(stage, stack, page)
        for place in PLACES:
            for size in (WIDE, NARROW):
                await page.set_viewport_size(size)
                try:
                    await look(page, place)
                except AssertionError as error:
                    print(f"{place}: {str(error).splitlines()[0]}")
                for theme in THEMES:
                    await page.get_by_test_id("theme").select_option(theme)
                    await page.wait_for_timeout(400)
                    await page.screenshot(path=folder / f"{place}-{size['width']}-{theme}.png", full_page=True)


if __name__ == "__main__":
    expect.set_options(timeout=5_000)
    chosen = found()
    if chosen is None:
        sys.exit("no chromium here: make browser")
    asyncio.run(shoot(chosen, Path(sys.argv[1])))
