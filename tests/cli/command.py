"""Runs the real command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Done:
    """What a command has printed, and its exit status."""

    status: int
    out: str
    err: str


def callboard(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Run ``callboard`` with these arguments, offline: no key of the machine's own reaches it."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, *(str(argument) for argument in arguments)],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT / ".src"), "PYTHONUTF8": "1", **(env or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def assert_refused(done: Done, *said: str) -> None:
    """The command refused its input as every command does: status 2, one or two lines on stderr, no traceback."""
    assert done.status == 2, done
    assert "Traceback" not in done.err + done.out, done.err
    assert 1 <= len(done.err.strip().splitlines()) <= 2, done.err
    assert done.err.startswith("callboard: "), done.err
    for words in said:
        assert words in done.err, done.err
