"""The side that makes a run for another node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakSet

from ...agents.errors import AgentError
from ...agents.events import RunEvent
from ...agents.output import Output
from ...agents.runs.runtime.register import Entry
from ...agents.runs.runtime.runtime import AgencyRuntime
from ...agents.runs.streaming import put_together
from ...agents.turns.records import RunRequest
from ...core.actor import Actor
from ...core.mail.future import Future
from .messages import Cancel, Event, Made, Make, Recorded, Refused


class Coming:
    """A run that was sent here, and is not begun yet."""

    def __init__(self, message: Make) -> None:
        self.message = message
        self.cancelled: Cancel | None = None


class Maker(Actor):
    """Makes the runs that other nodes send.

    Args:
        runtime: of the agency here.
    """

    def __init__(self, runtime: AgencyRuntime) -> None:
        super().__init__()
        self._runtime = runtime
        self._coming: WeakSet[Coming] = WeakSet()

    def on_receive(self, message: Any) -> Any:
        """See `Make`, `Cancel`."""
        if isinstance(message, Make):
            coming = Coming(message)
            self._coming.add(coming)
            return self._make(coming)
        if isinstance(message, Cancel):
            for coming in self._coming:
                if coming.message.run.id == message.run:
                    coming.cancelled = message
            self._cancel(message)
        return None

    def _cancel(self, message: Cancel) -> None:
        self._runtime.register.cancel(message.run, message.reason, rollback=message.rollback, given_up=message.given_up)

    def _refuses(self, run: RunRequest) -> str:
        """Why a run is not made here; empty where it is."""
        runtime = self._runtime
        if runtime.register.closed:
            return f"the agency {runtime.register.closed}"
        if run.agent not in runtime.directory.agents:
            return f"no agent is called {run.agent!r:.80} there"
        if run.output is not None and (wrong := Output.known(*run.output)[1]):
            return f"the answer is to fit {wrong}"
        known = runtime.register.get(run.id)
        if known is not None and known.open and known.carried is not None:  # else the two could wait for each other
            return "it has the run made by another node itself"
        return ""

    async def _make(self, coming: Coming) -> AsyncIterator[Any]:
        self._coming.discard(coming)
        message = coming.message
        runtime, run = self._runtime, message.run
        refused = self._refuses(run)
        if refused:
            yield Refused(refused)
            return
        happened: deque[RunEvent] = deque()
        arrived = asyncio.Event()

        def take(event: RunEvent) -> None:
            put_together(happened, event)
            arrived.set()

        deaf = runtime.bus.subscribe(take, run.root) if message.listens else None
        entry: Entry | None = None
        try:
            try:
                entry = runtime.register.submit(run, here=True)  # where others see another place for it, too
            except AgentError as error:
                yield Refused(str(error))
                return
            if not message.first:
                entry.fresh = False
            if entry.waiters == 0:  # nobody here has asked for it
                entry.since = runtime.time() - message.waited
            if coming.cancelled is not None:
                self._cancel(coming.cancelled)
            entry.waiters += 1
            entry.reply.when_done(lambda _: arrived.set())
            if not entry.recorded:
                if entry.when_recorded is None:
                    entry.when_recorded = Future()
                entry.when_recorded.when_done(lambda _: arrived.set())
            told = False
            while True:
                if entry.recorded and not told:
                    told = True
                    yield Recorded()
                while happened:
                    yield Event(happened.popleft())
                if entry.outcome is not None:
                    break
                arrived.clear()
                await arrived.wait()
            yield Made(entry.outcome) if entry.final else Refused(str(entry.outcome.error))
        finally:
            if deaf is not None:
                deaf()
            if entry is not None:
                entry.waiters -= 1
                # Where nobody listens any more it goes on: its node may have died, and whoever asks again is answered.
                entry.reply.when_done(lambda _: runtime.register.forget(run.id))
