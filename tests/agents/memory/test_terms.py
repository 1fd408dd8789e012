"""The pure parts of finding: words, fusion, and what a model is told."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from callboard import Fact, Owner
from callboard.actors.agents.memory.facts.fusion import fuse
from callboard.actors.agents.memory.facts.telling import told, with_told
from callboard.actors.agents.memory.facts.terms import MOST_LETTERS, terms
from callboard.providers.messages import Message

TEXT = st.text(max_size=60)
RANKINGS = st.lists(st.lists(st.integers(0, 20), unique=True, max_size=12), max_size=4)


@given(TEXT)
def test_terms_are_words_without_quotes_spaces_or_case_and_not_long(text: str) -> None:
    for term in terms(text):
        assert term
        assert len(term) <= MOST_LETTERS
        assert not set(term) & set("\"' \n\\*^:-()")
    assert terms(text.upper()) == terms(text.upper().lower().upper()), "what folds alike is one"


@given(TEXT, TEXT)
def test_the_terms_of_two_texts_side_by_side_are_those_of_each(one: str, other: str) -> None:
    assert terms(f"{one} . {other}") == terms(one) + terms(other)


@given(RANKINGS, st.integers(1, 30))
def test_fused_is_best_first_has_nothing_twice_and_nothing_new(rankings: list[list[int]], limit: int) -> None:
    fused = fuse(rankings, limit)
    items = [item for item, _ in fused]
    assert len(items) == len(set(items)) == min(limit, len({item for ranking in rankings for item in ranking}))
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    for item, score in fused:
        places = [ranking.index(item) + 1 for ranking in rankings if item in ranking]
        assert abs(score - sum(1 / (60 + place) for place in places)) < 1e-12


@given(st.lists(st.tuples(TEXT.filter(str.strip), TEXT), max_size=4), st.floats(-1e18, 1e18))
def test_whatever_facts_say_each_is_on_a_line_of_its_own_in_one_block(facts: list[tuple[str, str]], at: float) -> None:
    text = told(Fact("id", said, source, Owner("ann"), at) for said, source in facts)
    assert bool(text) == bool(facts)
    assert text.count("<") == text.count(">") == (2 if facts else 0)
    lines = text.split("\n")[2:-1]
    assert [json.JSONDecoder().raw_decode(line[2:])[0] for line in lines] == [said for said, _ in facts]


@given(st.lists(st.sampled_from(["system", "user", "assistant"]), max_size=6))
def test_what_is_told_stands_behind_the_system_messages_that_begin_and_changes_nothing_else(roles: list[str]) -> None:
    messages = [Message(role, str(place)) for place, role in enumerate(roles)]  # type: ignore[arg-type]
    with_it = with_told(messages, "told")
    (at,) = [place for place, message in enumerate(with_it) if message.text == "told"]
    assert [*with_it[:at], *with_it[at + 1 :]] == messages
    assert {message.role for message in with_it[: at + 1]} == {"system"}
    assert all(message.role != "system" for message in with_it[at + 1 : at + 2])
