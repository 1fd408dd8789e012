"""Small flows for ``explore``: actors that send each other messages, with answers and without."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from callboard.actors import Actor, ActorRef
from callboard.actors.testing import Exploration, Simulation, explore

Sends = dict[str, Sequence[str]]
"""Whom each actor sends a message, in order, when it is told to begin."""

THREE: Sends = {"a": "bc", "b": "ac", "c": "a"}
"""With the three that begin, 8 messages: 4, 2 and 2 of them to the same actor at most."""
FOUR: Sends = {"a": "bc", "b": "ad", "c": "a", "d": "a"}
"""With the four that begin, 10 messages, 4 of them to one actor."""


class Peer(Actor):
    """Sends what it is told to when it begins, and asks each receiver in the end what it has seen."""

    def __init__(self, asks: bool) -> None:
        super().__init__()
        self.asks = asks
        self.seen: list[str] = []

    def on_receive(self, message: tuple[str, Sequence[ActorRef[Peer]]]) -> object:
        sender, targets = message
        self.seen.append(sender)
        if not self.asks:
            for target in targets:
                target.tell((self.name, ()))
            return None
        return self.reply_with(self.ask_all(targets)) if targets else len(self.seen)

    async def ask_all(self, targets: Sequence[ActorRef[Peer]]) -> None:
        for target in targets:
            await target.ask((self.name, ()))


def flow(sends: Sends, *, asks: bool) -> Callable[[Simulation], Awaitable[None]]:
    """Return a scenario in which all begin at once.

    Args:
        sends: who sends whom a message.
        asks: whether each waits for an answer before it sends the next one.
    """

    async def scenario(sim: Simulation) -> None:
        peers = {name: sim.system.spawn(Peer, asks, name=name) for name in sends}
        for name, targets in sends.items():
            peers[name].tell(("", [peers[target] for target in targets]))
        await sim.idle()

    return scenario


def explored(sends: Sends, most: int) -> tuple[float, list[Exploration]]:
    """Explore a flow of tells and one of asks.

    Returns:
        CPU seconds of both together, and what is known of each.
    """
    began = time.process_time()
    found = [explore(flow(sends, asks=asks), max_schedules=most) for asks in (False, True)]
    return time.process_time() - began, found
