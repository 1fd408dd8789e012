"""What takes long to import is there before the first request."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from callboard import Agency, AgencyClosed, Agent
from callboard.actors import ChildSpec, System
from callboard.providers.pool import Endpoint, Pool
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.openai import OpenAIProvider

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


class Loading:
    """A vendor whose SDK is being loaded until it is told to go on."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.go = go = threading.Event()
        begun = self.begun

        class Vendor(OpenAIProvider):
            @classmethod
            def load(cls) -> None:
                loop.call_soon_threadsafe(begun.set)
                assert go.wait(60)

        self.spec = ProviderSpec("slow", "openai", SecretStr("k"), "http://127.0.0.1:9", default_model="m")
        self.provider = ChildSpec(Vendor, (self.spec,), name="slow")
        self.pool = Pool.spec([Endpoint.of(self.spec, self.provider)])


@pytest.mark.parametrize("what", ["provider", "pool"])
async def test_a_stop_does_not_wait_for_an_sdk_that_is_being_loaded(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    loading = Loading()
    try:
        async with System("loading") as system:
            ref = system.supervise(loading.provider if what == "provider" else loading.pool)
            await loading.begun.wait()
        assert not ref.is_alive()
    finally:
        loading.go.set()
    assert caplog.messages == [], "it was waited for, and cancelled in the end"


async def test_an_agency_that_is_stopped_while_it_loads_an_sdk_stops_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    loading = Loading()
    try:
        agency = Agency(Agent("a", "Be brief."), pool=loading.pool)
        starting = asyncio.ensure_future(agency.start())
        await loading.begun.wait()
        await agency.stop()
        with pytest.raises(AgencyClosed):
            await starting
    finally:
        loading.go.set()
    assert caplog.messages == []
