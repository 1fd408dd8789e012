"""Programs that are told what to do by JSON lines: nodes of a cluster, and Ray; started, killed, paused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import psutil

from .machines import Machine
from .process import ROOT

PATIENCE: Final = 120.0

PORT: Final = 6379
"""Of Ray's head, on its machine."""

RESTART: Final = 1.0
"""Seconds before a service that has ended is begun anew."""

NO_TOKENS: Final = {"RAY_AUTH_MODE": "disabled"}
"""Ray's processes of a network of their own trust each other, whatever tokens this user has."""


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

    async def start(self, *words: str, within: Sequence[str] = (), **variables: str) -> None:
        """Start it, as ``python -m``, and wait until it is at work.

        Args:
            words: behind ``-m``.
            within: what stands before the command.
            variables: of its environment, besides this one's.
        """
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".src")])} | variables
        self._process = await asyncio.create_subprocess_exec(
            *(*within, sys.executable, "-m", *words),
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

    async def do(self, what: str, /, **wanted: object) -> Any:
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
        machine: where it runs; None for here.
    """

    def __init__(self, name: str, machine: Machine | None = None) -> None:
        super().__init__()
        self.name = name
        self.machine = machine
        self._gateway = 0

    async def join(self, address: str, journal: str, log: str, piece: float, **variables: str) -> None:
        """Start it, and wait until it takes part.

        Args:
            address: of Ray.
            journal: the database.
            log: where it writes what happens.
            piece: see `cluster_node`.
            variables: of its environment.
        """
        words = ("benchmarks.campaigns.cluster_node", address, journal, self.name, log, str(piece))
        if self.machine is not None:
            await self.start(*words, within=self.machine.within, **NO_TOKENS, **variables)
            return
        await self.start(*words, **variables)
        self._gateway = await self.do("gateway")

    @property
    def id(self) -> str:
        """Of the node."""
        return str(self.said)

    async def kill(self) -> None:
        """Kill it as a machine dies: the program, what it has started, and the gateway, in one moment."""
        if self.machine is not None:
            await self.machine.kill()
        else:
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


class RayDaemon:
    """``ray start`` on a machine, begun anew whenever it ends, as whatever looks after a machine's services does.

    Args:
        machine: where.
        head: the machine of Ray's head; None where it is this one.
        folder: where Ray keeps its own things; a short path.
    """

    def __init__(self, machine: Machine, head: Machine | None, folder: Path) -> None:
        self.machine = machine
        self.address = f"{(head or machine).address}:{PORT}"
        role = ("--address", self.address) if head else ("--head", "--port", str(PORT), "--include-dashboard=false")
        own = ("--node-ip-address", machine.address, "--temp-dir", str(folder), "--disable-usage-stats", "--block")
        size = ("--num-cpus", "1", "--object-store-memory", str(80_000_000))
        self._words = ("-c", "from ray.scripts.scripts import main; main()", "start", *role, *own, *size)
        self._process: asyncio.subprocess.Process | None = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.starts = 0

    async def start(self) -> None:
        """Start it, and wait until it is at work."""
        if self._task is None:
            self._task = asyncio.create_task(self._look_after())
        async with asyncio.timeout(PATIENCE):
            await self._up.wait()

    async def _look_after(self) -> None:
        while True:
            self._process = await asyncio.create_subprocess_exec(
                *(*self.machine.within, sys.executable, *self._words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=os.environ | NO_TOKENS,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            while line := await self._process.stdout.readline():
                if b"Ray runtime started" in line:
                    self.starts += 1
                    self._up.set()
            self._up.clear()
            await self._process.wait()
            await asyncio.sleep(RESTART)

    def processes(self, name: str) -> list[psutil.Process]:
        """Its processes of a name, such as ``raylet`` or ``gcs_server``."""
        if self._process is None or self._process.returncode is not None:
            return []
        found = psutil.Process(self._process.pid).children(recursive=True)
        return [process for process in found if process.name() == name]

    async def kill(self, *, again_after: float) -> None:
        """Kill all its processes in one moment, and have it begin anew some seconds later.

        Args:
            again_after: seconds.
        """
        await self.end()
        await asyncio.sleep(again_after)
        await self.start()

    async def end(self) -> None:
        """Kill all its processes; it does not begin anew."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._up.clear()
        if self._process is not None and self._process.returncode is None:
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process(self._process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
