"""What a chat's screen makes of the events of a run: in a pipe, and of the sign in a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from callboard.actors.agents.answer import Answer
from callboard.actors.agents.events import (
    CompletionFinished,
    CompletionStarted,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolProgress,
    ToolStarted,
)
from callboard.actors.cli.chat.screen import Screen
from callboard.actors.cli.parts.flow import Flow
from callboard.actors.cli.parts.spending import Spending
from callboard.providers.messages import Usage

PLAN, DIG = ("r", "r", "Planner", "c", ("Planner",), 0.0), ("r", "s", "Digger", "c", ("Planner", "Digger"), 0.0)


def answered(text: str, of: tuple[Any, ...] = PLAN, agent: str = "") -> RunFinished:
    return RunFinished(*of, answer=Answer(text, agent))


class Shown:
    """A screen on a console that is read."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.out = io.StringIO()
        self.now = 0.0
        self.spending = Spending()
        console = Console(file=self.out, force_terminal=terminal, width=80, markup=False, highlight=False)
        self.screen = Screen(console, Flow(console, lambda: self.now), self.spending, lambda: self.now)

    def draw(self) -> None:
        """Have the sign drawn anew."""
        assert self.screen._live is not None
        self.screen._live.refresh()

    async def during(self, *events: RunEvent) -> str:
        """What is printed while a run tells these events."""
        self.out.truncate(0)
        self.out.seek(0)
        async with self.screen.working():
            for event in events:
                self.screen.show(event)
        return self.out.getvalue()


async def test_lines_are_shown_once_they_have_ended_and_the_rest_at_the_end() -> None:
    shown = Shown()
    async with shown.screen.working():
        shown.screen.show(TextDelta(*PLAN, "one\ntw"))
        assert shown.out.getvalue() == "Planner> one\n"
        shown.screen.show(TextDelta(*PLAN, "o"))
        assert shown.out.getvalue() == "Planner> one\n"
        shown.screen.show(TextDelta(*PLAN, "\nthree\nfo"))
        assert shown.out.getvalue() == "Planner> one\ntwo\nthree\n"
    assert shown.out.getvalue() == "Planner> one\ntwo\nthree\nfo\n"


async def test_who_speaks_is_named_again_after_another_one_and_after_a_line_of_the_flow() -> None:
    said = await Shown().during(
        TextDelta(*PLAN, "a\n"),
        TextDelta(*DIG, "b\n"),
        TextDelta(*PLAN, "c\n"),
        ToolStarted(*PLAN, "1", "dig", '{"deep": 2}'),
        TextDelta(*PLAN, "d\n"),
    )
    assert said.splitlines() == [
        "Planner> a",
        "Digger> b",
        "Planner> c",
        "  0.00 s    Planner → dig        deep=2",
        "Planner> d",
    ]


async def test_what_a_model_is_asked_for_once_more_is_not_said_at_the_end() -> None:
    said = await Shown().during(
        TextDelta(*PLAN, "begun"), Retried(*PLAN, "it broke off", 1), TextDelta(*PLAN, "again"), answered("again")
    )
    assert "begun" not in said
    assert [line for line in said.splitlines() if "again" in line][-1] == "Planner> again"
    assert said.count("Planner> again") == 1


async def test_an_answer_is_shown_unless_it_was_said_and_in_each_run_anew() -> None:
    shown = Shown()
    assert (
        await shown.during(TextDelta(*PLAN, "It is closed.\n"), answered("It is closed.")) == "Planner> It is closed.\n"
    )
    assert await shown.during(answered("It is closed.")) == "Planner> It is closed.\n", "it was said before, not now"
    changed = await shown.during(TextDelta(*PLAN, "secret\n"), answered("[redacted]"))
    assert changed == "Planner> secret\nPlanner> [redacted]\n"
    assert await shown.during(answered("from another", agent="Digger")) == "Digger> from another\n"
    assert await shown.during(answered(" \n ")) == ""
    assert "Planner> " not in await shown.during(answered("of a delegate", DIG)), "its caller tells what it makes of it"


async def test_what_a_terminal_would_obey_is_shown_as_what_it_is() -> None:
    assert await Shown().during(TextDelta(*PLAN, "a\x1b[31mb\n")) == "Planner> a\\x1b[31mb\n"


def signs(shown: Shown) -> list[str]:
    """The lines of the sign, as they were drawn one after the other."""
    return re.findall(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] (.*?  Ctrl-C stops it)", shown.out.getvalue())


async def test_the_sign_says_who_does_what_for_how_long_and_how_many_tokens_that_takes() -> None:
    shown = Shown(terminal=True)
    shown.spending.count(CompletionFinished(*PLAN, 1, Usage(1000, 500)))  # of what was asked before
    shown.now = 10.0
    async with shown.screen.working():
        for later, event in (
            (0.0, RunStarted(*PLAN)),
            (0.0, CompletionStarted(*PLAN)),
            (1.0, TextDelta(*PLAN, "12345678")),
            (2.0, ToolStarted(*PLAN, "1", "dig", "{}")),
            (2.0, ToolProgress(*PLAN, "1", "dig", "half\x1b")),
        ):
            shown.now = 10.0 + later
            shown.screen.show(event)
            shown.draw()
        shown.spending.count(CompletionFinished(*PLAN, 1, Usage(2000, 34)))
        shown.draw()
    said = [one for place, one in enumerate(signs(shown)) if one not in signs(shown)[:place]]
    assert [one.removesuffix("  Ctrl-C stops it") for one in said] == [
        "Planner begins  0 s  0 tokens",
        "Planner thinks  0 s  0 tokens",
        "Planner thinks  1 s  2 tokens",
        "Planner thinks  2 s  0 tokens",
        "Planner: dig  2 s  0 tokens",
        "Planner: dig half\\x1b  2 s  0 tokens",
        "Planner: dig half\\x1b  2 s  2,034 tokens",
    ]
    assert "12345678" in shown.out.getvalue(), "the end of what is said stands above the sign"


async def test_the_sign_is_out_of_the_way_while_a_person_is_asked() -> None:
    shown = Shown(terminal=True)
    async with shown.screen.working():
        assert shown.screen._live is not None
        with shown.screen.aside():
            assert shown.screen._live is None
            shown.screen.say("may I?", "yellow")
        assert shown.screen._live is not None
    assert shown.screen._live is None
    assert "\x1b[33mmay I?\x1b[0m" in shown.out.getvalue()
