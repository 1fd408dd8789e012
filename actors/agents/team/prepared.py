"""An agent made ready for work: its tools by name, what its model is told, and the rules of its turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Final

from ....providers.messages import UNLABELLED, Labels, Message, Request, ToolCall, ToolSpec
from ....tools import Tool
from ....tools.deferred import SEARCH_TOOLS, deferred_tools
from ....tools.function_tool import Alike, FunctionTool
from ....tools.scopes import ADMIN, ALL
from ....tools.tool import Autonomy
from ..agent import Agent, as_tools
from ..caller import Caller
from ..context import RequestContext
from ..errors import HandoffRefused, PromptError, RunFailed
from ..handoffs.call import SEND_MESSAGE, read_call, send_message_spec
from ..handoffs.offer import HandoffTool
from ..handoffs.target import Responds, Target
from ..hooks import Hook, by_event, only
from ..prompts.rendering import Rendered
from ..prompts.subagents import SubAgent, SubAgents
from ..skills.skill import Skill
from ..turns.history import repaired
from ..turns.rules import NOTHING, Limits, Rules
from .derived import offered_by
from .offers import stage_names

# One for all: an agency may have thousands of agents, and an empty dictionary takes 64 bytes.
_NO_HOOKS: Mapping[str, tuple[Hook, ...]] = {}
_NO_HANDOFFS: Mapping[str, HandoffTool] = {}
_NO_AGENTS: Mapping[str, SubAgent | SubAgents] = {}
_NO_SETTINGS: Mapping[str, Any] = {}
NO_TARGETS: Mapping[str, Agent] = {}
_NO_OWNERS: frozenset[Caller] = frozenset()

TOLD: Mapping[Autonomy, str] = {
    "manual": "A person looks at each of your tool calls and handoffs before it is carried out, and may refuse it.",
    "supervised": "A person looks at your risky tool calls before they are carried out, and may refuse them.",
}
"""What a model is told of its autonomy; nothing where nobody is asked."""

MOST_VIEWS: Final = 256
"""Callers who hold different scopes for whom an agent is kept ready."""


def _is_object(arguments: str) -> bool:
    """Whether a call's arguments are a JSON object; no text at all stands for an empty one."""
    try:
        return isinstance(json.loads(arguments.strip() or "{}"), dict)
    except (ValueError, RecursionError):
        return False


def _settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a request that an agent sets."""
    settings = {name: value for name, value in given.items() if name != "batch"}
    if isinstance(settings.get("stop"), list):
        settings["stop"] = tuple(settings["stop"])
    return settings


class PreparedAgent:
    """What a conversation needs to know of its agent.

    As it is made it has all that the agent has; what a caller may use of it is what `offered_to` gives.

    Args:
        agent: the description.
        reachable: names and descriptions of the agents it may delegate to by `SEND_MESSAGE`.
        shared: instructions that every agent of the agency has.
        permits: whether nothing forbids handoffs to a target.
        guarded: those agents to which it may hand off, in whichever way, and that not everybody may ask; by name.
        along: names of those to whom the flows lead it, whatever its skills are.

    What can be wrong with an agent is looked at when it is made, and by `check_offers` when it is added.
    """

    __slots__ = (
        "_along",
        "_guarded",
        "_may_reach",
        "_offers",
        "_owners",
        "_permits",
        "_rendered",
        "_rules",
        "_scopes",
        "_settings",
        "_shown",
        "_system",
        "_taught",
        "_told",
        "_views",
        "agent",
        "agents",
        "answer",
        "batch",
        "deferred",
        "described",
        "handoffs",
        "hooks",
        "name",
        "output",
        "reachable",
        "shared",
        "specs",
        "tools",
    )

    def __init__(
        self,
        agent: Agent,
        reachable: Sequence[tuple[str, str]],
        shared: str = "",
        permits: Callable[[str], bool] = lambda target: True,
        guarded: Mapping[str, Agent] = NO_TARGETS,
        along: frozenset[str] = NOTHING,
    ) -> None:
        self.agent = agent
        self.name = agent.name
        self.answer: Responds | None = getattr(agent, "answer", None)
        """What answers in the place of a model."""
        self.shared = shared
        self._permits = permits
        self._told: tuple[tuple[Message, ...], str, tuple[Message, ...]] = ((), "", ())
        """The agent's system message, what a prompt function added to it last, and both together."""
        self._rendered: Rendered | None = None
        """What a prompt function has defined for the step under way."""
        self._shown: tuple[Sequence[FunctionTool | None], tuple[ToolSpec, ...]] = ([], ())
        """What its model was shown last with tools of a prompt function: what those were like, and all there were."""
        self.agents = _NO_AGENTS
        """The sub-agents among that, by the names of their tools."""
        self._guarded = guarded
        self._along = along
        self.output = agent.output
        self.batch = bool(agent.settings.get("batch", False))
        """Whether its requests may wait to go out together with others."""
        self._settings = _settings(agent.settings) if agent.settings else _NO_SETTINGS
        self._views: dict[tuple[frozenset[str], Caller | None], PreparedAgent] | None = None
        self._scopes, self._owners = self._restrictions()
        self._may_reach = tuple(reachable) if self._scopes else ()
        self._offer(None, reachable)

    def _restrictions(self) -> tuple[frozenset[str], frozenset[Caller]]:
        """The scopes that make a difference to what a caller may use, and the users that are owners of something."""
        agent, guarded = self.agent, self._guarded.values()
        scoped: list[Any] = [*agent.all_tools, *agent.all_hooks, *agent.all_skills, *guarded]
        scoped.extend(callee for tool in agent.all_tools for callee in tool.callees)
        scoped.extend(item for item in agent.all_handoffs if isinstance(item, HandoffTool))
        scopes = NOTHING.union(*(item.scope for item in scoped if ALL not in item.scope))
        if not scopes:
            return NOTHING, _NO_OWNERS
        owners = (each.owner for each in (agent, *guarded))
        return scopes | {ADMIN}, frozenset(_user(owner) for owner in owners if isinstance(owner, Caller))

    def offered_to(self, caller: Caller) -> PreparedAgent:
        """The agent with what a caller may use of it; the same one for all who hold the same of what matters."""
        if not self._scopes:
            return self
        user = _user(caller)
        key = (caller.scopes & self._scopes, user if user in self._owners else None)
        views = self._views
        if views is None or len(views) >= MOST_VIEWS:
            views = self._views = {}
        view = views.get(key)
        if view is None:
            view = copy(self)
            view._offer(caller, self._may_reach)
            views[key] = view
        return view

    def _offer(self, by: Caller | None, reachable: Sequence[tuple[str, str]]) -> None:
        """Make ready what a caller may use; all there is for None.

        Args:
            by: the caller.
            reachable: whom it reaches if it may ask everybody.
        """
        agent = self.agent

        def usable(item: Any) -> bool:
            return by is None or agent.may_use(by, item.scope)

        def may_ask(name: str) -> bool:
            return by is None or name not in self._guarded or self._guarded[name].may_be_asked_by(by)

        skills: dict[str, Skill] = {}
        for skill in agent.all_skills:  # what one builds on comes before it
            if usable(skill) and all(name in skills for name in skill.required):
                skills[skill.name] = skill
        allowed = skills.values()
        barred = {
            tool.name
            for skill in agent.all_skills
            if skill.name not in skills
            for tool in as_tools(skill.tools, self.name)
        }
        tools = [tool.narrowed(usable) for tool in agent.all_tools if tool.name not in barred and usable(tool)]
        handoffs = (*agent.handoffs, *(item for skill in allowed for item in skill.handoffs))
        own = {item.name for item in handoffs if isinstance(item, HandoffTool)}
        offered = [
            item
            for item in offered_by(agent)
            if item.name in own
            and usable(item)
            and (item.chooses is not None or (self._permits(item.target) and all(map(may_ask, stage_names(item)))))
        ]
        self.handoffs: Mapping[str, HandoffTool] = {item.name: item for item in offered} if offered else _NO_HANDOFFS
        reachable = [(name, about) for name, about in reachable if may_ask(name)]
        if len(skills) < len(agent.all_skills):
            named = self._along.union(_name(item) for item in handoffs if not isinstance(item, HandoffTool))
            reachable = [(name, about) for name, about in reachable if name in named]
        self.reachable = tuple(name for name, _ in reachable)
        offers = [h.spec for h in offered]
        if reachable:
            offers.append(send_message_spec(reachable))
        self._offers = tuple(offers)
        self._show(tools)
        self._shown = [], self.specs
        hooks = (*only(agent.hooks), *(hook for skill in allowed for hook in only(skill.hooks)))
        self.hooks = by_event(hook for hook in hooks if usable(hook)) or _NO_HOOKS
        delegates = {h.name for h in offered if h.kind == "delegate"}
        transfers = {h.name for h in offered if h.kind == "transfer"}
        if reachable:
            delegates.add(SEND_MESSAGE)
        self._rules = Rules(
            limits=agent.limits,
            delegates=frozenset(delegates) if delegates else NOTHING,
            transfers=frozenset(transfers) if transfers else NOTHING,
            needs_approval=self.needs_approval,
        )
        self._taught = tuple(skill.instructions for skill in allowed)
        self._system = self.system_message(agent.instructions) if isinstance(agent.instructions, str) else None

    def _show(self, tools: Sequence[Tool]) -> None:
        """Offer these tools, or what finds them, before the ways to other agents."""
        self.tools: dict[str, Tool | Alike] = {tool.name: tool for tool in tools}
        hidden = self.deferred = deferred_tools(tools, self.agent.defer_tools)
        """The tools that its model is not shown at first, if there are such."""
        foreign = [tool.name for tool in tools if tool.foreign]
        self.described = Labels(frozenset(f"description of {name}" for name in foreign)) if foreign else UNLABELLED
        """The labels of what its model is told of the tools."""
        specs = [t.spec for t in tools if hidden is None or t.name not in hidden]
        if hidden is not None:
            self.tools[SEARCH_TOOLS] = hidden.search
            specs.append(hidden.search.spec)
        self.specs: tuple[ToolSpec, ...] = (*specs, *self._offers)

    def with_prompt(self, rendered: Rendered, caller: Caller, last: PreparedAgent | None = None) -> PreparedAgent:
        """The agent with what a prompt function has defined for one step besides.

        Args:
            rendered: that.
            caller: who asks; tools that are not for them are left out.
            last: what this has returned for the step before, which is over: where it offers the same, it is that of
                this step from now on.

        Raises:
            PromptError: a tool of it is called like something that the agent has.
        """
        own, offers, likes = self.tools, rendered.offers, rendered.likes
        known, specs = self._shown
        is_known = likes == known  # they were looked at in an earlier step: 0.1 µs each, and not 1
        if last is not None and is_known and last.specs is specs and not rendered.agents:
            last._rendered = rendered
            last.tools = {**own, **offers}
            return last
        view = object.__new__(PreparedAgent)
        for name in self.__slots__:  # 2 µs; `copy` takes 9, each step
            setattr(view, name, getattr(self, name))
        view._rendered = rendered
        if is_known:
            view.tools, view.specs = {**own, **offers}, specs
        elif offers and self._add(view, offers, caller) and None not in likes:
            self._shown = likes, view.specs
        if rendered.agents:
            view.agents = {made.name: made for made in rendered.agents}
            for name in view.agents:
                if name in own or any(name == spec.name for spec in self._offers):
                    raise self._taken(name)
            view.specs = (*view.specs, *(made.spec for made in rendered.agents))
        return view

    def _add(self, view: PreparedAgent, offers: Mapping[str, Tool | Alike], caller: Caller) -> bool:
        """Offer tools of a prompt function in a view; returns whether all are, as they are, to whoever asks."""
        agent, own = self.agent, self.tools
        others = {spec.name for spec in self._offers} if self._offers else NOTHING
        tools, specs, defers, are_all = own.copy(), [*self.specs], agent.defer_tools, True

        def usable(tool: Tool) -> bool:
            return ALL in tool.scope or agent.may_use(caller, tool.scope)

        for name, made in offers.items():
            tool = made.like if isinstance(made, Alike) else made
            if ALL not in tool.scope:
                are_all = False
                if not usable(tool):
                    continue
            if name in own or name in others:
                raise self._taken(name)
            tools[name] = narrowed = made if isinstance(made, Alike) else made.narrowed(usable)
            specs.append(narrowed.spec)
            defers = defers or bool(tool.defer)
            if tool.foreign:
                are_all = False
                view.described |= Labels(frozenset({f"description of {name}"}))
        if defers:
            view._show([_made(tool) for name, tool in tools.items() if name != SEARCH_TOOLS])
            return False
        # At the end: what vendors have cached of those before still holds.
        view.tools, view.specs = tools, tuple(specs)
        return are_all

    def tool(self, name: str) -> Tool | None:
        """The tool of a name, if there is one."""
        found = self.tools.get(name)
        if type(found) is Alike:
            found = self.tools[name] = found.made()
        return found

    def _taken(self, name: str) -> PromptError:
        return PromptError(
            f"the prompt function of {self.name} makes a tool {name!r}, and the agent has a tool or a handoff of that "
            "name; rename one"
        )

    def is_harmless(self, call: ToolCall, history: Sequence[Message]) -> bool:
        """Whether a call does no more than to load tools: nobody need be asked about it."""
        hidden = self.deferred
        return hidden is not None and (call.name == SEARCH_TOOLS or hidden.is_hidden(call.name, history))

    def needs_approval(self, call: ToolCall) -> bool:
        """Whether a person is to be asked. There is nothing to decide about what cannot run: the model is told at
        once."""
        autonomy = self.agent.autonomy
        tool = self.tool(call.name)
        wanted = autonomy in tool.approval if tool is not None else autonomy == "manual"
        return wanted and self.can_be_carried_out(call)

    def can_be_carried_out(self, call: ToolCall) -> bool:
        """Whether there is such a tool or handoff, and the arguments can be read."""
        if self.tool(call.name) is not None or call.name in self.agents:
            return _is_object(call.arguments)
        if call.name not in self._rules.delegates | self._rules.transfers:
            return False
        offered = self.handoffs.get(call.name)
        if offered is not None and offered.chooses is not None:
            return _is_object(call.arguments)
        try:
            read_call(call, self.name, self.handoffs, self.reachable)
        except HandoffRefused:
            return False
        return True

    def targets_of(self, call: ToolCall) -> tuple[str, ...]:
        """The names of those to whom a call hands off, as far as it says; empty where it hands off to nobody."""
        offered = self.handoffs.get(call.name)
        if offered is not None:
            return stage_names(offered)
        if call.name != SEND_MESSAGE or not self.reachable:
            return ()
        try:
            return (read_call(call, self.name, self.handoffs, self.reachable).target,)
        except HandoffRefused:
            return ()

    def approvers(self, tool: str) -> frozenset[str]:
        """The scopes of those who may approve a call of a tool; empty where it does not say."""
        found = self.tool(tool)
        return found.approved_by if found is not None else NOTHING

    def system_message(self, instructions: str) -> tuple[Message, ...]:
        """What the model is told before all else, with these for the agent's own instructions."""
        told = TOLD.get(self.agent.autonomy, "")
        text = "\n\n".join(part for part in (self.shared, instructions, *self._taught, told) if part)
        return (Message("system", text),) if text else ()

    def messages(self, system: tuple[Message, ...], history: Sequence[Message]) -> tuple[Message, ...]:
        """What the model is shown of the conversation, with what a prompt function puts around it.

        Args:
            system: the system message, if there is one.
            history: the conversation so far.
        """
        rendered = self._rendered
        if rendered is None:
            return (*system, *history)
        if rendered.system:
            before, added, together = self._told
            if before is not system or added != rendered.system:  # else they are those of the step before: 1.5 µs
                told = (*(message.text for message in system), rendered.system)
                together = (Message("system", "\n\n".join(told)),)
                self._told = system, rendered.system, together
            system = together
        shown = history if rendered.messages is None else repaired(rendered.messages)
        return (*system, *rendered.before, *shown, *rendered.after)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer is to say of how a prompt function made the step."""
        return () if self._rendered is None else self._rendered.notes

    def chosen(self, request: Request) -> tuple[str, ...] | None:
        """The names of what the model may call, where the prompt function has chosen it for the step."""
        if self._rendered is None or self._rendered.offered is None:
            return None
        return tuple(spec.name for spec in request.tools)

    def rules(self, limits: Limits | None, external: Sequence[ToolSpec]) -> Rules:
        """The rules of one run."""
        rules = self._rules
        if (limits is None or limits is rules.limits) and not external and self._rendered is None:
            return rules
        delegates = rules.delegates.union(self.agents) if self.agents else rules.delegates
        names = frozenset(spec.name for spec in external) if external else NOTHING
        # Everybody who is handed work has limits of its own: 2.3 µs, and by `replace` 5.9.
        return Rules(limits or rules.limits, delegates, rules.transfers, names, self.needs_approval, rules.repairs)

    def request(
        self,
        history: Sequence[Message],
        context: RequestContext,
        external: tuple[ToolSpec, ...],
        schema: Mapping[str, Any] | None,
        model: str,
        shown: Sequence[Message],
    ) -> Request:
        """What the model is asked next.

        Args:
            history: the conversation so far.
            context: for instructions that depend on it.
            external: tools the caller runs.
            schema: the JSON schema the final answer must fit.
            model: the model's name where the agent names none.
            shown: what of the history the model is shown.
        """
        system = self._system
        if system is None:
            instructions = self.agent.instructions
            text: object = instructions if isinstance(instructions, str) else instructions(context)
            if not isinstance(text, str):
                raise RunFailed(f"the instructions of {self.name} returned {type(text).__name__}, not a text")
            system = self.system_message(text)
        rendered = self._rendered
        named = self.agent.model
        specs = self.specs + external if external else self.specs
        if self.deferred is not None:  # at the end: what vendors have cached of those before still holds
            specs += self.deferred.loaded(history)
        if rendered is not None and rendered.offered is not None:
            specs = tuple(spec for spec in specs if spec.name in rendered.offered)
        return Request(
            (*system, *shown) if rendered is None else self.messages(system, shown),
            named if isinstance(named, str) and named else model,
            specs,
            response_schema=schema,
            **self._settings,
        )


def _made(tool: Tool | Alike) -> Tool:
    return tool.made() if isinstance(tool, Alike) else tool


def _user(caller: Caller) -> Caller:
    """A caller without what may differ from run to run."""
    return Caller(caller.user, caller.tenant) if caller.scopes or caller.key else caller


def _name(item: Target | str) -> str:
    return item if isinstance(item, str) else item.name
