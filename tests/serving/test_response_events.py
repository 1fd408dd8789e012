"""The events of a response: their order, their numbers, and how a stream goes on behind any of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import JsonSchema
from callboard.actors.agents.runs.reading.cursor import RunText
from callboard.actors.agents.runs.reading.progress import RunRecord
from callboard.actors.serving.openai.responses.events import LEAP, LONGEST_PIECE, ResponseEvents, cut_at
from callboard.actors.serving.openai.responses.resource import Response
from callboard.actors.serving.openai.responses.resuming import Behind, Place

USAGE = {
    "input_tokens": 3,
    "output_tokens": 2,
    "cache_read_tokens": 1,
    "cache_write_tokens": 0,
    "reasoning_tokens": 1,
}


class Said(NamedTuple):
    """What a model says in one completion."""

    text: str
    reasoning: str = ""
    calls: tuple[str, ...] = ()


def record(kind: Any, **data: Any) -> RunRecord:
    return RunRecord(1, kind, "r", "A", "c", 1.0, data)


def completed(said: Said) -> RunRecord:
    calls = [{"id": call, "name": "look", "arguments": "{}"} for call in said.calls]
    return record("completed", text=said.text, reasoning=said.reasoning, tool_calls=calls)


def ended(said: Said, *, external: bool = False) -> RunRecord:
    calls = [{"id": call, "name": "look", "arguments": '{"a": 1}'} for call in said.calls] if external else []
    return record("ended", error=None, text=said.text, tool_calls=calls, usage=USAGE, cost=0.5, steps=1, seconds=1.0)


def texts(said: Said, sizes: Iterator[int]) -> Iterator[RunText]:
    """What a reader is given of a completion, in pieces of some sizes."""
    for kind, text in (("reasoning", said.reasoning), ("text", said.text)):
        while text:
            size = next(sizes)
            yield RunText("", text[:size], kind)  # type: ignore[arg-type]
            text = text[size:]


def endless(sizes: Sequence[int]) -> Iterator[int]:
    while True:
        yield from sizes


def stream(story: Sequence[Said], sizes: Sequence[int], *, external: bool = False) -> Iterator[RunRecord | RunText]:
    cut = endless(sizes)
    yield record("accepted", text="?", user="", tenant="")
    yield record("started")
    for said in story:
        yield from texts(said, cut)
        yield completed(said)
        if said.calls and said is not story[-1]:
            yield record("tools_started", call_ids=list(said.calls))
            for call in said.calls:
                yield record("tool_returned", call_id=call, content="x", is_error=False)
    yield ended(story[-1], external=external)


START = Place()


def events(items: Iterable[RunRecord | RunText], place: Place = START) -> list[tuple[dict[str, Any], str]]:
    """The events that a reader is sent, each with the state behind it."""
    voided = max(0, place.parts[1]) if place.number >= 0 else 0
    made = ResponseEvents(Response("r", "A", {}), voided)
    behind = Behind(made, place)
    found = [(event, made.state) for item in items for event in behind.take(item)]
    return [*found, *((event, made.state) for event in behind.end())]


STORIES = st.lists(
    st.builds(
        Said,
        st.text(st.sampled_from("ab \n日😀"), max_size=40),
        st.text(st.sampled_from("xy z"), max_size=20),
        st.sampled_from([(), ("c1",), ("c1", "c2")]),
    ),
    min_size=1,
    max_size=3,
)
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=5)


@given(STORIES, SIZES, SIZES, st.booleans())
@settings(deadline=None)
def test_each_reader_is_sent_the_same_events_however_text_arrives(
    story: list[Said], some: list[int], other: list[int], external: bool
) -> None:
    first = [event for event, _ in events(stream(story, some, external=external))]
    assert first == [event for event, _ in events(stream(story, other, external=external))]
    assert [event["sequence_number"] for event in first] == list(range(len(first)))


@given(STORIES, SIZES, SIZES, st.data())
@settings(deadline=None)
def test_a_stream_goes_on_behind_any_event(
    story: list[Said], some: list[int], other: list[int], data: st.DataObject
) -> None:
    whole = events(stream(story, some))
    at = data.draw(st.integers(0, len(whole) - 2))
    event, state = whole[at]
    for known in (state, None):
        rest = events(stream(story, other), Place(event["sequence_number"], known))
        assert [event for event, _ in rest] == [event for event, _ in whole[at + 1 :]]


@given(STORIES, SIZES, st.booleans())
@settings(deadline=None)
def test_events_come_in_the_protocols_order(story: list[Said], sizes: list[int], external: bool) -> None:
    sent = [event for event, _ in events(stream(story, sizes, external=external))]
    check_order(sent)
    last = sent[-1]["response"]
    assert [item for event in sent if (item := _done(event))] == last["output"]
    assert last["status"] == "completed"
    assert last["usage"]["input_tokens_details"]["cached_tokens"] == 1


def _done(event: dict[str, Any]) -> Any:
    return event["item"] if event["type"] == "response.output_item.done" else None


def check_order(sent: Sequence[dict[str, Any]]) -> None:
    """Look whether events are those of the protocol's state machine, and say the same as the items at their end."""
    assert [event["type"] for event in sent[:2]] in (
        ["response.created", "response.in_progress"],
        ["response.created", "response.queued"],
    )
    numbers = [event["sequence_number"] for event in sent]
    assert numbers == sorted(set(numbers))
    open_items: dict[int, dict[str, Any]] = {}
    said: dict[int, str] = {}
    for event in sent[2:]:
        kind = event["type"].removeprefix("response.")
        index: Any = event.get("output_index")
        if kind == "output_item.added":
            assert not open_items, "one item after another"
            open_items[index], said[index] = event["item"], ""
            assert event["item"]["status"] == "in_progress"
        elif kind == "output_item.done":
            item = open_items.pop(index)
            assert item["id"] == event["item"]["id"]
            whole = event["item"]
            text = (
                whole["arguments"]
                if whole["type"] == "function_call"
                else whole[{"message": "content", "reasoning": "summary"}[whole["type"]]][0]["text"]
            )
            assert said[index] == text
        elif index is not None:
            assert open_items[index]["id"] == event["item_id"]
            if kind.endswith(".delta"):
                assert event["delta"]
                said[index] += event["delta"]
            elif "text" in event:
                assert event["text"] == said[index]
    assert not open_items


def test_text_that_begins_anew_closes_its_item_and_opens_another() -> None:
    story: list[RunRecord | RunText] = [
        record("accepted", text="?", user="", tenant=""),
        record("started"),
        RunText("", "Once upon "),
        RunText("", "Twice upon a time.", restarted=True),
        completed(Said("Twice upon a time.")),
        ended(Said("Twice upon a time.")),
    ]
    sent = events(story)
    check_order([event for event, _ in sent])
    done = [item for event, _ in sent if (item := _done(event))]
    assert [(item["status"], item["content"][0]["text"]) for item in done] == [
        ("incomplete", "Once upon "),
        ("completed", "Twice upon a time."),
    ]
    assert len({item["id"] for item in done}) == 2
    assert len({event["output_index"] for event, _ in sent if _done(event)}) == 2
    assert sent[-1][0]["response"]["output"] == done[1:]
    for at, (event, state) in enumerate(sent[:-1]):
        replay = [story[0], story[1], *story[4:]]
        rest = [after for after, _ in events(replay, Place(event["sequence_number"], state))]
        text = "".join(one["delta"] for one in rest if one["type"].endswith("delta"))
        before = "".join(
            one["delta"]
            for one, _ in sent[: at + 1]
            if one["type"].endswith("delta") and one["item_id"] == done[1]["id"]
        )
        assert before + text == "Twice upon a time."
        assert rest[-1]["type"] == "response.completed"
        numbers = [one["sequence_number"] for one, _ in sent[: at + 1]] + [one["sequence_number"] for one in rest]
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("reasoning", ["", "Hm, let me "])
def test_whoever_was_cut_off_by_a_crash_is_told_that_what_they_have_is_void(known: bool, reasoning: str) -> None:
    """The process died in the middle of a completion; another one asked again, and the model says something else."""
    before: list[RunRecord | RunText] = [
        record("accepted", text="?", user="", tenant=""),
        record("started"),
        *texts(Said("Once upon a ", reasoning), iter([5] * 20)),
    ]
    after = Said("It was.", "Well, " if reasoning else "")
    again: list[RunRecord | RunText] = [
        *before[:2],
        record("resumed", seconds_used=1.0),
        *texts(after, iter([50] * 4)),
        completed(after),
        ended(after),
    ]
    cut = events(before)
    for at, (event, state) in enumerate(cut):
        rest = [one for one, _ in events(again, Place(event["sequence_number"], state if known else None))]
        if known:
            check_order([one for one, _ in cut[: at + 1]] + [_whole(one, cut[: at + 1]) for one in rest])
            closed = [item["status"] for one in rest if (item := _done(one))]
            assert closed[0] == ("incomplete" if state else "completed")
        text = "".join(one["delta"] for one in rest if one["type"] == "response.output_text.delta")
        assert text == "It was."
        items = [one for one in rest if one["type"] == "response.output_item.added"]
        taken = {one["output_index"] for one, _ in cut[: at + 1] if one["type"] == "response.output_item.added"}
        assert not taken & {one["output_index"] for one in items}, "no item takes another's place"
        assert rest[-1]["sequence_number"] > LEAP


def _whole(event: dict[str, Any], before: Sequence[tuple[dict[str, Any], str]]) -> dict[str, Any]:
    """An item that is closed without what was said of it, with that."""
    item = _done(event)
    field = {"message": "content", "reasoning": "summary"}.get(item["type"]) if item else None
    if item is None or field is None or item[field]:
        return event
    said = "".join(
        one["delta"] for one, _ in before if one.get("item_id") == item["id"] and one["type"].endswith(".delta")
    )
    return {**event, "item": {**item, field: [{"text": said}]}}


def test_a_checksum_tells_that_the_model_says_something_else_where_nothing_is_recorded_of_it() -> None:
    """Its stream was cut, and it was asked again, in the same process."""
    start: list[RunRecord | RunText] = [record("accepted", text="?", user="", tenant=""), record("started")]
    cut = events([*start, RunText("", "Once upon a time ")])
    other = Said("Twice in a blue moon it was.")
    replay = [*start, *texts(other, iter([3] * 20)), completed(other), ended(other)]
    for event, state in cut[4:]:
        rest = [one for one, _ in events(replay, Place(event["sequence_number"], state))]
        assert _done(rest[0])["status"] == "incomplete"
        assert "".join(one["delta"] for one in rest if one["type"].endswith("delta")) == other.text


def test_a_completion_that_failed_closes_what_was_sent_of_it() -> None:
    story: list[RunRecord | RunText] = [
        record("accepted", text="?", user="", tenant=""),
        record("started"),
        RunText("", "I think "),
        record("completion_failed", error="x", usage=USAGE, cost=0.0),
        RunText("", "No."),
        completed(Said("No.")),
        ended(Said("No.")),
    ]
    sent = events(story)
    check_order([event for event, _ in sent])
    for event, state in sent[:-1]:
        rest = [one for one, _ in events([*story[:2], *story[3:]], Place(event["sequence_number"], state))]
        assert rest[-1]["type"] == "response.completed"
        if event["sequence_number"] < LEAP and event["type"] != "response.output_item.done":
            assert "".join(one["delta"] for one in rest if one["type"].endswith("delta")) == "No."


def test_a_structured_answer_comes_as_json_and_what_is_said_beside_calls_is_told_apart() -> None:
    response = Response("r", "A", {}, form=JsonSchema({"type": "object"}))
    made = ResponseEvents(response)
    story: list[RunRecord | RunText] = [
        record("accepted", text="?", user="", tenant=""),
        record("started"),
        RunText("", "I look "),
        RunText("", "it up."),
        completed(Said("I look it up.", calls=("c",))),
        RunText("", "```json\n"),
        RunText("", '{"a": 1}\n```'),
        completed(Said('```json\n{"a": 1}\n```')),
        ended(Said('```json\n{"a": 1}\n```')),
    ]
    sent = [event for item in story for event in made.take(item)]
    check_order(sent)
    done = [item for event in sent if (item := _done(event))]
    assert [(item["phase"], item["content"][0]["text"].strip()) for item in done] == [
        ("commentary", "I look it up."),
        ("final_answer", '{"a": 1}'),
    ]


def test_an_answer_that_does_not_fit_is_closed_as_incomplete() -> None:
    response = Response("r", "A", {}, form=JsonSchema({"type": "object", "required": ["a"]}))
    made = ResponseEvents(response)
    story: list[RunRecord | RunText] = [
        record("accepted", text="?", user="", tenant=""),
        record("started"),
        RunText("", '{"b": 1}'),
        completed(Said('{"b": 1}')),
        RunText("", '{"a": 1}'),
        completed(Said('{"a": 1}')),
        ended(Said('{"a": 1}')),
    ]
    sent = [event for item in story for event in made.take(item)]
    check_order(sent)
    done = [item for event in sent if (item := _done(event))]
    assert [item["status"] for item in done] == ["incomplete", "completed"]
    assert [event["text"] for event in sent if event["type"] == "response.output_text.done"] == ['{"a": 1}']
    assert sent[-1]["response"]["output"] == done[1:]


def test_reasoning_that_comes_late_is_an_item_behind_the_text() -> None:
    said = Said("It is 3.", "One and two.")
    story: list[RunRecord | RunText] = [
        record("accepted", text="?", user="", tenant=""),
        record("started"),
        RunText("", said.text),
        RunText("", said.reasoning, "reasoning"),
        completed(said),
        ended(said),
    ]
    sent = events(story)
    check_order([event for event, _ in sent])
    assert [item["type"] for event, _ in sent if (item := _done(event))] == ["message", "reasoning"]
    for event, state in sent[:-1]:
        rest = [one for one, _ in events(story, Place(event["sequence_number"], state))]
        assert rest[-1]["type"] == "response.completed"


def test_a_place_that_is_not_in_the_stream_gives_its_end() -> None:
    story = [Said("one two")]
    rest = events(stream(story, [3]), Place(500))
    assert [event["type"] for event, _ in rest] == ["response.completed"]


@given(st.text(st.sampled_from("ab \n日")), st.integers(0, 30))
def test_text_is_cut_behind_spaces_and_where_it_has_none(text: str, start: int) -> None:
    start = min(start, len(text))
    end = cut_at(text, start)
    piece = text[start:end]
    assert len(piece) <= LONGEST_PIECE
    if piece:
        assert piece[-1].isspace() or len(piece) == LONGEST_PIECE
        assert not any(one.isspace() for one in piece[:-1])
    else:
        assert not any(one.isspace() for one in text[start:])
