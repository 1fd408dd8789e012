"""A decision that another process leaves for a run whose conversation ends with it: what is told of it is true."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Agency, Agent, Request, tool
from callboard.actors.agents.errors import UnknownApproval
from callboard.actors.agents.runs.coordination.elsewhere import Waiting, decide, taken, waiting
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing.doubles.models import call
from callboard.testing import virtual_time

from .support import function, until


@tool
async def pay() -> str:
    """Pay."""
    return "paid"


def model(request: Request) -> Any:
    last = request.messages[-1]
    if last.role == "tool":
        return last.text
    names = [offered.name for offered in request.tools]
    return call("pay") if "pay" in names else call("SendMessage", target_agent="Clerk", message="pay")


def team(journal: MemoryJournal) -> Agency:
    """A lead that hands everything to somebody who may pay once a person has agreed."""
    clerk = Agent("Clerk", "pays", tools=[pay], autonomy="supervised")
    return Agency(Agent("Lead", "leads", handoffs=[clerk]), clerk, model=function(model), journal=journal)


async def left(journal: MemoryJournal, agency: Agency, approved: bool) -> Waiting:
    """A decision about the call that waits, as another process leaves it."""
    await until(lambda: agency.approvals)
    (one,) = await waiting(journal)
    return await decide(journal, one.request.approval, approved)


@virtual_time
@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("agent", ["Lead", "Clerk"])
async def test_it_is_told_that_a_decision_was_taken_though_all_has_ended_since(agent: str, approved: bool) -> None:
    journal = MemoryJournal()
    other = journal.as_worker()
    async with team(journal) as agency:
        run = asyncio.ensure_future(agency.run("pay", agent=agent))
        decided = await left(other, agency, approved)
        answer = await run
        assert ("paid" in answer.text) is approved
        assert await taken(other, decided, approved, 3.0)
        with pytest.raises(UnknownApproval, match="was approved" if approved else "was denied"):
            await taken(other, decided, not approved, 3.0)
        await asyncio.sleep(11)
        assert not journal.headers(), "what ends with its run is kept no longer than somebody looks"
        with pytest.raises(UnknownApproval, match="nobody can say whether the decision"):
            await taken(other, decided, approved, 3.0)


async def test_nothing_of_it_is_left_once_the_agency_has_stopped() -> None:
    journal = MemoryJournal()
    async with team(journal) as agency:
        run = asyncio.ensure_future(agency.run("pay"))
        await left(journal.as_worker(), agency, True)
        await run
    assert not journal.headers()
