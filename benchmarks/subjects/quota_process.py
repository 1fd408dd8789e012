"""A process that asks a provider for more than its limit allows: ``ADDRESS LIMIT LOAD SECONDS [JOURNAL SCHEMA]``.

It says ``ready``, begins when it is told a line, and says how many of its requests were answered.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pydantic import SecretStr

from callboard.actors import System
from callboard.actors.journal import JsonCodec
from callboard.actors.journal.postgres import PostgresJournal
from callboard.providers.errors import ProviderError
from callboard.providers.messages import Message, Request
from callboard.providers.pool import Endpoint, Pool, Quota
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec

REQUEST = Request((Message("user", "Say hello."),), model="gpt-4o", max_tokens=64)
PATIENCE = 30.0
"""Seconds after which who has asked gives up."""


async def ask(pool: Any) -> bool:
    """Ask; whether it was answered in time."""
    try:
        await pool.ask(REQUEST, timeout=PATIENCE)
    except (ProviderError, TimeoutError):
        return False
    return True


async def main(address: str, limit: str, load: str, seconds: str, journal: str = "", schema: str = "") -> None:
    """Ask ``load`` times a second."""
    spec = ProviderSpec("vendor", api_key=SecretStr("key"), base_url=address, models=("gpt-4o",))
    endpoint = Endpoint.of(spec, child_spec(spec), limits=Quota(requests_per_minute=int(limit)), vendor="openai")
    options: dict[str, Any] = {"journal": PostgresJournal(journal, JsonCodec(), schema=schema)} if journal else {}
    loop = asyncio.get_running_loop()
    async with System("bench") as system:
        pool = system.supervise(Pool.spec([endpoint], **options))
        await pool.started()
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        began, tasks = loop.time(), list[asyncio.Task[bool]]()
        while (since := loop.time() - began) < float(seconds):
            tasks += [loop.create_task(ask(pool)) for _ in range(int(since * float(load)) - len(tasks))]
            await asyncio.sleep(0.02)
        print(sum(task.done() and task.result() for task in tasks), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
