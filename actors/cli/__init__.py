"""The ``callboard`` command. `main` is its console script."""

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
    try:
        from .app import main  # takes long enough for somebody to press Ctrl-C meanwhile
    except KeyboardInterrupt:
        return 130
    return main(arguments)
