"""An agency of a cluster: each run is made where its conversation lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from ..agents.agency import Agency
from ..agents.errors import AgencyClosed, DefinitionError
from ..agents.runs.runtime.health import AgencyHealth
from ..agents.runs.runtime.register import Entry
from ..agents.runs.supervisors import LOOK_AGAIN, LookAgain
from ..agents.turns.records import RunRequest
from ..core.base.errors import CoreError
from ..core.refs.ref import ActorRef
from ..journal.errors import JournalError
from ..journal.store import Journal
from .errors import CutOff
from .members import EVERY, LEFT, Members, NodeInfo, interval, labels_of
from .network import Network
from .node import Node
from .placement import Candidate, place
from .placements import Placements
from .runs.carrying import Carrier
from .runs.making import Maker
from .scaling import PATIENCE, RUNS, Scaling, scaling
from .transport import Transport

MAKER: Final = "runs"
"""Name of the actor that makes runs for other nodes; there is one for each name of an agency."""

FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 10.0
"""Seconds between two tries to find the way back to the others; each pause is twice the one before."""

STOPPED: Final = "the agency was stopped while it started"

logger = logging.getLogger("callboard.cluster")


@dataclass(frozen=True, slots=True)
class ClusterHealth(AgencyHealth):
    """How an agency of a cluster does at one moment.

    Args:
        scaling: how many nodes the work wants.
    """

    scaling: Scaling


class ClusterAgency(Agency):
    """See `Cluster.agency`."""

    _transport: Transport
    _alone: bool
    _node_name: str
    _lease: float
    _version: str
    _node: Node | None = None
    _members: Members | None = None
    _carrier: Carrier | None = None
    _rejoining: asyncio.Task[None] | None = None
    _leaving = False
    _cut_off: bool
    _opens: Callable[[str | Path], Journal] | None = None
    _enter: Callable[[ClusterAgency], object]
    _placements: Placements
    _seen: Mapping[str, NodeInfo] | None = None
    _takers_of: dict[str, Mapping[str, Candidate]]
    """By agent, as of what was seen last."""

    def _make(self) -> None:
        super()._make()
        if self._opens is not None:
            self._lifecycle.opens = self._opens

    def joins(
        self,
        transport: Transport | None,
        node: str,
        lease: float,
        opens: Callable[[str | Path], Journal],
        enter: Callable[[ClusterAgency], object],
    ) -> None:
        """Say how it takes part, before it is started: the cluster does.

        Args:
            transport: what carries messages to other nodes; None where there is no way to any: all is made here.
            node: what this one is called.
            lease: seconds; half of it goes between two looks at who is there.
            opens: opens the journal at an address.
            enter: called as it starts; raises where it may not.
        """
        self._alone = transport is None
        self._transport = Network().transport() if transport is None else transport
        self._node_name, self._lease = node, lease
        self._opens = self._lifecycle.opens = opens
        self._enter = enter
        self._version = _version()

    async def start(self) -> None:
        """See `Agency.start`."""
        if self.system is None:
            self._enter(self)
            self._runtime.takes_up = _nothing  # not before it is known what is this node's to go on with
            self._runtime.worker_name = self._called
        await super().start()
        try:
            await self._join()
        except (Exception, asyncio.CancelledError) as error:
            stopped = self.stopping
            await self.stop()
            if stopped and isinstance(error, CoreError | JournalError):
                raise AgencyClosed(STOPPED) from error
            raise
        if self.stopping:
            await self.stop()
            raise AgencyClosed(STOPPED)

    async def _join(self) -> None:
        runtime, system = self._runtime, self.system
        assert system is not None
        id = runtime.journal.worker
        node = self._node = Node(id, self._node_name, system, self._transport)
        system.spawn(Maker, runtime, name=self._maker_name)
        await node.open(self._lost)
        self._placements = Placements()
        self._takers_of = {}
        every = min(EVERY, self._lease / 2)
        self._members = Members(runtime.journal, self._described, self._joined, self._left, every)
        self._carrier = Carrier(runtime, self._place, lambda node_id: node.ref(node_id, self._maker_name))
        await self._members.join()
        if not self._alone:
            runtime.register.elsewhere = self._carrier.takes
        runtime.takes_up = self._takes_up
        self._look_again()

    async def stop(self, *, drain: float = 0.0) -> None:
        """See `Agency.stop`. Others are told at once that nothing new is to come here."""
        left_before = self._leaving
        self.leave()
        try:
            await super().stop(drain=drain)  # with an address's journal closed, which gives all back
        except Exception:
            self._leaving = left_before or self.stopping  # or it was told so wrongly that it goes on
            if self.stopping:
                await self._leave()
            raise
        await self._leave()

    async def _leave(self) -> None:
        if self._rejoining is not None:
            self._rejoining.cancel()
            await asyncio.gather(self._rejoining, return_exceptions=True)
        if self._carrier is not None:
            await self._carrier.close()
        if self._members is not None:
            await self._members.leave()
        if self._node is not None:
            await self._node.close()

    def leave(self) -> None:
        """See `Agency.leave`."""
        if self._members is not None and not self._leaving:
            self._leaving = True
            self._members.say()

    def _lost(self) -> None:
        """There is no way to other nodes: runs are made here meanwhile, and the way is looked for."""
        self._cut_off = True
        if self.stopping or (self._rejoining is not None and not self._rejoining.done()):
            return
        logger.warning("node %s is cut off from the others; it goes on alone, and tries to come back", self._node_name)
        self._rejoining = asyncio.get_running_loop().create_task(self._rejoin(), name=f"{self.name}-rejoin")

    async def _rejoin(self) -> None:
        assert self._node is not None
        pause = FIRST_PAUSE
        while not self.stopping:
            self._cut_off = False
            try:
                await self._node.open(self._lost)
            except CutOff as error:
                logger.debug("node %s is still cut off: %s", self._node_name, error)
            except Exception:
                logger.exception("node %s is still cut off", self._node_name)
            else:
                if not self._cut_off:
                    logger.warning("node %s takes part again", self._node_name)
                    return
            await asyncio.sleep(pause)
            pause = min(LAST_PAUSE, 2 * pause)

    # -- who there is --------------------------------------------------------------------------------------------------

    @property
    def node(self) -> str:
        """What this node is called."""
        return self._node_name

    @property
    def nodes(self) -> tuple[NodeInfo, ...]:
        """The nodes that are alive, this one included, by name."""
        if self._members is None:
            return ()
        return tuple(sorted(self._members.alive.values(), key=lambda node: (node.name, node.id)))

    def _called(self, worker: str) -> str:
        node = self._members.alive.get(worker) if self._members is not None else None
        return worker if node is None else node.name

    def ref(self, node: str, path: str) -> ActorRef[Any]:
        """A reference to an actor of any node: it is asked, told, streamed from and watched like one of this process.

        Args:
            node: id or name.
            path: of the actor there, as in `System.find`.

        Raises:
            NodeUnknown: no node that is alive is called so.
            CutOff: this agency takes no part: it is not started.
        """
        if self._node is None:
            raise CutOff("the agency takes no part in the cluster: use `async with` it")
        return self._node.ref(node, path)

    def scaling(self, *, runs: int = RUNS, max_wait: float = PATIENCE) -> Scaling:
        """How many nodes the work wants, for whatever starts and stops them: the same on each node, but for a second.

        Args:
            runs: how many each node is meant to have under way, at least 1.
            max_wait: seconds for which a run may wait to begin; above 0.

        Raises:
            DefinitionError: one of them is none.
        """
        if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
            raise DefinitionError(f"scaling: runs is a number of runs, at least 1, not {runs!r:.80}")
        if isinstance(max_wait, bool) or not isinstance(max_wait, int | float) or not 0.0 < max_wait < float("inf"):
            raise DefinitionError(f"scaling: max_wait is a number of seconds above 0, not {max_wait!r:.80}")
        return scaling(self.nodes, runs, max_wait)

    async def health(self) -> ClusterHealth:
        """See `Agency.health`."""
        health = await super().health()
        return ClusterHealth(health.pools, health.journal_lag, health.resources, self.scaling())

    @property
    def _maker_name(self) -> str:
        return f"{self.name}.{MAKER}"

    def _described(self) -> dict[str, str]:
        id, agents = self._runtime.journal.worker, tuple(self._directory.agents)
        mine = [entry for entry in self._runtime.register.open() if entry.carried is None and not entry.run.parent]
        waits = waiting_for(mine, self._runtime.time())
        return labels_of(NodeInfo(id, self._node_name, agents, len(mine), self._leaving, self._version, 0.0, waits))

    def _joined(self, node: NodeInfo) -> None:
        assert self._node is not None
        self._placements.joined(node.id)
        self._look_less()
        self._node.joined(node.id, node.name)

    def _left(self, node: NodeInfo, why: str) -> None:
        assert self._node is not None
        self._placements.left(node.id)
        self._look_less()
        if not self.stopping:
            level = logging.INFO if why == LEFT else logging.WARNING
            logger.log(level, "node %s (%s) takes part no more: %s", node.name, node.id, why)
        self._node.left(node.id, why)
        self._look_again()

    def _look_less(self) -> None:
        """Have many nodes look less often for what nobody works on: that a node has gone is a reason of its own."""
        if self._members is not None:
            self._runtime.look_every = interval(LOOK_AGAIN, len(self._members.alive))

    def _look_again(self) -> None:
        """Have gone on with what others have left."""
        root = self._runtime.root
        if root is not None:
            try:
                root.tell(LookAgain(at_once=True))
            except CoreError:
                logger.debug("nobody looks for what others have left: the agency has stopped")

    # -- where runs are made -------------------------------------------------------------------------------------------

    def _place(self, run: RunRequest, but: Collection[str]) -> str | None:
        nodes = self._takers(run.agent)
        if but:
            nodes = {id: node for id, node in nodes.items() if id not in but}
        found = self._placements.place(run.stream_name, run.conversation, nodes)
        return None if found == self._runtime.journal.worker else found

    def _takers(self, agent: str) -> Mapping[str, Candidate]:
        """The nodes that take runs of an agent. Worked out once for each look at who is there: there may be many."""
        assert self._members is not None
        alive = self._members.alive
        if self._seen is not alive:
            self._seen = alive
            self._takers_of = {}
        found = self._takers_of.get(agent)
        if found is None:
            found = self._takers_of[agent] = {
                node.id: Candidate(node.id, node.load)
                for node in alive.values()
                if not node.draining and agent in node.agents
            }
        return found

    def _takes_up(self, agent: str, conversation: str) -> bool:
        if self._alone:
            return True
        # Without loads: nobody else may think so. Where no node has the agent, one that has it may come yet.
        candidates = [Candidate(id) for id in self._takers(agent)]
        return place(conversation, candidates) == self._runtime.journal.worker


def waiting_for(entries: Iterable[Entry], now: float) -> float:
    """For how many seconds the run that waits longest has waited to begin. One that waits for another of its own
    conversation is not meant: more nodes would not help it."""
    heads: dict[str, Entry] = {}
    for entry in entries:
        known = heads.setdefault(entry.run.stream_name, entry)
        if entry.session is not None and known.session is None:
            heads[entry.run.stream_name] = entry
    return max((now - entry.since for entry in heads.values() if entry.session is None), default=0.0)


def _nothing(agent: str, conversation: str) -> bool:
    return False


def _version() -> str:
    try:
        return version("callboard")
    except PackageNotFoundError:  # from a checkout that is not installed
        return ""
