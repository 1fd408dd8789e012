"""Reading a failure: a deadlock says who holds what, and the failing run is written as a page."""

import asyncio
import tempfile
from pathlib import Path

from callboard.testing import Simulation, SimulationFailed, simulate


async def transfer(accounts: dict[str, asyncio.Lock], source: str, target: str) -> None:
    async with accounts[source]:
        await asyncio.sleep(0)  # asks somebody whether it may
        async with accounts[target]:
            pass


async def scenario(sim: Simulation) -> None:
    accounts = {"ada": asyncio.Lock(), "bob": asyncio.Lock()}
    async with asyncio.TaskGroup() as group:
        group.create_task(transfer(accounts, "ada", "bob"), name="there")
        group.create_task(transfer(accounts, "bob", "ada"), name="back")


try:
    simulate(scenario)
except SimulationFailed as failed:
    for line in str(failed.run.error).splitlines():
        print(line.partition(" (")[0].strip())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "failure.html"
        failed.save_html(page)
        print(page.read_text(encoding="utf-8").splitlines()[0])
