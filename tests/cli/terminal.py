"""Runs the real command line in a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from .command import offline

IN_A_TERMINAL = """\
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C sends a signal, as in a real terminal
"""
PATIENCE = 60.0
"""Seconds after which what is waited for counts as missing."""

MAIN = "from callboard.actors.cli import main; sys.exit(main())\n"


class Terminal:
    """A command in a pseudo-terminal, where Ctrl-C does what it does on a keyboard.

    Args:
        folder: where it runs.
        team: what ``callboard chat`` is given.
        words: the words after it.
        script: another program than ``callboard``, that is given them.
    """

    def __init__(self, folder: Path, team: str, *words: str, script: str = MAIN) -> None:
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL + script, "chat", team, "--folder", "work", *words],
            cwd=folder,
            env={**offline(), "TERM": "xterm", "XDG_STATE_HOME": str(folder)},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
        )
        os.close(child)
        self._seen = ""
        self.all = ""

    def until(self, *words: str) -> None:
        """Read until each of these has come, in order."""
        for word in words:
            until = time.monotonic() + PATIENCE  # a sign that turns is no word
            while word not in self._seen:
                ready, _, _ = select.select([self._parent], [], [], max(0.0, until - time.monotonic()))
                assert ready, f"{word!r} did not come after {self._seen!r}"
                said = os.read(self._parent, 65536).decode("utf-8", "replace")
                self._seen, self.all = self._seen + said, self.all + said
            self._seen = self._seen.partition(word)[2]

    def press(self, keys: str) -> None:
        os.write(self._parent, keys.encode())

    def hang_up(self) -> None:
        """Have the terminal go, as when its window is closed."""
        if self._parent >= 0:
            os.close(self._parent)
        self._parent = -1

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()
