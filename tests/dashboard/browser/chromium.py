"""A real chromium, where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""As ``bring.sh`` looks for them."""

PATIENCE: Final = 60_000
"""Milliseconds that a page may take on a busy machine; where all is well nobody waits for as long."""

ALONE: Final = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Has it find nobody but this machine."""


def found() -> Path | None:
    """Where it is; None where there is none."""
    paths = (shutil.which(name) for name in NAMES)
    return next((Path(path) for path in paths if path), None)


def options(path: Path) -> dict[str, Any]:
    """With what Playwright launches it.

    Args:
        path: to the program.
    """
    # As root it has no sandbox to be in.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": path, "args": [ALONE, *sandbox], "timeout": PATIENCE}


@asynccontextmanager
async def chromium(path: Path) -> AsyncIterator[Browser]:
    """One without a window and without a network, of which nothing is left at the end of the block.

    Args:
        path: to the program.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**options(path))
        try:
            yield browser
        finally:
            await browser.close()
