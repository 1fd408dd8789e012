"""What files, tools and models say is shown in a terminal, and never obeyed by it."""

from __future__ import annotations

import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.cli.parts.printed import shown

from .command import callboard

NASTY = "TODO: \x1b[31mred\x1b]0;title\x07 \x9b2J back\x08\x08 \u202eturned"
TYPED = f'List every TODO\nWrite "{NASTY}" to b.md\nno\n@\x1b[1m hello\n/\x1b\n'
TEAM = "agents: {A: {tools: [Grep, Write], autonomy: supervised}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text(f"{NASTY}\n", encoding="utf-8")
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    return tmp_path


def assert_harmless(text: str) -> None:
    obeyed = [char for char in text if unicodedata.category(char) in ("Cc", "Cf") and char != "\n" and char != "\t"]
    assert obeyed == [], text


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (("run", "team.yaml", "List every TODO", "--folder", "work"), ""),
        (("tool", "Grep", '{"pattern": "TODO"}', "--folder", "work"), ""),
        (("tool", "Read", '{"path": "a.txt"}', "--folder", "work"), ""),
        (
            ("chat", "team.yaml", "--folder", "work"),
            TYPED,
        ),
        (("run", "\x1b[31m.yaml", "hello"), ""),
        (("run", "team.yaml", "hello", "--folder", "\x1b[31m\u202e"), ""),
    ],
)
def test_no_command_sends_what_a_terminal_would_obey(folder: Path, arguments: tuple[str, ...], typed: str) -> None:
    done = callboard(*arguments, cwd=folder, typed=typed)
    assert "\\x1b[" in done.out + done.err, "it is shown"
    assert_harmless(done.out)
    assert_harmless(done.err)


@given(st.text())
def test_what_is_shown_has_every_printable_character_and_nothing_that_is_obeyed(text: str) -> None:
    made = shown(text)
    kept = "".join(char for char in text.replace("\r\n", "\n") if char.isprintable() or char in "\n\t")
    assert "".join(char for char in shown(kept)) == kept
    assert_harmless(made.replace("\u200c", "").replace("\u200d", ""))


def test_emoji_that_are_joined_and_spaces_of_other_widths_stay(tmp_path: Path) -> None:
    text = "👩‍👩‍👧 a\u00a0b\u3000c"
    assert shown(text) == text


def test_a_tool_answers_with_what_git_says_harmlessly(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "\x1b[31mred").write_text("")
    done = callboard("tool", "Git", '{"command": "status"}', cwd=tmp_path)
    assert_harmless(done.out + done.err)
