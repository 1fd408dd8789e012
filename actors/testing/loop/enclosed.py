"""What an event loop of a simulation keeps out: other threads, sockets, files, and all else that is real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any, NoReturn, TypeVarTuple

from ..errors import EscapedSimulation, SimulationError
from . import unawaited
from .isolation import fence
from .threads.threads import here

Ts = TypeVarTuple("Ts")
_INSTEAD = "Put it behind an actor or a provider, and simulate with a scripted one"


class Enclosed(asyncio.BaseEventLoop):
    """Refuses what cannot be replayed, and remembers that it was tried."""

    def __init__(self) -> None:
        super().__init__()
        self.escaped: SimulationError | None = None
        """What was refused first."""
        self.unawaited: list[str] = []
        """The coroutines that vanished without having been awaited, by name and place."""
        self.writable: list[str] = []
        """Directories, absolute and with a separator at the end, below which files may be changed."""
        self._owner = threading.get_ident()

    def refuse(self, what: str, instead: str = _INSTEAD) -> NoReturn:
        """Refuse an operation that cannot be replayed, and remember that it was tried.

        Args:
            what: it is, in words.
            instead: what to do.
        """
        error = EscapedSimulation(f"{what} inside a simulation: it is real and cannot be replayed. {instead}")
        if self.escaped is None:
            self.escaped = error
        raise error

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Like `call_soon`; refused from a thread that is not of this loop's own."""
        if threading.get_ident() != self._owner:
            agent = here()
            handle: asyncio.Handle
            if agent is None or agent.loop is not self:
                self.refuse("a call from another thread")
            handle = self.call_soon(callback, *args, context=context)
            agent.point()
            return handle
        return self.call_soon(callback, *args, context=context)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: there is no executor."""

    def _write_to_self(self) -> None:
        """Nothing to wake: the loop never sleeps."""

    def _process_events(self, event_list: Any) -> None:
        """There are no events but our own."""

    def run_forever(self) -> None:
        """Run until stopped, with the fence up."""
        with fence.around(self.refuse, self.writable), unawaited.noting(self.unawaited.append):
            super().run_forever()


fence.refuse_methods(Enclosed)
