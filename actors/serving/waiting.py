"""What a run waits for: a person, who may be the one whose client has asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..agents.agency import Agency
from ..agents.caller import Caller
from ..agents.events import ApprovalRequested, RunEvent
from ..agents.runs.handle import RunHandle

SHOWN: Final = 2_000


async def waiting_for(agency: Agency, handle: RunHandle, caller: Caller) -> tuple[ApprovalRequested, ...]:
    """What of a run, and of those that work for it, waits for a caller."""
    found = await agency.pending_approvals(caller=caller)
    return tuple(one for one in found if handle.id in (one.run, one.root))


def in_words(asked: ApprovalRequested) -> str:
    """What a person is asked, for whoever may decide: with at most `SHOWN` characters of the call's arguments."""
    arguments = asked.arguments if len(asked.arguments) <= SHOWN else f"{asked.arguments[:SHOWN]} …"
    what = f"call {asked.tool} with {arguments}" if asked.tool else f"use more: {arguments}"
    return f"The agent {asked.agent} wants to {what}{f' ({asked.why})' if asked.why else ''}."


@contextmanager
def noticed(agency: Agency, handle: RunHandle) -> Iterator[asyncio.Event]:
    """An event that is set whenever a run, or one that works for it here, asks for a person."""
    arrived = asyncio.Event()

    def seen(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested) and handle.id in (event.run, event.root):
            arrived.set()

    unsubscribe = agency.subscribe(seen)
    try:
        yield arrived
    finally:
        unsubscribe()


async def until_asked(
    agency: Agency, handle: RunHandle, caller: Caller, over: asyncio.Future[Any]
) -> tuple[ApprovalRequested, ...]:
    """Wait until a run waits for a caller; empty where it is over before.

    Args:
        agency: whose run.
        handle: the run.
        caller: who may be asked.
        over: done at the run's end.
    """
    with noticed(agency, handle) as arrived:
        while True:
            arrived.clear()
            asked = await waiting_for(agency, handle, caller)
            if asked or over.done():
                return asked
            waiting = asyncio.ensure_future(arrived.wait())
            try:
                await asyncio.wait((over, waiting), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if over.done():
                return ()
