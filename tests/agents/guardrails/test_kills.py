"""What guardrails decide holds whoever is killed at whichever event, and in other processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Guardrail, GuardrailFound, ModelJudge, PatternCheck, handoff, tool
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Completion, Message, Request, Usage
from tests.agents.support import each_kill, function, results, until

WHOM = ["agency/A/c", "agency/A", "agency", "model"]
CODE = PatternCheck("code name", r"blue-[0-9]{2}", longest=7)
STRANGER = PatternCheck("stranger", r"[a-z]+@rival\.example", longest=60)


@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_nobody_sees_what_is_redacted_and_a_person_is_asked(
    whom: str,
) -> None:
    requests: list[Request] = []
    written: list[str] = []
    asked: set[tuple[str, str]] = set()

    @tool(idempotent=True)
    async def look_up() -> str:
        return "the code is blue-42"

    @tool(idempotent=True)
    async def write(to: str, text: str) -> str:
        written.append(text)
        return "written"

    def model(request: Request) -> Any:
        requests.append(request)
        done = results(request)
        if not done:
            return call("look_up", "c0")
        if len(done) == 1:
            return call("write", "c1", to="boss@rival.example", text="blue-43")
        return call("delegate_to_B", "c2", message="blue-44") if len(done) == 2 else "it was blue-45"

    def delegate(request: Request) -> Any:
        requests.append(request)
        return "B says blue-46"

    def either(request: Request) -> Any:
        return delegate(request) if "From: A" in request.messages[-1].text else model(request)

    def make() -> Agency:
        requests.clear()
        written.clear()
        asked.clear()
        redact = Guardrail(CODE, on={"input", "output", "tool_call", "tool_result", "handoff"}, action="redact")
        ask = Guardrail(STRANGER, on={"tool_call"}, action="ask")
        a = Agent("A", tools=[look_up, write], handoffs=[handoff(Agent("B"))], hooks=[redact, ask])
        return Agency(a, model=function(either))

    def approve(agency: Agency, event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            asked.add((event.approval, event.why))
            agency.approve(event)

    def look(answer: Any, seen: list[RunEvent]) -> None:
        assert answer.text == "it was [code name]"
        assert set(written) == {"[code name]"}
        assert [why for _, why in asked] == ["guardrail stranger found stranger"]
        shown = [message.text for request in requests for message in request.messages]
        assert not any("blue-4" in text for text in shown)
        assert not any("blue-4" in message.text for message in answer.messages)
        assert problems(answer.messages) == []
        places = {event.where for event in seen if isinstance(event, GuardrailFound)}
        assert places >= {"output", "tool_result", "handoff"}

    await each_kill(make, whom, look, meanwhile=approve)


@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_what_judging_cost_is_paid_once_at_least_and_recorded(
    whom: str,
) -> None:
    judged: list[str] = []

    def model(request: Request) -> Any:
        if request.response_schema is None:
            return Completion(Message("assistant", "fine"), "stop", Usage(10, 5), cost=1.0)
        judged.append(request.messages[-1].text)
        verdict = Message("assistant", '{"violates": false, "score": 1}')
        return Completion(verdict, "stop", Usage(100, 10), cost=0.25)

    def make() -> Agency:
        judged.clear()
        judge = Guardrail(ModelJudge("It is rude."), on={"input", "output"})
        return Agency(Agent("A", hooks=[judge]), model=function(model))

    def look(answer: Any, seen: list[RunEvent]) -> None:
        assert answer.text == "fine"
        # A verdict that was lost with the actor that had it is asked for again; none is in the account twice.
        assert 1.5 <= answer.cost <= 1.0 + 0.25 * len(judged)

    await each_kill(make, whom, look)


async def test_a_call_that_waits_for_a_person_is_still_asked_about_in_the_next_process(tmp_path: Path) -> None:
    written: list[str] = []

    @tool(idempotent=True)
    async def write(to: str) -> str:
        written.append(to)
        return "written"

    def model(request: Request) -> Any:
        done = results(request)
        return done[-1] if done else call("write", "c1", to="boss@rival.example")

    def make() -> Agency:
        ask = Guardrail(STRANGER, on={"tool_call"}, action="ask")
        return Agency(Agent("A", tools=[write], hooks=[ask]), model=function(model), journal=tmp_path / "agency.db")

    async with make() as agency:
        handle = await agency.start_run("go", conversation="c", run_id="r")
        await until(lambda: agency.approvals)
        assert handle is not None
    asked: list[ApprovalRequested] = []
    async with make() as other:  # any process of the journal knows why
        assert [one.why for one in await other.pending_approvals()] == ["guardrail stranger found stranger"]
    async with make() as agency:
        agency.subscribe(lambda event: asked.append(event) if isinstance(event, ApprovalRequested) else None)
        await until(lambda: agency.approvals)
        assert agency.approvals[0].why == "guardrail stranger found stranger"
        agency.deny(agency.approvals[0], "no")
        answer = await agency.run("go", conversation="c", run_id="r")
    assert answer.text == "Denied by a person: no"
    assert written == []
