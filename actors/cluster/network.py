"""A network in memory: for one process, for tests, and under the simulator, whose clock it runs on.

It can be harmed: nodes are cut off from each other and healed, paused and continued, frames and acknowledgements lost,
frames repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from itertools import product
from random import Random

from .errors import CutOff, NodeUnknown, NodeUnreachable
from .transport import Receive


class Network:
    """What nodes are connected by.

    Args:
        latency: seconds that a frame is on its way, at least and at most.
        random: draws from between them, and what is lost.
        timeout: seconds after which a frame that nobody takes counts as not got through; it is sent again then.
    """

    def __init__(
        self, latency: tuple[float, float] = (0.0, 0.0), random: Random | None = None, timeout: float = 1.0
    ) -> None:
        self.latency = latency
        self.lost_frames = 0.0
        """Of frames, how many are lost on their way: 0 to 1."""
        self.lost_acknowledgements = 0.0
        """Of acknowledgements, the same: the frame has arrived."""
        self.repeated_frames = 0.0
        """Of frames, how many arrive twice, though no `Transport` should do so."""
        self._random = random or Random(0)
        self._timeout = timeout
        self._nodes: dict[str, tuple[Receive, Context]] = {}
        self._known: set[str] = set()
        """The ids of all that ever took part."""
        self._cut: set[tuple[str, str]] = set()
        self._paused: dict[str, asyncio.Event] = {}

    def transport(self) -> NetworkTransport:
        """A way in, for one node."""
        return NetworkTransport(self)

    def cut(self, some: Iterable[str], others: Iterable[str], *, back: bool = True) -> None:
        """Let nothing through between some nodes and others, by their ids, until it is healed.

        Args:
            some: from whom nothing gets through.
            others: to whom.
            back: whether the other way is cut as well.

        Raises:
            NodeUnknown: one of them never took part.
        """
        some, others = self._ids(some), self._ids(others)
        ways = {(one, other) for one, other in product(some, others) if one != other}
        self._cut |= ways
        if back:
            self._cut |= {(other, one) for one, other in ways}

    def heal(self) -> None:
        """Let everything through again."""
        self._cut.clear()

    def pause(self, node: str) -> None:
        """Have a node take nothing, until it is continued.

        Raises:
            NodeUnknown: it never took part.
        """
        for id in self._ids((node,)):
            self._paused.setdefault(id, asyncio.Event())

    def proceed(self, node: str) -> None:
        """Have a paused node go on: what was sent to it arrives now."""
        waiting = self._paused.pop(node, None)
        if waiting is not None:
            waiting.set()

    def _ids(self, nodes: Iterable[str]) -> tuple[str, ...]:
        nodes = tuple(nodes)
        for node in nodes:
            if node not in self._known:
                there = ", ".join(sorted(self._known)) or "none yet"
                raise NodeUnknown(
                    f"no node with the id {node!r:.80} has taken part; ids are those of `agency.nodes`, here {there}"
                )
        return nodes

    async def deliver(self, sender: str, receiver: str, frame: bytes) -> bytes:
        """Bring a frame to a node, and the acknowledgement back; see `Transport.send`."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._way(sender, receiver, self.lost_frames)
                there = self._nodes.get(receiver)
                if there is None:
                    raise NodeUnreachable(f"no node {receiver} is there")
                receive, context = there
                # A task of the receiver's: where whoever sent it gives up, or is killed, it has arrived all the same.
                for _ in range(2 if self.repeated_frames and self._random.random() < self.repeated_frames else 1):
                    handling = asyncio.get_running_loop().create_task(
                        _handle(receive, sender, bytes(frame)), context=context.copy()
                    )
                    handling.add_done_callback(_looked_at)
                answer = await asyncio.shield(handling)
                await self._way(receiver, sender, self.lost_acknowledgements)
                return answer
        except TimeoutError:
            raise NodeUnreachable(f"nothing was heard of {receiver} for {self._timeout:g} s") from None

    async def _way(self, sender: str, receiver: str, lost: float) -> None:
        await asyncio.sleep(self._random.uniform(*self.latency))
        waiting = self._paused.get(receiver)
        if waiting is not None:
            await waiting.wait()
        if (sender, receiver) in self._cut or (lost and self._random.random() < lost):
            await asyncio.sleep(self._timeout)  # nothing comes, and nobody says so


class NetworkTransport:
    """A node's way into a `Network`; see `Transport`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._node = ""

    async def open(self, node: str, receive: Receive, lost: Callable[[], object]) -> None:
        """See `Transport.open`."""
        if node in self._network._nodes:
            raise CutOff(f"there is a node {node} already")
        self._node = node
        self._network._nodes[node] = receive, copy_context()
        self._network._known.add(node)

    async def send(self, node: str, frame: bytes) -> bytes:
        """See `Transport.send`."""
        if not self._node:
            raise NodeUnreachable("this node takes no part")
        return await self._network.deliver(self._node, node, frame)

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._node:
            self._network._nodes.pop(self._node, None)
            self._node = ""


async def _handle(receive: Receive, sender: str, frame: bytes) -> bytes:
    return await receive(sender, frame)


def _looked_at(handling: asyncio.Future[bytes]) -> None:
    if not handling.cancelled():
        handling.exception()
