"""What a prompt function remembers is folded with the history: it goes where that goes, and is cut where that is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Message, ToolCall
from callboard.actors.agents.conversations.history import StreamHistory
from callboard.actors.agents.turns.records import Accepted, Ended, PromptChanged, Rewound
from callboard.actors.agents.turns.state import ConversationState, fold
from callboard.actors.agents.turns.steps import Begin, ToolReturned
from callboard.actors.journal.store import Record

from .support import AGENT, CONVERSATION, request, said, through_the_codec

KEYS = st.sampled_from(("a", "b", "c"))
PLAIN = st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.none()
CHANGES = st.builds(
    PromptChanged,
    st.dictionaries(KEYS, PLAIN, max_size=2),
    st.dictionaries(KEYS, st.none() | st.just("[1]"), max_size=2),
    initial=st.just({}),
)
CALL = ToolCall("k", "work", "{}")


def now(state: ConversationState) -> tuple[dict[str, Any], dict[str, str]]:
    """What is remembered, as something that can be compared."""
    return dict(state.prompt.state), dict(state.prompt.effects)


def changed(
    known: tuple[dict[str, Any], dict[str, str]], change: PromptChanged
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is known after a change, made in the plainest way."""
    effects = {**known[1], **change.effects}
    return {**known[0], **change.state}, {name: value for name, value in effects.items() if value is not None}


class Conversation:
    """A conversation that is played without actors, and what was known whenever one of its steps began."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.events: list[Any] = []
        self.state = ConversationState(AGENT, CONVERSATION)
        self.known: tuple[dict[str, Any], dict[str, str]] = ({}, {})
        self.began: list[tuple[int, tuple[dict[str, Any], dict[str, str]]]] = []
        self.runs = 0

    def happens(self, event: Any) -> None:
        read = through_the_codec(event)
        self.events.append(read)
        self.state.apply(read)

    def changes(self) -> None:
        """Something changes, or nothing."""
        if self.data.draw(st.booleans()):
            change = self.data.draw(CHANGES)
            self.known = changed(self.known, change)
            self.happens(change)

    def step(self, *calls: ToolCall) -> None:
        self.began.append((len(self.state.turn.history), self.known))
        self.changes()
        self.happens(said("x", *calls))
        for call in calls:
            self.changes()
            self.happens(ToolReturned(call.id, "done"))

    def run(self) -> None:
        self.runs += 1
        name = str(self.runs)
        self.happens(Accepted(request(name)))
        self.happens(Begin((Message("user", "go"),)))
        for _ in range(self.data.draw(st.integers(0, 2))):
            self.step(CALL)
        self.step()
        self.happens(Ended(name))

    def before(self, messages: int) -> tuple[dict[str, Any], dict[str, str]]:
        """What was known when the first step began that is not among so many messages."""
        return next((known for length, known in self.began if length >= messages), self.known)

    def rewind(self, messages: int) -> None:
        self.known = self.before(messages)
        self.began = [one for one in self.began if one[0] < messages]
        self.happens(Rewound(messages))


def step_ends(state: ConversationState) -> list[int]:
    """How many messages there are at the beginning, and behind each step."""
    history = state.turn.history
    return [
        0,
        *(
            at + 1
            for at, one in enumerate(history)
            if one.role == "tool" or (one.role == "assistant" and not one.tool_calls)
        ),
    ]


@settings(max_examples=150)
@given(st.data(), st.lists(st.sampled_from(("run", "run", "rewind", "fork")), min_size=1, max_size=8))
def test_whatever_happens_what_is_remembered_is_what_it_was_when_the_step_began_from_which_it_goes_on(
    data: st.DataObject, acts: list[str]
) -> None:
    played = Conversation(data)
    for act in acts:
        if act == "run":
            played.run()
        elif act == "rewind":
            played.rewind(data.draw(st.sampled_from(step_ends(played.state))))
        else:  # another conversation goes on with what this one had at some point
            at = data.draw(st.sampled_from(step_ends(played.state)))
            records = [Record(n, AGENT, n, "", event, {}, 0.0) for n, event in enumerate(played.events, 1)]
            snapshot = StreamHistory(AGENT, CONVERSATION, records).snapshot(at)
            played.known = played.before(at)
            played.began = [one for one in played.began if one[0] < at]
            played.events, played.state = [], ConversationState(AGENT, CONVERSATION)
            played.happens(snapshot)
        assert now(played.state) == played.known
        assert now(fold(AGENT, CONVERSATION, played.events)) == played.known
        for length, known in played.began:
            was = played.state.prompt.before(length)
            assert (dict(was.state), dict(was.effects)) == known


def test_what_a_call_changes_counts_for_the_next_step_and_not_for_the_one_that_it_belongs_to() -> None:
    state = fold(AGENT, CONVERSATION, (Accepted(request("1")), Begin((Message("user", "go"),))))
    state.apply(PromptChanged({"n": 1}))
    state.apply(said("", CALL))
    state.apply(PromptChanged({"n": 2}))
    length = len(state.turn.history)
    assert state.prompt.state == {"n": 2}
    assert state.prompt.before(length).state == {}, "the step was made from what was there before it"
    state.apply(ToolReturned("k", "done"))
    assert state.prompt.before(len(state.turn.history)).state == {"n": 2}


def test_an_effect_that_is_forgotten_is_not_there_any_more() -> None:
    state = fold(
        AGENT, CONVERSATION, (PromptChanged({}, {"one": "[1]", "two": "[]"}), PromptChanged({}, {"one": None}))
    )
    assert state.prompt.effects == {"two": "[]"}


def test_a_change_says_what_it_changes_and_never_to_what() -> None:
    assert repr(PromptChanged({"key": "s3cret"}, {"f:1": "[]"})) == "PromptChanged(state=['key'], 1 effects)"


def test_what_is_remembered_cannot_be_changed_but_by_an_event() -> None:
    state = fold(AGENT, CONVERSATION, (PromptChanged({"n": 1}),))
    with pytest.raises(TypeError):
        state.prompt.state["n"] = 2  # type: ignore[index]
