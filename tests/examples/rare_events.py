"""Rare events: code says where one may happen, and a simulation makes it happen."""

from typing import Any

from callboard import Actor, maybe
from callboard.testing import Buggify, Simulation, SimulationFailed, simulate


class Cache(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}

    def on_receive(self, message: Any) -> Any:
        if maybe("cache.evict"):  # False outside of a simulation
            self.entries.clear()
        match message:
            case "put", key, value:
                self.entries[key] = value
            case "get", key:
                return self.entries.get(key, "nothing")
        return None


async def scenario(sim: Simulation) -> None:
    cache = sim.system.spawn(Cache, name="cache")
    await cache.ask(("put", "capital", "Paris"))
    answer = await cache.ask(("get", "capital"))
    assert answer == "Paris", f"the cache has {answer}"


simulate(scenario)
print("without faults it holds")
try:
    simulate(scenario, faults=[Buggify("cache.evict")])
except SimulationFailed as failed:
    print(str(failed).splitlines()[0])
    print(str(failed).splitlines()[4].strip())
