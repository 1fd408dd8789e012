"""The side that makes a run for another node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from ...agents.errors import AgentError
from ...agents.events import RunEvent, TextDelta
from ...agents.runs.runtime.register import Entry
from ...agents.runs.runtime.runtime import AgencyRuntime
from ...core.actor import Actor
from ...core.mail.future import Future
from .messages import Cancel, Event, Made, Make, Recorded, Refused


class Maker(Actor):
    """Makes the runs that other nodes send.

    Args:
        runtime: of the agency here.
    """

    def __init__(self, runtime: AgencyRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def on_receive(self, message: Any) -> Any:
        """See `Make`, `Cancel`."""
        if isinstance(message, Make):
            return self._make(message)
        if isinstance(message, Cancel):
            self._runtime.register.cancel(
                message.run, message.reason, rollback=message.rollback, given_up=message.given_up
            )
        return None

    async def _make(self, message: Make) -> AsyncIterator[Any]:
        runtime, run = self._runtime, message.run
        if runtime.register.closed:
            yield Refused(f"the agency {runtime.register.closed}")
            return
        known = runtime.register.get(run.id)
        if known is not None and known.carried is not None:  # asked for here, too: each would wait for the other
            yield Refused("it has sent the run elsewhere itself")
            return
        happened: deque[RunEvent] = deque()
        arrived = asyncio.Event()

        def take(event: RunEvent) -> None:
            last = happened[-1] if happened else None
            if type(event) is TextDelta and type(last) is TextDelta and last.run == event.run:
                happened[-1] = replace(event, text=last.text + event.text)
            else:
                happened.append(event)
            arrived.set()

        deaf = runtime.bus.subscribe(take, run.root) if message.listens else None
        entry: Entry | None = None
        try:
            try:
                entry = runtime.register.submit(run, here=True)
            except AgentError as error:
                yield Refused(str(error))
                return
            if not message.first:
                entry.fresh = False
            entry.waiters += 1
            entry.reply.when_done(lambda _: arrived.set())
            told = False
            while True:
                if entry.recorded and not told:
                    told = True
                    yield Recorded()
                while happened:
                    yield Event(happened.popleft())
                if entry.outcome is not None:
                    break
                if not told:
                    if entry.when_recorded is None:
                        entry.when_recorded = Future()
                    entry.when_recorded.when_done(lambda _: arrived.set())
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
