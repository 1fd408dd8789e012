"""A process that is killed at a write of its journal: what it did before the write, it does again."""

from typing import Any

from callboard import JsonCodec, SqliteJournal, System
from callboard.testing import Restart, Simulation, SimulationFailed, simulate


def worker(sim: Simulation, charged: list[str], first: str) -> Any:
    async def main(system: System) -> None:
        journal = SqliteJournal(sim.folder / "orders.db", JsonCodec())
        stream: Any = await journal.open("order/7")
        if not stream.events:
            if first == "charge":
                charged.append("ann")
            await stream.append(["charged"])
            if first == "write":
                charged.append("ann")
        journal.close()

    return main


def order(first: str) -> Any:
    async def scenario(sim: Simulation) -> None:
        charged: list[str] = []
        await sim.process("worker", worker(sim, charged, first))
        assert len(charged) <= 1, "ann was charged twice"

    return scenario


try:
    simulate(order("charge"), faults=[Restart("worker")])
except SimulationFailed as failed:
    print(str(failed).splitlines()[0])
print("written first:", simulate(order("write"), faults=[Restart("worker")]).ok)
