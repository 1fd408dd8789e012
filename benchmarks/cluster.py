"""``python -m benchmarks cluster``: what it costs to be many nodes, and how soon others go on where one has died.

Nodes are programs of their own over a real Ray and a real PostgreSQL, all of them on this machine; Ray gives each its
gateway on the head's raylet, for that is the one that it finds for programs of one machine. ``ray`` is an actor of
Ray's that asks another one, nothing else; both take many calls at once, on event loops, as nodes do. ``ray_sync`` is a
pair that takes one at a time.

=============  ========================================================================  ==========
scenario       what is measured                                                          goal
=============  ========================================================================  ==========
ask            an ask of an actor on another node, one after the other                   ≤ 1.3
in_flight      the same with 100 at once, ms of each                                     ≤ 0.25 ms
takeover       a node's program, its launcher and its gateway are killed: seconds until  ≤ 5 s
               the last of its 20 conversations is gone on with by another node
=============  ========================================================================  ==========

``takeover`` has two figures: of conversations whose runs other nodes had asked for, and, as ``takeover_own``, of those
that nobody but the dead node knew of.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Coroutine
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

from callboard.actors.cluster.placement import Candidate, place

from .campaigns.cluster_node import HOLD
from .campaigns.history import read
from .harness import Case, Sample, Suite, Unsupported
from .harness.model import OURS
from .subjects.cluster_programs import NodeProgram, ProgramEnded, RayProgram
from .subjects.postgres_server import PostgresServer

BASELINE: Final = "ray"
T = TypeVar("T")
REPEATS: Final = 7
KILLED: Final = "c"
NODES: Final = ("a", "b", KILLED)
CONVERSATIONS: Final = 20
PATIENCE: Final = 60.0


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` asks a third as often, and kills once."""
    part = 3 if quick else 1
    nodes = Nodes()
    ask, in_flight = 600 // part, 30 // part
    cases = [
        Case("ask", BASELINE, partial(nodes.raw, ask, 1)),
        Case("ask", OURS, partial(nodes.ask, ask, 1)),
        Case("ask", "ray_sync", partial(nodes.raw_sync, ask)),
        Case("in_flight", BASELINE, partial(nodes.raw, in_flight, 100)),
        Case("in_flight", OURS, partial(nodes.ask, in_flight, 100)),
        Case("takeover", OURS, nodes.takeover, repeats=1 if quick else 5),
    ]
    return Suite(BASELINE, cases, repeats=REPEATS, close=nodes.close)


class Nodes:
    """Ray, PostgreSQL, and nodes over them, started when they are first wanted."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._server = PostgresServer()
        self._folder = tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "log"
        self._ray: RayProgram | None = None
        self._nodes: dict[str, NodeProgram] = {}
        self._numbers = count()

    def raw(self, n: int, at_once: int) -> Sample:
        """An actor of Ray's asks another one."""
        return self._run(self._asked(None, n, at_once))

    def raw_sync(self, n: int) -> Sample:
        """The same with actors that take one call at a time."""
        return self._run(self._asked_sync(n))

    def ask(self, n: int, at_once: int) -> Sample:
        """An actor of one node is asked by another node."""
        return self._run(self._asked(NODES[0], n, at_once))

    def takeover(self) -> list[Sample]:
        """A node is killed, and started anew."""
        return self._run(self._takeover())

    def close(self) -> None:
        """End all of them."""
        try:
            self._run(self._end())
        finally:
            self._server.close()
            self._folder.cleanup()
            self._runner.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _end(self) -> None:
        for node in self._nodes.values():
            await node.end()
        if self._ray is not None:
            await self._ray.end()

    async def _join(self, *names: str) -> None:
        """Have these take part, and all know of each other."""
        if find_spec("ray") is None:
            raise Unsupported("Ray is not installed: pip install 'callboard[cluster]'")
        if self._ray is None:
            url, ray = self._server.url, RayProgram()
            await ray.start("benchmarks.subjects.ray_head")
            self._ray, self._url = ray, url
        missing = [name for name in names if name not in self._nodes]
        for name in missing:
            node = NodeProgram(name)
            await node.join(self._ray.address, self._url, str(self._log), 0.01)
            self._nodes[name] = node
        for node in self._nodes.values():
            await _until(node, set(self._nodes))

    async def _asked(self, asker: str | None, n: int, at_once: int) -> Sample:
        await self._join(*NODES[:2])
        assert self._ray is not None
        if asker is None:
            seconds = await self._ray.do("ask", n=n, at_once=at_once)
        else:
            seconds = await self._nodes[asker].do("ask", node=NODES[1], n=n, at_once=at_once)
        return Sample(median(seconds) / at_once * 1e3, "ms")

    async def _asked_sync(self, n: int) -> Sample:
        await self._join(*NODES[:2])
        assert self._ray is not None
        return Sample(median(await self._ray.do("ask_sync", n=n)) * 1e3, "ms")

    async def _takeover(self) -> list[Sample]:
        await self._join(*NODES)
        killed = self._nodes[KILLED]
        alive = [Candidate(node.id) for node in self._nodes.values()]
        there: list[str] = []
        while len(there) < CONVERSATIONS:
            conversation = f"c{next(self._numbers)}"
            if place(conversation, alive) == killed.id:
                there.append(conversation)
        asks = {}
        for number, conversation in enumerate(there):
            asker = self._nodes[NODES[number % 2 * 2]]  # the one that is killed asks for every other one
            question = f"{HOLD}{KILLED} {conversation}"
            asks[conversation] = asyncio.create_task(
                asker.do("run", question=question, conversation=conversation, run=f"run-{conversation}")
            )
        began = {conversation: f"{HOLD}{KILLED} {conversation}".replace(" ", "_") for conversation in there}
        async with asyncio.timeout(PATIENCE):
            while len(self._calls(set(began.values()), killed.pid, 0.0)[0]) < len(began):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            moment = time.monotonic()
            await killed.kill()
            del self._nodes[KILLED]
            while len(found := self._calls(set(began.values()), killed.pid, moment)[1]) < len(began):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        answered = await asyncio.gather(*asks.values(), return_exceptions=True)
        wrong = [said for said in answered if not isinstance(said, str | ProgramEnded)]
        if wrong:
            raise RuntimeError(f"a run ended in {wrong[0]!r}")
        seconds = {conversation: found[question] - moment for conversation, question in began.items()}
        return [
            Sample(max(seconds[one] for one in there[::2]), "s"),
            Sample(max(seconds[one] for one in there[1::2]), "s", "_own"),
        ]

    def _calls(self, questions: set[str], pid: int, since: float) -> tuple[dict[str, float], dict[str, float]]:
        """When the model was first called with each question: by a process, and by others since."""
        here: dict[str, float] = {}
        others: dict[str, float] = {}
        for line in read(self._log):
            if line.word == "call" and line.rest[0] in questions:
                if line.pid == pid:
                    here.setdefault(line.rest[0], line.at)
                elif line.at >= since:
                    others.setdefault(line.rest[0], line.at)
        return here, others


async def _until(node: NodeProgram, names: set[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while sorted((await node.do("nodes")).values()) != sorted(names):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
