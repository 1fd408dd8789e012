"""What figures say of a journal whose database is away for a while."""

from __future__ import annotations

import asyncio

from callboard import Agency, Agent, Telemetry
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.journal.postgres import PostgresJournal
from tests.agents.support import function
from tests.postgres import Server


async def lag(agency: Agency) -> float:
    return next(one for one in await agency.metrics() if one.name == "callboard_journal_lag_seconds").total()


async def test_the_lag_of_a_journal_grows_while_its_database_is_down_and_is_over_with_it(
    postgres: Server, schema: str
) -> None:
    journal = PostgresJournal(postgres.url, RunCodec(), schema=schema)
    try:
        telemetry = Telemetry(spans=False)
        async with Agency(Agent("A"), model=function(lambda _: "done"), journal=journal, telemetry=telemetry) as agency:
            await agency.run("go", conversation="c")
            assert await lag(agency) >= 0
            with postgres.down():
                run = asyncio.ensure_future(agency.run("go", conversation="c"))
                first = 0.0
                while not first:
                    await asyncio.sleep(0.01)
                    first = await lag(agency)
                await asyncio.sleep(0.01)
                assert await lag(agency) > first
            assert (await run).text == "done"
            left = first
            while left:
                await asyncio.sleep(0.01)
                left = await lag(agency)
    finally:
        journal.close()
