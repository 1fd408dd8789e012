"""What the examples of the page about oracles take for granted: a stock of three things, and what is followed of it."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import create_autospec

from callboard import Actor, Agency, Agent
from callboard.testing import Simulation
from callboard.testing import hot as hot
from callboard.testing import linearizable as linearizable

sim: Any = create_autospec(Simulation, instance=True)
queue = None
agency = Agency(Agent("Helper"))


class Stock(Actor):
    left = 3

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []

    def on_receive(self, message: str) -> bool:
        sold = self.left > 0
        self.left -= sold
        return sold


async def scenario(sim: Simulation) -> None:
    stock = sim.system.spawn(Stock, name="stock")
    sim.follow(stock, jobs=lambda actor: len(actor.jobs))
    await asyncio.gather(*(stock.ask("sell") for _ in range(5)))
