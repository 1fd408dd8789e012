"""Programs that take all of the ten seconds a program's end has: they run beside the other tests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from .ending_programs import MORE_THAN_FITS

HERE = Path(__file__).parent
SLOW = {
    **dict.fromkeys(("endless", "stubborn", "blocks"), "programs.py"),
    **dict.fromkeys((*MORE_THAN_FITS, "many_hang", "many_are_endless"), "ending_programs.py"),
}
LIMIT = 60.0
"""Seconds after which a program that hangs is ended. Nothing is timed by it."""


class SlowProgram:
    """One of them, running. It writes to files: nobody reads meanwhile."""

    def __init__(self, name: str, said: IO[bytes], complaints: IO[bytes]) -> None:
        self._said, self._complaints = said, complaints
        command = [sys.executable, str(HERE / SLOW[name]), name]
        self.process = subprocess.Popen(command, stdout=said, stderr=complaints)

    def finish(self) -> tuple[int, list[str], str]:
        """Wait for it; return its exit code, the lines it said, and what it complained of."""
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"the program hangs; it said {self._written()!r}")
        said, complaints = self._written()
        return self.process.returncode, said.splitlines(), complaints

    def _written(self) -> tuple[str, str]:
        for file in (self._said, self._complaints):
            file.seek(0)
        return self._said.read().decode(), self._complaints.read().decode()


@pytest.fixture(scope="session", autouse=True)
def started(request: pytest.FixtureRequest) -> Iterator[dict[str, SlowProgram]]:
    """All of them, where a test wants one, started before the first test here."""
    wanted = any("slow" in getattr(item, "fixturenames", ()) for item in request.session.items)
    programs: dict[str, SlowProgram] = {}
    with contextlib.ExitStack() as files:
        for name in SLOW if wanted else ():
            said, complaints = (files.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            programs[name] = SlowProgram(name, said, complaints)
        yield programs
        for program in programs.values():
            program.process.kill()
            program.process.wait()


@pytest.fixture(scope="session")
def slow(started: dict[str, SlowProgram]) -> dict[str, tuple[int, list[str], str]]:
    """What came of each: its exit code, the lines it said, and what it complained of."""
    return {name: program.finish() for name, program in started.items()}
