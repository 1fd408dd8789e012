"""What takes long to import is there before the first request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

POOL = """
import asyncio, sys
from callboard.actors import System
from callboard.providers.pool import pool_from_environment

async def main():
    async with System("s") as system:
        pool = system.supervise(pool_from_environment(env={"%s_API_KEY": "k", "%s_API_BASE": "http://127.0.0.1:9"}))
        await pool.started()
        print(*(name for name in ("openai", "anthropic", "aiohttp") if name in sys.modules))

asyncio.run(main())
"""

AGENCY = """
import asyncio, sys
from callboard import Agency, Agent

async def main():
    agency = Agency(Agent("a", "Be brief."))
    await agency.start()
    print(*(name for name in ("openai", "anthropic", "aiohttp") if name in sys.modules))
    await agency.stop()

asyncio.run(main())
"""


def printed(code: str, **env: str) -> str:
    """What a new interpreter prints: what is imported is what the test is about."""
    known = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_API_BASE"))}
    known["PYTHONPATH"] = str(ROOT / ".src")
    done = subprocess.run(
        [sys.executable, "-c", code], env={**known, **env}, capture_output=True, text=True, check=True, timeout=100
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("vendor", "loaded"), [("GROQ", "openai aiohttp"), ("ANTHROPIC", "anthropic aiohttp")])
def test_a_pool_that_has_started_has_loaded_its_vendors_sdks_and_no_others(vendor: str, loaded: str) -> None:
    assert printed(POOL % (vendor, vendor)) == loaded


def test_an_agency_that_has_started_has_loaded_them() -> None:
    assert printed(AGENCY, OPENAI_API_KEY="k", OPENAI_API_BASE="http://127.0.0.1:9") == "openai aiohttp"
