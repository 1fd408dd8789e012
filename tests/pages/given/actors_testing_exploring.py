"""What the example of the page about exploring takes for granted."""

from callboard import Actor
from callboard.testing import Simulation
from callboard.testing import explore as explore


class Echo(Actor):
    def on_receive(self, message: str) -> str:
        return message


async def scenario(sim: Simulation) -> None:
    assert await sim.system.spawn(Echo).ask("hello") == "hello"
