"""A race between two customers, found by simulation and played again."""

import asyncio
from collections.abc import Awaitable, Callable

from callboard import Actor, ActorRef
from callboard.testing import Simulation, SimulationFailed, simulate


class Stock(Actor):
    """Has one piece left, and looks before it sells; `careful` looks again where it has waited."""

    def __init__(self, careful: bool) -> None:
        super().__init__()
        self.careful = careful
        self.left = 1

    def on_receive(self, message: str) -> object:
        return self.reply_with(self.sell())

    async def sell(self) -> bool:
        if self.left == 0:
            return False
        await asyncio.sleep(0)  # asks somebody for the price, say
        if self.careful and self.left == 0:
            return False
        self.left -= 1
        return True


def two_customers(careful: bool) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(sim: Simulation) -> None:
        stock: ActorRef[Stock] = sim.system.spawn(Stock, careful, name="stock")
        sold = await asyncio.gather(stock.ask("sell"), stock.ask("sell"))
        assert sum(sold) == 1, f"one piece was sold {sum(sold)} times"

    return scenario


try:
    simulate(two_customers(careful=False))
except SimulationFailed as failure:
    print(str(failure).splitlines()[0])
    try:
        simulate(two_customers(careful=False), replay=failure.token)
    except SimulationFailed as again:
        print("replayed:", again.run.trace.digest() == failure.run.trace.digest())
print("careful:", simulate(two_customers(careful=True), seeds=200).ok)
