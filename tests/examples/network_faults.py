"""A payment beyond a network: replies that are lost, late or cut off, a crash, and a requester that asks again."""

import asyncio
from collections.abc import Awaitable, Callable

from callboard import Actor, ActorCrashed, ActorRef, AskTimeout, ChildSpec
from callboard.testing import Crash, DelayReply, Duplicate, LoseReply, Partition, Simulation, SimulationFailed, simulate

FAULTS = (
    LoseReply("bank"),
    DelayReply("bank", seconds=8),
    Duplicate("bank"),
    Partition("bank", "client", seconds=7),
    Crash("bank", when="after"),  # its effect is done, its answer is not sent
)


class Bank(Actor):
    """Charges; if `careful`, each order once, however often it is asked."""

    def __init__(self, charged: list[int], careful: bool) -> None:
        super().__init__()
        self.charged = charged  # what outlives a crash, as a database would
        self.careful = careful

    def on_receive(self, order: int) -> str:
        if not (self.careful and order in self.charged):
            self.charged.append(order)
        return "paid"


async def pay(bank: ActorRef[Bank], order: int) -> None:
    for _ in range(5):
        try:
            await bank.ask(order, timeout=5)
            return
        except (AskTimeout, ActorCrashed):
            await asyncio.sleep(5)
    raise AssertionError("no answer in five attempts")


def payment(careful: bool) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(sim: Simulation) -> None:
        charged: list[int] = []
        bank = sim.system.supervise(ChildSpec(Bank, (charged, careful), name="bank"))
        sim.remote("bank")
        await pay(bank, 7)
        await asyncio.sleep(60)  # what is late arrives
        assert charged == [7], f"charged {len(charged)} times"

    return scenario


for fault in FAULTS:
    try:
        simulate(payment(careful=False), faults=[fault])
        print(type(fault).__name__, "does no harm")
    except SimulationFailed as failure:
        print(type(fault).__name__, str(failure).splitlines()[0])
run = simulate(payment(careful=True), seeds=100, faults=FAULTS)
print("careful:", all(run.coverage.struck.values()))
