"""What a line typed into a chat means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.cli.chat.say import COMMANDS, Do, Mistake, Say, understand

TEAM = ("Planner", "Developer")


def test_a_plain_line_is_for_the_first_agent() -> None:
    assert understand("  list the TODOs ", TEAM) == Say("Planner", "list the TODOs")


@pytest.mark.parametrize("written", ["@Developer list", "@developer   list ", " @DEVELOPER list"])
def test_a_name_after_an_at_sign_chooses_the_agent_in_any_case(written: str) -> None:
    assert understand(written, TEAM) == Say("Developer", "list")


def test_an_unknown_agent_is_answered_with_the_closest_one() -> None:
    assert understand("@Develper list", TEAM) == Mistake("no agent is called @Develper; did you mean @Developer?")
    assert understand("@Zoe list", TEAM) == Mistake("no agent is called @Zoe; there are @Planner, @Developer")


def test_a_name_without_a_message_asks_for_one() -> None:
    assert understand("@Developer", TEAM) == Mistake("say something to Developer: @Developer your message")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_slash_begins_a_command(command: str) -> None:
    assert understand(f"{command} ", TEAM) == Do(command)


def test_an_unknown_command_is_answered_with_the_closest_one() -> None:
    assert understand("/agnets", TEAM) == Mistake("no command is called /agnets; did you mean /agents?")


@given(st.text())
def test_every_line_means_something_or_has_no_words(line: str) -> None:
    assert (understand(line, TEAM) is None) == (not line.strip())
