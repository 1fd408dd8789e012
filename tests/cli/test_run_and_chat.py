"""``callboard run`` and ``callboard chat``, as a user runs them: from a team file, offline."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from .command import Done, callboard, offline

TEAM = """\
agents:
  Planner:
    instructions: Hand the work over to the Developer; do none of it yourself.
  Developer:
    instructions: Do it.
    tools: [LS, Grep, Write]
    autonomy: {autonomy}
flows:
  - [Planner, Developer]
"""
IN_A_TERMINAL = """\
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C sends a signal, as in a real terminal
from callboard.actors.cli import main
sys.exit(main())
"""
ASK = "List every TODO and write the report to out.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("TODO: one\n", encoding="utf-8")
    (tmp_path / "team.yaml").write_text(TEAM.format(autonomy="autonomous"), encoding="utf-8")
    (tmp_path / "careful.yaml").write_text(TEAM.format(autonomy="supervised"), encoding="utf-8")
    return tmp_path


def talk(folder: Path, *lines: str, team: str = "team.yaml") -> Done:
    done = callboard("chat", team, "--folder", "work", cwd=folder, typed="".join(f"{line}\n" for line in lines))
    assert done.status == 0, done
    return done


def test_run_prints_the_answer_to_stdout_and_how_it_came_about_to_stderr(folder: Path) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", cwd=folder)
    assert done.status == 0, done
    assert "a.txt:1" in done.out
    assert "→" not in done.out
    assert "Planner → Developer" in done.err
    assert "Developer → Write" in done.err
    assert "TODO: one" in (folder / "work" / "out.md").read_text(encoding="utf-8")


def test_run_denies_what_would_need_a_person(folder: Path) -> None:
    done = callboard("run", "careful.yaml", ASK, "--folder", "work", cwd=folder)
    assert done.status == 0, done
    assert "nobody is there to approve it" in done.out
    assert not (folder / "work" / "out.md").exists()


def test_a_chat_keeps_the_conversation_and_tells_agents_cost_and_tree(folder: Path) -> None:
    done = talk(folder, "/agents", "/cost", ASK, "@developer List the files", "/cost", "/tree", "/quit", "not read")
    assert "Planner → Developer" in done.out
    assert "nothing has been used yet" in done.out
    assert "Developer> a.txt" in done.out
    assert "Planner      2 completions" in done.out
    assert "└── chat  Conversation" in done.out
    assert "not read" not in done.out


def test_a_chat_explains_a_line_it_does_not_understand(folder: Path) -> None:
    done = talk(folder, "@Zoe hello", "/agnets")
    assert "no agent is called @Zoe; there are @Planner, @Developer" in done.out
    assert "did you mean /agents?" in done.out


def test_a_risky_call_is_approved_in_the_chat(folder: Path) -> None:
    done = talk(folder, ASK, "yes", team="careful.yaml")
    assert 'Developer wants Write: path="out.md"' in done.out
    assert (folder / "work" / "out.md").exists()


def test_a_risky_call_is_denied_in_the_chat_with_a_reason_that_the_model_is_told(folder: Path) -> None:
    done = talk(folder, ASK, "no, I keep that file", team="careful.yaml")
    assert "I keep that file" in done.out
    assert not (folder / "work" / "out.md").exists()


def test_the_arguments_of_a_risky_call_are_edited_in_the_chat(folder: Path) -> None:
    talk(folder, ASK, "edit", '{"path": "other.md", "content": "mine"}', team="careful.yaml")
    assert (folder / "work" / "other.md").read_text(encoding="utf-8") == "mine"
    assert not (folder / "work" / "out.md").exists()


def test_input_that_ends_while_a_call_waits_denies_it(folder: Path) -> None:
    talk(folder, ASK, team="careful.yaml")
    assert not (folder / "work" / "out.md").exists()


def test_ctrl_c_cancels_the_run_and_not_the_program(folder: Path) -> None:
    """In a pseudo-terminal: Ctrl-C reaches the program as it does from a keyboard."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, "chat", "careful.yaml", "--folder", "work"],
        cwd=folder,
        env={**offline(), "TERM": "xterm", "XDG_STATE_HOME": str(folder)},
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    seen = ""

    def until(words: str) -> None:
        nonlocal seen
        while words not in seen:
            ready, _, _ = select.select([parent], [], [], 60)
            assert ready, f"{words!r} did not come after {seen!r}"
            seen += os.read(parent, 65536).decode("utf-8", "replace")
        seen = seen.partition(words)[2]

    try:
        until("you>")
        os.write(parent, ASK.encode() + b"\r")
        until("allow?")
        os.write(parent, b"\x03")
        until("cancelled")
        os.write(parent, b"/cost\r")
        until("1 completions")
        os.write(parent, b"\x04")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    assert not (folder / "work" / "out.md").exists()
