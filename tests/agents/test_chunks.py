"""A streamed run as OpenAI's chunks: the SDK takes them, and put together they are the answer's text, always."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from callboard import Agency, Agent, ToolSpec, as_chunks, as_response, handoff, hook
from callboard.actors import Actor, ChildSpec
from callboard.actors.agents.errors import AnswerChanged, RunFailed
from callboard.actors.testing import Simulation, simulate
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.errors import ProviderError, StreamCut
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall, Usage

from .support import add, scripted, solo


def content(chunks: Sequence[Mapping[str, Any]]) -> str:
    """What a client shows that has read all chunks with the SDK's types."""
    read = [ChatCompletionChunk.model_validate(json.loads(json.dumps(chunk))) for chunk in chunks]
    assert len({chunk.id for chunk in read}) <= 1
    assert len({chunk.model for chunk in read}) <= 1
    assert next(chunk.choices[0].delta.role for chunk in read if chunk.choices) == "assistant"
    assert all(not chunk.choices[0].delta.role for chunk in read[1:] if chunk.choices)
    return "".join(chunk.choices[0].delta.content or "" for chunk in read if chunk.choices)


async def chunks_of(
    agency: Agency, question: str = "?", *, live: bool = False, **options: Any
) -> list[Mapping[str, Any]]:
    return [chunk async for chunk in as_chunks(agency.run_streaming(question, **options), live=live)]


class Pieces(Actor):
    """A model whose stream is made of pieces, one list for each request; an exception ends it."""

    def __init__(self, streams: list[list[Any]]) -> None:
        super().__init__()
        self.streams = streams

    def on_receive(self, request: Request) -> Any:
        return self._pieces(self.streams.pop(0))

    async def _pieces(self, pieces: list[Any]) -> AsyncGenerator[Delta, None]:
        text = ""
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            if isinstance(piece, str):
                text += piece
                yield Delta(text=piece)
            else:
                calls: tuple[ToolCall, ...] = tuple(piece)
                message = Message("assistant", text, calls)
                yield Delta(completion=Completion(message, "tool_calls" if calls else "stop", Usage(2, 1)))


def pieces(*streams: list[Any]) -> ChildSpec:
    return ChildSpec(Pieces, ([*streams],), name="model")


END: tuple[ToolCall, ...] = ()
CUT = StreamCut("cut")


async def test_what_is_said_beside_a_call_is_not_in_the_chunks_and_tools_are_told_of() -> None:
    model = pieces(["Let me ", "see.", (call("add", "c", a=1, b=2),)], ["It is ", "three.", END])
    async with Agency(Agent("A", tools=[add]), model=model) as agency:
        chunks = await chunks_of(agency)
    assert content(chunks) == "It is three."
    told = [chunk["callboard"] for chunk in chunks if "callboard" in chunk]
    assert told == [
        {"event": "ToolStarted", "agent": "A", "name": "add"},
        {"event": "ToolFinished", "agent": "A", "name": "add"},
    ]
    assert all(chunk["choices"][0]["delta"] == {} for chunk in chunks if "callboard" in chunk)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 6


@pytest.mark.parametrize("live", [False, True])
async def test_a_stream_that_was_cut_and_asked_for_again_is_in_the_chunks_once(live: bool) -> None:
    model = pieces(["It ", "is ", CUT], ["It ", "is ", "so.", END])
    async with Agency(Agent("A"), model=model) as agency:
        assert content(await chunks_of(agency, live=live)) == "It is so."


async def test_one_that_says_something_else_the_second_time_is_too_and_live_it_ends_by_name() -> None:
    async with Agency(Agent("A"), model=pieces(["It ", CUT], ["No.", END], ["It ", CUT], ["No.", END])) as agency:
        assert content(await chunks_of(agency)) == "No."
        with pytest.raises(AnswerChanged, match="3 characters were sent"):
            await chunks_of(agency, live=True)


async def test_live_text_is_sent_as_it_comes_where_it_can_be_nothing_but_the_answer() -> None:
    go = asyncio.Event()
    async with Agency(Agent("A"), model=pieces(["one ", go, "two", END])) as agency:
        chunks = []
        async for chunk in as_chunks(agency.run_streaming("?"), live=True):
            chunks.append(chunk)
            if content(chunks) == "one ":
                go.set()
    assert content(chunks) == "one two"


@pytest.mark.parametrize("turn", [1, 2])
async def test_live_text_of_who_has_taken_the_conversation_over_is_sent_as_it_comes(turn: int) -> None:
    transfer = call("transfer_to_B", "t", message="yours")
    go = asyncio.Event()
    said = ["one ", go, "two", END]
    model = pieces([(transfer,)], *([["B.", END]] if turn == 2 else []), said)
    agency = Agency(Agent("A", handoffs=[handoff(Agent("B"), kind="transfer")]), model=model)
    async with agency:
        if turn == 2:
            await chunks_of(agency, conversation="c")
        chunks = []
        async for chunk in as_chunks(agency.run_streaming("?", conversation="c"), live=True):
            chunks.append(chunk)
            if content(chunks) == "one ":
                go.set()
    assert content(chunks) == "one two"


async def test_it_waits_where_who_has_transferred_it_may_change_the_answer() -> None:
    @hook("finalize")
    def shout(context: Any) -> None:
        context.answer.text = context.answer.text.upper()

    transfer = call("transfer_to_B", "t", message="yours")
    front = Agent("A", handoffs=[handoff(Agent("B"), kind="transfer")], hooks=[shout])
    async with Agency(front, model=pieces([(transfer,)], ["one ", "two", END])) as agency:
        assert content(await chunks_of(agency, live=True)) == "ONE TWO"


@pytest.mark.parametrize("what", ["tools", "type", "hook", "external"])
async def test_live_text_waits_where_it_may_turn_out_not_to_be_the_answer(what: str) -> None:
    @hook("finalize")
    def shout(context: Any) -> None:
        context.answer.text = context.answer.text.upper()

    more: dict[str, Any] = {
        "tools": {"tools": [add]},
        "type": {"output_type": int},
        "hook": {"hooks": [shout]},
        "external": {},
    }
    options: dict[str, Any] = {"tools": [ToolSpec("outside", "", {})]} if what == "external" else {}
    async with Agency(Agent("A", **more[what]), model=pieces(["1", "2", END])) as agency:
        chunks = await chunks_of(agency, live=True, **options)
    assert content(chunks) == "12"
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]] == ["", "12", None]


async def test_after_a_transfer_with_text_the_chunks_are_the_new_agents_answer() -> None:
    transfer = call("transfer_to_B", "t", message="yours")
    model = pieces(["I give you ", "to B.", (transfer,)], ["B ", "here.", END], ["B ", "again.", END])
    b = Agent("B")
    async with Agency(Agent("A", handoffs=[handoff(b, kind="transfer")]), b, model=model) as agency:
        assert content(await chunks_of(agency, conversation="c")) == "B here."
        assert content(await chunks_of(agency, conversation="c")) == "B again."


async def test_calls_that_the_caller_is_to_run_are_in_the_chunks() -> None:
    model = pieces(["Look.", (call("outside", "c1", a=1),)])
    async with Agency(Agent("A"), model=model) as agency:
        chunks = await chunks_of(agency, tools=[ToolSpec("outside", "", {"type": "object"})])
    calls = [one for chunk in chunks if chunk["choices"] for one in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "outside"
    assert "".join(one["function"]["arguments"] for one in calls) == '{"a": 1}'
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert content(chunks) == "Look."


async def test_a_run_that_fails_ends_its_chunks_in_the_error() -> None:
    async with Agency(Agent("A"), model=pieces(["It ", ProviderError("no")])) as agency:
        with pytest.raises(RunFailed, match="no"):
            await chunks_of(agency)


async def test_a_run_that_had_ended_is_told_in_chunks_again() -> None:
    async with solo(Script(["It is so."])) as agency:
        await agency.run("?", run_id="r")
        assert content(await chunks_of(agency, run_id="r")) == "It is so."


def test_chunks_and_responses_say_when_they_were_made_by_the_wall_clock() -> None:
    async def flow(sim: Simulation) -> None:
        async with Agency(Agent("A"), model=scripted(Script(["x", "y", "z"])), system=sim.system) as agency:
            await asyncio.sleep(100.0)
            began = int(time.time())
            chunks = await chunks_of(agency)
            assert {chunk["created"] for chunk in chunks} == {began}
            whole = ChatCompletion.model_validate(as_response(await agency.run("?")))
            assert whole.created == began
            assert as_response(await agency.run("?", run_id="x"), created=7)["created"] == 7

    simulate(flow, seeds=1)


TEXTS = st.text(st.sampled_from("ab \n"), max_size=6)


@st.composite
def plans(draw: Any) -> list[list[Any]]:
    """Streams of a run: cut ones, some with calls or a transfer, the last with the answer."""
    streams: list[list[Any]] = []
    for _ in range(draw(st.integers(0, 3))):
        said: list[Any] = draw(st.lists(TEXTS, max_size=3))
        way = draw(st.sampled_from(("cut", "tool", "delegate")))
        if way == "cut":
            streams.append([*said, "x", CUT] if draw(st.booleans()) else [*said, "x", StreamCut("again")])
        elif way == "tool":
            streams.append([*said, (call("add", f"c{len(streams)}", a=1, b=2),)])
        else:
            streams.append([*said, (call("SendMessage", f"d{len(streams)}", target_agent="B", message="do"),)])
            streams.append([*draw(st.lists(TEXTS, max_size=2)), "b", END])
    return [*streams, [*draw(st.lists(TEXTS, max_size=4)), draw(TEXTS), END]]


@settings(max_examples=60)
@given(plans(), st.booleans())
def test_chunks_of_any_run_put_together_are_the_answers_text(streams: list[list[Any]], live: bool) -> None:
    async def flow() -> None:
        team = Agency(Agent("A", tools=[add], handoffs=[Agent("B")]), model=pieces(*streams))
        async with team:
            chunks = await chunks_of(team, run_id="r", live=live)
            assert content(chunks) == (await team.run("?", run_id="r")).text

    asyncio.run(flow())
