"""What version 0.1.0 left in a journal, row by row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from callboard.actors.agents.errors import RunFailed, StepLimit
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.history import problems
from callboard.actors.agents.turns.loop.machine import outstanding
from callboard.actors.agents.turns.loop.turn import cut
from callboard.actors.agents.turns.records import Accepted, Ended, Snapshot
from callboard.actors.agents.turns.rules import Rules
from callboard.actors.agents.turns.state import ConversationState, fold
from callboard.actors.agents.turns.steps import Completed, CompletionFailed, HandoffReturned, ToolReturned
from callboard.providers.messages import ToolSpec

from .support import compared, through_the_codec

FILE = Path(__file__).parents[2] / "durable" / "fixtures" / "journal-0.1.0.db"
CODEC = RunCodec()


def read() -> dict[str, list[Any]]:
    streams: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(f"{FILE.as_uri()}?immutable=1", uri=True)) as connection:
        for stream, data in connection.execute("SELECT stream, data FROM events ORDER BY stream, version"):
            streams.setdefault(stream, []).append(CODEC.decode("", 0, data.decode()))
    return streams


STREAMS = read()


def folded(stream: str) -> ConversationState:
    agent, _, conversation = stream.partition("/")
    return fold(agent, conversation, STREAMS[stream])


def named(beginning: str) -> str:
    (name,) = [stream for stream in STREAMS if stream.startswith(beginning)]
    return name


@pytest.mark.parametrize("stream", STREAMS)
def test_each_stream_folds_and_means_the_same_when_it_is_written_anew(stream: str) -> None:
    state = folded(stream)
    assert problems(state.turn.history) == []
    assert problems(cut(state.turn)) == []
    assert state.turn.history or state.queue
    agent, _, conversation = stream.partition("/")
    again = fold(agent, conversation, map(through_the_codec, STREAMS[stream]))
    assert compared(again) == compared(state)


def test_a_long_conversation_goes_on_behind_its_snapshot() -> None:
    state = folded("Front/long")
    assert isinstance(STREAMS["Front/long"][0], Snapshot)
    users = [message.text for message in state.turn.history if message.role == "user"]
    assert users == [f"note {number}" for number in range(12)]
    assert state.last is not None
    assert (state.last.answer.text, state.last.answer.conversation) == ("front: noted 11", "long")
    assert state.last.answer.messages == state.turn.history
    assert state.last.answer.usage.total_tokens > 0


def test_a_run_that_reached_a_limit_is_kept_with_its_error_and_what_it_had_done() -> None:
    state = folded("Front/short")
    assert state.last is not None
    assert isinstance(state.last.error, StepLimit)
    assert state.last.error.partial is state.last.answer
    assert state.last.answer.messages == state.turn.history
    assert [message.text for message in state.turn.history][:3] == ["note one", "", "noted one"]
    limits = [event.run.limits for event in STREAMS["Front/short"] if isinstance(event, Accepted)]
    assert limits[-1] is not None
    assert limits[-1].steps == 1


def test_a_conversation_that_was_transferred_has_its_owner() -> None:
    state = folded("Front/moved")
    owner = named("Back/")
    assert state.owner == tuple(owner.split("/"))
    assert folded(owner).last is not None


def test_a_tool_under_way_may_have_had_effects_and_the_next_run_waits() -> None:
    state = folded("Front/working")
    assert [run.messages[0].text for run in state.queue] == ["work", "next"]
    assert state.begun
    assert len(state.started) == 1
    first = state.queue[0]
    assert (first.caller.user, first.metadata) == ("ada", {"tenant": "acme"})
    assert state.turn.phase == "acting"


@pytest.mark.parametrize(
    ("stream", "phase"), [("Front/paying", "acting"), ("Front/asking", "acting"), ("Front/r1-", "completing")]
)
def test_a_run_that_was_under_way_is_where_it_was(stream: str, phase: str) -> None:
    state = folded(named(stream))
    assert (state.turn.phase, state.begun, len(state.queue)) == (phase, True, 1)
    assert outstanding(state.turn, Rules())


def test_of_errors_tools_and_pictures_every_form_is_read() -> None:
    call = '{"c":"ToolCall","v":["k","x","{}"]}'
    assert CODEC.decode("", 0, '{"c":"ToolFinished","v":["k","out",true]}') == ToolReturned("k", "out", True)
    returned = CODEC.decode(
        "", 0, '{"c":"HandoffFinished","v":["k","x",false,true,null,{"c":"Usage","v":[1,2,0,0,0]},0.5,1,{"t":[]}]}'
    )
    assert returned == HandoffReturned("k", "x", False, True, None, returned.usage, 0.5, 1)
    assert returned.usage.total_tokens == 3
    failed = CODEC.decode("", 0, '{"c":"CompletionFailed","v":[{"e":["RunFailed","ValueError: x"]}]}')
    assert isinstance(failed, CompletionFailed)
    assert isinstance(failed.error, RunFailed)
    gone = CODEC.decode("", 0, '{"c":"CompletionFailed","v":[{"e":["SomethingOfThen","x"]}]}')
    assert isinstance(gone.error, RunFailed)
    picture = '{"c":"Text","v":["see"]},{"c":"Image","v":["https://x/y.png","low"]}'
    message = '{"c":"Message","v":["user",{"t":[' + picture + ']},{"t":[' + call + "]}]}"
    spec = '{"c":"ToolSpec","v":["x","",{"d":{"type":"object"}}]}'
    run = (
        '{"c":"Accepted","v":[{"c":"Run","v":["r","r","A","c",{"t":['
        + message
        + ']},{"t":["A"]},{"t":["B: do"]},"ada",'
        '{"d":{"a":[1]}},null,true,{"t":[' + spec + ']},{"c":"Handoff","v":["A","B","do"]},true,true]}]}'
    )
    accepted = CODEC.decode("", 0, run)
    assert isinstance(accepted, Accepted)
    assert accepted.run.external == (ToolSpec("x", "", {"type": "object"}),)
    assert (accepted.run.caller.user, accepted.run.once, accepted.run.fleeting, accepted.run.keyed) == (
        "ada",
        True,
        True,
        False,
    )
    assert accepted.run.messages[0].tool_calls[0].name == "x"
    assert accepted.run.messages[0].text == "see"
    ended = CODEC.decode(
        "", 0, '{"c":"Ended","v":["r",{"c":"Answer","v":["x"]},{"e":["StepLimit","y"]},{"t":["B","d"]},true]}'
    )
    assert isinstance(ended, Ended)
    assert (ended.owner, type(ended.error)) == (("B", "d"), StepLimit)
    assert isinstance(
        CODEC.decode(
            "", 0, '{"c":"Completed","v":[{"c":"Completion","v":[{"c":"Message","v":["assistant"]},"stop"]}]}'
        ),
        Completed,
    )


@pytest.mark.parametrize(
    "data", ["{", '{"c":"Path","v":["/"]}', '{"x":1}', '{"c":"Begin","v":[{"c":"os.system","v":["x"]}]}']
)
def test_what_version_0_1_0_cannot_have_written_is_refused(data: str) -> None:
    with pytest.raises((ValueError, LookupError)):
        CODEC.decode("", 0, data)
