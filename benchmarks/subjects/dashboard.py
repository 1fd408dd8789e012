"""An agency with many actors, served with a dashboard: ``python -m benchmarks.subjects.dashboard FD ACTORS RATE``.

It listens on the socket that is handed on, keeps RATE messages a second flowing to ACTORS actors, of which each
hundredth takes half a second for one, and answers lines on standard input, each with a line:

``cpu SECONDS``: the share of a core that the process takes for so long.
``events N``: makes N events (messages that are lost, and each thousandth time a crash and a run), and says how many
bytes the process has then.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psutil
import uvicorn

from callboard import Agency, Agent, ChildSpec
from callboard.actors import Actor, ActorRef, Mailbox
from callboard.actors.serving import serve
from callboard.actors.testing.doubles.models import FunctionModel

KEY: Final = "the-key-of-a-benchmark"
A_GROUP: Final = 100
TICK: Final = 0.01


class Leaf(Actor):
    """Takes messages."""

    def on_receive(self, message: Any) -> None:
        """Nothing is done with it."""


class Slow(Actor):
    """Takes half a second for each message, so that there are always some that wait."""

    async def on_receive(self, message: Any) -> None:
        await asyncio.sleep(0.5)


class Full(Actor):
    """Takes one message for ever: what it is sent then is lost."""

    async def on_receive(self, message: Any) -> None:
        await asyncio.get_running_loop().create_future()


class Fragile(Actor):
    """Crashes at a message."""

    def on_receive(self, message: Any) -> None:
        raise RuntimeError(f"crash {message}")


class Group(Actor):
    """Starts its children, and says who they are."""

    def __init__(self, size: int, told: list[ActorRef[Any]]) -> None:
        super().__init__()
        self.size, self.told = size, told

    def on_start(self) -> None:
        self.told += [self.spawn(Slow if number == 0 else Leaf, name=f"leaf-{number}") for number in range(self.size)]


def agency() -> Agency:
    """One agent, who answers at once."""
    return Agency(Agent("Agent"), model=ChildSpec(FunctionModel, (lambda _: "one two three",), name="model"))


class Many:
    """Many actors in the system of an agency that runs, with messages flowing.

    Args:
        ours: the agency.
        actors: how many.
    """

    def __init__(self, ours: Agency, actors: int) -> None:
        assert ours.system is not None
        self.agency = ours
        self.leaves: list[ActorRef[Any]] = []
        self.system = ours.system
        for number in range(actors // A_GROUP):
            self.system.spawn(Group, A_GROUP - 1, self.leaves, name=f"group-{number}")
        self.full = self.system.spawn(Full, name="full", mailbox=Mailbox(1, "drop_newest"))
        self.full.tell("held")

    async def flow(self, rate: int) -> None:
        """Send so many messages a second, for ever."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while True:
            await asyncio.sleep(TICK)
            for _ in range(int((loop.time() - began) * rate) - sent):
                self.leaves[(sent * 7919) % len(self.leaves)].tell(sent)
                sent += 1

    async def events(self, count: int) -> int:
        """Have so many things happen of which a dashboard is told. Returns the bytes that the process has then."""
        for number in range(count):
            if number % 1_000 == 0:
                self.system.spawn(Fragile, name=f"fragile-{number}").tell(number)
                await self.agency.run("go")
            else:
                self.full.tell(number)
        gc.collect()
        return int(psutil.Process().memory_info().rss)


async def _cpu(seconds: float) -> float:
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - began)


async def _main(listening: socket.socket, actors: int, rate: int) -> None:
    ours = agency()
    app = serve(ours, dashboard=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    many = Many(ours, actors)
    await asyncio.sleep(0)
    flowing = asyncio.create_task(many.flow(rate))
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[list[str]] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(asked.put_nowait, line.split())
        loop.call_soon_threadsafe(asked.put_nowait, [])

    threading.Thread(target=read, daemon=True).start()
    does: dict[str, Callable[[str], Any]] = {
        "cpu": lambda given: _cpu(float(given)),
        "events": lambda given: many.events(int(given)),
    }
    print("ready", flush=True)
    while words := await asked.get():
        print(await does[words[0]](words[1]), flush=True)
    flowing.cancel()
    many.full.kill()
    server.should_exit = True
    await running


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(_main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])))
