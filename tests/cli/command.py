"""Runs the real command line in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import warm

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Done:
    """What a command has printed, and its exit status."""

    status: int
    out: str
    err: str


def offline() -> dict[str, str]:
    """This process's environment without any vendor's key or make's mark, and with the checkout's library."""
    others = re.compile("_(API_KEY|API_BASE|BASE_URL)$|^MAKELEVEL$")  # the tests may be run by make
    clean = {name: value for name, value in os.environ.items() if not others.search(name)}
    return {**clean, "PYTHONPATH": str(ROOT / ".src"), "PYTHONUTF8": "1"}


def callboard(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, typed: str = "") -> Done:
    """Run ``callboard`` with these arguments, offline.

    Args:
        arguments: the words after ``callboard``.
        cwd: where it runs.
        env: variables to set.
        typed: what it reads from stdin.
    """
    everything = {**offline(), **(env or {})}
    done: subprocess.CompletedProcess[str]
    if any(name.startswith("PYTHON") for name in env or {}):  # read as the interpreter starts
        command = [sys.executable, "-c", MAIN, *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=everything, input=typed, capture_output=True, encoding="utf-8")
    else:
        done = warm.run("-c", MAIN, *arguments, cwd=cwd, env=everything, typed=typed)
    return Done(done.returncode, done.stdout, done.stderr)


def talk(folder: Path, *lines: str, options: tuple[str, ...] = ()) -> Done:
    """Say lines to ``callboard chat team.yaml``, until stdin ends."""
    done = callboard("chat", "team.yaml", *options, cwd=folder, typed="".join(f"{line}\n" for line in lines))
    assert done.status == 0, done
    return done


def assert_refused(done: Done, *said: str) -> None:
    """The command refused its input as every command does: status 2, one or two lines on stderr, no traceback."""
    assert done.status == 2, done
    assert "Traceback" not in done.err + done.out, done.err
    assert 1 <= len(done.err.strip().splitlines()) <= 2, done.err
    assert done.err.startswith("callboard: "), done.err
    for words in said:
        assert words in done.err, done.err
