"""Whatever is asked of an agency at the very moment of its stop ends as asked, or in AgencyClosed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, AgencyClosed, Agent, RunHandle, UnknownApproval
from callboard.providers.messages import Request

from .support import function, said


async def fine(request: Request) -> str:
    if said(request) == "hold on":
        await asyncio.Event().wait()
    return "fine"


async def prepared(agency: Agency) -> RunHandle:
    """A run under way, and a conversation with one that has ended."""
    await agency.run("first", conversation="c", user="ada")
    return await agency.start_run("hold on", conversation="open")


async def events(handle: RunHandle) -> list[Any]:
    return [record async for record in handle.events()]


CALLS: dict[str, Callable[[Agency, RunHandle], Awaitable[Any]]] = {
    "run": lambda agency, _: agency.run("?", conversation="c", user="ada"),
    "run with an id": lambda agency, _: agency.run("?", run_id="mine"),
    "run again": lambda agency, handle: agency.run("hold on", conversation="open", run_id=handle.id),
    "start_run": lambda agency, _: agency.start_run("?"),
    "handle": lambda agency, handle: agency.handle(handle.id),
    "status": lambda _, handle: handle.status(),
    "answer": lambda _, handle: handle.answer(),
    "events": lambda _, handle: events(handle),
    "cancel": lambda _, handle: handle.cancel(),
    "conversation": lambda agency, _: agency.conversation("c"),
    "conversations": lambda agency, _: agency.conversations(),
    "fork": lambda agency, _: agency.fork("c", at=1),
    "rewind": lambda agency, _: agency.rewind("c", to=1),
    "erase": lambda agency, _: agency.erase(user="ada"),
    "replay": lambda agency, _: agency.replay("c"),
    "release": lambda agency, _: agency.release("c"),
    "steer": lambda agency, _: agency.steer("open", "hurry"),
    "pending_approvals": lambda agency, _: agency.pending_approvals(),
    "add_agent": lambda agency, _: agency.add_agent(Agent("B", "b")),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_at_the_moment_of_the_stop_ends_as_asked_or_in_agency_closed(call: str, tmp_path: Path) -> None:
    wrong: list[str] = []
    for passes in (0, 1, 3, 6):
        agency = Agency(Agent("A", "a"), model=function(fine), journal=tmp_path / f"{passes}.db")
        async with agency:
            handle = await prepared(agency)
            asked = asyncio.ensure_future(CALLS[call](agency, handle))
            for _ in range(passes):
                await asyncio.sleep(0)
            stopping = asyncio.ensure_future(agency.stop())
            await asyncio.wait({asked, stopping})
            await stopping
        error = asked.exception()
        if not isinstance(error, AgencyClosed | None):
            wrong.append(f"after {passes} passes {error!r}")
    assert wrong == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_after_the_stop_ends_in_agency_closed(call: str, tmp_path: Path) -> None:
    async with Agency(Agent("A", "a"), model=function(fine), journal=tmp_path / "j.db") as agency:
        handle = await prepared(agency)
    with pytest.raises(AgencyClosed):
        await CALLS[call](agency, handle)


async def test_a_decision_left_in_the_journal_as_the_agency_stops_ends_as_asked_or_in_agency_closed(
    tmp_path: Path,
) -> None:
    wrong: list[str] = []
    for passes in range(16):
        async with Agency(Agent("A", "a"), model=function(fine), journal=tmp_path / f"{passes}.db") as agency:
            stopping = asyncio.ensure_future(agency.stop())
            for _ in range(passes):
                await asyncio.sleep(0)
            try:
                await agency.approve("of another process")
            except (AgencyClosed, UnknownApproval):
                pass
            except Exception as error:
                wrong.append(f"after {passes} passes {error!r}")
            await stopping
    assert wrong == []
