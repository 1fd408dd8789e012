"""Handoffs: who may reach whom, how deep, what comes back; never a hang."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from callboard import Agency, Agent, AgentRequest, Answer, Caller, Handoff, HandoffLimits, Limits, Pipeline, handoff
from callboard.actors.agents.errors import (
    AgentError,
    DefinitionError,
    HandoffCycle,
    HandoffDepth,
    HandoffLimit,
    RunFailed,
    StepLimit,
)
from callboard.actors.agents.events import HandoffFinished, RunEvent, RunFinished, RunStarted
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Message, Request, ToolCall, Usage

from .support import add, function, scripted, until


def send(target: str, message: str = "do it", id: str = "") -> ToolCall:
    return call("SendMessage", id, target_agent=target, message=message)


async def test_a_delegate_answers_its_sender_who_answers_the_caller() -> None:
    script = Script([send("B", "the task"), "from B", "from A"], cost=0.1)
    async with Agency(Agent("A", "a"), Agent("B", "b"), flows=[("A", "B")], model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert (answer.text, answer.agent, answer.chain) == ("from A", "A", ("A → B",))
    assert answer.cost == pytest.approx(0.3)
    assert answer.usage == Usage(30, 15)
    assert [m.text for m in script.requests[1].messages] == ["b", "From: A\n\nthe task"]


@pytest.mark.parametrize("id", ["a/b", "a\n", "%2F", "\ud800", "ü 日本", "x" * 1000, "a#1~0>."])
async def test_a_call_may_have_any_id(id: str) -> None:
    script = Script([[send("B", id=id), send("B", "more", id=f"{id}/")], "from B", "from B too", "from A"])
    async with Agency(Agent("A", "a"), Agent("B", "b"), flows=[("A", "B")], model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.text == "from A"
    assert sorted(one.output for one in answer.steps[0].calls) == ["from B", "from B too"]


async def test_the_target_is_told_who_asks_and_the_vendor_is_not_told_for_whom() -> None:
    contexts: list[Any] = []

    def instructions(context: Any) -> str:
        contexts.append(context)
        return "b"

    script = Script([send("B", "the task"), "from B", "from A"])
    agents = (Agent("A", "a"), Agent("B", instructions))
    async with Agency(*agents, flows=[("A", "B")], model=scripted(script)) as agency:
        await agency.run("?", caller=Caller("ann@example.com", "acme"))
    assert script.requests[1].messages[-1].text.startswith("From: A\n")
    assert "ann@example.com" not in "".join(message.text for request in script.requests for message in request.messages)
    assert [(context.caller.user, context.chain) for context in contexts] == [("ann@example.com", ("A", "B"))]


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_after_a_transfer_have_the_ids_of_the_run_and_the_conversation_that_were_asked(
    stream: bool,
) -> None:
    script = Script([call("transfer_to_B", message="yours"), "B here", "B again"])
    a = Agent("A", "a", handoffs=[handoff(Agent("B", "b"), kind="transfer")])
    answers: list[Answer] = []
    async with Agency(a, model=scripted(script)) as agency:
        for run in ("first", "second"):
            if stream:
                async for event in agency.run_streaming("?", conversation="c", run_id=run):
                    last = event
                assert isinstance(last, RunFinished)
                assert (last.run, last.conversation, last.agent) == (run, "c", "A")
                assert last.answer is not None
                answers.append(last.answer)
            else:
                answers.append(await agency.run("?", conversation="c", run_id=run))
    assert [(one.run, one.conversation, one.agent) for one in answers] == [("first", "c", "B"), ("second", "c", "B")]


async def test_a_transfer_gives_the_conversation_away_for_good() -> None:
    script = Script([call("transfer_to_B", message="yours"), "B here", "B again"])
    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[handoff(b, kind="transfer")])
    async with Agency(a, model=scripted(script)) as agency:
        first = await agency.run("hello", conversation="c")
        second = await agency.run("more", conversation="c")
        await agency.release("c")
        assert [*(h.name for h in agency._runtime.journal.headers()), *agency._runtime.unkept] == []
    assert (first.text, first.agent, first.chain) == ("B here", "B", ("A ⇒ B",))
    assert (second.text, second.agent) == ("B again", "B")
    assert [m.text for m in script.requests[2].messages] == ["b", "hello", "B here", "more"]


async def test_a_handoff_the_flows_do_not_allow_is_refused_with_what_is_allowed() -> None:
    script = Script([send("C"), "I may not."])
    agents = (Agent("A"), Agent("B"), Agent("C"))
    async with Agency(*agents, flows=[("A", "B")], model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.text == "I may not."
    refusal = script.requests[1].messages[-1]
    assert refusal.is_error
    assert "A may not hand off to C; it may reach B" in refusal.text


async def test_the_model_is_told_only_of_agents_it_may_reach() -> None:
    script = Script(["ok"])
    agents = (Agent("A"), Agent("B", description="builds"), Agent("C"))
    async with Agency(*agents, flows=[("A", "B")], model=scripted(script)) as agency:
        await agency.run("?")
    (spec,) = script.requests[0].tools
    assert spec.name == "SendMessage"
    assert spec.parameters["properties"]["target_agent"]["enum"] == ["B"]
    assert "builds" in spec.description


async def test_agents_may_hand_off_to_each_other_without_deadlock() -> None:
    script = Script([send("B", "one"), send("A", "two"), "inner A", "B done", "A done"])
    async with Agency(Agent("A"), Agent("B"), flows="*", model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.text == "A done"
    assert answer.chain == ("A → B", "B → A")


async def test_several_agents_are_asked_at_once() -> None:
    together = asyncio.Barrier(2)

    async def model(request: Request) -> Any:
        who = request.messages[0].text
        if who != "a":
            await together.wait()
            return f"{who} says so"
        results = [m.text for m in request.messages if m.role == "tool"]
        return " and ".join(results) if results else [send("B", "x", "1"), send("C", "x", "2")]

    agents = (Agent("A", "a"), Agent("B", "b"), Agent("C", "c"))
    async with Agency(*agents, flows=[("A", "*")], model=function(model)) as agency, asyncio.timeout(5):
        assert (await agency.run("?")).text == "b says so and c says so"


async def test_a_target_that_fails_is_reported_to_the_sender_who_goes_on() -> None:
    seen: list[RunEvent] = []
    script = Script([send("B"), call("add", a=1, b=1), "B could not."])
    b = Agent("B", tools=[add], limits=Limits(steps=1))
    async with Agency(Agent("A"), b, flows=[("A", "B")], model=scripted(script)) as agency:
        agency.subscribe(seen.append)
        answer = await agency.run("?")
    assert answer.text == "B could not."
    assert "StepLimit" in answer.handoffs[0].failed
    assert any(isinstance(e, HandoffFinished) and "StepLimit" in e.failed for e in seen)
    assert any(isinstance(e, RunFinished) and isinstance(e.error, StepLimit) for e in seen)


async def test_a_failed_transfer_fails_the_run_by_name() -> None:
    script = Script([call("transfer_to_B", message="yours"), RuntimeError("down")])
    b = Agent("B")
    async with Agency(Agent("A", handoffs=[handoff(b, kind="transfer")]), model=scripted(script)) as agency:
        with pytest.raises(RunFailed, match="down"):
            await agency.run("?")


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (HandoffLimits(depth=4, visits=99, repeats=99), HandoffDepth),
        (HandoffLimits(depth=99, visits=3, repeats=99), HandoffCycle),
        (HandoffLimits(depth=99, visits=99, repeats=2), HandoffCycle),
        (HandoffLimits(depth=99, visits=99, repeats=99, total=7), HandoffLimit),
    ],
)
async def test_endless_mutual_handoffs_end_in_a_named_error(limits: HandoffLimits, error: type) -> None:
    def model(request: Request) -> Any:
        return send("B" if request.messages[0].text == "a" else "A")

    agents = (Agent("A", "a"), Agent("B", "b"))
    async with Agency(*agents, flows="*", handoff_limits=limits, model=function(model)) as agency:
        with pytest.raises(error, match=r"A → B → A|handoffs in one run"):
            await agency.run("?")


@pytest.mark.parametrize("visits", [1, 2, 3])
async def test_an_agent_stands_in_a_chain_as_often_as_the_limit_says(visits: int) -> None:
    asked: list[str] = []

    def model(request: Request) -> Any:
        asked.append(request.messages[0].text)
        return send("B" if asked[-1] == "a" else "A", f"task {len(asked)}")

    limits = HandoffLimits(depth=99, visits=visits, repeats=99)
    async with Agency(Agent("A", "a"), Agent("B", "b"), flows="*", handoff_limits=limits, model=function(model)) as it:
        with pytest.raises(HandoffCycle, match=f"A stands {visits} times in one chain"):
            await it.run("?")
    assert asked == ["a", "b"] * visits


async def test_ten_hops_of_a_2_kb_prompt_send_at_most_29000_characters() -> None:
    for kind in ("transfer", "delegate"):
        sent = 0

        def model(request: Request, kind: str = kind) -> Any:
            nonlocal sent
            sent += sum(len(m.text) + sum(len(c.arguments) for c in m.tool_calls) for m in request.messages)
            number = int(request.messages[0].text)
            if number == 10 or request.messages[-1].role == "tool":
                return "done"
            if kind == "transfer":
                return call(f"transfer_to_A{number + 1}", message="go on")
            return send(f"A{number + 1}", "go on")

        agents = [Agent("A10", "10")]
        for number in reversed(range(10)):
            hop = handoff(agents[0], kind="transfer") if kind == "transfer" else agents[0]
            agents.insert(0, Agent(f"A{number}", str(number), handoffs=[hop]))
        async with Agency(*agents, model=function(model)) as agency:
            answer = await agency.run("x" * 2048)
        assert answer.text == "done"
        assert len(answer.handoffs) == 10
        assert sent <= 29_000, f"{kind}: {sent} characters"


async def test_a_handoff_may_ask_for_typed_input_and_tell_a_function() -> None:
    class Bug(BaseModel):
        title: str
        line: int

    told: list[Handoff] = []
    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[handoff(b, name="report_bug", input_type=Bug, on_handoff=told.append)])
    wrong = ToolCall("1", "report_bug", json.dumps({"message": "x", "input": {"title": "t"}}))
    right = ToolCall("2", "report_bug", json.dumps({"message": "x", "input": {"title": "t", "line": 3}}))
    script = Script([wrong, right, "fixed", "done"])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("?")
    assert "line" in script.requests[1].messages[-1].text
    assert [h.input for h in told] == [Bug(title="t", line=3)]
    assert '"line":3' in script.requests[2].messages[-1].text


def test_the_schema_of_typed_input_has_references_that_resolve() -> None:
    class Place(BaseModel):
        file: str
        inner: Place | None = None

    class Bug(BaseModel):
        title: str
        at: Place

    schema = dict(handoff(Agent("B"), input_type=Bug).spec.parameters)
    Draft202012Validator.check_schema(schema)
    fits = Draft202012Validator(schema)
    assert fits.is_valid({"message": "m", "input": {"title": "t", "at": {"file": "f", "inner": {"file": "g"}}}})
    assert not fits.is_valid({"message": "m", "input": {"title": "t", "at": {"file": 3}}})


async def test_on_handoff_may_refuse() -> None:
    def no(_: Handoff) -> None:
        raise ValueError("not today")

    b = Agent("B")
    script = Script([call("delegate_to_B", message="x"), "ok"])
    async with Agency(Agent("A", handoffs=[handoff(b, on_handoff=no)]), model=scripted(script)) as agency:
        assert (await agency.run("?")).text == "ok"
    assert "not today" in script.requests[1].messages[-1].text


async def test_a_history_filter_chooses_what_the_new_owner_sees() -> None:
    def last_only(messages: tuple[Message, ...]) -> list[Message]:
        return [m for m in messages if m.role == "user"][-1:]

    script = Script(["hi", call("transfer_to_B", message="x"), "B"])
    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[handoff(b, kind="transfer", history_filter=last_only)])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("first", conversation="c")
        await agency.run("second", conversation="c")
    assert [m.text for m in script.requests[2].messages] == ["b", "second"]


async def test_a_pipeline_hands_each_agent_the_answer_of_the_one_before() -> None:
    line = Pipeline("Line", Agent("One", "1"), Agent("Two", "2"))
    script = Script([call("delegate_to_Line", message="start"), "one", "two", "done"], cost=1.0)
    async with Agency(Agent("A", handoffs=[handoff(line)]), model=scripted(script)) as agency:
        answer = await agency.run("?")
        assert [*(h.name for h in agency._runtime.journal.headers()), *agency._runtime.unkept] == []
    assert [m.text for m in script.requests[2].messages] == ["2", "From: A\n\none"]
    assert script.requests[3].messages[-1].text == "two"
    assert answer.cost == 4.0
    with pytest.raises(DefinitionError):
        handoff(line, kind="transfer")


async def test_something_outside_the_agency_may_do_the_task_or_fail() -> None:
    class Elsewhere:
        name = "Elsewhere"
        description = "far away"

        async def answer(self, request: AgentRequest) -> Answer:
            if request.text == "fail":
                raise ConnectionError("no route")
            return Answer(f"did {request.text}", cost=2.0)

    script = Script([call("delegate_to_Elsewhere", message="it"), call("delegate_to_Elsewhere", message="fail"), "ok"])
    async with Agency(Agent("A", handoffs=[handoff(Elsewhere())]), model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert script.requests[1].messages[-1].text == "did it"
    assert "no route" in script.requests[2].messages[-1].text
    assert answer.cost == 2.0


def test_a_handoff_to_what_is_neither_an_agent_nor_can_answer_is_refused_when_the_agency_is_made() -> None:
    class Elsewhere:
        name = "Elsewhere"
        description = "far away"

    for target in (Elsewhere(), Pipeline("Line", Agent("One"), Elsewhere())):
        with pytest.raises(DefinitionError, match="'Elsewhere' is not an Agent"):
            Agency(Agent("A", handoffs=[handoff(target)]), model="offline")


async def test_cancelling_a_run_stops_the_agents_it_handed_off_to() -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> Any:
        if request.messages[0].text == "a":
            return send("B")
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with Agency(Agent("A", "a"), Agent("B", "b"), flows="*", model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        await asked.wait()
        run.cancel()
        await stopped.wait()
        with pytest.raises(asyncio.CancelledError):
            await run
        await until(lambda: [*(h.name for h in agency._runtime.journal.headers()), *agency._runtime.unkept] == [])
        assert not agency._runtime.register._entries


# -- properties ------------------------------------------------------------------------------------------------------

TEAM = ("A", "B", "C", "D")


@st.composite
def scripts(draw: st.DrawFn) -> dict[str, list[Any]]:
    """For each agent what its model says, request by request, and then again from the start."""
    target = st.sampled_from((*TEAM, "Nobody"))
    action = st.one_of(
        st.just("text"),
        st.tuples(st.just("send"), st.lists(target, min_size=1, max_size=2)),
        st.tuples(st.just("transfer"), st.sampled_from(TEAM)),
        st.just("tool"),
        st.just("fail"),
    )
    return {name: draw(st.lists(action, min_size=1, max_size=3)) for name in TEAM}


@settings(max_examples=60, deadline=None)
@given(
    scripts(),
    st.lists(st.tuples(st.sampled_from((*TEAM, "*")), st.sampled_from((*TEAM, "*"))), max_size=5),
    st.integers(1, 3),
)
async def test_any_team_gives_an_answer_or_a_named_error_and_leaves_nothing_behind(
    says: dict[str, list[Any]], flows: list[tuple[str, str]], runs: int
) -> None:
    counts: Counter[str] = Counter()

    def model(request: Request) -> Any:
        who = request.messages[0].text
        action = says[who][counts[who] % len(says[who])]
        counts[who] += 1
        match action:
            case "text":
                return "an answer"
            case "tool":
                return call("add", a=1, b=2)
            case "fail":
                raise RuntimeError("the provider is down")
            case ("transfer", target):
                return call(f"transfer_to_{target}", message="yours")
            case ("send", targets):
                return [send(target, f"task {counts[who]}") for target in targets]

    agents = [
        Agent(
            name,
            name,
            tools=[add],
            limits=Limits(steps=3),
            handoffs=[handoff(other, kind="transfer") for other in TEAM if other != name],
        )
        for name in TEAM
    ]
    started: Counter[str] = Counter()
    ended: Counter[str] = Counter()

    def note(event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            started[event.run] += 1
        elif isinstance(event, RunFinished):
            ended[event.run] += 1

    limits = HandoffLimits(depth=5, total=20)
    async with asyncio.timeout(20):
        async with Agency(*agents, flows=flows, handoff_limits=limits, model=function(model)) as agency:
            agency.subscribe(note)
            outcomes = await asyncio.gather(*(agency.run("go") for _ in range(runs)), return_exceptions=True)
            for outcome in outcomes:
                assert isinstance(outcome, Answer | AgentError), f"neither an answer nor a named error: {outcome!r}"
            await until(lambda: [*(h.name for h in agency._runtime.journal.headers()), *agency._runtime.unkept] == [])
            assert not agency._runtime.register._entries
    assert set(started.values()) | set(ended.values()) <= {1}, "a run started or ended twice"
    assert started == ended, "a run never ended"
