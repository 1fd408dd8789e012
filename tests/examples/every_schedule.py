"""A seat that two customers want at once: every schedule is tried, and one of them sells it twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from callboard import Actor, ActorRef
from callboard.testing import Simulation, SimulationFailed, explore


class Seat(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.buyers: list[str] = []

    def on_receive(self, message: str) -> bool:
        if message == "is it free?":
            return not self.buyers
        self.buyers.append(message)
        return True


class CarefulSeat(Seat):
    """Takes nobody's word for it that it is free."""

    def on_receive(self, message: str) -> bool:
        return super().on_receive(message) if message == "is it free?" or not self.buyers else False


class Customer(Actor):
    def __init__(self, seat: ActorRef[Seat]) -> None:
        super().__init__()
        self.seat = seat

    async def on_receive(self, message: str) -> None:
        if await self.seat.ask("is it free?"):
            await self.seat.ask(self.name)


def sale(kind: type[Seat]) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(sim: Simulation) -> None:
        seat = sim.system.spawn(kind, name="seat")
        for name in ("ann", "bob"):
            sim.system.spawn(Customer, seat, name=name).tell("buy")
        await sim.idle()
        buyers = await seat.proxy().buyers
        assert len(buyers) <= 1, f"sold to {' and '.join(buyers)}"

    return scenario


if __name__ == "__main__":
    try:
        explore(sale(Seat))
    except SimulationFailed as failed:
        print(str(failed.run.error))
    print(explore(sale(CarefulSeat)))
