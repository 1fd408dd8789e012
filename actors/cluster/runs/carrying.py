"""The side that has a run made by another node, and brings its answer back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ....providers.messages import Delta
from ...agents.context import NO_DEPS
from ...agents.events import CompletionStarted, ReasoningDelta, Retried, RunEvent, RunFinished, TextDelta
from ...agents.runs.runtime.register import Entry
from ...agents.runs.runtime.runtime import AgencyRuntime
from ...agents.runs.runtime.spoken import Spoken
from ...agents.turns.records import RunRequest
from ...core.base.errors import CoreError
from ...core.refs.ref import ActorRef
from .messages import Cancel, Event, Made, Make, Recorded, Refused

PAUSE: Final = 0.05
"""Seconds before a run is sent to the next node."""

logger = logging.getLogger("callboard.cluster")


class Carrier:
    """Sends runs where they are to be made.

    Args:
        runtime: of the agency here.
        place: the id of the node where a run is to be made, other than some; None for here.
        maker: the actor of a node that makes runs.
    """

    def __init__(
        self,
        runtime: AgencyRuntime,
        place: Callable[[RunRequest, Collection[str]], str | None],
        maker: Callable[[str], ActorRef[Any]],
    ) -> None:
        self._runtime = runtime
        self._place = place
        self._maker = maker
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def takes(self, entry: Entry) -> bool:
        """See `RunRegister.elsewhere`. What needs something that lives in this process is made here."""
        run = entry.run
        here = run.parent or entry.deps is not NO_DEPS or entry.context is not None or entry.asked is not None
        if here or not self._runtime.keeps(run):
            return False
        node = self._place(run, ())
        if node is None:
            return False
        entry.carried = partial(self._cancel, entry, node)
        task = asyncio.get_running_loop().create_task(self._carry(entry, node), name=f"carry {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Carry nothing any more; what is made elsewhere goes on there."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, entry: Entry, node: str) -> None:
        run = entry.run
        tried: set[str] = set()
        if entry.cancelled:  # nobody has heard of it yet
            entry.carried = None
            self._runtime.register.cancel(run.id, entry.cancelled)
        while entry.open:
            entry.carried = partial(self._cancel, entry, node)
            why = await self._made(entry, node, first=not tried)
            if not why:
                return
            logger.info("run %s was not made to its end by node %s: %s", run.id, node, why)
            tried.add(node)
            entry.fresh = False
            if entry.cancelled:
                break
            await asyncio.sleep(PAUSE)
            found = self._place(run, tried)
            if found is None:
                break
            node = found
        if entry.open:
            self._here(entry)

    def _here(self, entry: Entry) -> None:
        """Make it here: the journal knows how far it has come, and who is at work on it, if anybody is."""
        register = self._runtime.register
        reason, rollback, given_up = entry.cancelled, entry.rollback, entry.given_up
        register.make_here(entry)
        if reason:
            entry.accepted = True  # perhaps it is: whoever is at work on it is told by way of the journal
            register.cancel(entry.run.id, reason, rollback=rollback, given_up=given_up)

    async def _made(self, entry: Entry, node: str, *, first: bool) -> str:
        """Have a run made by a node; return why it was not made to its end there, or nothing where it was."""
        runtime, run = self._runtime, entry.run
        message = Make(run, first, run.stream or runtime.bus.listens(run.root), runtime.time() - entry.since)
        try:
            async with self._maker(node).stream(message, buffer=64) as stream:
                async for said in stream:
                    if type(said) is Event:
                        hear(entry, said.event)
                        runtime.bus.pass_on(replace(said.event, at=runtime.time()))
                    elif type(said) is Recorded:
                        entry.accepted = True
                        runtime.register.recorded(run.id)
                    elif type(said) is Made:
                        runtime.register.settle(runtime.typed(run.agent, said.outcome, entry.output))
                        return ""
                    elif type(said) is Refused:
                        return said.why
        except CoreError as error:
            return str(error)
        except asyncio.CancelledError:
            if self._closed:
                raise
            return "it was broken off"
        return "it said no more"

    def _cancel(self, entry: Entry, node: str, reason: str, rollback: bool, given_up: bool) -> None:
        try:
            self._maker(node).tell(Cancel(entry.run.id, reason, rollback, given_up))
        except CoreError as error:
            logger.info("node %s was not told to end run %s: %s", node, entry.run.id, error)


def hear(entry: Entry, event: RunEvent) -> None:
    """Note what is said in a run that is made elsewhere, and in those made for it, for those who come to watch it
    here."""
    heard = entry.heard
    if heard is None:
        heard = entry.heard = {}
    if isinstance(event, CompletionStarted):
        heard[event.run] = Spoken(event.step)
    elif isinstance(event, RunFinished) and event.run != entry.run.id:
        heard.pop(event.run, None)
    elif event.run not in heard:
        return
    elif isinstance(event, Retried):
        heard[event.run] = Spoken(heard[event.run].step)
    elif isinstance(event, TextDelta):
        heard[event.run].pieces.append(Delta(text=event.text))
    elif isinstance(event, ReasoningDelta):
        heard[event.run].pieces.append(Delta(reasoning=event.text))
