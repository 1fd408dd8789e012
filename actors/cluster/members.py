"""Who takes part: each node is a stream in the journal that all share, alive as long as its owner's lease is valid.

The store times leases, so that clocks of machines do not matter, and what a node is stands in its stream's labels.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ..core.mail.future import Future
from ..journal.errors import JournalClosed, JournalError
from ..journal.store import Header, Journal, Stream, at_hand

STREAMS: Final = "callboard.nodes."
"""How the names of nodes' streams begin."""

EVERY: Final = 1.0
"""Seconds between two looks at who is there."""

LEFT: Final = "it has left"
DIED: Final = "its lease has run out"
"""Why a node is there no more."""

CROWD: Final = 100
"""Nodes above which each looks, and tells of itself, less often: so that what the store has to read in a second grows
with the number of nodes, and not with its square, and what it has to write does not grow."""

FORGOTTEN: Final = 60.0
"""Seconds after which the stream of a node that is not alive is deleted."""

GRACE: Final = 3.0
"""Seconds for which those whose lease has run out count as alive all the same, where the store could not be reached
meanwhile: nobody could renew one, and whoever waits for the store looks for it each 2 s."""

logger = logging.getLogger("callboard.cluster")


class NodeInfo(NamedTuple):
    """A node that is alive.

    Args:
        id: unique for ever; of one program from its start to its end.
        name: for people.
        agents: the names of those that it runs.
        load: runs under way there, as it said last.
        draining: whether it is about to leave, and takes nothing new.
        version: of the library there.
        since: when it joined, seconds since 1970 by the store's clock.
        waits: seconds for which the run that waits longest there has waited for anything but its conversation.
    """

    id: str
    name: str
    agents: tuple[str, ...]
    load: int
    draining: bool
    version: str
    since: float
    waits: float = 0.0


class Members:
    """The nodes that are alive, and this one among them.

    Args:
        journal: shared by all; its worker is this node.
        describe: what others are told of this node; see `labels_of`.
        joined: called for a node that is there, and was not before.
        left: called for one that is there no more, and why.
        every: seconds between two looks, where nodes are few; see `interval`.
    """

    def __init__(
        self,
        journal: Journal,
        describe: Callable[[], Mapping[str, str]],
        joined: Callable[[NodeInfo], object],
        left: Callable[[NodeInfo, str], object],
        every: float = EVERY,
    ) -> None:
        self.alive: dict[str, NodeInfo] = {}
        self._looked = float("inf")
        """When the journal has said last who is there, by the event loop's clock."""
        self._lenient_until = float("-inf")
        self._journal = journal
        self._describe = describe
        self._joined, self._left = joined, left
        self._every = every
        self._stream: Stream | None = None
        self._said: Mapping[str, str] = {}
        self._missed: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._troubled = False
        self._over = False

    async def join(self) -> None:
        """Take part; returns once all who are there are known.

        Raises:
            JournalError: the journal cannot be used.
        """
        await self._enter()
        await self.look()
        if not self._over:
            self._task = asyncio.get_running_loop().create_task(self._look_on(), name="members of the cluster")

    async def _enter(self) -> None:
        labels = self._describe()
        stream = await at_hand(self._journal.open(STREAMS + self._journal.worker))
        self._stream = None if self._over else stream
        if self._over:  # it was left meanwhile
            await self._remove(stream)
            return
        await _done(stream.append(({"joined": labels["name"]},), unfinished=True, labels=labels))
        self._said = labels

    def say(self) -> None:
        """Tell others what has changed of this node."""
        labels = self._describe()
        changed = {name: value for name, value in labels.items() if self._said.get(name) != value}
        if changed and self._stream is not None:
            with suppress(JournalError):  # what is not written is said again once this node has found itself missing
                written = self._stream.append((), labels=changed)
                self._said = labels
                if written is not None:
                    written.when_done(_looked_at)

    async def leave(self) -> None:
        """Take part no more."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        stream, self._stream = self._stream, None
        if stream is not None:
            await self._remove(stream)

    async def _remove(self, stream: Stream) -> None:
        with suppress(JournalError):
            await _done(stream.release())
            await _done(self._journal.delete(stream.name))

    async def look(self) -> None:
        """See who is there now.

        Raises:
            JournalError: it cannot be seen.
        """
        asked = asyncio.get_running_loop().time()
        headers = await at_hand(self._journal.headers(prefix=STREAMS))
        now = asyncio.get_running_loop().time()
        if now - self._looked > 2.0 * interval(self._every, len(self.alive)):
            self._lenient_until = now + GRACE
        self._looked = now
        # One that has opened its stream and said nothing yet comes with the next look, with its name.
        alive = {header.name.removeprefix(STREAMS): header for header in headers if header.owner and header.labels}
        found = {id: info(id, header) for id, header in alive.items()}
        before = self.alive
        there = {header.name.removeprefix(STREAMS) for header in headers}
        if now < self._lenient_until:
            kept = there - set(found)
            found |= {id: node for id, node in before.items() if id in kept}
        self.alive = found
        for id, node in found.items():
            if id not in before:
                self._joined(node)
        for id, node in before.items():
            if id not in found:
                self._left(node, DIED if id in there else LEFT)
        self._clean({header.name for header in headers if not header.owner}, asked)
        if self._journal.worker not in alive and self._stream is not None:
            await self._enter()  # it was away for so long that others have forgotten it

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(interval(self._every, len(self.alive)))
            self.say()
            try:
                await self.look()
            except JournalClosed:
                return
            except JournalError as error:
                if not self._troubled:
                    logger.warning("who takes part cannot be seen: %s", error)
                self._troubled = True
            except Exception:  # whatever it was, who is there must be seen again
                logger.exception("who takes part cannot be seen")
            else:
                self._troubled = False

    def _clean(self, dead: set[str], now: float) -> None:
        """Delete what nodes have left that died, a while ago."""
        self._missed = {name: self._missed.get(name, now) for name in dead}
        old = [name for name, since in self._missed.items() if now - since >= FORGOTTEN]
        if old:
            self._journal.forget(*old)


def interval(every: float, nodes: int) -> float:
    """Seconds between two looks.

    Args:
        every: where nodes are few.
        nodes: how many there are.
    """
    return every * max(1.0, nodes / CROWD)


def labels_of(node: NodeInfo) -> dict[str, str]:
    """What is kept of a node."""
    return {
        "name": node.name,
        "agents": "\n".join(node.agents),
        "load": str(node.load),
        "draining": "1" if node.draining else "",
        "version": node.version,
        "waits": f"{node.waits:.0f}",
    }


def info(id: str, header: Header) -> NodeInfo:
    """What a node's header says. What it does not say, or wrongly, is as for a node of an older version; a row that is
    damaged must not hide the others."""
    given: Any = header.labels
    labels = {name: text for name, text in given.items() if isinstance(text, str)} if isinstance(given, Mapping) else {}
    load, waits = labels.get("load", "0"), labels.get("waits", "0")
    return NodeInfo(
        id,
        labels.get("name", id),
        tuple(labels.get("agents", "").split("\n")),
        int(load) if load.isdecimal() and len(load) < 10 else 0,
        labels.get("draining") == "1",
        labels.get("version", ""),
        header.created_at,
        float(waits) if waits.isdecimal() and len(waits) < 10 else 0.0,
    )


def _looked_at(written: Future[None]) -> None:
    if not written.cancelled():
        written.exception()


async def _done(future: Any) -> None:
    if future is not None:
        await future
