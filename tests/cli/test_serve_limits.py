"""Workers of ``callboard serve`` share the limits of their providers, also while one of them is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx

from callboard.providers.simulated import ServerQuota, SimulatedProvider

from .stores import Place
from .test_serve import QUESTION, serving

LIMIT = 90
LOST = 12
"""At most so many of them may a worker that is killed have taken along: what it sends, and what it claimed ahead."""

# The vendor says nothing of limits in headers.
TEAM = """\
agents: {{Helper: {{instructions: Be brief.}}}}
journal: {journal}
queue_timeout: 3600
providers:
  vendor:
    type: gemini
    base_url: {address}/v1beta
    api_key: key
    models: [small]
    limits: {{requests_per_day: {limit}}}
"""


def child(parent: int) -> int:
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


async def test_workers_send_a_vendor_nearly_all_that_it_takes_and_no_more(place: Place, tmp_path: Path) -> None:
    limits = ServerQuota(requests=LIMIT, window=86_400.0, rule="window")
    async with SimulatedProvider(latency=0.01, limits=limits) as vendor, AsyncExitStack() as stack:
        team = TEAM.format(journal=json.dumps(place.address), address=vendor.url, limit=LIMIT)
        (tmp_path / "team.yaml").write_text(team, encoding="utf-8")
        server = serving(tmp_path, "team.yaml", "--workers", "3", "--drain", "0")
        it = await asyncio.to_thread(server.__enter__)
        stack.callback(server.__exit__, None, None, None)
        answered, killed, done = 0, False, asyncio.Event()

        async def client() -> None:
            nonlocal answered, killed
            while True:
                with suppress(httpx.TransportError):  # of the worker that is killed
                    async with httpx.AsyncClient(base_url=it.url, timeout=None, trust_env=False) as http:
                        answer = await http.post("/v1/chat/completions", json=QUESTION)
                    assert answer.status_code == 200, answer.text
                answered += 1
                if answered >= LIMIT / 3 and not killed:
                    killed = True
                    os.kill(child(it.process.pid), signal.SIGKILL)
                if sum(vendor.stats.statuses.values()) >= LIMIT - LOST:
                    done.set()

        clients = [asyncio.ensure_future(client()) for _ in range(12)]
        ended = asyncio.ensure_future(done.wait())
        await asyncio.wait([ended, *clients], return_when=asyncio.FIRST_COMPLETED)
        for each in (ended, *clients):
            each.cancel()
        results = await asyncio.gather(*clients, return_exceptions=True)
        assert not [each for each in results if isinstance(each, Exception)]
        assert done.is_set()
        await asyncio.to_thread(it.until, r"worker \d+ ended by SIGKILL: another one is started")
        assert set(vendor.stats.statuses) == {200}
