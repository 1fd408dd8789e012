"""Time as a choice: work that is slower than usual shows what a timeout that just misses does."""

import asyncio
from typing import Any

from callboard import Actor, AskTimeout
from callboard.testing import Simulation, SimulationFailed, Timing, simulate


class Till(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.charged: list[str] = []

    async def on_receive(self, message: str) -> Any:
        if message == "charged":
            return tuple(self.charged)
        self.charged.append(message)
        for _ in range(5):
            await asyncio.sleep(0)  # a line of the receipt is set: a few milliseconds of the processor's
        return "receipt"


async def scenario(sim: Simulation) -> None:
    till = sim.system.spawn(Till, name="till")
    try:
        await till.ask("order 7", timeout=0.05)
        charged = True
    except AskTimeout:
        charged = False
    assert charged == ("order 7" in await till.ask("charged")), "the order was charged, and we believe it was not"


simulate(scenario, seeds=100)
print("where work takes no time it holds")
try:
    simulate(scenario, seeds=500, timing=Timing(step=0.02))
except SimulationFailed as failed:
    print(str(failed).splitlines()[0])
    print(next(line.strip() for line in str(failed).splitlines() if "steps take time" in line).partition(",")[0])
