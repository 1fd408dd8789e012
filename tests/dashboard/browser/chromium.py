"""A real chromium, where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""As ``bring.sh`` looks for them."""

PATIENCE: Final = 60_000
"""Milliseconds that a page may take on a busy machine; where all is well nobody waits for as long."""


def found() -> Path | None:
    """Where it is; None where there is none."""
    paths = (shutil.which(name) for name in NAMES)
    return next((Path(path) for path in paths if path), None)


@asynccontextmanager
async def chromium(path: Path) -> AsyncIterator[Browser]:
    """One without a window, of which nothing is left at the end of the block.

    Args:
        path: to the program.
    """
    # As root it has no sandbox to be in.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options, timeout=PATIENCE)
        try:
            yield browser
        finally:
            await browser.close()
