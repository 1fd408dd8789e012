"""What a person decides is decided once, and a decision that had no effect says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Request, tool
from callboard.actors.agents.errors import UnknownApproval

from .support import call, eventually, function, kill, left_behind, outcome, passes, results, until

Decide = Callable[[Agency, Any], object]

DECISIONS: dict[str, Decide] = {
    "approve": lambda agency, approval: agency.approve(approval),
    "deny": lambda agency, approval: agency.deny(approval, "no"),
    "approve by its id": lambda agency, approval: agency.approve(approval.approval),
}


def paying(effects: list[str], journal: Path | None = None) -> Agency:
    """An agency whose agent may pay once a person has agreed."""

    @tool
    async def pay() -> str:
        effects.append("paid")
        return "paid"

    def model(request: Request) -> Any:
        return f"done: {results(request)[0]}" if results(request) else call("pay")

    agent = Agent("A", "a", tools=[pay], autonomy="supervised")
    return Agency(agent, model=function(model), journal=journal)


@pytest.mark.parametrize("second", list(DECISIONS))
@pytest.mark.parametrize("first", ["approve", "deny"])
@pytest.mark.parametrize("between", [0, 1, 30])
async def test_what_was_decided_cannot_be_decided_again(first: str, second: str, between: int) -> None:
    effects: list[str] = []
    async with paying(effects) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        (approval,) = agency.approvals
        DECISIONS[first](agency, approval)
        await passes(between)
        with pytest.raises(UnknownApproval, match=approval.approval):
            DECISIONS[second](agency, approval)
        answer = await outcome(run)
        assert answer.text == ("done: paid" if first == "approve" else "done: Denied by a person: no")
    assert effects == (["paid"] if first == "approve" else [])


async def test_a_decided_approval_is_listed_no_more() -> None:
    async with paying([]) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        agency.approve(agency.approvals[0])
        assert agency.approvals == (), "it still asks for what was decided"
        await outcome(run)


@pytest.mark.parametrize("whom", ["agency/A/c", "agency/A", "agency"])
async def test_a_decision_is_carried_out_though_its_conversation_crashes_on_it(whom: str) -> None:
    effects: list[str] = []
    async with paying(effects) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        agency.approve(agency.approvals[0])
        assert kill(agency, whom)
        await until(run.done, within=2_000)
        if agency.approvals:  # it is asked for again: then whoever decided is told of it
            agency.approve(agency.approvals[0])
        assert (await outcome(run)).text == "done: paid"
    assert effects == ["paid"]


async def test_an_approval_outlives_the_process_and_is_decided_once(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    left_behind(path, "approval")
    effects: list[str] = []
    async with paying(effects, path) as agency:
        (resumed,) = agency.resumed.values()
        await eventually(lambda: agency.approvals, "the approval")
        (approval,) = agency.approvals
        agency.approve(approval)
        with pytest.raises(UnknownApproval):
            agency.deny(approval)
        assert (await outcome(resumed)).text == "done: paid"
    assert effects == ["paid"]
