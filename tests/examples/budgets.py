"""Budgets by user and day, kept in the agency's journal, with a record of each call. Offline as it stands."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from callboard import (
    Agency,
    Agent,
    Budget,
    Caller,
    CallRecord,
    Endpoint,
    GetStats,
    Pool,
    Price,
    ProviderSpec,
    RunFailed,
    SetBudget,
)

ADA = Caller("ada", tenant="acme")


def told(record: CallRecord) -> None:
    who = record.requesters[0]
    print(f"{who.user} of {who.tenant}, by {who.agent}: {record.served} {record.outcome}, ${record.cost:.2f}")


def agency(journal: Path) -> Agency:
    # The offline model costs nothing; a price for a million tokens makes it one that does.
    offline = Endpoint.of(ProviderSpec("offline", "offline", default_model="offline"), price=Price(0.0, 1_000_000.0))
    pool = Pool.spec(
        [offline],
        budgets=[
            Budget("user", "*", 4.0, "day"),  # each user, from midnight to midnight in UTC
            Budget("tenant", "acme", 100.0, "month"),
            Budget("pool", "", 1_000.0),  # for ever
        ],
        on_usage=told,
    )
    planner = Agent("Planner", settings={"max_tokens": 3})
    return Agency(planner, pool=pool, journal=journal)


async def main(journal: Path) -> None:
    async with agency(journal) as team:
        print((await team.run("echo: good day to you", caller=ADA)).text)
    async with agency(journal) as team:  # another process, as far as the pool can see
        try:
            await team.run("echo: good day to you", caller=ADA)
        except RunFailed as error:
            print(error)
        assert team.pool is not None
        await team.pool.ask(SetBudget(Budget("user", "acme/ada", 10.0, "day")))
        await team.run("echo: thanks", caller=ADA)
        stats = await team.pool.ask(GetStats())
        print({account: round(dollars, 2) for account, dollars in stats.spent.items() if "acme" in account})


with TemporaryDirectory() as folder:  # a file that stays is what keeps budgets from day to day
    asyncio.run(main(Path(folder, "team.db")))
