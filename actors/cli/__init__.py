"""The ``callboard`` command. `main` runs it; its console script is `callboard.__main__`."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``callboard``; those of this process by default.

    Returns:
        The exit status: 0, 1 when the command ran and its work failed, 2 for input that is wrong, 130 after Ctrl-C.
        Every error the library names is one line or two on stderr, never a traceback.
    """
    from .app import main

    return main(arguments)
