"""What each context strategy leaves of a conversation, and when it leaves it alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import (
    Agent,
    ChunkLong,
    ContextStrategy,
    ContextView,
    DefinitionError,
    DropToolOutput,
    KeepAll,
    KeepPriority,
    Summarize,
    Window,
)
from callboard.actors.agents.turns.shape import shown
from callboard.providers.messages import Labels, Message, Text, ToolCall
from callboard.providers.tokens import estimate_message
from callboard.providers.windows import context_window

from .histories import PICTURE, Asked, Fold, conversations


def said(role: Any, text: str, *, tokens: int = 0, **more: Any) -> Message:
    """A message; with ``tokens`` it is filled up to about so many."""
    return Message(role, text + " ." * (2 * tokens), **more)


def step(number: int, output: str, name: str = "look") -> tuple[Message, Message]:
    """A call and its result."""
    call = ToolCall(f"c{number}", name, "{}")
    return Message("assistant", "", (call,)), Message("tool", output, tool_call_id=call.id, name=name)


def left(strategy: ContextStrategy, *history: Message, start: int = 0, room: int | None = None) -> list[Message]:
    """What a strategy leaves."""
    view = strategy.apply(ContextView.of(history, start=start, room=room))
    return shown(history, view.shape)


EXCHANGES = [
    message
    for number in range(10)
    for message in (said("user", f"question {number}", tokens=46), said("assistant", f"answer {number}", tokens=46))
]
"""Twenty messages of about fifty tokens each."""
ASKED = said("user", "and now?")


@pytest.mark.parametrize("strategy", [Window(tokens=2_000), Window(messages=30), KeepAll(), Window()])
def test_a_conversation_within_its_limit_is_shown_whole(strategy: ContextStrategy) -> None:
    assert left(strategy, *EXCHANGES, ASKED, start=20) == [*EXCHANGES, ASKED]


def test_a_window_of_tokens_leaves_the_newest_and_half_of_what_is_allowed() -> None:
    view = Window(tokens=700).apply(ContextView.of([*EXCHANGES, ASKED], start=20))
    assert shown(view.history, view.shape) == [*EXCHANGES[-6:], ASKED]
    assert 300 < view.tokens <= 350


def test_a_window_of_messages_leaves_half_of_what_is_allowed() -> None:
    messages = left(Window(messages=12), *EXCHANGES, ASKED, start=20)
    assert [one for one in messages if "left out" not in one.text] == [*EXCHANGES[-5:], ASKED]


def test_the_model_s_own_window_is_the_limit_where_no_other_is_given() -> None:
    assert left(Window(), *EXCHANGES, ASKED, start=20, room=700) == [*EXCHANGES[-6:], ASKED]
    assert left(Window(tokens=5_000), *EXCHANGES, ASKED, start=20, room=700) == [*EXCHANGES[-6:], ASKED]


def test_where_an_assistant_would_speak_first_a_user_says_that_something_is_left_out() -> None:
    messages = left(Window(messages=12), *EXCHANGES, ASKED, start=20)
    assert messages[0].role == "user"
    assert messages[0].text == "[Earlier messages are left out here.]"
    assert messages[1].role == "assistant"


def test_in_a_long_run_the_question_stays_and_the_oldest_calls_go_with_their_results() -> None:
    calls = [message for number in range(10) for message in step(number, "result " * 40)]
    messages = left(Window(tokens=500), ASKED, *calls)
    assert messages[0] == ASKED
    assert messages[1:] == calls[-6:]  # of about eighty tokens a step


def test_old_results_give_way_to_a_line_that_says_how_to_get_them_again() -> None:
    calls = [message for number in range(10) for message in step(number, "result " * 40)]
    messages = left(DropToolOutput(keep=2, tokens=700), ASKED, *calls)
    assert len(messages) == 21
    dropped = [one for one in messages if "left out" in one.text]
    assert dropped
    assert messages[2] == dropped[0]
    assert dropped[0].text == (
        "[This result of look is left out to save room: 280 characters. If you need it, call the tool again.]"
    )
    assert messages[-4:] == calls[-4:]
    assert [one.tool_call_id for one in messages if one.role == "tool"] == [f"c{number}" for number in range(10)]


@pytest.mark.parametrize("limit", range(500, 800, 10))
def test_no_more_results_give_way_than_have_to(limit: int) -> None:
    calls = [message for number in range(10) for message in step(number, "result " * 40)]
    view = DropToolOutput(keep=0, tokens=limit).apply(ContextView.of([ASKED, *calls]))
    *_, last = view.shape.dropped
    assert view.tokens <= limit / 2 or last == 18, "all but those that the model has not seen yet"
    one_less = ContextView.of([ASKED, *calls]).dropping(view.shape.dropped[:-1])
    assert one_less.tokens > limit / 2


def test_results_that_are_shorter_than_that_line_stay() -> None:
    calls = [message for number in range(40) for message in step(number, "ok")]
    assert left(DropToolOutput(keep=0, tokens=200), ASKED, *calls) == [ASKED, *calls]


def test_results_that_the_model_has_not_seen_yet_stay() -> None:
    call = Message("assistant", "", (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")))
    results = [Message("tool", "result " * 90, tool_call_id=id, name="look") for id in ("a", "b")]
    assert left(DropToolOutput(keep=0, tokens=100), ASKED, call, *results) == [ASKED, call, *results]


def test_the_second_strategy_is_applied_to_what_the_first_has_left_only_where_that_is_too_much() -> None:
    calls = [message for number in range(10) for message in step(number, "result " * 40)]
    enough = DropToolOutput(keep=0, tokens=900) | Window(tokens=900)
    assert len(left(enough, ASKED, *calls)) == 21
    too_much = DropToolOutput(keep=8, tokens=700) | Window(tokens=700)
    assert len(left(too_much, ASKED, *calls)) < 21


def test_priority_keeps_what_is_relevant_for_the_question_wherever_it_stands() -> None:
    history = [said("user", f"note {number} about the weather", tokens=40) for number in range(20)]
    history[2] = said("user", "the harbour master is called Jónsdóttir", tokens=40)
    history.append(said("user", "What is the harbour master called?"))
    messages = left(KeepPriority(tokens=600, recency=0.5, relevance=2.0), *history, start=20)
    assert history[2] in messages
    assert history[1] not in messages
    assert messages == [one for one in history if one in messages]


def test_priority_keeps_what_is_pinned_and_what_its_labels_are_worth_most() -> None:
    calls = [message for number in range(10) for message in step(number, "result " * 40, ("look", "read")[number % 2])]
    strategy = KeepPriority(pin=lambda message: message.tool_call_id == "c0", labels={"read": 5.0}, tokens=600)
    kept = [one.tool_call_id for one in left(strategy, ASKED, *calls) if one.role == "tool"]
    assert kept[0] == "c0"
    assert {"c9", "c7"} <= set(kept)
    assert "c8" not in kept


def test_between_two_answers_a_user_says_that_something_is_left_out() -> None:
    history = [
        said("user", "one", tokens=200),
        said("assistant", "yes", tokens=1),
        said("user", "two", tokens=200),
        said("assistant", "no", tokens=1),
        ASKED,
    ]
    messages = left(KeepPriority(pin=lambda message: message.role == "assistant", tokens=100), *history, start=4)
    assert [one.role for one in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert "left out" in messages[2].text


def test_a_summary_is_wanted_of_the_oldest_messages() -> None:
    strategy = Summarize(model="small", tokens=700)
    view = strategy.apply(ContextView.of([*EXCHANGES, ASKED], start=20))
    wanted = view.wanted
    assert wanted is not None
    request = strategy.request(view, wanted, "large")
    assert request.model == "small"
    assert "question 0" in request.messages[-1].text
    assert "answer 9" not in request.messages[-1].text
    messages = shown(view.history, view.summarized("It was about questions.").shape)
    assert messages[0].role == "user"
    assert messages[0].text.endswith("It was about questions.")
    assert messages[1:] == [*EXCHANGES[-6:], ASKED]


def test_what_stands_for_messages_has_their_labels() -> None:
    outside = Labels(untrusted=frozenset({"tool look"}))
    secret = Labels(confidential=frozenset({"salaries"}))
    history = [replace(EXCHANGES[0], labels=secret), *EXCHANGES[1:], *step(1, "result " * 60), *EXCHANGES, ASKED]
    start = len(history) - 1
    view = Summarize(tokens=800).apply(ContextView.of(history, start=start))
    (summary, *_) = shown(history, view.summarized("They talked.").shape)
    assert summary.labels == outside | secret
    asked = replace(ASKED, labels=secret)
    results = [replace(one, labels=secret) if one.role == "tool" else one for one in step(1, BOOK)]
    for strategy in (DropToolOutput(keep=0, tokens=500), ChunkLong(longest=500, tokens=500)):
        shorter = left(strategy, asked, *results, *step(2, "ok"))
        assert shorter[2].text != BOOK
        assert shorter[2].labels == secret


def test_what_is_summarized_again_has_the_summary_before_it() -> None:
    strategy = Summarize(tokens=800)
    first = strategy.apply(ContextView.of([*EXCHANGES, ASKED], start=20)).summarized("Older things.")
    again = strategy.apply(ContextView(first.history, first.sizes, 2_000, 20, shape=first.shape))
    assert again.wanted is not None
    told = strategy.request(again, again.wanted, "").messages[-1].text
    assert "Older things." in told
    assert "question 0" not in told


@pytest.mark.parametrize("messages", [40, 4_000], ids=["long", "many"])
def test_whoever_makes_a_summary_is_shown_as_much_as_it_takes(messages: int) -> None:
    """It may take less than the model whose conversation it is."""
    small = "gpt-4"
    window = context_window(small)
    assert window == 8_192
    strategy = Summarize(model=small, tokens=30_000)
    history = [said("user", f"message {number}", tokens=160_000 // messages) for number in range(messages)]
    view = strategy.apply(ContextView.of([*history, ASKED], start=messages))
    assert view.wanted is not None
    asked = strategy.request(view, view.wanted, "")
    assert window / 2 < sum(map(estimate_message, asked.messages)) < window - strategy.words
    assert "message 0" in asked.messages[-1].text


# -- chunks of long messages -------------------------------------------------------------------------------------------

CHAPTERS = [
    f"# Chapter {number}\n\n" + " ".join(f"Sentence {at} of chapter {number} says something." for at in range(30))
    for number in range(20)
]
CHAPTERS[7] = "# Chapter 7\n\nThe harbour master of Vík is called Jónsdóttir, and keeps bees. " * 15
BOOK = "\n\n".join(CHAPTERS)


def test_of_a_long_result_the_chunks_are_shown_that_have_to_do_with_the_question() -> None:
    question = said("user", "What is the harbour master of Vík called?")
    call, result = step(1, BOOK)
    messages = left(ChunkLong(longest=2_000, tokens=3_000), question, call, result)
    assert messages[:2] == [question, call]
    text = messages[2].text
    assert "Jónsdóttir" in text
    assert text.startswith("# Chapter 0")
    assert text.endswith("Sentence 29 of chapter 19 says something.")
    assert text.count("[A part is left out here.]") >= 2
    assert len(text) / 4 < 2_300
    assert all(piece in BOOK for piece in text.split("\n[A part is left out here.]\n"))


def test_chunks_end_where_sentences_do() -> None:
    messages = left(ChunkLong(longest=2_000, tokens=3_000), ASKED, *step(1, BOOK))
    for piece in messages[2].text.split("\n[A part is left out here.]\n"):
        assert piece.startswith(("#", "Sentence", "The harbour"))
        last = piece.rstrip().splitlines()[-1]
        assert last.endswith(".") or last.startswith("# Chapter")


def test_a_long_document_that_a_user_brings_is_shortened_too_and_its_pictures_stay() -> None:
    document = Message("user", (Text(BOOK), PICTURE, Text("What does it say of chapter 12?")))
    (shown_now,) = left(ChunkLong(longest=2_000, tokens=3_000), document)
    assert PICTURE in shown_now.content
    assert "What does it say of chapter 12?" in shown_now.text
    assert "# Chapter 12" in shown_now.text
    assert len(shown_now.text) / 4 < 2_300


def test_short_messages_and_what_an_assistant_said_are_shown_whole() -> None:
    history = [ASKED, said("assistant", BOOK), said("user", "and?")]
    assert left(ChunkLong(longest=500, tokens=100), *history) == history


@pytest.mark.parametrize(
    "text", ["x" * 2_000_000, "漢字" * 200_000, "word " * 200_000], ids=["letters", "han", "words"]
)
def test_a_text_of_megabytes_is_cut_soon(text: str) -> None:
    """The splitter alone takes minutes: the event loop would wait for it."""
    message = left(ChunkLong(longest=1_000, tokens=2_000), said("user", text))[-1]
    assert message.text.count("[A part is left out here.]") >= 1
    assert len(message.text) < 5_000


def test_white_space_between_chunks_counts_for_what_is_shown() -> None:
    text = "".join("  " * level + "- item\n" for level in range(600))
    view = ChunkLong(longest=1_000, tokens=2_000).apply(ContextView.of([said("user", text)]))
    (message,) = shown(view.history, view.shape)
    assert len(message.text) / 4 < 1.1 * view.total < 2_000


@given(st.text(max_size=3_000), st.sampled_from((100, 150)))
@settings(max_examples=60)
def test_whatever_a_text_is_what_is_shown_of_it_are_pieces_of_it_in_order(text: str, longest: int) -> None:
    call, result = step(1, text * 3)
    message = left(ChunkLong(longest=longest, tokens=1), ASKED, call, result)[-1]
    at = 0
    for piece in message.text.split("[A part is left out here.]"):
        found = result.text.find(piece.strip("\n"), at)
        assert found >= 0
        at = found


def test_without_the_extra_the_strategy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "semantic_text_splitter", None)
    with pytest.raises(ImportError, match=r"pip install 'callboard\[documents\]'"):
        ChunkLong()


# -- limits ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(conversations(), st.sampled_from((200, 1_000, 4_000)))
def test_a_window_leaves_no_more_than_its_limit_but_for_what_always_stays(steps: list[Asked], limit: int) -> None:
    fold = Fold(Window(tokens=limit), None)
    for asked in steps:
        _, view = fold.step(asked)
        rest = sum(unit.tokens for unit in view.units() if not unit.pinned)
        assert view.tokens <= limit or (rest <= limit / 2 and view.tokens - rest > limit)


@pytest.mark.parametrize("strategy", [Window(tokens=500), KeepPriority(tokens=500), Summarize(tokens=500)])
def test_where_what_always_stays_is_more_than_the_limit_what_is_shown_changes_as_seldom(
    strategy: ContextStrategy,
) -> None:
    """What is left out of the rest would help nothing: not at each step, and no summary for each."""
    fold = Fold(strategy, None)
    history: list[Message] = [said("user", "a long document", tokens=2_000)]
    for number in range(40):
        history += step(number, "result " * 20)
        messages, _ = fold.step(Asked(tuple(history), 0))
        assert messages[-1] == history[-1]
        assert sum(len(one.text) for one in messages if one.role == "tool") / 4 < 300
    assert 0 < fold.changes <= ContextView.of(history[1:]).total / 200


def test_what_is_shown_changes_only_once_half_of_the_limit_has_come() -> None:
    fold = Fold(Window(tokens=2_000), None)
    history: list[Message] = [ASKED]
    for number in range(200):
        history += step(number, "result " * 40)
        fold.step(Asked(tuple(history), 0))
    assert 10 < fold.changes <= ContextView.of(history).total / 1_000


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Window(tokens=0), r"Window\.tokens is a whole number, at least 1, not 0"),
        (lambda: Window(messages="ten"), r"Window\.messages is a whole number, at least 1, not 'ten'"),  # type: ignore[arg-type]
        (lambda: DropToolOutput(keep=-1), r"DropToolOutput\.keep is a whole number, at least 0, not -1"),
        (lambda: DropToolOutput(keep=True), r"DropToolOutput\.keep is a whole number"),
        (lambda: KeepPriority(pin="x"), "KeepPriority"),  # type: ignore[arg-type]
        (lambda: KeepPriority(recency=-1), "KeepPriority"),
        (lambda: KeepPriority(labels={"user": "much"}), r"KeepPriority\.labels are numbers"),  # type: ignore[dict-item]
        (lambda: ChunkLong(longest=99), r"ChunkLong\.longest is a whole number, at least 100, not 99"),
        (lambda: ChunkLong(longest=None), r"ChunkLong\.longest is a whole number"),  # type: ignore[arg-type]
        (lambda: ChunkLong(longest=10**30), r"ChunkLong\.longest is a whole number"),
        (lambda: Summarize(words=None), r"Summarize\.words is a whole number"),  # type: ignore[arg-type]
        (lambda: KeepPriority(labels={"user": float("nan")}), r"KeepPriority\.labels are numbers"),
        (lambda: Summarize(words=0), r"Summarize\.words is a whole number, at least 1, not 0"),
        (lambda: Summarize(model=None), "Summarize"),  # type: ignore[arg-type]
        (lambda: Agent("A", context=8_000), "agent A: context is 8000; expected a context strategy"),  # type: ignore[arg-type]
    ],
)
def test_what_a_strategy_cannot_be_is_said_where_it_is_made(make: Callable[[], object], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        make()


def test_only_strategies_are_put_together() -> None:
    with pytest.raises(TypeError):
        Window() | 3  # type: ignore[operator]
