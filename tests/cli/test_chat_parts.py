"""What a chat is made of, where it is pure: where texts are cut, what answers mean, what a diff shows."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.markdown import Markdown

from callboard import Change, TextDelta
from callboard.actors.cli.chat import screen as of_screen
from callboard.actors.cli.chat.blocks import whole_blocks, whole_lines
from callboard.actors.cli.chat.decision import Decision, expiry, more_of, understand_decision
from callboard.actors.cli.chat.diff import MOST, diff_lines
from callboard.actors.cli.chat.screen import Screen
from callboard.actors.cli.parts.flow import Flow
from callboard.actors.cli.parts.printed import shown_json
from callboard.actors.cli.parts.spending import Spending

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
        ("steps", "5.5", None),
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


@given(st.text())
def test_json_that_is_edited_shows_all_its_characters_and_stays_the_same(text: str) -> None:
    arguments = json.dumps({"text": text + "\u202e"}, ensure_ascii=False)
    assert "\u202e" not in shown_json(arguments)
    assert json.loads(shown_json(arguments)) == json.loads(arguments)


async def test_a_block_that_does_not_end_costs_no_more_the_longer_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = rendered = 0

    def search(text: str) -> int:
        nonlocal searched
        searched += len(text)
        return whole_blocks(text)

    def render(text: str, **options: object) -> Markdown:
        nonlocal rendered
        rendered += len(text)
        return Markdown("")

    console = Console(file=io.StringIO(), force_terminal=True, width=80, markup=False, highlight=False)
    screen = Screen(console, Flow(console, lambda: 0.0), Spending(), lambda: 0.0)
    monkeypatch.setattr(of_screen, "whole_blocks", search)
    monkeypatch.setattr(of_screen, "Markdown", render)
    async with screen.working():
        screen.show(TextDelta("r", "r", "A", "c", ("A",), 0.0, "```py\n"))
        for number in range(10_000):
            screen.show(TextDelta("r", "r", "A", "c", ("A",), 0.0, f"x{number} = 1\n"))
            if number % 100 == 0:
                assert screen._live is not None
                screen._live.refresh()
    assert isinstance(console.file, io.StringIO)
    assert "x0 = 1\nx1 = 1\n" in console.file.getvalue(), "all of it is there in the end"
    assert "x9999 = 1" in console.file.getvalue()
    assert searched < 10_000_000
    assert rendered < 1_000_000
