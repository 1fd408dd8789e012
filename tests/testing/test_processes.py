"""Processes inside a run: killed as they write, and started again on their journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from callboard import ChildSpec, EventSourcedActor, JsonCodec, PostgresJournal, SqliteJournal, System
from callboard.testing import Restart, Simulation, simulate


@dataclass(frozen=True)
class Deposited:
    """Money came in."""

    key: str
    amount: int


class Account(EventSourcedActor[Deposited, Any]):
    """Counts each deposit once, by its key."""

    def __init__(self, journal: Any, stream: str) -> None:
        super().__init__(journal, stream)
        self.amounts: dict[str, int] = {}

    def apply(self, event: Deposited) -> None:
        self.amounts[event.key] = event.amount

    async def on_receive(self, message: Any) -> Any:
        if message == "amounts":
            return dict(self.amounts)
        key, amount = message
        if key not in self.amounts:
            await self.persist(Deposited(key, amount))
        return self.amounts[key]


def sqlite(sim: Simulation) -> Any:
    return SqliteJournal(sim.folder / "j.db", JsonCodec(Deposited))


def postgres(sim: Simulation) -> Any:
    return PostgresJournal("postgresql://simulated/accounts", JsonCodec(Deposited))


STORES = [sqlite, postgres]


def teller(sim: Simulation, store: Callable[[Simulation], Any], count: int = 3) -> Any:
    async def main(system: System) -> dict[str, int]:
        journal = store(sim)
        account = system.supervise(ChildSpec(Account, args=(journal, "account/7"), name="account"))
        for number in range(count):
            answer = await account.ask((f"deposit {number}", number))
            sim.mark("answered", number=number, amount=answer)
        amounts = await account.ask("amounts")
        await system.stop()
        journal.close()
        return amounts

    return main


@pytest.mark.parametrize("store", STORES)
def test_a_process_runs_on_its_journal_inside_the_simulation(store: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        process = sim.process("teller", teller(sim, store))
        assert await process == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        assert process.starts == 1

    assert simulate(scenario, seeds=5).ok


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("store", STORES)
def test_a_process_that_is_killed_at_a_write_goes_on_where_its_journal_says(store: Any, nth: int, when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        process = sim.process("teller", teller(sim, store))
        assert await process == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        assert process.starts == 2

    assert simulate(scenario, seeds=3, faults=[Restart("teller", nth, when)]).ok
