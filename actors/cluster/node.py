"""This program as a node: what others reach here, and references to actors that live elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ..core.base.errors import ActorDead, CoreError, SpecError
from ..core.refs.ref import ActorRef
from ..core.system import System
from .errors import NodeUnknown, NodeUnreachable
from .link.frames import OtherProtocol, Over, Target, read_frame, write_acknowledgement
from .link.peer import PATIENCE, Conversing, Peer
from .link.talk import Talk
from .stand_in import Door, Nobody, StandIn, WatchFor, WatchNoMore
from .transport import Transport

logger = logging.getLogger("callboard.cluster")

REMEMBERED: Final = 1_000
"""Nodes of which it is remembered that they are gone: each start of a program is another one."""

DOOR: Final = "cluster"
"""How the name of the actor begins that watches for others."""


class Node:
    """A node of a cluster, in this process: one system of actors, one way to the others.

    Args:
        id: unique for ever; a program that is started anew is another node.
        name: for people.
        system: whose actors others can reach.
        transport: what carries frames.
        patience: seconds for which what does not get through to a node is sent again, before it counts as gone.
    """

    def __init__(self, id: str, name: str, system: System, transport: Transport, patience: float = PATIENCE) -> None:
        self.id = id
        self.name = name
        self.system = system
        self._transport = transport
        self._patience = patience
        self._peers: dict[str, Peer] = {}
        self._names: dict[str, str] = {id: name}
        self._gone: dict[str, str] = {}
        self._strange: set[str] = set()
        self._stand_ins: dict[tuple[str, Target], tuple[ActorRef[Any], Talk]] = {}
        self._addresses: dict[ActorRef[Any], tuple[str, str, str]] = {}
        self._door: ActorRef[Any] | None = None
        self._closed = False

    async def open(self, lost: Callable[[], object] = lambda: None) -> None:
        """Take part.

        Args:
            lost: called when there is no way to the others any more; see `Transport.open`.

        Raises:
            CutOff: there is no way in.
        """
        if self._door is None or not self._door.is_alive():
            self._door = self.system.spawn(Door, name=f"{DOOR}@{self.id}")
        await self._transport.open(self.id, self._received, lost)

    async def close(self, why: str = "this node has stopped") -> None:
        """Take part no more: what is under way with other nodes ends in `NodeGone`."""
        self._closed = True
        await self._transport.close()
        for peer in self._peers.values():
            await peer.close(peer.gone(why))
        door, self._door = self._door, None
        if door is not None:
            with suppress(CoreError):  # it has died before, or the system has
                await door.stop()

    # -- who there is --------------------------------------------------------------------------------------------------

    def joined(self, node: str, name: str) -> None:
        """A node is alive, as far as the store says."""
        self._names[node] = name
        self._gone.pop(node, None)

    def left(self, node: str, why: str) -> None:
        """A node is not alive any more: what is under way there ends in `NodeGone`."""
        self._gone[node] = why
        peer = self._peers.get(node)
        if peer is not None:
            peer.end(peer.gone(why))
        while len(self._gone) > REMEMBERED:
            forgotten = next(iter(self._gone))
            del self._gone[forgotten]
            self._names.pop(forgotten, None)
            self._peers.pop(forgotten, None)

    # -- references ----------------------------------------------------------------------------------------------------

    def ref(self, node: str, path: str) -> ActorRef[Any]:
        """A reference to an actor of another node, or of this one.

        Args:
            node: its id or its name.
            path: of the actor, as in `System.find`.

        From another thread than the loop's, this waits there until it is made on the loop's.

        Raises:
            NodeUnknown: no node that is alive is called so.
            ActorDead: it is this node, and no actor is there. (For another node the first message finds out.)
            SystemClosed: the system does not run.
        """
        if not isinstance(path, str) or not path:
            raise SpecError(f"{path!r:.80} is no path, such as 'planner/conversation-1'")
        if not self.system.runtime.owns_this_thread():  # a connection belongs to the loop where it is opened

            async def there() -> ActorRef[Any]:
                return self.ref(node, path)

            return self.system.run(there())
        id = self._id_of(node)
        if id == self.id and self.system.find(path) is None:
            raise ActorDead(f"no actor {path} is on node {self.name}, which is this one")
        return self.ref_to(id, path, "")

    def _id_of(self, node: str) -> str:
        alive = {id: name for id, name in self._names.items() if id not in self._gone}
        if node in alive:
            return node
        found = [id for id, name in alive.items() if name == node]
        if len(found) == 1:
            return found[0]
        if found:
            raise NodeUnknown(f"{len(found)} nodes are called {node!r:.80}; say which by its id: {', '.join(found)}")
        there = ", ".join(sorted(alive.values()))
        raise NodeUnknown(f"no node that is alive is called {node!r:.80}; there are {there}")

    def address_of(self, ref: ActorRef[Any]) -> tuple[str, str, str]:
        """See `Place.address_of`."""
        known = self._addresses.get(ref)
        return known if known is not None else (self.id, ref.path, ref.actor_urn)

    def ref_to(self, node: str, path: str, urn: str) -> ActorRef[Any]:
        """See `Place.ref_to`."""
        target = Target(path, urn)
        if node == self.id:
            here = self.actor_at(target)
            if here is not None:
                return here
        name = self._free_name(node, path)
        if node == self.id or node in self._gone or self._closed:
            nobody: ActorRef[Any] = self.system.spawn(Nobody, name=name)
            return nobody
        known = self._stand_ins.get((node, target))
        if known is not None and known[0].is_alive() and not known[1].over:
            return known[0]
        talk = self._peer(node).conversing()
        assert isinstance(talk, Talk)
        made: ActorRef[Any] = self.system.spawn(StandIn, talk, target, partial(self._ended, node, target), name=name)
        self._stand_ins[node, target] = made, talk
        self._addresses[made] = (node, path, urn)
        return made

    def _ended(self, node: str, target: Target, ref: ActorRef[Any]) -> None:
        """What stood for an actor is dead."""
        self._addresses.pop(ref, None)
        known = self._stand_ins.get((node, target))
        if known is not None and known[0] is ref:
            del self._stand_ins[node, target]

    def _free_name(self, node: str, path: str) -> str:
        name = f"{path}@{self._names.get(node, node)}".replace("/", ":")
        number, free = 1, name
        while self.system.find(free) is not None:
            number += 1
            free = f"{name}#{number}"
        return free

    # -- what links want to know of this node --------------------------------------------------------------------------

    def actor_at(self, target: Target) -> ActorRef[Any] | None:
        """See `House.actor_at`."""
        ref = self.system.find(target.path)
        if ref is None or (target.urn and ref.actor_urn != target.urn):
            return None
        return ref

    def watch_for(self, ref: ActorRef[Any], told: Callable[[str], object]) -> Callable[[], object]:
        """See `House.watch_for`."""
        assert self._door is not None
        self._door.tell(WatchFor(ref, told))
        return partial(self._watch_no_more, WatchNoMore(ref, told))

    def _watch_no_more(self, message: WatchNoMore) -> None:
        if self._door is not None and self._door.is_alive():
            self._door.tell(message)

    # -- what comes ----------------------------------------------------------------------------------------------------

    async def _received(self, node: str, data: bytes) -> bytes:
        if node in self._gone or self._closed:  # it was paused, or cut off, and does not know yet that it is over
            return write_acknowledgement(0, Over())
        try:
            frame = read_frame(data)
        except OtherProtocol as error:  # the acknowledgement says which one is spoken here
            if node not in self._strange:
                self._strange.add(node)
                logger.warning("node %s is not understood: %s", self._names.get(node, node), error)
            return write_acknowledgement(0, Over())
        return await self._peer(node).receive(frame)

    def _peer(self, node: str) -> Peer:
        peer = self._peers.get(node)
        if peer is None:
            if node == self.id:
                raise NodeUnreachable(f"{node} is this node itself")
            name = self._names.get(node, node)
            peer = self._peers[node] = Peer(self.id, node, name, self._transport, self._begin, self._patience)
        return peer

    def _begin(self, peer: Peer) -> Conversing:
        return Talk(self, peer)
