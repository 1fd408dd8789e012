"""Who is in an agency, and what they can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ....providers.checks import made_as
from ....tools import Tool
from ....tools.context import OnProgress
from ...core.refs.ref import ActorRef
from ..agent import Agent
from ..caller import NOBODY, Caller
from ..context import ToolContext
from ..errors import DefinitionError, UnknownSkill
from ..handoffs.offer import HandoffTool, is_target
from ..handoffs.target import Responder, Target
from ..hooks import Hook, HookSource
from ..runs.execution.tools.tool_context import context_beside
from ..runs.runtime.closing import ends_with_agency
from ..runs.runtime.messages import AddAgent
from ..skills.skill import Skill
from ..team import changes
from ..team.description import AgentDescription, describe
from ..team.directory import Flow, check_flows
from ..wishes import define
from .part import Part


class Members(Part):
    """The part of an agency that says who is in it, and changes that."""

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name, the entry point first."""
        return self._directory.members

    def open_to(self, caller: Caller) -> tuple[str, ...]:
        """The names of the agents that a caller has the scope to ask, the entry point first."""
        return tuple(name for name in self.agents if self._directory.may_ask(name, caller))

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

        reachable = {name: [target for target, _ in self._directory.reachable(name)] for name in self.agents}
        return team_diagram(self.agents, reachable)

    @ends_with_agency
    async def add_agent(self, agent: Agent | Responder, *, flows: Iterable[Flow] = ()) -> None:
        """Take in one more agent, also while runs are under way; they see it from their next run on.

        Args:
            agent: whom.
            flows: added to the agency's.

        Raises:
            DefinitionError: the name is taken, or a flow names nobody.
            AgencyClosed: it has stopped, or stops meanwhile.
        """
        check_flows(flows)
        added = self._directory.add(agent, flows)
        if self._runtime.root is not None:
            for name in added:
                await self._runtime.ask_until_answered(AddAgent(name))

    def agent_ref(self, agent: Agent | str | None = None) -> ActorRef[Any]:
        """An agent's actor, which answers a `Handoff` from any other actor.

        ``await agency.agent_ref("Developer").ask(Handoff("Watcher", "Developer", "Look at line 7."))`` is the `Answer`,
        or raises what the run ended in. Giving up asking cancels the run.

        Args:
            agent: whose; the first agent's by default.

        Raises:
            UnknownAgent: nobody has that name.
            AgencyClosed: the agency is not running.
        """
        return self._runtime.agents[self._at_work(agent)]

    def describe(self, agent: Agent | str | None = None) -> AgentDescription:
        """What an agent can do now: its tools, handoffs, hooks and skills, with where it has them from and who may use
        them. ``dataclasses.asdict`` makes plain data of it, for JSON.

        Args:
            agent: whom; the first agent by default.

        Raises:
            UnknownAgent: nobody has that name.
        """
        name = self._directory.name_of(agent)
        return describe(
            self._directory.agents[name], self._directory.reachable(name), partial(self._directory.permits, name)
        )

    # -- who may hand off to whom ----------------------------------------------------------------------------------

    def may_reach(self, sender: Agent | str, target: Agent | str) -> bool:
        """Whether an agent may hand off to another one at this moment: by a flow or a handoff of its own, and neither
        the policy nor `revoke` forbids it.

        Args:
            sender: who.
            target: to whom; a pipeline's name, too.

        Raises:
            UnknownAgent: one of them is not here.
            DefinitionError: one is neither an agent nor a name.
        """
        return self._directory.may_reach(self._directory.name_of(sender), _name(target))

    def allow(self, sender: Agent | str, target: Agent | str) -> None:
        """Let an agent delegate to another one, or take back what `revoke` said.

        May be called from any thread. It holds for the next handoff, also of runs under way, and as long as the agency.

        Args:
            sender: who.
            target: to whom, here.

        Raises:
            UnknownAgent: one of them is not here.
            DefinitionError: the handoff policy forbids it.
        """
        self._directory.allow(_name(sender), _name(target))

    def revoke(self, sender: Agent | str, target: Agent | str) -> None:
        """Let an agent hand off to another one no more, whether by a flow or by a handoff of its own; otherwise as
        `allow`. What it has handed on already goes on, and a conversation that was transferred stays so.

        Raises:
            UnknownAgent: one of them is not here.
        """
        self._directory.revoke(_name(sender), _name(target))

    # -- changing one of them ------------------------------------------------------------------------------------------

    def add_tool(self, agent: Agent | str, tool: Tool | Callable[..., Any]) -> None:
        """Give an agent one more tool, or a function with type hints, which is made one.

        May be called from any thread, also while runs are under way: they see it from their next completion on. That
        holds for all that is added and removed here, and so does: it is done wholly, or an error says why not at all.

        Args:
            agent: whose, here; an `Agent` that is also in another agency is changed here only.
            tool: what.

        Raises:
            UnknownAgent: nobody has that name.
            DefinitionError: it cannot be a tool, or the agent has something of that name.
        """
        self._change(agent, lambda now: changes.with_tool(now, tool))

    def remove_tool(self, agent: Agent | str, tool: str) -> None:
        """Take a tool from an agent. A call of it that the model has made by then is carried out.

        Args:
            agent: whose.
            tool: its name.

        Raises:
            UnknownAgent: nobody has that name.
            DefinitionError: the agent has no such tool, or has it from a skill.
        """
        self._change(agent, lambda now: changes.without_tool(now, tool))

    @ends_with_agency
    async def set_model(self, agent: Agent | str, model: str | ActorRef[Any]) -> None:
        """Have an agent use another model; otherwise as `add_tool`.

        Args:
            agent: whose.
            model: as `Agent` takes it.

        Raises:
            UnknownAgent: nobody has that name.
            DefinitionError: it is none.
            ProviderError: no provider of the agency's pool has it, or its key is missing.
            AgencyClosed: the agency is not running, or stopped meanwhile.
        """
        name = self._at_work(agent)
        if isinstance(model, str) and self._runtime.model is None:
            raise DefinitionError("the agency has no pool that would know a model by its name")
        if isinstance(model, str) and self._runtime.model in self._runtime.pools:
            from ....providers.pool import GetServing  # not at the top: few need it, and it takes long to import

            await self._runtime.model.ask(GetServing(model))
        self._change(name, lambda now: changes.with_model(now, model))

    @ends_with_agency
    async def tool_context(
        self, tool: str, *, caller: Caller = NOBODY, call_id: str = "", on_progress: OnProgress | None = None
    ) -> ToolContext[Any]:
        """The context for a call that belongs to no run, as where a server offers a tool by itself: with what the
        agency's tools depend on, and the caller's credentials. What the tool spends is nobody's.

        Args:
            tool: the name under which it is called.
            caller: for whom.
            call_id: the call's.
            on_progress: called with the context, and what the tool says of how far it is: a text, and a fraction or
                None. It may be called from any thread.

        Raises:
            RunFailed: the function that makes the agency's deps raised.
            AgencyClosed: the agency is not running, or stopped meanwhile.
        """
        self._runtime.following.check()
        return await context_beside(self._runtime, caller, call_id, tool, on_progress)

    def add_hook(self, agent: Agent | str, hook: Hook | HookSource) -> None:
        """Give an agent one more hook or guardrail; otherwise as `add_tool`."""
        self._change(agent, lambda now: changes.with_hook(now, hook))

    def remove_hook(self, agent: Agent | str, hook: Hook | HookSource | str) -> None:
        """Take a hook, or all of that name, from an agent; otherwise as `remove_tool`."""
        self._change(agent, lambda now: changes.without_hook(now, hook))

    def add_handoff(self, agent: Agent | str, target: Target | str | HandoffTool) -> None:
        """Let an agent hand off to one more, who joins the agency if not here yet; otherwise as `add_tool`.

        Args:
            agent: who.
            target: to whom, as in ``handoffs=[…]``.
        """
        self._change(agent, lambda now: changes.with_handoff(now, target))

    def remove_handoff(self, agent: Agent | str, target: Target | str | HandoffTool) -> None:
        """Take a handoff from an agent. The target stays in the agency, and flows are no matter of it.

        Args:
            agent: who.
            target: the agent's name, or the name of the handoff's tool, or what was given.

        Raises:
            UnknownAgent: nobody has that name.
            DefinitionError: the agent has no such handoff, or has it from a skill.
        """
        self._change(agent, lambda now: changes.without_handoff(now, target))

    def add_skill(self, agent: Agent | str, skill: Skill) -> None:
        """Teach an agent one more skill, and those it requires; otherwise as `add_tool`. What there is to initialize
        is initialized before the agent's next completion, which fails if that does."""
        self._change(agent, lambda now: changes.with_skill(now, skill))

    def remove_skill(self, agent: Agent | str, skill: Skill | str) -> None:
        """Take a skill from an agent, and those that only this one required; otherwise as `remove_tool`. What was
        initialized is closed when the agency stops: calls may be under way."""
        self._change(agent, lambda now: changes.without_skill(now, skill))

    def get_skill(self, agent: Agent | str | None, name: str) -> Skill:
        """A skill of an agent's, also one that another of its skills requires.

        Args:
            agent: whose; None for the first agent.
            name: the skill's.

        Raises:
            UnknownAgent: nobody has that name.
            UnknownSkill: the agent has no such skill.
        """
        member = self._directory.agents[self._directory.name_of(agent)]
        for skill in member.all_skills:
            if skill.name == name:
                return skill
        there = ", ".join(skill.name for skill in member.all_skills) or "none"
        raise UnknownSkill(f"agent {member.name} has no skill called {name!r:.80}; there are: {there}")

    def skill_available(self, agent: Agent | str | None, name: str, *, caller: Caller | None = None) -> bool:
        """Whether an agent can use a skill at this moment: it has it, and what it requires is initialized, too.

        Args:
            agent: whose; None for the first agent.
            name: the skill's.
            caller: for whom; None for whoever may use everything.

        Raises:
            UnknownAgent: nobody has that name.
            DefinitionError: the caller is none.
        """
        define("skill_available", caller=(caller, made_as(Caller).or_none()))
        member = self._directory.agents[self._directory.name_of(agent)]
        there = {skill.name: skill for skill in member.all_skills}
        pending = [name]
        while pending:
            skill = there.get(pending.pop())
            if skill is None or skill not in self._runtime.skills:
                return False
            if caller is not None and not member.may_use(caller, skill.scope):
                return False
            pending.extend(skill.required)
        return True

    def _change(self, agent: Agent | str, changed: Callable[[Agent], Agent]) -> None:
        added = self._directory.change(self._directory.name_of(agent), changed)
        if (root := self._runtime.root) is not None:
            for name in added:
                self._runtime.tell(root, AddAgent(name))


def _name(agent: Target | str) -> str:
    """Raises `DefinitionError` where it is neither an agent nor a name."""
    if not is_target(agent):
        raise DefinitionError(f"an agent is an Agent or its name, not {agent!r:.80}")
    return agent if isinstance(agent, str) else agent.name
