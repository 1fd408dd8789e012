"""How much a search has covered, and a bug behind many steps that feedback finds."""

from __future__ import annotations

import asyncio
from typing import Any

from callboard import Actor
from callboard.testing import Simulation, SimulationFailed, simulate


class Door(Actor):
    """Opens for a code; a wrong word has it begin anew."""

    CODE = ("green", "red", "blue", "red", "green", "blue", "red")

    def __init__(self) -> None:
        super().__init__()
        self.words = 0
        self.opened = False

    def on_receive(self, word: Any) -> bool:
        if word == "opened?":
            return self.opened
        if word == self.CODE[self.words]:
            self.words += 1
        else:
            self.words = 0
        if self.words == len(self.CODE):
            self.words, self.opened = 0, True
        return False


async def scenario(sim: Simulation) -> None:
    door = sim.system.spawn(Door, name="door")

    async def say(word: str) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
            door.tell(word)

    async with asyncio.TaskGroup() as group:
        for word in ("red", "green", "blue"):
            group.create_task(say(word), name=word)
    await sim.idle()
    assert not await door.ask("opened?"), "the door is open"


def main() -> None:
    covered = simulate(scenario, seeds=100).coverage
    print(f"by chance: {covered.schedules} schedules, {len(covered.edges)} edges, nothing found")
    try:
        simulate(scenario, seeds=2_000, strategy="feedback")
    except SimulationFailed as failed:
        print(f"by feedback: {failed.run.error}")


if __name__ == "__main__":
    main()
