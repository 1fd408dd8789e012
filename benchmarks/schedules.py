"""Three flows of messages as a simulation runs them; as a program, what `earlier` drives: this and an earlier state.

It imports of Callboard only what both have.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable

from callboard.actors import Actor, ActorRef, System
from callboard.actors.testing import simulate

MESSAGES = 50
Flow = Callable[[System], Awaitable[None]]


class Echo(Actor):
    def on_receive(self, message: object) -> object:
        return message


class Relay(Actor):
    def __init__(self, target: ActorRef[Echo]) -> None:
        super().__init__()
        self.target = target

    async def on_receive(self, message: object) -> object:
        return await self.target.ask(message)


def tells(messages: int) -> Flow:
    async def flow(system: System) -> None:
        actors = [system.spawn(Echo, name=f"echo{number}") for number in range(5)]
        for number in range(messages - len(actors)):
            actors[number % len(actors)].tell(number)
        for actor in actors:
            await actor.ask("done")

    return flow


def asks(messages: int) -> Flow:
    async def flow(system: System) -> None:
        echo = system.spawn(Echo, name="echo")
        await _clients(echo, messages)

    return flow


def relays(messages: int) -> Flow:
    """Each ask goes on to a second actor: two messages."""

    async def flow(system: System) -> None:
        relay = system.spawn(Relay, system.spawn(Echo, name="echo"), name="relay")
        await _clients(relay, messages // 2)

    return flow


async def _clients(target: ActorRef[Echo] | ActorRef[Relay], asks: int, clients: int = 5) -> None:
    async def client() -> None:
        for number in range(asks // clients):
            await target.ask(number)

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(), name=f"client{number}")


FLOWS: dict[str, Callable[[int], Flow]] = {"tell": tells, "ask": asks, "relay": relays}


def main() -> None:
    """Answer each line ``flow schedules`` with the CPU seconds of one schedule."""
    logging.getLogger("callboard").setLevel(logging.CRITICAL)
    for line in sys.stdin:
        name, schedules = line.split()
        flow = FLOWS[name](MESSAGES)
        began = time.process_time()
        simulate(lambda sim, flow=flow: flow(sim.system), seeds=int(schedules), max_steps=10**9)
        print((time.process_time() - began) / (int(schedules) + 1), flush=True)


if __name__ == "__main__":
    main()
