"""A run whose limits are spent may ask a person for more, and go on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, Completion, Limits, Message, Request, Usage, handoff, tool
from callboard.actors.agents.errors import (
    CostLimit,
    DefinitionError,
    LimitReached,
    RunCancelled,
    StepLimit,
    TokenLimit,
    UnknownApproval,
)
from callboard.actors.agents.events import ApprovalDecided, ApprovalRequested, RunEvent
from callboard.testing import Crash, Simulation, simulate, virtual_time

from .support import call, eventually, function, kill, left_behind, only_agent, outcome, results, until

MORE = {"cost": Limits(cost=10.0), "tokens": Limits(tokens=150), "steps": Limits(steps=10)}
ERRORS: dict[str, type[LimitReached]] = {"cost": CostLimit, "tokens": TokenLimit, "steps": StepLimit}


def bought(*calls: Any, text: str = "") -> Completion:
    """A completion for a dollar and of ten tokens."""
    message = Message("assistant", text, tuple(calls))
    return Completion(message, "tool_calls" if calls else "stop", Usage(5, 5), "m", "vendor", cost=1.0)


class Worker:
    """An agent that works so many times, a dollar each, and then answers."""

    def __init__(self, limits: Limits, times: int = 3, journal: Path | None = None, **options: Any) -> None:
        self.worked = 0
        self.asked = 0

        @tool(idempotent=True, timeout=None)
        async def work() -> str:
            self.worked += 1
            return "worked"

        def model(request: Request) -> Completion:
            self.asked += 1
            done = len(results(request))
            return bought(text="done") if done >= times else bought(call("work", f"w{done}"))

        agent = Agent("A", "a", tools=[work], limits=limits)
        self.agency = Agency(agent, model=function(model), journal=journal, **options)
        self.events: list[RunEvent] = []
        self.agency.subscribe(self.events.append)


def asking(limit: str, allowed: float) -> Limits:
    """Limits of which one is small, and which ask."""
    return Limits(**{limit: int(allowed) if limit != "cost" else allowed, "ask": True})  # type: ignore[arg-type]


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize(("limit", "allowed"), [("cost", 2.0), ("tokens", 20), ("steps", 2)])
async def test_a_spent_limit_is_asked_for_and_the_run_goes_on_where_it_was(
    tmp_path: Path, limit: str, allowed: float, durable: bool
) -> None:
    worker = Worker(asking(limit, allowed), journal=tmp_path / "j.db" if durable else None)
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        (request,) = agency.approvals
        assert (request.tool, request.call_id) == ("", "")
        assert json.loads(request.arguments) == {"limit": limit, "used": allowed, "allowed": allowed}
        assert (worker.asked, worker.worked) == (2, 1), "the call of the completion that was over was run"
        agency.approve(request, limits=MORE[limit])
        answer = await outcome(run)
    assert isinstance(answer, Answer), repr(answer)
    assert (answer.text, answer.cost, len(answer.steps), worker.worked) == ("done", 4.0, 4, 3)
    assert [type(e) for e in worker.events if isinstance(e, ApprovalRequested | ApprovalDecided)] == [
        ApprovalRequested,
        ApprovalDecided,
    ]


@pytest.mark.parametrize("limit", ["cost", "tokens", "steps"])
async def test_a_person_who_refuses_ends_the_run_in_the_limits_error(limit: str) -> None:
    worker = Worker(asking(limit, {"cost": 2.0, "tokens": 20, "steps": 2}[limit]))
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?"))
        assert await until(lambda: agency.approvals)
        agency.deny(agency.approvals[0], "too dear")
        error = await outcome(run)
    assert isinstance(error, ERRORS[limit])
    assert "too dear" in str(error)
    assert error.partial is not None
    assert (error.partial.cost, worker.worked) == (2.0, 1)


async def test_a_run_asks_again_when_what_it_was_given_is_spent_too() -> None:
    worker = Worker(asking("cost", 1.0))
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?"))
        for allowed in (2.0, 3.0, 4.0):
            assert await until(lambda: agency.approvals)
            agency.approve(agency.approvals[0], limits=Limits(cost=allowed))
            assert not agency.approvals
        answer = await outcome(run)
    assert (answer.text, answer.cost) == ("done", 4.0)


async def test_only_what_is_spent_is_raised_and_no_limit_is_lowered() -> None:
    worker = Worker(Limits(cost=2.0, steps=3, tokens=1_000, ask=True))
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?"))
        assert await until(lambda: agency.approvals)
        agency.approve(agency.approvals[0], limits=Limits(cost=50.0, tokens=1, steps=100))
        assert await until(lambda: agency.approvals), "the limit of steps was raised, too"
        assert json.loads(agency.approvals[0].arguments)["limit"] == "steps"
        agency.approve(agency.approvals[0], limits=Limits(steps=4))
        answer = await outcome(run)
    assert answer.text == "done"


async def test_what_does_not_fit_what_is_asked_for_is_refused_and_the_run_waits_on() -> None:
    worker = Worker(asking("cost", 2.0))
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?"))
        assert await until(lambda: agency.approvals)
        (request,) = agency.approvals
        wrong: list[dict[str, Any]] = [
            {},
            {"limits": Limits(tokens=5)},
            {"limits": Limits(cost=2.0)},
            {"limits": 5},
            {"limits": Limits(cost=9.0), "arguments": "{}"},
        ]
        for options in wrong:
            with pytest.raises(DefinitionError):
                agency.approve(request, **options)
        assert agency.approvals == (request,)
        agency.approve(request, limits=Limits(cost=9.0))
        with pytest.raises(UnknownApproval):
            agency.approve(request, limits=Limits(cost=9.0))
        assert (await outcome(run)).text == "done"


async def test_a_run_in_the_background_waits_and_its_record_tells_what_it_was_given(tmp_path: Path) -> None:
    worker = Worker(asking("cost", 2.0), journal=tmp_path / "j.db")
    async with worker.agency as agency:
        handle = await agency.start_run("?", conversation="c")
        await eventually(lambda: agency.approvals, "the question")
        assert await handle.status() == "waiting"
        agency.approve(agency.approvals[0], limits=Limits(cost=9.0))
        assert (await outcome(handle.answer())).text == "done"
        records = [record async for record in handle.events()]
    given = next(record for record in records if record.type == "limits_raised")
    assert given.data["cost"] == 9.0
    assert [record.type for record in records].index("approval_asked") < records.index(given)


async def test_limits_are_not_for_a_call_that_waits() -> None:
    @tool
    async def work() -> str:
        return "worked"

    def model(request: Request) -> Any:
        return "done" if results(request) else call("work")

    async with Agency(Agent("A", "a", tools=[work], autonomy="manual"), model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        assert await until(lambda: agency.approvals)
        with pytest.raises(DefinitionError):
            agency.approve(agency.approvals[0], limits=Limits(cost=9.0))
        agency.approve(agency.approvals[0])
        assert (await outcome(run)).text == "done"


async def test_an_answer_that_has_to_be_mended_asks_for_more_like_any_other_step() -> None:
    def model(request: Request) -> Completion:
        return bought(text="7" if "does not fit" in request.messages[-1].text else "seven")

    agent = Agent("A", "a", output_type=int, limits=asking("steps", 1))
    async with Agency(agent, model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        assert await until(lambda: agency.approvals)
        agency.approve(agency.approvals[0], limits=Limits(steps=2))
        assert (await outcome(run)).value == 7


async def test_a_run_that_waits_for_more_can_be_cancelled() -> None:
    worker = Worker(asking("cost", 2.0))
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        await agency.release("c")
        error = await outcome(run)
        assert agency.approvals == ()
    assert isinstance(error, RunCancelled)
    assert error.partial is not None
    assert error.partial.cost == 2.0


async def test_an_answer_that_spends_the_last_of_a_limit_is_an_answer() -> None:
    worker = Worker(asking("steps", 4))
    async with worker.agency as agency:
        assert (await outcome(agency.run("?"))).text == "done"


# -- the chain ---------------------------------------------------------------------------------------------------------


def pair(a: Limits, b: Limits) -> Agency:
    """A asks B, who works twice, a dollar each."""

    def model(request: Request) -> Completion:
        name, done = request.messages[0].text, len(results(request))
        if name == "A":
            return bought(text=results(request)[-1]) if done else bought(call("delegate_to_B", "b", message="work"))
        return bought(text="B is done") if done >= 2 else bought(call("look", f"l{done}"))

    @tool(idempotent=True)
    async def look() -> str:
        return "seen"

    agents = Agent("A", "A", handoffs=[handoff("B")], limits=a), Agent("B", "B", tools=[look], limits=b)
    return Agency(*agents, model=function(model))


@pytest.mark.parametrize("killed", ["", "agency/A/c", "agency/A", "agency/B", "agency"])
@virtual_time
async def test_no_time_passes_for_anybody_in_the_chain_while_a_delegate_waits_for_more(killed: str) -> None:
    async with pair(Limits(seconds=10), Limits(cost=2.0, seconds=10, ask=True)) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await asyncio.sleep(60)
        (request,) = agency.approvals
        assert request.agent == "B"
        if killed:
            assert kill(agency, killed)
        await asyncio.sleep(60)
        assert agency.approvals[0].approval == request.approval
        agency.approve(agency.approvals[0], limits=Limits(cost=5.0))
        await asyncio.wait([run])
        answer = run.exception() or run.result()
    assert isinstance(answer, Answer), repr(answer)
    assert (answer.text, answer.cost) == ("B is done", 5.0)


async def test_a_delegate_whose_asker_has_nothing_left_does_not_ask_and_the_asker_does() -> None:
    async with pair(Limits(cost=3.0, ask=True), Limits(cost=100.0, ask=True)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        assert await until(lambda: agency.approvals)
        (request,) = agency.approvals
        assert request.agent == "A"
        assert json.loads(request.arguments) == {"limit": "cost", "used": 3.0, "allowed": 3.0}
        agency.approve(request, limits=Limits(cost=9.0))
        answer = await outcome(run)
    assert "could not finish: CostLimit" in answer.text
    assert answer.cost == 4.0


# -- crashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("when", ["before the decision", "after the decision", "at work on it"])
async def test_a_crash_loses_neither_the_question_nor_what_was_given(tmp_path: Path, when: str, durable: bool) -> None:
    worker = Worker(asking("cost", 2.0), journal=tmp_path / "j.db" if durable else None)
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        (request,) = agency.approvals
        if when == "before the decision":
            assert kill(agency, "agency/A/c")
            assert await until(lambda: agency.approvals)
            assert agency.approvals[0].approval == request.approval
        agency.approve(request.approval, limits=Limits(cost=10.0))
        if when == "at work on it":
            assert await until(lambda: worker.worked > 1)
        if when != "before the decision":
            assert kill(agency, "agency/A/c")
        answer = await outcome(run)
    assert isinstance(answer, Answer), repr(answer)
    assert (answer.text, answer.cost, len(answer.steps)) == ("done", 4.0, 4)


async def test_another_process_asks_the_same_question_and_goes_on_with_what_was_given(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    first = Worker(asking("cost", 1.0), journal=journal)
    async with first.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        assert await until(lambda: agency.approvals)
        agency.approve(agency.approvals[0], limits=Limits(cost=2.0))
        assert await until(lambda: agency.approvals)
        asked = agency.approvals[0].approval
    await asyncio.wait([run])
    # The agent's limits of today are others: the run's are those that it was given.
    second = Worker(Limits(cost=0.0), journal=journal)
    async with second.agency as agency:
        again = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        assert await until(lambda: agency.approvals)
        assert agency.approvals[0].approval == asked
        assert json.loads(agency.approvals[0].arguments) == {"limit": "cost", "used": 2.0, "allowed": 2.0}
        agency.approve(asked, limits=Limits(cost=10.0))
        answer = await outcome(again)
    assert (answer.text, answer.cost) == ("done", 4.0)


@pytest.mark.parametrize(("moment", "used"), [("spent", 2), ("raised", 4)])
async def test_a_process_that_is_killed_leaves_the_question_and_what_was_given(
    tmp_path: Path, moment: str, used: int
) -> None:
    path = tmp_path / "j.db"
    left_behind(path, moment)

    @tool
    async def note(number: int) -> str:
        return f"noted {number}"

    def model(request: Request) -> Any:
        done = len(results(request))
        return call("note", f"n{done}", number=done) if done < 5 else "done"

    async with only_agent(model, path, tools=[note]) as agency:
        (resumed,) = agency.resumed.values()
        await eventually(lambda: agency.approvals, "the question")
        (request,) = agency.approvals
        assert json.loads(request.arguments) == {"limit": "steps", "used": used, "allowed": used}
        agency.approve(request, limits=Limits(steps=10))
        answer = await outcome(resumed)
    assert isinstance(answer, Answer), repr(answer)
    assert (answer.text, len(answer.steps)) == ("done", 6)


async def raises_and_crashes(sim: Simulation) -> None:
    worker = Worker(asking("cost", 1.0), system=sim.system)
    async with worker.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        decided: set[str] = set()
        for _ in range(1_000):
            if run.done():
                break
            for request in agency.approvals:
                used = json.loads(request.arguments)["used"]
                agency.approve(request, limits=Limits(cost=used + 1.5))
                assert request.approval not in decided, "decided twice"
                decided.add(request.approval)
            await asyncio.sleep(0.1)
        answer = await run
    assert (answer.text, answer.cost, len(answer.steps)) == ("done", 4.0, 4)
    assert len(decided) == 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("actor", ["agency/A/c", "agency/A"])
def test_under_any_schedule_with_a_crash_anywhere_each_question_is_answered_once(actor: str, when: Any) -> None:
    simulate(raises_and_crashes, seeds=15, faults=[Crash(actor, when=when)])
