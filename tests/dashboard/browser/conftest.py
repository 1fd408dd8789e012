"""A real browser for these tests: one for each file, with a page of its own for each test, and a team to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from .chromium import PATIENCE, chromium, found
from .stage import Stage, staged

expect.set_options(timeout=PATIENCE)

NewPage: TypeAlias = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A chromium."""
    path = found()
    if path is None:
        pytest.skip("needs a chromium: make browser")
    async with chromium(path) as running:
        yield running


@pytest.fixture
def troubles() -> list[str]:
    """What went wrong at pages, each in a line; a test that means it to takes it out."""
    return []


@pytest_asyncio.fixture(loop_scope="module")
async def new_page(browser: Browser, troubles: list[str]) -> AsyncIterator[NewPage]:
    """Makes pages, each of a profile of its own unless a context is given. Nothing goes wrong at them unseen: no error
    of a script's, no refusal by the policy of what may run, and no request to anybody but the server."""
    async with AsyncExitStack() as stack:

        async def make(context: BrowserContext | None = None, **options: Any) -> Page:
            if context is None:
                context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
                context.set_default_timeout(PATIENCE)
                stack.push_async_callback(context.close)
            page = await context.new_page()
            page.on("pageerror", lambda error: troubles.append(f"{error.name}: {error.message}"))
            page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
            page.on("request", lambda one: None if _here(one.url) else troubles.append(f"asked {one.url}"))
            return page

        yield make
    assert troubles == []


def _here(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "about:blank"))


@pytest_asyncio.fixture(loop_scope="module")
async def page(new_page: NewPage) -> Page:
    """A page."""
    return await new_page()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A team that is served with a dashboard; its files are in ``files``, its journal is in ``journal.db``."""
    files = tmp_path / "files"
    files.mkdir()
    async with staged(files, tmp_path / "journal.db") as made:
        yield made
