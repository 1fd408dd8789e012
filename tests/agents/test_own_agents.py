"""Agents of one's own class: an `async def answer(self, request)` in place of a model, with all that runs promise."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    AgentRequest,
    Answer,
    DefinitionError,
    HookContext,
    Limits,
    Message,
    RunFailed,
    Usage,
    guardrail,
    handoff,
)
from callboard.actors.agents.answer import HandoffRecord
from callboard.actors.agents.errors import AgentError, AgentUnavailable, GuardrailTripped, TimeLimit, UnknownAgent
from callboard.actors.agents.events import CompletionFinished, RunEvent, TextDelta
from callboard.actors.testing.doubles.models import Script, call

from .support import function, scripted, until


class Clerk:
    """Answers by itself, and notes what it was asked."""

    name = "Clerk"
    description = "Knows the files."

    def __init__(self, answer: Any = "from the files") -> None:
        self.asked: list[AgentRequest] = []
        self.said = answer

    async def answer(self, request: AgentRequest) -> Any:
        self.asked.append(request)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


async def test_an_agent_of_ones_own_class_is_asked_as_any_other() -> None:
    clerk = Clerk(Answer("found", cost=0.5, usage=Usage(3, 4), value={"page": 7}, notes=("by hand",)))
    async with Agency(Agent("A", "a"), clerk, model=scripted(Script([]))) as agency:
        answer = await agency.run("where is it?", agent="Clerk", user="ann", conversation="c")
    assert (answer.text, answer.agent, answer.conversation) == ("found", "Clerk", "c")
    assert (answer.cost, answer.usage, answer.value, answer.notes) == (0.5, Usage(3, 4), {"page": 7}, ("by hand",))
    (request,) = clerk.asked
    assert (request.text, request.handoff, request.context.caller.user) == ("where is it?", None, "ann")


async def test_it_has_a_conversation_that_goes_on_from_run_to_run() -> None:
    clerk = Clerk()
    async with Agency(clerk) as agency:
        await agency.run("one", conversation="c")
        await agency.run("two", conversation="c")
    assert [message.text for message in clerk.asked[1].messages] == ["one", "from the files", "two"]


async def test_a_task_is_delegated_to_it_with_whose_it_is() -> None:
    clerk = Clerk()
    script = Script([call("SendMessage", target_agent="Clerk", message="look it up"), "done"])
    async with Agency(Agent("A", "a", handoffs=[clerk]), model=scripted(script)) as agency:
        answer = await agency.run("?", user="ann")
    assert answer.chain == ("A → Clerk",)
    assert script.requests[1].messages[-1].text == "from the files"
    (request,) = clerk.asked
    assert request.handoff is not None
    assert (request.text, request.handoff.sender, request.context.chain) == ("look it up", "A", ("A", "Clerk"))
    assert request.context.caller.user == "ann"


async def test_a_conversation_is_transferred_to_it_for_good() -> None:
    clerk = Clerk()
    a = Agent("A", "a", handoffs=[handoff(clerk, kind="transfer")])
    async with Agency(a, model=scripted(Script([call("transfer_to_Clerk", message="x")]))) as agency:
        first = await agency.run("hello", conversation="c")
        second = await agency.run("more", conversation="c")
    assert [answer.agent for answer in (first, second)] == ["Clerk", "Clerk"]
    assert [message.text for message in clerk.asked[1].messages] == ["hello", "from the files", "more"]
    assert clerk.asked[0].text == "hello"


async def test_a_subclass_of_agent_may_answer_by_itself() -> None:
    class Counter(Agent):
        count = 0

        async def answer(self, request: AgentRequest) -> str:
            self.count += 1
            return f"{self.count}: {request.text}"

    async with Agency(Counter("Counter")) as agency:
        assert (await agency.run("first")).text == "1: first"
        assert [event.text async for event in agency.run_streaming("next") if isinstance(event, TextDelta)] == [
            "2: next"
        ]


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (AgentUnavailable("closed today"), AgentUnavailable),
        (ConnectionError("no route"), RunFailed),
    ],
)
async def test_what_it_raises_ends_its_run_by_name(raised: Exception, error: type[AgentError]) -> None:
    async with Agency(Clerk(raised)) as agency:
        with pytest.raises(error, match=str(raised)) as told:
            await agency.run("?")
    assert told.value is raised or told.value.__cause__ is raised
    assert told.value.partial is not None


async def test_what_a_failed_answer_cost_is_counted() -> None:
    error = RunFailed("half way")
    error.partial = Answer("", cost=0.25, usage=Usage(1, 2))
    script = Script([call("SendMessage", target_agent="Clerk", message="x"), "so be it"], cost=1.0)
    async with Agency(Agent("A", "a", handoffs=[Clerk(error)]), model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.cost == 2.25
    assert "half way" in answer.handoffs[0].failed


async def test_what_is_neither_an_answer_nor_a_text_is_said_by_name() -> None:
    async with Agency(Clerk(7)) as agency:
        with pytest.raises(RunFailed, match="Clerk answered int, not an Answer or a text"):
            await agency.run("?")


async def test_handoffs_that_it_made_elsewhere_stand_in_the_answer() -> None:
    record = HandoffRecord("Clerk", "Archive", "delegate", "dig")
    clerk = Clerk(Answer("found", handoffs=(record,)))
    script = Script([call("SendMessage", target_agent="Clerk", message="x"), "done"])
    async with Agency(Agent("A", "a", handoffs=[clerk]), model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.chain == ("A → Clerk", "Clerk → Archive")


async def test_its_time_is_limited_and_cancelling_stops_it() -> None:
    stopped = asyncio.Event()

    class Slow(Agent):
        async def answer(self, request: AgentRequest) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            return ""

    async with Agency(Slow("Slow")) as agency:
        with pytest.raises(TimeLimit):
            await agency.run("?", limits=Limits(seconds=0.01))
        assert stopped.is_set()
        stopped.clear()
        run = asyncio.ensure_future(agency.run("?"))
        await until(lambda: agency._runtime.register.open())
        for _ in range(20):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait([run])
        assert run.cancelled()
        assert stopped.is_set()


async def test_guardrails_of_a_subclass_judge_what_it_answers() -> None:
    @guardrail("response")
    def no_secrets(context: HookContext) -> None:
        assert context.completion is not None
        if "secret" in context.completion.message.text:
            raise ValueError("that is secret")

    class Careless(Agent):
        async def answer(self, request: AgentRequest) -> str:
            return "a secret"

    shown: list[RunEvent] = []
    async with Agency(Careless("Careless", hooks=[no_secrets])) as agency:
        agency.subscribe(shown.append)
        with pytest.raises(GuardrailTripped):
            await anext(event async for event in agency.run_streaming("?") if isinstance(event, TextDelta))
    assert not [event for event in shown if isinstance(event, TextDelta)]


async def test_its_work_is_seen_by_subscribers() -> None:
    seen: list[RunEvent] = []
    async with Agency(Clerk(Answer("x", cost=0.5))) as agency:
        agency.subscribe(seen.append)
        await agency.run("?")
    (finished,) = [event for event in seen if isinstance(event, CompletionFinished)]
    assert (finished.provider, finished.cost) == ("Clerk", 0.5)


async def test_what_only_a_handoff_leads_to_is_no_member_and_flows_do_not_reach_it() -> None:
    a = Agent("A", "a", handoffs=[handoff(Clerk())])
    script = Script(["ok"])
    async with Agency(a, Agent("B", "b"), flows="*", model=scripted(script)) as agency:
        assert list(agency.agents) == ["A", "B"]
        with pytest.raises(UnknownAgent):
            await agency.run("?", agent="Clerk")
        await agency.run("?", agent="B")
    (send,) = script.requests[0].tools
    assert send.parameters["properties"]["target_agent"]["enum"] == ["A"]


def test_two_that_are_not_the_same_cannot_have_one_name() -> None:
    with pytest.raises(DefinitionError, match="two agents are called 'Clerk'"):
        Agency(Agent("A", handoffs=[handoff(Clerk()), handoff(Clerk(), name="other")]))
    one = Clerk()
    Agency(Agent("A", handoffs=[handoff(one), handoff(one, name="other")]), one)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_killed_conversation_asks_it_again_and_what_it_answered_is_kept(times: int, tmp_path: Path) -> None:
    asked = 0
    gates = [asyncio.Event() for _ in range(times)]

    class Steady(Agent):
        async def answer(self, request: AgentRequest) -> str:
            nonlocal asked
            asked += 1
            if asked <= times:
                gates[asked - 1].set()
                await asyncio.Event().wait()
            return "done"

    async with Agency(Steady("Steady"), journal=tmp_path / "j.db") as agency:
        assert agency.system is not None
        run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        for gate in gates:
            await gate.wait()
            victim = agency.system.find("agency/Steady/c")
            assert victim is not None
            victim.kill()
        assert (await run).text == "done"
    assert asked == times + 1
    async with Agency(Steady("Steady"), journal=tmp_path / "j.db") as agency:
        assert (await agency.run("?", conversation="c", run_id="r")).text == "done"
    assert asked == times + 1, "what was recorded was asked for again"


async def test_a_model_after_it_sees_a_history_that_every_vendor_accepts() -> None:
    """An empty answer leaves no empty message behind."""
    clerk = Clerk("")
    script = Script([call("SendMessage", target_agent="Clerk", message="x"), "done"])
    async with Agency(Agent("A", "a", handoffs=[clerk]), clerk, model=scripted(script)) as agency:
        assert (await agency.run("?", agent="Clerk", conversation="c")).text == ""
        await agency.run("again", agent="Clerk", conversation="c")
        await agency.run("?")
    assert [message.role for message in clerk.asked[1].messages] == ["user", "user"]
    assert script.requests[1].messages[-1].text == "Clerk answered nothing."


async def test_a_request_shows_nothing_of_what_was_said() -> None:
    clerk = Clerk()
    async with Agency(clerk, model=function(lambda request: "")) as agency:
        await agency.run([Message("user", "swordfish")])
    assert "swordfish" not in repr(clerk.asked[0])
    assert isinstance(clerk.asked[0].messages[0], Message)
