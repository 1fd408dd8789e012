"""What a run may still use, and what it leaves to those it hands work to."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Limits, Usage
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.turns.loop.budget import left, narrowed
from callboard.actors.agents.turns.rules import check_limits

COUNTS = st.none() | st.integers(0, 1000)
AMOUNTS = st.none() | st.floats(0, 1000)
LIMITS = st.builds(Limits, COUNTS, COUNTS, AMOUNTS, AMOUNTS)
NAMES = ("steps", "tokens", "cost", "seconds")
NONE = Limits(None, None, None, None)


def no_more(one: Limits, other: Limits) -> bool:
    """Whether the one allows nothing that the other does not."""
    pairs = ((getattr(one, name), getattr(other, name)) for name in NAMES)
    return all(theirs is None or (mine is not None and mine <= theirs) for mine, theirs in pairs)


@given(LIMITS, LIMITS)
def test_what_is_narrowed_allows_what_both_allow_and_nothing_else(own: Limits, given: Limits) -> None:
    both = narrowed(own, given)
    assert no_more(both, own)
    assert no_more(both, given)
    assert both == narrowed(given, own)
    for name in NAMES:
        assert getattr(both, name) in (getattr(own, name), getattr(given, name))


@given(LIMITS)
def test_narrowing_by_nothing_or_by_itself_changes_nothing(own: Limits) -> None:
    assert narrowed(own, None) == narrowed(own, NONE) == narrowed(NONE, own) == narrowed(own, own) == own


@given(LIMITS, st.integers(0, 2000), st.integers(0, 2000), st.floats(0, 2000), st.floats(0, 2000))
def test_what_is_left_is_what_was_not_used_and_never_below_nothing(
    limits: Limits, read: int, written: int, cost: float, used: float
) -> None:
    rest = left(limits, Usage(read, written, cache_read_tokens=read, reasoning_tokens=written), cost, used)
    if rest is None:
        assert (limits.tokens, limits.cost, limits.seconds) == (None, None, None)
        return
    check_limits(rest)
    assert rest.steps is None, "steps are each agent's own"
    assert no_more(rest, Limits(None, limits.tokens, limits.cost, limits.seconds))
    for allowed, remains, gone in (
        (limits.tokens, rest.tokens, read + written),
        (limits.cost, rest.cost, cost),
        (limits.seconds, rest.seconds, used),
    ):
        assert remains == (None if allowed is None else max(0, allowed - gone))


def test_limits_without_end_stay_so() -> None:
    rest = left(Limits(None, None, math.inf, math.inf), Usage(1), 5.0, 9.0)
    assert rest == Limits(None, None, math.inf, math.inf)


@given(LIMITS)
def test_limits_that_are_numbers_are_accepted(limits: Limits) -> None:
    check_limits(limits)
    assert limits == Limits(limits.steps, limits.tokens, limits.cost, limits.seconds)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    [-1, -0.5, -math.inf, math.nan, True, False, "10", b"1", [], {}, 1j, object()],
    ids=lambda value: repr(value)[:8],
)
def test_a_limit_that_is_no_number_or_negative_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=rf"^Limits\.{name} is a (whole )?number not below 0, or None, not "):
        check_limits(Limits(**{name: value}))


@pytest.mark.parametrize("name", ["steps", "tokens"])
@pytest.mark.parametrize("value", [1.0, math.inf])
def test_what_is_counted_is_a_whole_number(name: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=rf"Limits\.{name} is a whole number"):
        check_limits(Limits(**{name: value}))
