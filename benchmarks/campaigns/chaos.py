"""Kills actors of a running system every few seconds, and at the moments when it hurts.

Actors are found by their paths (`System.tree`, `System.find`). They are made to crash in three public ways: ``kill()``
in the middle of whatever they do, a message that they do not understand (the handler raises), and ``kill()`` some
passes of the loop, or up to 3 ms, after an event of a run that they take part in, which is where a step is being
written down. What the top level restarts (agency, pool) is killed less than three times in five seconds: one more would
stop the system, as its supervision promises.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from typing import Any

from callboard import Agency, CallboardError, Event, Node, System

TOP_PAUSE = 2.6
"""Seconds between two kills at the top level."""
AGENT_KILLS = 8
"""Kills of agents within five seconds: the agency's actor restarts ten."""
AGENCY, POOL = "agency", "pool"


class Nonsense:
    """A message that nobody understands."""


class Chaos:
    """The killer.

    Args:
        agency: running.
        rng: what is killed when.
        every: seconds between two kills, on average.
        spite: how likely an event of a run is answered with a kill.
    """

    def __init__(self, agency: Agency, rng: random.Random, every: float = 0.7, spite: float = 0.002) -> None:
        assert agency.system is not None
        self._system: System | None = agency.system
        self._rng = rng
        self._every = every
        self._spite = spite
        self._loop = asyncio.get_running_loop()
        self._kills: deque[tuple[float, str]] = deque(maxlen=200)
        self._top = self._loop.time()
        self._agents: deque[float] = deque([0.0] * AGENT_KILLS, AGENT_KILLS)
        self.counts: Counter[str] = Counter()
        self.crashed: Counter[str] = Counter()
        self.restarted = 0
        self._ends = [agency.subscribe(self._on_run_event), agency.system.subscribe(self._on_event)]

    def kills(self, begin: float, end: float) -> list[tuple[float, str]]:
        """What was killed between two times of the loop."""
        return [kill for kill in self._kills if begin <= kill[0] <= end]

    def close(self) -> None:
        """Kill nothing more, and let go of the system."""
        while self._ends:
            self._ends.pop()()
        self._system = None

    async def run(self) -> None:
        """Until cancelled."""
        kinds = {"conversation": 8, "agent": 3, "provider": 3, AGENCY: 1, POOL: 1}
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._every))
            kind = self._rng.choices(list(kinds), list(kinds.values()))[0]
            await self._strike(kind)

    async def _strike(self, kind: str) -> None:
        if kind == POOL:
            self._strike_top(POOL)
        elif kind == AGENCY:
            self._strike_top(AGENCY)
        elif paths := self._paths(kind):
            self._kill(self._rng.choice(paths), kind, nonsense=self._rng.random() < 0.3)

    def _paths(self, kind: str) -> list[str]:
        assert self._system is not None
        top: dict[str, Node] = {node.name: node for node in self._system.tree()}
        if kind == "provider":
            return [f"{POOL}/{node.name}" for node in top[POOL].children] if POOL in top else []
        agents = top[AGENCY].children if AGENCY in top else ()
        if kind == "agent":
            return [f"{AGENCY}/{agent.name}" for agent in agents]
        return [f"{AGENCY}/{agent.name}/{child.name}" for agent in agents for child in agent.children]

    def _strike_top(self, path: str) -> None:
        if self._loop.time() - self._top >= TOP_PAUSE:
            self._top = self._loop.time()
            self._kill(path, path)

    def _kill(self, path: str, kind: str, nonsense: bool = False) -> None:
        actor = None if self._system is None else self._system.find(path)
        if actor is None:
            return
        if path.count("/") == 1 and path.startswith(AGENCY):
            if self._loop.time() - self._agents[0] < 5.0:
                return
            self._agents.append(self._loop.time())
        self._kills.append((self._loop.time(), f"{'nonsense to' if nonsense else 'kill of'} {path}"))
        self.counts[kind] += 1
        try:
            if nonsense:
                actor.tell(Nonsense())
            else:
                actor.kill()
        except CallboardError:
            pass  # it ended of itself this moment

    def _on_event(self, event: Event) -> None:
        if event.kind == "crashed":
            self.crashed[event.detail.partition(":")[0][:40]] += 1
        self.restarted += event.kind == "restarted"

    # -- at the moments when it hurts --------------------------------------------------------------------------------

    def _on_run_event(self, event: Any) -> None:
        if self._rng.random() >= self._spite:
            return
        path = f"{AGENCY}/{event.agent}"
        whom = self._rng.choices(("conversation", "agent", AGENCY), (5, 4, 1))[0]
        if whom == AGENCY:
            strike = lambda: self._strike_top(AGENCY)  # noqa: E731
        else:
            path = path if whom == "agent" else f"{path}/{event.conversation}"
            strike = lambda: self._kill(path, f"{whom}, at an event")  # noqa: E731
        passes = self._rng.randint(-2, 6)
        if passes < 0:
            self._loop.call_later(self._rng.random() * 0.003, strike)
        else:
            self._after(passes, strike)

    def _after(self, passes: int, strike: Any) -> None:
        if passes == 0:
            strike()
        else:
            self._loop.call_soon(self._after, passes - 1, strike)
