"""What the examples of the page about clusters take for granted: nodes that are in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import callboard
from callboard import Actor, Agent, Cluster, ClusterAgency, MemoryJournal, Returns, handles

journal = MemoryJournal()
real = Cluster  # the page's name of it leads to the one below
one, two, three = "1", "2", "3"


def nearby(address: str | None = None, *, transport: Any = None, node: str = "one", journal: Any = None) -> Cluster:
    of = transport or Network().transport()
    return real(None, transport=of, journal=MemoryJournal() if isinstance(journal, str) else journal, node=node)


class Network(callboard.Network):
    """One in which the nodes of the page have taken part."""

    def __init__(self) -> None:
        super().__init__()
        self._known |= {one, two, three}


def at_once(agency: ClusterAgency, **options: Any) -> asyncio.Event:
    """As where SIGTERM has come already."""
    stopped = asyncio.Event()
    stopped.set()
    return stopped


callboard.Cluster = nearby  # type: ignore[misc,assignment]
ClusterAgency.stop_on_signals = at_once  # type: ignore[method-assign,assignment]


@dataclass(frozen=True)
class Take(Returns[int]):
    number: int


class Shelf(Actor):
    @handles(Take)
    def take(self, message: Take) -> int:
        return 10 - message.number


@asynccontextmanager
async def around() -> AsyncIterator[dict[str, Any]]:
    network, journal = Network(), MemoryJournal()
    here, there = (
        real(None, transport=network.transport(), journal=journal.as_worker(), node=name).agency(Agent("Helper"))
        for name in ("node-1", "node-2")
    )
    async with there, here:
        assert there.system is not None
        there.system.spawn(Shelf, name="shelf-7")
        yield {"agency": here}
