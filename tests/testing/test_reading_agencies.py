"""What a person reads of an agency that does not go on: who waits for whose approval, and nothing of housekeeping."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from callboard import Agency, Agent, Caller
from callboard.actors import ChildSpec
from callboard.actors.testing import Deadlock, FunctionModel, Simulation, SimulationFailed, StepBudgetSpent, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.tools import tool

from .gallery import Scenario


@tool(approval="always")
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


@tool(approval="always", approved_by=("finance", "owner"))
async def refund(amount: int) -> str:
    """Pay back."""
    return f"refunded {amount}"


def answer(request: Request) -> Any:
    if request.messages[-1].role == "tool":
        return "done"
    return [call(request.messages[-1].text, amount=4711)]


def asks(name: str, *, caller: Caller | None = None, **options: Any) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        given = {**options, "journal": str(sim.folder / "runs.db")} if options.get("journal") == "sqlite" else options
        clerk = Agent("Clerk", "You are a clerk", tools=[pay, refund])
        model = ChildSpec(FunctionModel, (answer,), name="model")
        agency = Agency(clerk, model=model, **given)
        async with agency:
            await agency.run(name, conversation="c", run_id="r1", caller=caller)

    return scenario


def found(scenario: Scenario) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, seeds=0, max_steps=300)
    return caught.value


@pytest.mark.parametrize(("journal", "expire"), [("sqlite", 1_000_000.0), ("postgresql://db/runs", None)])
def test_a_run_that_nobody_approves_is_named_with_its_tool_where_leases_let_time_pass_for_ever(
    journal: str, expire: float | None
) -> None:
    failed = found(asks("pay", journal=journal, approvals_expire=expire))
    assert isinstance(failed.run.error, StepBudgetSpent)
    said = str(failed).partition("\n\n")[0]
    assert "agency/Clerk/c waits for the approval of pay by the application (run r1" in said
    assert ("it expires in" in said) is (expire is not None)
    assert "4711" not in said


@pytest.mark.parametrize(
    ("name", "caller", "whose"),
    [
        ("pay", None, "the application"),
        ("pay", Caller("ada", "acme"), "ada of acme"),
        ("refund", Caller("ada"), "somebody with the scope finance or owner"),
    ],
)
def test_where_no_time_passes_a_run_that_nobody_approves_is_a_deadlock_that_says_whose_approval_is_missing(
    name: str, caller: Caller | None, whose: str
) -> None:
    failed = found(asks(name, caller=caller, approvals_expire=None))
    assert isinstance(failed.run.error, Deadlock)
    assert f"waits for the approval of {name} by {whose} (run r1)" in str(failed)


def test_nobody_is_waited_for_until_an_approval_has_expired_unless_the_scenario_lets_time_pass() -> None:
    failed = found(asks("pay"))
    assert isinstance(failed.run.error, Deadlock)
    assert failed.run.time < 1
    said = str(failed).partition("\n\n")[0]
    assert "no timer is set but for what a person was to decide until then" in said
    assert "agency/Clerk/c waits for the approval of pay by the application (run r1; it expires in 604,800 s)" in said

    ended: list[float] = []

    def denied(asleep: float | None, expire: float) -> Scenario:
        async def scenario(sim: Simulation) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(asks("pay", approvals_expire=expire)(sim))
                if asleep is not None:
                    group.create_task(asyncio.sleep(asleep))
            ended.append(sim.now)

        return scenario

    simulate(denied(8 * 86_400.0, 7 * 86_400.0), seeds=0)
    simulate(denied(None, 50.0), seeds=0)  # no longer than leases and posts are waited for
    assert ended == [8 * 86_400.0, 51.0]


def test_the_looks_of_an_idle_agency_at_a_journal_are_one_line_of_a_report() -> None:
    failed = found(asks("pay", journal="postgresql://db/runs"))
    report = str(failed)
    lines = report[report.index("spawn agency/Clerk") : report.index("found with")].splitlines()
    folded = [line for line in lines if re.search(r"… \d+ events of agency/…, agency$", line)]
    assert len(folded) == 1
    assert "+job" not in report
    # All of it is in the trace, and the model's part and what led to it is shown.
    assert "LookAgain" in failed.run.trace.text()
    assert "agency/Clerk/c -->| model" in report
    assert "earlier lines" not in report
