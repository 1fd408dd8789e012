"""A saga, property-tested: an order takes money, then a seat, and gives back what it took where it cannot have both.
Hypothesis draws the orders, `simulate` the schedules and what goes wrong on the way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Actor, ActorCrashed, ActorRef, AskTimeout, ChildSpec, Returns, handles
from callboard.testing import Crash, DelayReply, LoseReply, Simulation, SimulationFailed, simulate

FAULTS = (LoseReply("bank"), DelayReply("bank", seconds=20), Crash("bank", when="after"), LoseReply("hall"))


@dataclass(frozen=True)
class Take(Returns[bool]):
    order: int
    back: bool = False


class Store(Actor):
    """A bank or a hall: has so many left. To be asked twice is the same as once, and what was given back stays so."""

    def __init__(self, left: int, taken: dict[int, bool]) -> None:
        super().__init__()
        self.left = left
        self.taken = taken  # `taken` stands for a database, which outlives a crash

    @handles(Take)
    def take(self, message: Take) -> bool:
        if message.back or message.order not in self.taken:
            self.taken[message.order] = not message.back and sum(self.taken.values()) < self.left
        return self.taken[message.order]


async def surely(store: ActorRef[Store], message: Take, attempts: int = 5) -> bool:
    for _ in range(attempts):
        try:
            return await store.ask(message, timeout=5)
        except (AskTimeout, ActorCrashed):
            await asyncio.sleep(5)
    return False  # no answer is taken for a no


async def order(bank: ActorRef[Store], hall: ActorRef[Store], number: int, attempts: int) -> None:
    if await surely(bank, Take(number), attempts) and not await surely(hall, Take(number)):
        await surely(bank, Take(number, back=True))


def evening(numbers: list[int], attempts: int = 5) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(sim: Simulation) -> None:
        money: dict[int, bool] = {}
        seats: dict[int, bool] = {}
        bank = sim.system.supervise(ChildSpec(Store, (100, money), name="bank"))
        hall = sim.system.supervise(ChildSpec(Store, (2, seats), name="hall"))
        sim.remote("bank", "hall")
        await asyncio.gather(*(order(bank, hall, number, attempts) for number in numbers))
        await asyncio.sleep(60)  # what is late arrives
        for number in numbers:
            assert money.get(number, False) == seats.get(number, False), f"order {number} has only one of both"

    return scenario


@settings(max_examples=10, deadline=None, database=None)
@given(st.lists(st.integers(1, 5), max_size=4))
def test_who_pays_has_a_seat(numbers: list[int]) -> None:
    simulate(evening(numbers), seeds=10, faults=FAULTS)


if __name__ == "__main__":  # pytest runs what is above
    test_who_pays_has_a_seat()
    try:
        simulate(evening([1], attempts=1), faults=FAULTS)
    except SimulationFailed as failed:
        print(str(failed).splitlines()[0], *str(failed).splitlines()[3:5], sep="\n")
