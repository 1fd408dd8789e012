"""``python -m benchmarks.cluster_kills``: nodes of a cluster, killed and paused while others are asked.

Nodes are programs over a real Ray and a real PostgreSQL. One that is killed is killed as a machine dies, with its
gateway and launcher, and another one joins; a paused one is stopped (SIGSTOP) for much longer than its lease, and
continued. What must hold: see `cluster_asking`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects.cluster_programs import NodeProgram, RayProgram
from benchmarks.subjects.postgres_server import PostgresServer

from .cluster_asking import Asked, Asking, Place
from .serve_clients import Seen
from .serve_kills import report


@dataclass(frozen=True, slots=True)
class Options(Asked):
    """The campaign; see also `Asked`.

    Args:
        kills: nodes that are killed.
        pauses: nodes that are paused.
        pause: seconds for which one is.
        nodes: that take part.
        every: seconds between two blows.
    """

    kills: int = 20
    pauses: int = 20
    pause: float = 30.0
    nodes: int = 3
    every: float = 4.0


class Campaign:
    """Nodes, those who ask them, and who strikes them.

    Args:
        options: the campaign.
        url: of the database.
        seen: what is seen.
    """

    def __init__(self, options: Options, url: str, seen: Seen) -> None:
        self._options = options
        self._asking = Asking(options, url, seen)
        self._seen = seen
        self._ray = RayProgram()

    async def run(self) -> None:
        """All of it."""
        await self._ray.start("benchmarks.subjects.ray_head")
        places = self._asking.places
        try:
            for number in range(self._options.nodes):
                places.append(Place(number, await self._join(f"n{number}.0")))
            async with self._asking.asked():
                await self._strike()
        finally:
            for place in places:
                await place.node.end()
            await self._ray.end()
        self._asking.look_back()

    async def _join(self, name: str) -> NodeProgram:
        return await self._asking.join(NodeProgram(name), self._ray.address)

    async def _strike(self) -> None:
        rng = random.Random(f"{self._options.seed} blows")
        blows = [self._kill] * self._options.kills + [self._pause] * self._options.pauses
        rng.shuffle(blows)
        for number, blow in enumerate(blows, 1):
            await asyncio.sleep(rng.uniform(0.3, 1.7) * self._options.every)
            await blow(rng.choice(self._asking.places), number)
            print(f"… blow {number} of {len(blows)}", file=sys.stderr, flush=True)

    async def _kill(self, place: Place, number: int) -> None:
        place.struck.set()
        await place.node.kill()
        self._seen.counts["killed"] += 1
        place.node = await self._join(f"n{place.number}.{number}")
        await self._asking.takes_part(place)

    async def _pause(self, place: Place, number: int) -> None:
        place.struck.set()
        place.node.signal(signal.SIGSTOP)
        self._seen.counts["paused"] += 1
        await asyncio.sleep(self._options.pause)
        place.node.signal(signal.SIGCONT)
        await self._asking.takes_part(place)


def campaign(options: Options, url: str) -> Seen:
    """Ask, kill, pause, and look at what has come of it.

    Args:
        options: the campaign.
        url: of a database in PostgreSQL that holds nothing yet.
    """
    seen = Seen()
    with suppress(KeyboardInterrupt):
        asyncio.run(Campaign(options, url, seen).run())
    return seen


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if anything was violated."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster_kills", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one kill, one pause of 8 s, 30 conversations")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--pause", type=float, default=30.0)
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--every", type=float, default=4.0)
    parser.add_argument("--piece", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = vars(parser.parse_args(argv))
    if given.pop("quick"):
        given |= {"kills": 1, "pauses": 1, "pause": 8.0, "conversations": 30}
    server = PostgresServer()
    try:
        with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder:
            seen = campaign(Options(Path(folder), **given), server.url)
    finally:
        server.close()
    print(report(seen))
    return 1 if seen.violations else 0
