"""Commands that another program starts, started by a person."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from .command import MAIN, Done, assert_refused, offline


@pytest.mark.parametrize(("command", "starts"), [("acp", "an editor"), ("mcp", "a client of MCP")])
@pytest.mark.parametrize("theirs", ["stdin", "stdout"])
def test_a_command_that_talks_to_a_program_is_refused_at_a_terminal(
    tmp_path: Path, command: str, starts: str, theirs: str
) -> None:
    (tmp_path / "team.yaml").write_text("agents: {A: {}}\n", encoding="utf-8")
    ours, terminal = pty.openpty()
    try:
        words = [sys.executable, "-c", MAIN, command, "team.yaml"]
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=offline(),
            stdin=terminal if theirs == "stdin" else subprocess.DEVNULL,
            stdout=terminal if theirs == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    finally:
        os.close(ours)
        os.close(terminal)
    assert_refused(Done(done.returncode, "", done.stderr), f"callboard {command} is started by {starts}")
