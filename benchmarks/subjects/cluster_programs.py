"""Programs that are told what to do by JSON lines: nodes of a cluster, and Ray; started, killed, paused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from itertools import count
from typing import Any, Final

import psutil

from .process import ROOT

PATIENCE: Final = 120.0


class ProgramEnded(Exception):
    """The program is gone: what it was told to do may have been done or not."""


class Program:
    """One of them, running.

    Attributes:
        said: what it has said first.
    """

    said: Any

    def __init__(self) -> None:
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def start(self, *words: str) -> None:
        """Start it, as ``python -m``, and wait until it is at work."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".src")])}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if "CALLBOARD_BENCH_LOUD" in os.environ else asyncio.subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            limit=2**24,
        )
        first = self._waiting[0] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())
        async with asyncio.timeout(PATIENCE):
            self.said = await first

    async def do(self, what: str, **wanted: object) -> Any:
        """Have it do something; return what it answers.

        Raises:
            ProgramEnded: it does not answer any more.
            RuntimeError: what it says has failed.
        """
        assert self._process.stdin is not None
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            raise ProgramEnded
        self._process.stdin.write(json.dumps({"number": number, "do": what, **wanted}).encode() + b"\n")
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            waiting = self._waiting.get(answer["number"])
            if waiting is None or waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(RuntimeError(answer["error"]))
            else:
                waiting.set_result(answer["found"])
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ProgramEnded())

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def end(self) -> None:
        """Have it end, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.signal(signal.SIGCONT)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE / 4):
                await self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reading


class NodeProgram(Program):
    """A node; see `cluster_node`.

    Args:
        name: what it is called.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._gateway = 0

    async def join(self, address: str, journal: str, log: str, piece: float) -> None:
        """Start it, and wait until it takes part."""
        await self.start("benchmarks.campaigns.cluster_node", address, journal, self.name, log, str(piece))
        self._gateway = await self.do("gateway")

    @property
    def id(self) -> str:
        """Of the node."""
        return str(self.said)

    async def kill(self) -> None:
        """Kill it as a machine dies: the program, what it has started, and the gateway, in one moment."""
        gateway = psutil.Process(self._gateway)
        os.killpg(self._process.pid, signal.SIGKILL)
        gateway.kill()
        await self._process.wait()
        await self._reading


class RayProgram(Program):
    """Ray; see `ray_head`."""

    @property
    def address(self) -> str:
        """Of its head."""
        return str(self.said)
