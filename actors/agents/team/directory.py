"""Who is in an agency, and who may reach whom. Data only; nothing here runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ..agent import Agent
from ..errors import DefinitionError, UnknownAgent
from ..handoffs.offer import HandoffTool
from ..handoffs.target import Target
from .prepared import PreparedAgent

Flow: TypeAlias = "tuple[Agent | str, Agent | str]"


class Directory:
    """The agents of an agency and the flows between them.

    Args:
        agents: the first one is the entry point. Agents that they hand off to are added.
        flows: pairs of agents or names; ``"*"`` stands for everyone.
        shared: instructions that all have.

    Raises:
        DefinitionError: no agents, two of one name, or a flow or handoff that names nobody.
    """

    def __init__(self, agents: Iterable[Agent], flows: Iterable[Flow] | str, shared: str) -> None:
        self.agents: dict[str, Agent] = {}
        self.flows: tuple[tuple[str, str], ...] = ()
        self.prepared: dict[str, PreparedAgent] = {}
        self._shared = shared
        given = list(agents)
        if not given:
            raise DefinitionError("an agency needs at least one agent")
        for agent in given:
            if agent.name in self.agents and self.agents[agent.name] is agent and given.count(agent) > 1:
                raise DefinitionError(f"two agents are called {agent.name!r}; names are unique in an agency")
            self._take_in(agent)
        self.entry = given[0].name
        self._add_flows(flows)
        self._prepare(self.agents)

    def name_of(self, agent: Agent | str | None) -> str:
        """The name of an agent that is here; of the entry point for None.

        Raises:
            UnknownAgent: nobody here has that name.
            DefinitionError: it is neither an agent nor a name.
        """
        if agent is not None and not isinstance(agent, Agent | str):
            raise DefinitionError(f"an agent is an Agent or its name, not {agent!r:.80}")
        name = self.entry if agent is None else agent if isinstance(agent, str) else agent.name
        if name not in self.agents:
            raise UnknownAgent(f"no agent is called {name!r}; there are {', '.join(self.agents)}")
        return name

    def add(self, agent: Agent, flows: Iterable[Flow]) -> list[str]:
        """Take in one more agent, and those it hands off to; all or nothing. Returns the names that are new.

        Raises:
            DefinitionError: the name is taken, or a flow names nobody.
        """
        agents, known_flows, prepared = dict(self.agents), self.flows, dict(self.prepared)
        try:
            if agent.name in self.agents:
                raise DefinitionError(f"two agents are called {agent.name!r}; names are unique in an agency")
            self._take_in(agent)
            self._add_flows(flows)
            new = [name for name in self.agents if name not in agents]
            concerned = any(target == "*" or target in new for _, target in self.flows) or self.flows != known_flows
            self._prepare(self.agents if concerned else new)
            return new
        except DefinitionError:
            self.agents, self.flows = agents, known_flows
            self.prepared.clear()
            self.prepared.update(prepared)
            raise

    def _take_in(self, agent: Target) -> None:
        if not isinstance(agent, Agent):
            raise DefinitionError(
                f"{agent.name!r} is not an Agent; hand off to an agent, a Pipeline of agents, or what has `answer`"
            )
        known = self.agents.get(agent.name)
        if known is agent:
            return
        if known is not None:
            raise DefinitionError(f"two agents are called {agent.name!r}; names are unique in an agency")
        self.agents[agent.name] = agent
        for item in agent.all_handoffs:
            if isinstance(item, HandoffTool):
                for target in (item.agent, *item.agents):
                    if target is not None:
                        self._take_in(target)
            elif isinstance(item, Agent):
                self._take_in(item)

    def _add_flows(self, flows: Iterable[Flow] | str) -> None:
        pairs: Iterable[Any] = [("*", "*")] if flows == "*" else flows
        for pair in pairs:
            if isinstance(pair, str) or len(tuple(pair)) != 2:
                raise DefinitionError(f"flow {pair!r} is not a pair (sender, target)")
            source, target = pair
            for end in pair:
                if isinstance(end, Agent):
                    self._take_in(end)
            self.flows = (*self.flows, (_name(source), _name(target)))

    def _prepare(self, names: Iterable[str]) -> None:
        for source, target in self.flows:
            for end in (source, target):
                if end != "*" and end not in self.agents:
                    raise UnknownAgent(
                        f"the flow ({source}, {target}) names nobody here; there are {', '.join(self.agents)}"
                    )
        for agent in [self.agents[name] for name in names]:
            for item in agent.all_handoffs:
                if isinstance(item, HandoffTool) and (item.stages or item.answer):
                    continue
                name = item.target if isinstance(item, HandoffTool) else _name(item)
                if name not in self.agents:
                    there = ", ".join(self.agents)
                    raise UnknownAgent(f"{agent.name} hands off to {name!r}, who is not there; there are {there}")
            reachable = reachable_from(agent, self.agents, self.flows)
            made = self.prepared.get(agent.name)
            if made is None or made.may_reach != reachable:  # the others stay as they are: an agency may have thousands
                self.prepared[agent.name] = PreparedAgent(agent, reachable, self._shared)


def _name(end: Target | str) -> str:
    return end if isinstance(end, str) else end.name


def reachable_from(
    sender: Agent, agents: Mapping[str, Agent], flows: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Names and descriptions of the agents that ``sender`` may delegate to, in the agency's order."""
    named = {
        item if isinstance(item, str) else item.name
        for item in sender.all_handoffs
        if not isinstance(item, HandoffTool)
    }
    for source, target in flows:
        if source in (sender.name, "*"):
            named.update(agents if target == "*" else (target,))
    return [(name, agent.description) for name, agent in agents.items() if name in named and name != sender.name]
