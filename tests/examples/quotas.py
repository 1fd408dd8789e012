"""What a user may use in a day: asked before a run is accepted, with when to come back. Offline as it stands."""

import asyncio
from datetime import UTC, datetime

from callboard import (
    Agency,
    Agent,
    Budget,
    Caller,
    CheckBudgets,
    Endpoint,
    GetStats,
    Pool,
    ProviderSpec,
    QuotaExceeded,
    Requester,
)

ADA = Caller("ada", tenant="acme")


def noon() -> float:
    """Stands for the wall clock, which is the default."""
    return datetime(2030, 3, 1, 12, tzinfo=UTC).timestamp()


async def main() -> None:
    budgets = [
        Budget("user", "*", period="day", requests=2),  # each user, from midnight to midnight in UTC
        Budget("tenant", "acme", 100.0, "month", tokens=5_000_000),
    ]
    offline = ProviderSpec("offline", "offline", default_model="offline")
    pool = Pool.spec([Endpoint.of(offline)], budgets=budgets, clock=noon)
    async with Agency(Agent("Helper"), pool=pool) as agency:
        for _ in range(3):
            try:
                print((await agency.run("echo: good day", caller=ADA)).text)
            except QuotaExceeded as error:
                print(error)
                print(error.retry_after)
        assert agency.pool is not None
        print(await agency.pool.ask(CheckBudgets(Requester(user="bob", tenant="acme"))))
        for one in (await agency.pool.ask(GetStats())).budgets:
            print(one.account, one.measure, one.spent, "of", one.limit)


asyncio.run(main())
