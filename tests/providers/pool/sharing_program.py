"""A process that asks a provider whose limit it shares with others: ``ADDRESS JOURNAL SCHEMA``. Each answer is a line.

With a schema the journal is PostgreSQL's and a pool's; without, it is a file, and an agency's, whose pool has it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pydantic import SecretStr

from callboard import Agency, Agent, JsonCodec, PostgresJournal, System
from callboard.actors import ChildSpec
from callboard.providers.messages import Message, Request
from callboard.providers.pool import Endpoint, Pool, Quota
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec

LIMIT = 40
CLIENTS = 8


def pool(address: str, **options: Any) -> ChildSpec:
    """A pool of one provider."""
    spec = ProviderSpec("vendor", api_key=SecretStr("key"), base_url=address, models=("small",), default_model="small")
    limits = Quota(requests_per_day=LIMIT)
    return Pool.spec([Endpoint.of(spec, child_spec(spec), limits=limits)], queue_timeout=600.0, **options)


async def ask(client: Any) -> None:
    """Ask one thing after the other."""
    while True:
        await client()
        print("answered", flush=True)


async def main(address: str, journal: str, schema: str = "") -> None:
    """Ask until somebody ends it."""
    if schema:
        async with System("asking") as system:
            kept = PostgresJournal(journal, JsonCodec(), schema=schema)
            ref = system.supervise(pool(address, journal=kept))
            request = Request((Message("user", "hello"),))
            await asyncio.gather(*(ask(lambda: ref.ask(request)) for _ in range(CLIENTS)))
    else:
        async with Agency(Agent("Clerk"), model=pool(address), journal=journal) as agency:
            await asyncio.gather(*(ask(lambda: agency.run("hello")) for _ in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
