"""What a chat is made of, where it is pure: where texts are cut, what answers mean, what a diff shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Change
from callboard.actors.cli.chat.blocks import whole_blocks, whole_lines
from callboard.actors.cli.chat.decision import Decision, expiry, more_of, understand_decision
from callboard.actors.cli.chat.diff import MOST, diff_lines

MARKDOWN = st.lists(st.sampled_from(("a", "# b", "- c", "  d", "1. e", "", "```", "```py", "~~~", "   ", "| f |")))


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", ""),
        ("a paragraph\nthat goes on", ""),
        ("a paragraph\n\nand the next", "a paragraph\n\n"),
        ("```py\nx = 1\n\ny = 2\n", ""),
        ("```py\nx = 1\n\ny = 2\n```\n\nand", "```py\nx = 1\n\ny = 2\n```\n\n"),
        ("````\n```\n\nx\n````\n\nand", "````\n```\n\nx\n````\n\n"),
        ("- one\n\n  still one\n\n- two", "- one\n\n  still one\n\n"),
        ("one\n\n", ""),
        ("one\n\n  ", ""),
    ],
)
def test_a_text_is_cut_between_blocks_only(text: str, whole: str) -> None:
    assert text[: whole_blocks(text)] == whole


@given(MARKDOWN, st.data())
def test_what_has_been_cut_off_is_the_same_however_the_text_comes(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    once = whole_blocks(text)
    done = place = 0
    while place < len(text):
        place = data.draw(st.integers(place + 1, len(text)))
        done += whole_blocks(text[done:place])
    assert done == once


@given(st.text())
def test_lines_are_whole_once_they_have_ended(text: str) -> None:
    assert "\n" not in text[whole_lines(text) :]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("y", Decision("yes")),
        (" YES ", Decision("yes")),
        ("yes.", Decision("yes")),
        ("no", Decision("no")),
        ("n: too risky", Decision("no", "too risky")),
        ("no, I keep it", Decision("no", "I keep it")),
        ("a", Decision("always")),
        ("edit", Decision("edit")),
        ("", None),
        ("yesterday", None),
        ("yes but not that", None),
        ("sure", None),
        ("ok", None),
        ("not yet", None),
    ],
)
def test_only_a_word_that_is_meant_so_decides(said: str, meant: Decision | None) -> None:
    assert understand_decision(said) == meant


@pytest.mark.parametrize(
    ("limit", "said", "more"),
    [
        ("steps", "yes", 10),
        ("steps", "12", 12),
        ("tokens", "1,000", 1000),
        ("cost", "5.5", 5.5),
        ("steps", "5", None),
        ("steps", "-1", None),
        ("cost", "nan", None),
        ("cost", "inf", None),
        ("cost", "a lot", None),
    ],
)
def test_more_is_a_number_above_what_was_allowed(limit: str, said: str, more: float | None) -> None:
    assert more_of(limit, said, 5) == more


def test_an_expiry_is_told_as_far_as_one_needs_to_know_it() -> None:
    assert expiry(None, 0.0) == ""
    assert expiry(130.0, 100.0) == "it counts as denied in 30 s"
    assert expiry(100.0, 200.0) == "it counts as denied in 0 s"
    assert len(expiry(100.0 + 3600, 100.0)) < len(expiry(100.0 + 864_000, 100.0))


def test_a_diff_names_what_is_new_changed_and_gone_and_obeys_nothing() -> None:
    changes = (Change("a", None, "x\n"), Change("b", "x\ny\n", "x\nz\x1b[1m\n"), Change("c\x07", "x\n", None, "binary"))
    lines = diff_lines(changes)
    assert [line.text for line in lines if line.style == "bold"] == ["a (new)", "b (changed)", "c\\x07 (deleted)"]
    assert [line.text for line in lines if line.style == "green"] == ["+x", "+z\\x1b[1m"]
    assert "binary" in [line.text for line in lines]
    assert diff_lines([Change("a", "x", "x")])[-1].text == "nothing is different"


def test_a_long_diff_is_cut_and_says_so() -> None:
    lines = diff_lines([Change("a", None, "x\n" * 1000)])
    assert len(lines) == MOST + 1
    assert lines[-1].text == f"… and {1002 - MOST:,} lines more"
