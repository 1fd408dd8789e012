"""Who is in an agency, and what they can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..agent import Agent
from ..runs.runtime.closing import ends_with_agency
from ..runs.supervisors import AddAgent
from ..team.directory import Flow
from .part import Part


class Members(Part):
    """The part of an agency that says who is in it, and changes that."""

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name, the entry point first."""
        return self._directory.agents

    @property
    def entry(self) -> str:
        """The name of the agent that is asked where no other is named."""
        return self._directory.entry

    @property
    def flows(self) -> tuple[tuple[str, str], ...]:
        """Who may delegate to whom, by name, as given."""
        return self._directory.flows

    def diagram(self) -> str:
        """The team as a Mermaid flowchart; for what was really said see `conversation_diagram`."""
        from ..team.diagram import team_diagram

        reachable = {name: self._directory.reachable(name) for name in self.agents}
        return team_diagram(self.agents, reachable)

    @ends_with_agency
    async def add_agent(self, agent: Agent, *, flows: Iterable[Flow] = ()) -> None:
        """Take in one more agent, also while runs are under way; they see it from their next run on.

        Args:
            agent: whom.
            flows: added to the agency's.

        Raises:
            DefinitionError: the name is taken, or a flow names nobody.
            AgencyClosed: it has stopped, or stops meanwhile.
        """
        added = self._directory.add(agent, flows)
        if self._runtime.root is not None:
            for name in added:
                await self._runtime.ask_until_answered(AddAgent(name))
