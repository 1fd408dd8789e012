"""A race between two threads of tools, found by simulation though nobody marked where they could switch."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from callboard.testing import Simulation, SimulationFailed, simulate


class Budget:
    """Counts what was spent; `careful` does so under a lock."""

    def __init__(self, careful: bool) -> None:
        self.careful = careful
        self.spent = 0
        self.lock = threading.Lock()

    def pay(self, amount: int) -> None:
        if self.careful:
            with self.lock:
                self.spent += amount
        else:
            self.spent += amount


def two_payments(careful: bool) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(_: Simulation) -> None:
        budget = Budget(careful)
        await asyncio.gather(asyncio.to_thread(budget.pay, 3), asyncio.to_thread(budget.pay, 4))
        assert budget.spent == 7, f"7 were paid, {budget.spent} counted"

    return scenario


try:
    simulate(two_payments(careful=False), seeds=500)
except SimulationFailed as failure:
    print(failure.run.error)
    print(len(failure.run.holds), "interruption, of", failure.run.holds[0].lane.partition("~")[0])
print("careful:", simulate(two_payments(careful=True), seeds=100).ok)
