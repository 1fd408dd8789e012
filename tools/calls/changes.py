"""What a call changes, which does not count where the call fails.

A tool does not know what it changes: whoever keeps that (the state of a conversation) stands in `changes` while the
call is made, and is told how it goes. So it also is for the calls that a call makes of other tools.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Protocol


class Changes(Protocol):
    """Where the changes go that a code makes."""

    def attempt(self) -> Changes:
        """Where those go of a call that this code makes; they do not count until they are kept."""
        ...

    def keep(self) -> None:
        """The call has succeeded: its changes are those of the code that made it. It changes nothing any more.

        Raises:
            Exception: they cannot be made any more, and are undone.
        """
        ...

    def undo(self) -> None:
        """The call has failed: nothing that it changed counts. It changes nothing any more."""
        ...


changes: Final[ContextVar[Changes | None]] = ContextVar("callboard.changes", default=None)
