"""The agents of an agency, as its skills see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ....core.refs.ref import ActorRef
from ...caller import Caller
from ...errors import UnknownAgent
from ...team.directory import Directory


class Colleagues(NamedTuple):
    """Who there is, and the way to each.

    Args:
        directory: who there is, and what is forbidden.
        agents: their actors, by name.
    """

    directory: Directory
    agents: Mapping[str, ActorRef[Any]]

    def of(self, sender: str, caller: Caller) -> list[tuple[str, str]]:
        """Names and descriptions of the others whom nothing forbids an agent to ask for a caller, at this moment."""
        there = self.directory
        return [
            (name, agent.description)
            for name, agent in there.members.items()
            if name != sender and there.permits(sender, name) and there.may_ask(name, caller)
        ]

    def ref(self, name: str) -> ActorRef[Any]:
        """An agent's actor, which answers a `Handoff`.

        Raises:
            UnknownAgent: nobody has that name, or its actor has failed for good.
        """
        if name not in self.agents:
            raise UnknownAgent(f"no agent called {name!r:.80} is at work here")
        return self.agents[name]
