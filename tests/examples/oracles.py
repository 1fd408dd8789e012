"""What an actor promises, said once: answers of a plain program, nothing that stays hot, no child left over."""

import asyncio
from collections.abc import Awaitable, Callable

from callboard import Actor, testing
from callboard.testing import Invariant, Simulation, SimulationFailed, simulate


class Clerk(Actor):
    def on_receive(self, order: str) -> str:
        return f"label of {order}"


class Shop(Actor):
    """Sells what is there; if it is not `careful`, it looks before it waits and sells after."""

    left, open = 1, False

    def __init__(self, careful: bool) -> None:
        super().__init__()
        self.careful = careful

    def on_receive(self, order: str) -> object:
        if order == "close":
            self.open = not self.careful
            return None
        self.open = True
        return self.reply_with(self.sell(order))

    async def sell(self, order: str) -> bool:
        sold = self.left > 0
        if self.careful and sold:
            self.left -= 1
        clerk = self.spawn(Clerk)
        await clerk.ask(order)
        if self.careful:
            await clerk.stop()
        elif sold:
            self.left -= 1
        return sold


def model(left: int, order: str) -> tuple[int, bool | None]:
    """The shop without actors: the next state, and the answer."""
    if order == "close":
        return left, None
    return (left - 1, True) if left else (0, False)


ORACLES: dict[str, Invariant] = {
    "linearizable": testing.linearizable(model, 1, actor="shop"),
    "no_starvation": testing.no_starvation(longer_than=5),
    "hot": testing.hot(lambda fact: fact.open if fact.kind == "state" else None, longer_than=30),
    "children_end": testing.children_end("shop"),
    "eventually": testing.eventually(lambda fact: fact.kind == "closed", within=120),
    "exactly_once": testing.exactly_once("closed", "day"),
}


def sale(careful: bool) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(sim: Simulation) -> None:
        shop = sim.system.spawn(Shop, careful, name="shop")
        sim.follow(shop, open=lambda actor: actor.open)
        await asyncio.gather(shop.ask("tea"), shop.ask("cake"))
        await shop.ask("close")
        await asyncio.sleep(60)
        sim.mark("closed", day=1)

    return scenario


for name, oracle in ORACLES.items():
    try:
        simulate(sale(careful=False), invariants=[oracle])
        print(name, "holds")
    except SimulationFailed as failure:
        print(str(failure).splitlines()[0])
print("careful:", simulate(sale(careful=True), seeds=100, invariants=list(ORACLES.values())).ok)
