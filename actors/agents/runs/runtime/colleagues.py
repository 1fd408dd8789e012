"""The agents of an agency, as its skills see them."""

from __future__ import annotations

from typing import NamedTuple

from ...caller import Caller
from ...team.directory import Directory


class Colleagues(NamedTuple):
    """Who there is.

    Args:
        directory: who there is, and what is forbidden.
    """

    directory: Directory

    def of(self, sender: str, caller: Caller) -> list[tuple[str, str]]:
        """Names and descriptions of the others whom nothing forbids an agent to ask for a caller, at this moment."""
        there = self.directory
        return [
            (name, agent.description)
            for name, agent in there.members.items()
            if name != sender and there.permits(sender, name) and there.may_ask(name, caller)
        ]
