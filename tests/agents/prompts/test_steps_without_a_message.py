"""What a step has set that left no message stays where its run was: before the run that began next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, ChildSpec, Prompt, RunCancelled
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.testing import FunctionModel
from tests.agents.support import until


class Steps:
    """A conversation whose steps are counted by an effect, and whose first two completions hang if that is said.

    Attributes:
        told: what the model was told of the count, in order.
        paid: the counts that calls closed over.
    """

    def __init__(self) -> None:
        self.told: list[int] = []
        self.paid: list[int] = []

    def define(self, prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"count {count}.")
        prompt.effect(lambda: set_count(lambda before: before + 1))

        @prompt.tool
        def pay() -> str:
            """Pay."""
            self.paid.append(count)
            return "paid"

    def agency(self, journal: Path | None = None) -> Agency:
        agent = Agent("A", prompt=self.define, autonomy="supervised")
        return Agency(agent, model=ChildSpec(FunctionModel, (self.model,)), journal=journal)

    async def model(self, request: Request) -> Any:
        self.told.append(int(request.messages[0].text.partition("count ")[2].partition(".")[0]))
        said = [message.text for message in request.messages if message.role == "user"][-1]
        if said == "hang" and len(self.told) < 3:
            await asyncio.Event().wait()
        if said == "nothing" and len(self.told) == 1:
            return ""
        return "done" if request.messages[-1].role == "tool" else call("pay", "pay")

    async def first(self, agency: Agency, said: str) -> None:
        """A run whose only step leaves no message."""
        run = asyncio.ensure_future(agency.run(said, conversation="c"))
        if said == "hang":
            await until(lambda: bool(self.told))
            run.cancel()
        await asyncio.wait([run])
        assert self.told == [0]


@pytest.mark.parametrize("said", ["hang", "nothing"])
async def test_it_stays_where_the_next_run_is_rolled_back(said: str) -> None:
    steps = Steps()
    async with steps.agency() as agency:
        await steps.first(agency, said)
        second = asyncio.ensure_future(agency.run("hang", conversation="c"))
        await until(lambda: len(steps.told) == 2)
        third = asyncio.ensure_future(agency.run("hello", conversation="c", when_busy="rollback"))
        with pytest.raises(RunCancelled):
            await second
        await until(lambda: bool(agency.approvals))
        agency.approve(agency.approvals[0])
        await third
    assert steps.told == [0, 1, 1, 2]
    assert steps.paid == [1]


@pytest.mark.parametrize("said", ["hang", "nothing"])
async def test_a_run_that_is_asked_nothing_goes_on_from_it_also_after_a_restart(said: str, tmp_path: Path) -> None:
    steps, journal = Steps(), tmp_path / "runs.db"
    async with steps.agency(journal) as agency:
        await steps.first(agency, said)
        steps.told.append(0)  # so that it does not hang again
        await agency.start_run((), conversation="c", run_id="r")
        await until(lambda: bool(agency.approvals))
    async with steps.agency(journal) as agency:
        handle = await agency.handle("r")
        await until(lambda: bool(agency.approvals))
        agency.approve(agency.approvals[0])
        await handle
    assert steps.told[2:] == [1, 2]
    assert steps.paid == [1], "the call closes over what the model was told"
