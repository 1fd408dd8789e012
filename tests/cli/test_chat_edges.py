"""What a chat is made of, where it is pure, at its edges: lengths, times, prices."""

from __future__ import annotations

import time
from typing import Any

import pytest

from callboard import Change
from callboard.actors.agents.answer import NO_USAGE
from callboard.actors.agents.events import CompletionFinished, ContextReduced, ToolSpent
from callboard.actors.cli.chat.decision import expiry, more_of
from callboard.actors.cli.chat.diff import COMPARED, LONGEST, MOST, DiffLine, diff_lines
from callboard.actors.cli.parts.spending import Spending
from callboard.providers.messages import Usage


def test_each_line_of_a_diff_has_the_style_of_its_sign_and_the_names_of_files_are_left_out() -> None:
    changes = [Change("a", "one\ntwo\nthree\n", "one\n2\nthree\n", "as a model\x1b wrote it")]
    assert diff_lines(changes) == [
        DiffLine("a (changed)", "bold"),
        DiffLine("as a model\\x1b wrote it", "dim"),
        DiffLine("@@ -1,3 +1,3 @@", "cyan"),
        DiffLine(" one", ""),
        DiffLine("-two", "red"),
        DiffLine("+2", "green"),
        DiffLine(" three", ""),
    ]
    assert diff_lines([Change("a", "", "")]) == [
        DiffLine("a (changed)", "bold"),
        DiffLine("nothing is different", "dim"),
    ]


def test_lines_and_texts_of_a_diff_are_cut_where_they_are_longer_than_is_shown() -> None:
    just, longer = "x" * (LONGEST - 1), "x" * LONGEST
    assert diff_lines([Change("a", None, just)])[-1].text == f"+{just}"
    assert diff_lines([Change("a", None, longer)])[-1].text == f"+{just[1:]}…"
    whole = diff_lines([Change("a", None, "x\n" * (MOST - 2))])
    assert len(whole) == MOST
    assert whole[-1] == DiffLine("+x", "green")
    assert diff_lines([Change("a", None, "x\n" * (MOST - 1))])[-1] == DiffLine("… and 1 lines more", "dim")
    many = "x\n" * (COMPARED + 1)
    assert diff_lines([Change("a", many, None)])[1:] == [DiffLine("20,001 lines become 0", "dim")]
    assert len(diff_lines([Change("a", None, "x\n" * COMPARED)])) == MOST + 1


@pytest.mark.parametrize(
    ("left", "form"),
    [(119.0, "in 119 s"), (120.0, "from %H:%M on"), (86_399.0, "from %H:%M on"), (86_400.0, "from %Y-%m-%d %H:%M on")],
)
def test_an_expiry_is_in_seconds_then_a_time_of_day_then_a_date(left: float, form: str) -> None:
    assert expiry(1000.0 + left, 1000.0) == f"it counts as denied {time.strftime(form, time.localtime(1000.0 + left))}"


def test_a_whole_number_is_cut_and_seconds_and_dollars_are_not() -> None:
    assert more_of("tokens", "6.9", 5) == 6
    assert more_of("seconds", "6.5", 5) == 6.5
    assert more_of("cost", " 0.75 ", 0.5) == 0.75
    assert more_of("cost", "Y", 0.5) == 1.0


def finished(agent: str, cost: float | None) -> CompletionFinished:
    """A completion of 10 + 5 tokens."""
    said: dict[str, Any] = dict.fromkeys(CompletionFinished.__dataclass_fields__, "")
    return CompletionFinished(**{**said, "agent": agent, "usage": Usage(10, 5), "cost": cost, "notes": ()})


def test_what_was_spent_is_counted_by_agent_and_a_price_that_is_not_known_is_no_zero() -> None:
    spending = Spending()
    assert (spending.total.usage, spending.total.known_cost) == (NO_USAGE, 0.0)
    for event in (finished("A", 0.25), finished("A", None), finished("B", None)):
        spending.count(event)
    tool: dict[str, Any] = dict.fromkeys(ToolSpent.__dataclass_fields__, "")
    spending.count(ToolSpent(**{**tool, "agent": "A", "amount": 0.5}))
    reduced: dict[str, Any] = dict.fromkeys(ContextReduced.__dataclass_fields__, "")
    spending.count(ContextReduced(**{**reduced, "agent": "C", "usage": Usage(7, 3), "cost": 0.25}))
    a, b, c = (spending.by_agent[name] for name in "ABC")
    assert (a.usage, a.cost, a.completions, a.unpriced) == (Usage(20, 10), 0.75, 2, 1)
    assert (a.price, a.known_cost) == ("$0.7500 and 1 of unknown price", None)
    assert (b.price, b.completions) == ("price unknown", 1)
    assert (c.price, c.known_cost, c.completions, c.unpriced) == ("$0.2500", 0.25, 0, 0)
    whole = spending.total
    assert (whole.usage, whole.cost, whole.completions, whole.unpriced) == (Usage(37, 18), 1.0, 3, 2)
