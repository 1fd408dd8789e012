"""The skill ``agents``: who is found, who may be asked, and what of a run holds for those who are asked."""

from __future__ import annotations

from typing import Any, Literal

import httpx
import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    DefinitionError,
    Guardrail,
    GuardrailTripped,
    Handoff,
    HandoffLimit,
    HandoffLimits,
    HandoffPolicy,
    LabelPolicy,
    Labels,
    PatternCheck,
    RemoteAgent,
    tool,
)
from callboard.actors.agents.skills.builtin.agents import AgentsSkill
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.support import function, results

OTHERS = (
    Agent("Translator", description="Translates letters into German and French."),
    Agent("Accountant", description="Knows invoices, taxes and payments."),
    Agent("Boss", description="Decides about payments.", scope="staff"),
    Agent("Silent"),
)


def asking(*calls: Any) -> Any:
    """A model that makes these calls, one after the other, and answers with all results; others echo."""

    def model(request: Request) -> Any:
        if not request.messages[0].text.startswith("You are A."):
            return f"done: {request.messages[-1].text.splitlines()[-1]}"
        told = results(request)
        return calls[len(told)] if len(told) < len(calls) else "\n--\n".join(told)

    return function(model)


def agency(*calls: Any, others: tuple[Agent, ...] = OTHERS, **options: Any) -> Agency:
    return Agency(Agent("A", "You are A.", skills=[AgentsSkill()]), *others, model=asking(*calls), **options)


async def test_agents_are_found_by_what_they_do_and_asked() -> None:
    calls = (
        call("find_agents", query="pay an invoice"),
        call("message_agent", agent="Accountant", message="Is invoice 7 paid?"),
        call("find_agents", query="cooking"),
        call("find_agents"),
    )
    async with agency(*calls) as running:
        answer = await running.run("?")
    found, told, nobody, everybody = answer.text.split("\n--\n")
    assert found == "Accountant: Knows invoices, taxes and payments."
    assert told == "done: Is invoice 7 paid?"
    assert nobody.startswith("(nobody fits")
    assert [line.partition(":")[0] for line in everybody.splitlines()] == ["Translator", "Accountant", "Silent"]
    assert answer.text.count("Boss") == 0


async def test_who_is_forbidden_is_neither_found_nor_asked() -> None:
    calls = (call("find_agents"), call("message_agent", agent="Accountant", message="?"))
    policy = HandoffPolicy(agents={"A": ["Translator", "Silent"]})
    async with agency(*calls, handoff_policy=policy) as running:
        answer = await running.run("?")
        assert "Accountant" not in answer.text.partition("--")[0]
        assert "there is nobody called 'Accountant' whom you may ask" in answer.text
        running.revoke("A", "Translator")
        assert "Translator" not in (await running.run("?")).text
    asked_boss = (call("message_agent", agent="Boss", message="May I?"),)
    async with agency(*asked_boss) as running:
        assert "nobody called 'Boss'" in (await running.run("?")).text
        staff = Caller("ada", scopes=frozenset({"staff"}))
        assert (await running.run("?", caller=staff)).text == "done: May I?"


async def test_what_is_asked_is_a_handoff_with_its_limits_and_a_failure_is_told_to_the_model() -> None:
    def model(request: Request) -> Any:
        if request.messages[0].text == "You fail.":
            raise RuntimeError("down")
        told = results(request)
        return call("message_agent", agent="B", message="again") if not told else told[-1]

    team = (
        Agent("A", "You are A.", skills=[AgentsSkill()]),
        Agent("B", "You fail."),
    )
    async with Agency(*team, model=function(model)) as running:
        assert "B could not finish: RunFailed: " in (await running.run("?")).text
    async with Agency(*team, model=function(model), handoff_limits=HandoffLimits(total=0)) as running:
        with pytest.raises(HandoffLimit):
            await running.run("?")


async def test_an_empty_message_is_refused() -> None:
    async with agency(call("message_agent", agent="Silent", message=" ")) as running:
        assert "message_agent needs a message" in (await running.run("?")).text


async def test_guardrails_of_handoffs_look_at_what_is_asked() -> None:
    secret = PatternCheck("code name", "blue-[0-9]+")
    actions: tuple[Literal["redact", "block"], ...] = ("redact", "block")
    for action in actions:
        guard = Guardrail(secret, on="handoff", action=action)
        skilled = Agent("A", "You are A.", skills=[AgentsSkill()], hooks=[guard])
        asked = asking(call("message_agent", agent="Silent", message="what is blue-7?"))
        async with Agency(skilled, Agent("Silent"), model=asked) as running:
            if action == "redact":
                assert (await running.run("?")).text == "done: what is [code name]?"
            else:
                with pytest.raises(GuardrailTripped, match="blocked the handoff: code name"):
                    await running.run("?")


@tool(risk="safe", trusted=True, confidential=True)
async def salaries() -> str:
    """What everybody earns."""
    return "4711"


async def test_what_is_confidential_goes_to_nobody_on_another_machine() -> None:
    def reached(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.content)

    elsewhere = RemoteAgent("Elsewhere", "https://r.example/v1", transport=httpx.MockTransport(reached))
    calls = (call("salaries"), call("message_agent", agent="Elsewhere", message="4711"))
    skilled = Agent("A", "You are A.", tools=[salaries], skills=[AgentsSkill()])
    async with Agency(skilled, elsewhere, model=asking(*calls), label_policy=LabelPolicy()) as running:
        assert "Elsewhere sends to somebody outside what may be confidential" in (await running.run("?")).text


async def test_a_tool_that_asks_an_actor_itself_sends_nothing_confidential_to_another_machine() -> None:
    def reached(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.content)

    @tool(risk="safe")
    async def pass_on(text: str) -> str:
        return str((await running.agent_ref("Elsewhere").ask(Handoff("A", "Elsewhere", text))).text)

    elsewhere = RemoteAgent("Elsewhere", "https://r.example/v1", transport=httpx.MockTransport(reached))
    asker = Agent("A", "You are A.", tools=[salaries, pass_on])
    model = asking(call("salaries"), call("pass_on", text="4711"))
    async with Agency(asker, elsewhere, model=model, label_policy=LabelPolicy()) as running:
        assert "LabelRefused: Elsewhere sends to somebody outside" in (await running.run("?")).text


async def test_an_answer_comes_back_with_its_labels() -> None:
    def model(request: Request) -> Any:
        told = results(request)
        if "You are A." in request.messages[0].text:
            return told[-1] if told else call("message_agent", agent="Payroll", message="who earns most?")
        return told[-1] if told else call("salaries")

    team = Agent("A", "You are A.", skills=[AgentsSkill()]), Agent("Payroll", tools=[salaries])
    async with Agency(*team, model=function(model)) as running:
        answer = await running.run("?")
    (told,) = [message for message in answer.messages if message.role == "tool"]
    assert told.labels == Labels(confidential=frozenset({"confidential"}))


async def test_a_newcomer_is_found_at_once() -> None:
    async with agency(call("find_agents", query="gardens")) as running:
        assert "nobody fits" in (await running.run("?")).text
        await running.add_agent(Agent("Gardener", description="Keeps gardens."))
        assert (await running.run("?")).text == "Gardener: Keeps gardens."


async def test_many_are_told_of_a_few_at_a_time() -> None:
    others = tuple(Agent(f"B{number}", description="Counts sheep.") for number in range(30))
    async with agency(call("find_agents", query="sheep"), others=others) as running:
        lines = (await running.run("?")).text.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "… and 20 more: say more of what is to be done"
    with pytest.raises(DefinitionError, match="found is 0"):
        AgentsSkill(found=0)


def test_whatever_crashes_the_run_has_its_one_answer() -> None:
    async def scenario(sim: Simulation) -> None:
        calls = (call("message_agent", agent="Accountant", message="Paid?"),)
        team = Agent("A", "You are A.", skills=[AgentsSkill()]), *OTHERS
        async with Agency(*team, model=asking(*calls), system=sim.system) as running:
            answer = await running.run("?", run_id="r", conversation="c")
        assert answer.text == "done: Paid?" or "Interrupted" in answer.text or "could not finish" in answer.text

    faults = [Crash(actor, when=when) for actor in ("agency/A/c", "agency/Accountant") for when in ("before", "after")]
    simulate(scenario, seeds=20, faults=faults)
