"""What comes from somebody's own code may be of the right class and hold anything: it is looked at where it enters."""

from __future__ import annotations

import asyncio
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Actor,
    Agency,
    Agent,
    AgentError,
    Answer,
    ChildSpec,
    Completion,
    DefinitionError,
    Delta,
    Endpoint,
    HookContext,
    Limits,
    Message,
    NotAStream,
    Pool,
    ProviderSpec,
    RunFailed,
    Text,
    ToolCall,
    Usage,
    handoff,
    hook,
)
from callboard.actors.agents.answer import HandoffRecord, ReasoningStep, Step
from callboard.actors.agents.errors import CostLimit
from callboard.actors.agents.events import HookFailed, RunEvent
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import VendorState

from .support import add, function

SAID = Message("assistant", "said")


class Plain:
    """What no journal keeps."""


class Own:
    """Answers what it is told to."""

    name = "Own"
    description = "Answers by itself."

    def __init__(self, **given: Any) -> None:
        self.given = given

    async def answer(self, request: Any) -> Answer:
        return Answer(**{"text": "x", **self.given})


async def readable(agency: Agency, conversation: str, agent: str) -> None:
    """A conversation can be read, replayed, listed and gone on with."""
    view = await agency.conversation(conversation, agent=agent)
    assert view.cost >= 0
    assert "Usage" in repr([step.usage for step in view.steps]) or not view.steps
    assert (await agency.replay(conversation, agent=agent)).same
    assert not any(one.damaged for one in await agency.conversations())


WRONG_ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({"text": 5}, "text: expected a text, not 5"),
    ({"agent": 5}, "agent: expected a text, not 5"),
    ({"messages": 5}, "messages: expected a tuple of Message, not 5"),
    ({"messages": (Message("user", "q", state=5),)}, r"messages\[0\].state: expected a VendorState, or None, not int"),  # type: ignore[arg-type]
    ({"usage": 5}, "usage: expected a Usage, not 5"),
    ({"usage": None}, "usage: expected a Usage, not None"),
    ({"usage": {"input_tokens": 3}}, "usage: expected a Usage, not dict"),
    ({"usage": Usage("a", 1)}, "usage.input_tokens: expected a whole number of tokens, at least 0, not str"),  # type: ignore[arg-type]
    ({"usage": Usage(1, -1)}, "usage.output_tokens: expected a whole number of tokens, at least 0, not -1"),
    ({"cost": None}, "cost: expected a number, at least 0, not None"),
    ({"cost": math.nan}, "cost: expected a number, at least 0, not nan"),
    ({"cost": -3.0}, "cost: expected a number, at least 0, not -3.0"),
    ({"cost": 10**400}, "cost: expected a number, at least 0, not 1000"),
    ({"cost": "1"}, "cost: expected a number, at least 0, not str"),
    ({"steps": 5}, "steps: expected several of Step, in a tuple, not 5"),
    ({"steps": (5,)}, r"steps\[0\]: expected a Step, not 5"),
    (
        {"steps": (Step(1, "", "A", SAID, cost=-1.0),)},
        r"steps\[0\].cost: expected a number, at least 0, or None, not -1",
    ),
    ({"handoffs": 5}, "handoffs: expected a tuple of HandoffRecord, not 5"),
    ({"handoffs": (HandoffRecord("A", "B", "lent", "x"),)}, r"handoffs\[0\].kind: expected one of delegate, transfer"),  # type: ignore[arg-type]
    ({"seconds": "x"}, "seconds: expected seconds, at least 0, not str"),
    ({"tool_calls": (ToolCall("a", "b", {}),)}, r"tool_calls\[0\].arguments: expected a text, not dict"),  # type: ignore[arg-type]
    ({"reasoning": (ReasoningStep("A", "1", "hm"),)}, r"reasoning\[0\].step: expected a whole number, not str"),  # type: ignore[arg-type]
    ({"notes": [5]}, "notes: expected a tuple of texts, not list"),
    ({"error": "no"}, "error: expected an Exception, or None, not str"),
]


@pytest.mark.parametrize(("given", "about"), WRONG_ANSWERS)
async def test_an_own_agents_wrong_answer_ends_its_run_by_name_and_the_conversation_can_be_read(
    given: dict[str, Any], about: str, tmp_path: Path
) -> None:
    own = Own(**given)
    journal = tmp_path / "j.db"
    async with Agency(own, journal=journal) as agency:
        with pytest.raises(RunFailed, match=f"Own answered a wrong Answer; {about}"):
            await agency.run("q", conversation="c")
        await readable(agency, "c", "Own")
    own.given = {}
    async with Agency(own, journal=journal) as agency:
        assert (await agency.run("again", conversation="c")).text == "x"
        await readable(agency, "c", "Own")


async def test_what_is_wrong_in_a_delegates_answer_is_told_to_the_model_that_asked(tmp_path: Path) -> None:
    own = Own(usage=None)

    def model(request: Any) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else [call("delegate_to_Own", message="m")]

    async with Agency(Agent("A", handoffs=[handoff(own)]), model=function(model), journal=tmp_path / "j.db") as agency:
        answer = await agency.run("q", conversation="c")
        await readable(agency, "c", "A")
    assert (
        answer.text == "Own could not finish: RunFailed: Own answered a wrong Answer; usage: expected a Usage, not None"
    )


async def test_a_wrong_partial_answer_of_an_error_is_told_with_it() -> None:
    class Raises(Own):
        async def answer(self, request: Any) -> Answer:
            error = AgentError("no luck")
            error.partial = Answer("x", cost=math.nan)
            raise error

    async with Agency(Raises()) as agency:
        with pytest.raises(RunFailed, match="no luck, whose partial is a wrong Answer; cost: expected a number"):
            await agency.run("q")


@pytest.mark.parametrize("given", [{}, {"cost": 0, "seconds": 1}, {"notes": ("a",), "usage": Usage(3, 4)}])
async def test_an_own_agents_right_answer_is_taken(given: dict[str, Any]) -> None:
    async with Agency(Own(**given)) as agency:
        assert (await agency.run("q")).text == "x"


class Undumped:
    """Cannot be made plain data."""

    def model_dump(self, **options: Any) -> Any:
        raise KeyError("a bug of one's own")


ROUND: list[Any] = []
ROUND.append(ROUND)


@pytest.mark.parametrize("value", [Plain(), object(), lambda: 1, {"deep": [Plain()]}, Undumped(), ROUND])
async def test_an_own_agents_value_that_no_journal_keeps_is_a_named_error(value: Any, tmp_path: Path) -> None:
    own = Own(value=value)
    async with Agency(own) as agency:
        assert (await agency.run("q")).value is value, "without a journal anything may be handed on"
    async with Agency(own, journal=tmp_path / "j.db") as agency:
        with pytest.raises(RunFailed, match=r"an event of Own/c \(Ended\) cannot be written"):
            await agency.run("q", conversation="c")
        own.given = {"value": {"a": 1}}
        assert (await agency.run("again", conversation="c")).value == {"a": 1}
        await readable(agency, "c", "Own")


WRONG_COMPLETIONS: list[tuple[dict[str, Any], str]] = [
    ({"message": 5}, "message: expected a Message, not int"),
    ({"message": Message("assistant", 5)}, "message.content: expected text or a tuple of parts, not int"),  # type: ignore[arg-type]
    ({"message": Message("assistant", (Text(5),))}, r"message.content\[0\].text: expected a text, not int"),  # type: ignore[arg-type]
    ({"message": Message("assistant", "x", reasoning=5)}, "message.reasoning: expected a text, not int"),  # type: ignore[arg-type]
    ({"message": Message("assistant", "", (5,))}, "message.tool_calls: expected a tuple of ToolCall"),  # type: ignore[arg-type]
    ({"message": Message("assistant", "x", state=VendorState("a", 5))}, "message.state.content: expected a text"),  # type: ignore[arg-type]
    ({"finish_reason": "done"}, "finish_reason: expected one of stop, length"),
    ({"usage": 5}, "usage: expected a Usage, not 5"),
    ({"usage": Usage(1.5, 1)}, "usage.input_tokens: expected a whole number of tokens, at least 0, not 1.5"),  # type: ignore[arg-type]
    ({"model": None}, "model: expected the name of a model, or empty, not None"),
    ({"request_id": 5}, "request_id: expected a text, not 5"),
    ({"latency": "x"}, "latency: expected seconds, at least 0, not str"),
    ({"cost": math.nan}, "cost: expected a number, at least 0, or None, not nan"),
    ({"cost": -1.0}, "cost: expected a number, at least 0, or None, not -1.0"),
    ({"notes": [5]}, "notes: expected a tuple of texts, not list"),
    ({"extra": 5}, "extra: expected a mapping, not 5"),
]


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize(("given", "about"), WRONG_COMPLETIONS)
async def test_a_models_wrong_completion_ends_the_run_by_name_and_the_conversation_can_be_read(
    given: dict[str, Any], about: str, hooked: bool, tmp_path: Path
) -> None:
    wrong = [given]

    def model(request: Any) -> Any:
        return replace(Completion(SAID, "stop"), **(wrong.pop() if wrong else {}))

    @hook("response")
    def looks(context: HookContext) -> None:
        pass

    agent = Agent("A", hooks=[looks] if hooked else [])
    async with Agency(agent, model=function(model), journal=tmp_path / "j.db") as agency:
        with pytest.raises(RunFailed, match=f"the model's actor answered a wrong Completion; {about}"):
            await agency.run("q", conversation="c")
        assert (await agency.run("again", conversation="c")).text == "said"
        await readable(agency, "c", "A")


@pytest.mark.parametrize(
    ("piece", "about"),
    [
        (5, "expected a Delta, not int"),
        (Delta(text=5), "text: expected a text, not 5"),  # type: ignore[arg-type]
        (Delta(reasoning=None), "reasoning: expected a text, not None"),  # type: ignore[arg-type]
        (Delta(completion=Completion(SAID, "stop", cost=math.nan)), "cost: expected a number, at least 0, or None"),
    ],
)
async def test_a_models_wrong_piece_of_a_stream_ends_the_run_by_name(piece: Any, about: str) -> None:
    class Streams(Actor):
        async def on_receive(self, message: Any) -> Any:
            yield Delta("said ")
            yield piece
            yield Delta(completion=Completion(SAID, "stop"))

    async with Agency(Agent("A"), model=ChildSpec(Streams, name="model")) as agency:
        with pytest.raises(RunFailed, match=f"the model's actor streamed a wrong Delta; {about}"):
            async for _ in agency.run_streaming("q"):
                pass


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_model_that_answers_in_one_way_only_is_told_how_to_answer_in_both(pooled: bool) -> None:
    class Whole(Actor):
        async def on_receive(self, message: Any) -> Any:
            return Completion(SAID, "stop")

    class Pieces(Actor):
        async def on_receive(self, message: Any) -> Any:
            yield Delta("said")

    def made(kind: type[Actor]) -> dict[str, Any]:
        spec = ChildSpec(kind, name="mine")
        return {"pool": Pool.spec([Endpoint.of(ProviderSpec("mine"), spec)])} if pooled else {"model": spec}

    async with Agency(Agent("A"), **made(Whole)) as agency:
        assert (await agency.run("q")).text == "said"
        with pytest.raises(RunFailed, match=r"Delta.*derive the model's actor from Provider.*NotAStream") as failed:
            async for _ in agency.run_streaming("q"):
                pass
        assert isinstance(failed.value.__cause__, NotAStream)
    async with Agency(Agent("A"), **made(Pieces)) as agency:
        with pytest.raises(RunFailed, match=r"Completion.*derive the model's actor from Provider.*StreamExpected"):
            await agency.run("q")
    if not pooled:
        async with Agency(Agent("A"), **made(Pieces)) as agency:
            with pytest.raises(RunFailed, match=r"ended without a completion: its last Delta has it, Delta\("):
                async for _ in agency.run_streaming("q"):
                    pass


@pytest.mark.parametrize("cost", [math.nan, -3.0, math.inf])
@pytest.mark.parametrize("whose", ["a delegate", "the model"])
async def test_no_cost_switches_the_limit_of_costs_off(cost: float, whose: str) -> None:
    own = Own(cost=cost if whose == "a delegate" else 0.0)
    asked = 0

    def model(request: Any) -> Any:
        nonlocal asked
        asked += 1
        said = Message("assistant", "", (ToolCall(f"c{asked}", "delegate_to_Own", f'{{"message": "m{asked}"}}'),))
        first = cost if whose == "the model" and asked == 1 else 0.1
        return Completion(said, "tool_calls", Usage(1, 1), cost=first)

    agent = Agent("A", handoffs=[handoff(own)], limits=Limits(cost=0.5))
    async with Agency(agent, model=function(model)) as agency:
        with pytest.raises(CostLimit if whose == "a delegate" else RunFailed):
            await agency.run("q")
    assert asked <= 7


WRONG: list[Any] = [None, 5, math.nan, Plain(), [5]]
LEFT = {
    "connection": ("messages",),
    "request": ("model_request",),
    "response": ("completion",),
    "toolcall": ("call", "result"),
    "handoff": ("handoff",),
    "finalize": ("answer",),
}


@pytest.mark.parametrize("event", LEFT)
async def test_whatever_a_hook_leaves_in_a_field_the_run_and_its_conversation_are_well(
    event: Any, tmp_path: Path
) -> None:
    told: list[HookFailed] = []
    now: list[Any] = ["", "", None]

    def note(one: RunEvent) -> None:
        if isinstance(one, HookFailed):
            told.append(one)

    names: dict[str, list[str]] = {}

    @hook(event)
    def mine(context: HookContext) -> None:
        for name in LEFT[event]:
            there = getattr(context, name)
            one = there[0] if name == "messages" else there
            if one is None:
                continue
            names[name] = [field.name for field in fields(one)]
            if name == now[0]:
                changed = replace(one, **{now[1]: now[2]})
                setattr(context, name, (changed,) if name == "messages" else changed)

    def model(request: Any) -> Any:
        if "SUB" in str(request.messages[0].content):
            return "sub"
        last = request.messages[-1].role
        return "done" if last == "tool" else [call("add", a=1, b=2), call("delegate_to_Sub", message="m")]

    agent = Agent("A", "x", tools=[add], handoffs=[handoff(Agent("Sub", "SUB"))], hooks=[mine])
    async with Agency(agent, model=function(model), journal=tmp_path / "j.db") as agency:
        agency.subscribe(note)
        await agency.run("q")
        number = 0
        for name in names:
            for field in names[name]:
                for value in WRONG:
                    number += 1
                    now[:] = name, field, value
                    about = f"{name}.{field} = {value!r:.30}"
                    try:
                        await asyncio.wait_for(agency.run("q", conversation=f"c{number}"), 20)
                    except AgentError as error:
                        if field != "value":
                            pytest.fail(f"{about}: {error!r}")
                    now[:] = "", "", None
                    view = await agency.conversation(f"c{number}")
                    assert view.cost >= 0, about
                    assert repr(view.steps), about
                    await asyncio.wait_for(agency.run("again", conversation=f"c{number}"), 20)
    assert told


async def test_an_answer_that_a_failing_hook_has_changed_in_place_is_as_it_was() -> None:
    @hook("finalize")
    def spoils(context: HookContext) -> None:
        assert context.answer is not None
        context.answer.text = "spoiled"
        context.answer.cost = None  # type: ignore[assignment]

    async with Agency(Agent("A", hooks=[spoils]), model=function(lambda request: "well")) as agency:
        answer = await agency.run("q")
    assert (answer.text, answer.cost) == ("well", 0.0)


WRONG_MESSAGES: dict[str, tuple[Any, ...]] = {
    "state": (5, "x", {}, VendorState("a", 5)),  # type: ignore[arg-type]
    "name": (5, ["x"]),
    "tool_call_id": (5,),
    "reasoning": (None, 5),
    "cache": (5, "2h", [], 1),
    "is_error": (5, None),
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in WRONG_MESSAGES for value in WRONG_MESSAGES[field]]
)
async def test_a_question_with_a_wrong_field_is_refused_at_the_door(field: str, value: Any) -> None:
    message = replace(Message("user", "x"), **{field: value})
    async with Agency(Agent("A"), model=function(lambda request: "x")) as agency:
        with pytest.raises(DefinitionError, match=rf"messages\[0\]\.{field}.*: expected "):
            await agency.run(message)
