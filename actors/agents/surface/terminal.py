"""An agency that is talked to in the terminal of its program."""

from __future__ import annotations

from typing import Any

from ..caller import Caller
from ..runs.validation import check_type
from .part import Part


class Terminal(Part):
    """The part of an agency that is a chat."""

    async def chat(self, *, caller: Caller | None = None, resume: str | None = None) -> None:
        """Talk to the agency, which runs, in this terminal, until a person leaves: as ``callboard chat`` does.

        Args:
            caller: who talks; None for nobody named.
            resume: the id of a conversation to go on with; empty for the latest one, None for a new one.

        Raises:
            CallboardError: the agency is not running, or there is no such conversation.
        """
        check_type(caller, Caller | None, "caller", "a Caller, or None for nobody named")
        check_type(resume, str | None, "resume", "the id of a conversation, or None")
        self._at_work(None)
        from ...cli.chat.chat import talk  # a way up: the contracts of the imports name it

        whole: Any = self  # an agency, which this is a part of
        await talk(whole, caller, resume)
