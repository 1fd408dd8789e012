"""What comes to commands over stdin where that is no terminal: nothing, what is no text, and Ctrl-C meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .command import MAIN, Done, assert_refused, callboard, offline

COMMAND = [sys.executable, "-c", MAIN]
PATIENCE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text("agents: {A: {}}\njournal: team.db\n", encoding="utf-8")
    return tmp_path


def without_stdin(folder: Path, *words: str) -> Done:
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, *words]
    done = subprocess.run(closed, cwd=folder, env=offline(), capture_output=True, encoding="utf-8", check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_command_whose_stdin_is_closed_has_nothing_to_read(folder: Path) -> None:
    chat = without_stdin(folder, "chat", "team.yaml")
    assert (chat.status, chat.err) == (0, "")
    assert "You talk to A." in chat.out
    assert callboard("run", "team.yaml", "hello", "--conversation", "mine", cwd=folder).status == 0
    replay = without_stdin(folder, "replay", "team.db", "mine", "--step")
    assert (replay.status, replay.err) == (0, "")
    assert_refused(without_stdin(folder, "acp", "team.yaml"), "is started by an editor")
    assert_refused(without_stdin(folder, "mcp", "team.yaml"), "is started by a client of MCP")


@pytest.mark.parametrize("command", ["run", "chat"])
def test_bytes_that_are_no_text_are_told_of_and_end_nothing(folder: Path, command: str) -> None:
    env = {**offline(), "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8:strict"}
    words = [*COMMAND, command, "team.yaml"]
    done = subprocess.run(words, cwd=folder, env=env, input=b"caf\xe9\n", capture_output=True, check=False)
    assert done.returncode == 0, done
    assert b"you said: caf" in done.stdout
    assert b"Traceback" not in done.stderr


def test_ctrl_c_ends_a_chat_that_waits_for_a_pipe(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "chat", "team.yaml"],
        cwd=folder,
        env={**offline(), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.write(b"/new\n")
            process.stdin.flush()
            while b"a new conversation" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()


@pytest.mark.parametrize(
    "words", [("init",), ("run",), ("chat",), ("demo",), ("config", "check"), ("run", "team.yaml", "hello", "--folder")]
)
def test_a_path_that_no_file_can_have_is_refused(folder: Path, words: tuple[str, ...]) -> None:
    assert_refused(callboard(*words, "a" * 300, cwd=folder, typed="hello"), "File name too long")
