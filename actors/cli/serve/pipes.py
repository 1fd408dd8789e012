"""Programs that start a command, and talk to it over stdin and stdout."""

from __future__ import annotations

import sys

from ...core.base.errors import CallboardError


class NobodyAtTheOtherEnd(CallboardError):
    """No program speaks the protocol over stdin and stdout."""


def check_pipes(command: str, program: str, hint: str = "") -> None:
    """Look whether a program can be at the other end.

    Args:
        command: which was started.
        program: what starts it, in words.
        hint: how to have it started.

    Raises:
        NobodyAtTheOtherEnd: stdin or stdout is closed, or a person's.
    """
    if any(stream is None or stream.isatty() for stream in (sys.stdin, sys.stdout)):
        said = f"{command} is started by {program}, which talks to it over stdin and stdout"
        raise NobodyAtTheOtherEnd(f"{said}; {hint}" if hint else said)
