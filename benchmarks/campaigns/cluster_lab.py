"""Machines with Ray and a node each, a database that all reach over their network, and those who ask the nodes."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from benchmarks.subjects.cluster_programs import NodeProgram, RayDaemon
from benchmarks.subjects.machines import Machines

from .cluster_asking import LOOK, Asked, Asking, Place
from .history import read
from .serve_clients import Seen

STAYS: Final = 2.0
"""Seconds for which nodes must reach each other, for that to count."""

HEAD: Final = 0
"""The number of the machine with Ray's head."""


class Lab(Asking):
    """See the module. Used as a context.

    Args:
        options: what is asked.
        url: of the database, as this process reaches it.
        machines: that there may be.
        listen: has the database listen on a network; how it is reached there.
        seen: what is seen.
        numbers: of the machines with nodes; Ray's head is on `HEAD`.
    """

    def __init__(
        self, options: Asked, url: str, machines: Machines, listens: str, seen: Seen, numbers: Sequence[int] = (1, 2, 3)
    ) -> None:
        super().__init__(options, url, seen)
        self._machines = machines
        self._listens = listens
        self._numbers = numbers
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self._booted = 0
        self.rays: dict[int, RayDaemon] = {}

    async def __aenter__(self) -> Self:
        try:
            await self.boot(HEAD)
            await asyncio.gather(*[self.boot(number) for number in self._numbers if number != HEAD])
            joined = await asyncio.gather(*[self.node(number) for number in self._numbers])
        except BaseException:
            await self._end()
            raise
        note("all machines take part")
        self.places += [Place(number, node) for number, node in zip(self._numbers, joined, strict=True)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        await asyncio.gather(*[place.node.end() for place in self.places])
        for ray in self.rays.values():
            await ray.end()
        self._folder.cleanup()

    async def boot(self, number: int) -> None:
        """Start a machine, with Ray."""
        machine = await self._machines.boot(number)
        self._booted += 1
        head = None if number == HEAD else self.rays[HEAD].machine
        self.rays[number] = RayDaemon(machine, head, Path(self._folder.name) / str(self._booted))
        await self.rays[number].start()

    async def node(self, number: int) -> NodeProgram:
        """Have a node take part that runs on a machine."""
        program = NodeProgram(f"n{number}.{self._booted}", self.rays[number].machine)
        return await self.join(program, self.rays[HEAD].address, self._listens)

    async def crash(self, *places: Place) -> None:
        """Kill machines, in one moment, and start them again, with nodes."""
        for place in places:
            place.struck.set()
        await asyncio.gather(*[place.node.kill() for place in places])
        self.seen.counts["machines killed"] += len(places)
        for place in places:
            await self.rays[place.number].end()
            await self.boot(place.number)
            place.node = await self.node(place.number)
        for place in places:
            await self.takes_part(place)


@asynccontextmanager
async def lab(options: Asked, url: str, listens: str, machines: Machines, seen: Seen) -> AsyncIterator[Lab]:
    """A lab whose nodes are asked within the block; then what must hold is looked at."""
    made = Lab(options, url, machines, listens, seen)
    async with made, made.asked():
        yield made
        note("no more is asked")
    note("all nodes have ended")
    made.look_back()


async def all_reach(asking: Asking, what: str) -> None:
    """Wait until each node is answered by each other one.

    Args:
        asking: the nodes.
        what: they are to have got over.
    """
    began = time.monotonic()
    nodes = [place.node for place in asking.places]
    pairs = [(one, other) for one in nodes for other in nodes if one is not other]
    said: list[str] = []
    since = 0.0
    while (now := time.monotonic()) < began + asking.options.patience:
        all_said = await asyncio.gather(*[a.do("reaches", node=b.id) for a, b in pairs])
        said = [f"{a.name} → {b.name}: {why}" for (a, b), why in zip(pairs, all_said, strict=True) if why]
        since = 0.0 if said else since or now
        if since and now >= since + STAYS:
            note(f"{what}: all reach each other {since - began:.1f} s afterwards")
            return
        await asyncio.sleep(LOOK)
    asking.seen.violated("nodes reach each other again", f"{what}: {'; '.join(said)}")


async def told(asking: Asking, what: str, times: int = 1) -> None:
    """Wait until so many logs of programs say something."""
    history = asking.options.folder / "history"
    try:
        async with asyncio.timeout(asking.options.patience):
            while sum(what in line.rest[1] for line in read(history) if line.word == "told") < times:  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
    except TimeoutError:
        asking.seen.violated("what happens is told", what)


def note(what: str) -> None:
    """Say how it goes on."""
    print(f"{time.strftime('%H:%M:%S')} … {what}", flush=True)
