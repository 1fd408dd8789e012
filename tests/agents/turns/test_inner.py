"""What is known of the calls that a call has made, folded from the journal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.inner import (
    InnerCalled,
    InnerCalls,
    InnerDecided,
    InnerReturned,
    result_of,
    returned,
)
from callboard.actors.agents.turns.records import ApprovalAsked
from callboard.actors.agents.turns.replay import replay
from callboard.actors.agents.turns.steps import ToolReturned
from callboard.providers.messages import Image, Text, ToolCall
from callboard.tools import ToolResult
from callboard.tools.result import CUT

from .support import said
from .test_state import CALL, HELLO, accepted, folded

OTHER = ToolCall("l", "tool", "{}")


def test_what_was_made_is_known_until_the_outer_call_has_its_result() -> None:
    begun = (accepted("1"), HELLO, said("", CALL, OTHER))
    made = (
        *(InnerCalled("k/1", "pay", "{}"), ApprovalAsked("k/1", "a"), InnerDecided("k/1", True)),
        *(InnerCalled("k/2", "pay", "{}"), ApprovalAsked("k/2", "b")),
        InnerReturned("k/1", "paid", asked=2),
        *(InnerCalled("l/1", "pay", "{}"), ApprovalAsked("l/1", "c")),
    )
    state = folded(*begun, *made)
    assert state.inner is not None
    known = state.inner.get("k/1")
    assert known is not None
    assert (known.decided, known.returned) == (InnerDecided("k/1", True), InnerReturned("k/1", "paid", asked=2))
    assert [one.called.call_id for one in state.inner.of("k")] == ["k/1", "k/2"]
    assert sorted(state.approvals or {}) == ["k/2", "l/1"]

    after = folded(*begun, *made, ToolReturned("k", "done"))
    assert after.inner is not None
    assert after.inner.ids() == ["l/1"]
    assert sorted(after.approvals or {}) == ["l/1"]

    over = folded(*begun, *made, ToolReturned("k", "done"), ToolReturned("l", "done"))
    assert (over.inner, over.approvals) == (None, None)


@pytest.mark.parametrize(
    "events",
    [
        (InnerCalled("k/1", "pay", "{}"),),
        (said("", CALL), InnerReturned("k/1", "paid")),
        (said("", CALL), InnerDecided("k/1", True)),
    ],
)
def test_what_cannot_have_happened_is_a_gap_in_the_journal(events: Any) -> None:
    with pytest.raises(TypeError, match="cannot happen"):
        folded(accepted("1"), HELLO, *events)


def test_a_replay_finds_an_inner_call_of_a_call_that_is_not_open() -> None:
    events = (accepted("1"), HELLO, said("", CALL), InnerCalled("k/1", "pay", "{}"), InnerReturned("k/1", "paid"))
    assert [step.divergence for step in replay(events)] == [""] * 5
    strange = [step.divergence for step in replay((*events[:3], InnerCalled("m/1", "pay", "{}")))]
    assert strange[-1] == "InnerCalled is about the call 'm', which is not open; there are: k"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(value=PLAIN, is_error=st.booleans())
def test_a_result_is_the_same_to_the_outer_call_from_the_journal_as_at_once(value: Any, is_error: bool) -> None:
    result = ToolResult.returned(value)
    if is_error:
        result = ToolResult(result.content, True)
    record = returned("k/1", result, 3, 1.5)
    told = result_of(record)
    assert (told.content, told.is_error, told.value) == (result.content, is_error, None if is_error else value)
    codec = RunCodec()
    encoded = codec.encode(record)
    assert result_of(codec.decode(encoded.type, encoded.schema, encoded.data)) == told


def test_a_result_that_was_cut_and_one_with_pictures_say_so() -> None:
    cut = returned("k/1", ToolResult.returned(list(range(1000))).shortened(100), 1, 0.0)
    assert result_of(cut).value is CUT
    picture = (Text("look"), Image("https://example.com/a.png"))
    assert result_of(returned("k/1", ToolResult(picture, value=object()), 1, 0.0)).value == "look\n[picture]"


@pytest.mark.parametrize("value", ["x", "5", 5, None, {"a": [1]}, ["(no output)"]])
def test_a_value_that_a_hook_gave_beside_a_text_is_recorded_beside_it(value: Any) -> None:
    record = returned("k/1", ToolResult("cached", value=value), 1, 0.0)
    codec = RunCodec()
    encoded = codec.encode(record)
    told = result_of(codec.decode(encoded.type, encoded.schema, encoded.data))
    assert (told.content, told.value, told.from_value) == ("cached", value, False)


def test_a_value_that_a_hook_gave_is_cut_where_it_is_longer_than_a_text_may_be() -> None:
    assert result_of(returned("k/1", ToolResult("cached", value="x" * 99_998), 1, 0.0)).value == "x" * 99_998
    assert result_of(returned("k/1", ToolResult("cached", value="x" * 99_999), 1, 0.0)).value is CUT


def test_results_are_in_the_order_in_which_they_came() -> None:
    calls = InnerCalls()
    for number in (1, 2, 3):
        calls.apply(InnerCalled(f"k/{number}", "pay", "{}"))
    calls.apply(InnerCalled("k/2/1", "look", "{}"))
    for ended in ("k/3", "k/2/1", "k/1"):
        calls.apply(InnerReturned(ended, ""))
    assert [one.call_id for one in calls.returned("k")] == ["k/3", "k/1"]
    assert [one.call_id for one in calls.returned("k/2")] == ["k/2/1"]
    assert calls.over("k/2") == {"k/2/1"}
    assert len(calls) == 3


def test_what_a_call_had_done_before_is_told_of_as_far_as_it_was_not_told_again() -> None:
    calls = InnerCalls()
    assert not calls.done_before("k", (), ())
    for event in (
        *(InnerCalled("k/1", "pay", '{"to":"a"}'), InnerDecided("k/1", True, '{"to":"b"}')),
        *(InnerCalled("k/2", "look", "{}"), InnerReturned("k/2", "x" * 1000, is_error=True)),
        *(InnerCalled("k/3", "ask", "{}"), InnerCalled("l/1", "other", "{}"), InnerReturned("l/1", "done")),
    ):
        calls.apply(event)
    said = calls.done_before("k", (), {"k/1"})
    assert "made 2 calls then" in said
    assert '- pay {"to":"b"} was interrupted, and may have had its effect' in said
    assert f"- look {{}} failed: {'x' * 200}…" in said
    assert "ask" not in said
    assert "other" not in said
    assert calls.done_before("k", {"k/1"}, {"k/1"})
    assert not calls.done_before("k", {"k/1", "k/2"}, {"k/1"})
    for number in range(50):
        calls.apply(InnerCalled(f"m/{number}", "note", "{}"))
        calls.apply(InnerReturned(f"m/{number}", "noted"))
    many = calls.done_before("m", (), ()).splitlines()
    assert len(many) == 22
    assert many[-1] == "- and 30 more"
