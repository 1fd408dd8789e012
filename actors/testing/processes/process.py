"""A process inside a run: a system and a program, which are killed and started again together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from inspect import isawaitable
from typing import Any, Protocol

from ...core.system import System
from ..errors import SimulationError
from ..faults.injector import Injector
from ..loop.background import Background
from ..loop.lanes.lanes import process as current
from ..loop.loop import SimulationLoop
from ..trace.checks import is_number

Main = Callable[[System], Awaitable[Any]]


class Backs(Protocol):
    """A store as a process holds it."""

    def kill(self) -> None:
        """Let go of it as the end of a process does."""
        ...


class Incarnation:
    """What one start of a process has made: it goes with it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.probes: list[Any] = []
        self.background: list[Background] = []
        self.stores: list[Backs] = []


class Process:
    """A program with a system of its own, which shares with others nothing but stores. Awaited, it gives what the
    program returns, however often it was killed and started again before that.

    Args:
        loop: of the run.
        injector: of the run.
        name: of the process, and of its system.
        main: the program: ``async def main(system)``, given a system that has just started.
    """

    def __init__(self, loop: SimulationLoop, injector: Injector, name: str, main: Main) -> None:
        self.name = name
        self.starts = 0
        """How often it has been started."""
        self._loop = loop
        self._injector = injector
        self._main = main
        self._context = copy_context()
        self._ended: asyncio.Future[Any] = loop.create_future()
        self._heard = False
        self._incarnation: Incarnation | None = None
        self._task: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return f"<process {self.name}, start {self.starts}>"

    def __await__(self) -> Generator[Any, None, Any]:
        self._heard = True
        return asyncio.shield(self._ended).__await__()

    @property
    def running(self) -> bool:
        """Whether it has been started, and neither ended nor been killed."""
        return self._incarnation is not None

    def start(self) -> None:
        """Start it, or start it again.

        Raises:
            SimulationError: it runs, or its program has ended.
        """
        if self.running or self._ended.done():
            raise SimulationError(f"{self!r} {'runs already' if self.running else 'has ended'}")
        self.starts += 1
        self._incarnation = incarnation = Incarnation(self)
        context = self._context.copy()
        context.run(current.set, incarnation)
        self._task = self._loop.create_task(self._run(incarnation), name=self.name, context=context)

    async def _run(self, incarnation: Incarnation) -> None:
        try:
            async with System(self.name) as system:
                running = self._main(system)
                if not isawaitable(running):
                    said = f"{getattr(self._main, '__qualname__', repr(self._main))} is not async, it returned"
                    raise TypeError(f"a process's program is async def main(system); {said} {running!r:.80}")
                result = await running
        except asyncio.CancelledError:
            self._end(incarnation)
            self._ended.cancel()
            raise
        except Exception as error:
            self._end(incarnation)
            self._ended.set_exception(error)
        else:
            self._end(incarnation)
            self._ended.set_result(result)

    def _end(self, incarnation: Incarnation) -> None:
        """The program is over: what it has left behind goes as at the end of a process."""
        self._incarnation = None
        for background in incarnation.background:
            background.kill()
        for store in incarnation.stores:
            store.kill()

    def kill(self) -> None:
        """End it as ``kill -9`` does: no ``finally``, no ``on_stop``, no word to anybody; its leases go on.

        Raises:
            SimulationError: it does not run.
        """
        incarnation = self._incarnation
        if incarnation is None:
            raise SimulationError(f"{self!r} does not run")
        self._end(incarnation)
        probes = incarnation.probes
        self._injector.killed.update(probes)
        for probe in probes:
            probe.event("killed", actor=self.name)
        self._loop.killed.add(incarnation)
        for handle in self._loop.queued():
            if not handle.cancelled():
                runtime = getattr(getattr(handle._callback, "__self__", None), "runtime", None)  # type: ignore[attr-defined]
                its = handle._context.get(current) is incarnation  # type: ignore[attr-defined]
                if its or (runtime is not None and runtime.probe in probes):
                    handle.cancel()

    def restart(self, seconds: float = 1.0) -> None:
        """Kill it, and start it again ``seconds`` later.

        Raises:
            ValueError: the seconds are no number from 0.
            SimulationError: it does not run.
        """
        if not is_number(seconds) or seconds < 0:
            raise ValueError(f"restart({seconds!r}): after how many seconds, a number from 0")
        self.kill()
        self._loop.call_later(seconds, self._start_again, context=self._context)

    def _start_again(self) -> None:
        if not self.running and not self._ended.done():
            self.start()

    def abandon(self) -> None:
        """The run is over: let go of its files."""
        if self._incarnation is not None:
            self._end(self._incarnation)

    async def stop(self) -> None:
        """Have its program cancelled, as a signal does in a server, and wait until it has ended; raise what it raised,
        unless somebody has heard of it."""
        task = self._task
        if self.running and task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._ended.done() and not self._ended.cancelled() and not self._heard:
            self._ended.result()
