"""Whatever calls do side by side, a conversation's state is what their queues come to in the order they end in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Prompt
from callboard.actors.agents.prompts.state.cells import RENDER
from tests.agents.prompts.steps import Conversation

KEYS = ("a", "b", "c")
Step = tuple[str, str, Any]


class TooMuch(Exception):
    """A function of the value before raises."""


def adding(n: int) -> Callable[[int], int]:
    return lambda before: before + n


def doubling(most: int) -> Callable[[int], int]:
    def double(before: int) -> int:
        if before > most:
            raise TooMuch
        return before * 2

    return double


CHANGES = st.one_of(
    st.integers(-5, 5),
    st.integers(-5, 5).map(adding),
    st.integers(0, 12).map(doubling),
)
SCOPES = st.sampled_from(["one", "two", "three", RENDER])
HAPPENS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), SCOPES, st.tuples(st.sampled_from(KEYS), CHANGES)),
        st.tuples(st.just("take"), SCOPES, st.none()),
        st.tuples(st.just("drop"), SCOPES, st.none()),
    ),
    max_size=40,
)


def applied(change: Any, before: int) -> int:
    return int(change(before)) if callable(change) else int(change)


@given(HAPPENS)
def test_any_interleaving_of_calls_is_their_queues_in_the_order_of_commit(happens: list[Step]) -> None:
    conversation = Conversation()
    setters: dict[str, Callable[[Any], int]] = {}

    def fn(prompt: Prompt) -> None:
        setters.update((key, prompt.state(key, 0)[1]) for key in KEYS)

    conversation.step(fn)
    cells = conversation.cells
    committed = dict.fromkeys(KEYS, 0)
    queues: dict[str, dict[str, list[Any]]] = {}
    seen: dict[str, dict[str, int]] = {}
    for what, scope, more in happens:
        if what == "set":
            key, change = more
            view = seen.setdefault(scope, {})
            before = view.get(key, committed[key])
            with cells.open(scope):
                try:
                    expected = applied(change, before)
                except TooMuch:
                    with pytest.raises(TooMuch):
                        setters[key](change)
                    view.setdefault(key, before)
                    continue
                assert setters[key](change) == expected, "what a call sets it sees at once"
            view[key] = expected
            queues.setdefault(scope, {}).setdefault(key, []).append(change)
            continue
        queue, _ = queues.pop(scope, {}), seen.pop(scope, None)
        if what == "drop":
            cells.drop(scope)
            continue
        after = dict(committed)
        try:
            for key, changes in queue.items():
                for change in changes:
                    after[key] = applied(change, after[key])
        except TooMuch:
            with pytest.raises(TooMuch):
                cells.take(scope)
        else:
            changed = cells.take(scope)
            told = {key: value for key, value in after.items() if value != committed[key]}
            assert (dict(changed.state) if changed is not None else {}) == told, "only what changed is recorded"
            conversation.record(changed)
            committed = after
        assert cells.state == committed
    conversation.restart()
    assert conversation.cells.state == committed


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """A value with the types of all that is in it: 1, 1.0 and True are equal."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value), value


@given(PLAIN, PLAIN, st.booleans())
def test_any_plain_value_comes_back_as_it_was_and_every_change_is_recorded(first: Any, then: Any, late: bool) -> None:
    conversation = Conversation()
    found: list[tuple[Any, Callable[[Any], Any]]] = []

    def fn(prompt: Prompt) -> None:
        found.append(prompt.state("key", first))

    conversation.step(fn)
    with conversation.cells.open("call"):
        assert typed(found[0][1](then)) == typed(then)
    if late:
        conversation.step(fn)
        assert typed(found[-1][0]) == typed(first)
    conversation.record(conversation.cells.take("call"))
    conversation.restart()
    conversation.step(fn)
    assert typed(found[-1][0]) == typed(then)
