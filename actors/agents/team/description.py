"""What an agent can do, as plain data: for a page, a log, or another program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ....tools.signatures.schema import name_of
from ..agent import Agent, as_tools
from ..handoffs.offer import HandoffTool
from ..handoffs.target import Target
from ..hooks import Hook, only
from .derived import offered_by

OWN = "own"
FLOW = "flow"


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that an agent can do, or that is done for it.

    Args:
        name: as the model, or a report, knows it.
        description: what it is for; of a hook the event on which it is called.
        source: where the agent has it from: ``own``, ``skill <name>``, ``flow``.
        scopes: who may use it: any of these will do.
        details: what else there is: ``risk`` and ``parameters`` of a tool; ``target`` and ``kind`` of a handoff;
            ``guardrail`` and ``priority`` of a hook; what a skill ``requires``.
    """

    name: str
    description: str
    source: str
    scopes: tuple[str, ...]
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentDescription:
    """What an agent can do. ``dataclasses.asdict`` makes plain data of it, which JSON knows.

    Args:
        name, description, autonomy: the agent's.
        prompt: the name of its prompt function, which defines more in each step than stands here; empty without one.
        prompts: the prompt functions, its own and those of its skills.
        routes: what a server offers for its skills: paths, with their ``methods``.
        model: the name of its model; empty where it has the agency's, or an actor of its own.
        output_type: the type of its answers, as text; empty for text.
        scopes: who may ask it: any of these will do.
        tools, handoffs, hooks, skills: in the order in which the model is offered them, or they are called.
    """

    name: str
    description: str
    model: str
    autonomy: str
    output_type: str
    scopes: tuple[str, ...]
    tools: tuple[Ability, ...]
    handoffs: tuple[Ability, ...]
    hooks: tuple[Ability, ...]
    skills: tuple[Ability, ...]
    prompt: str = ""
    prompts: tuple[Ability, ...] = ()
    routes: tuple[Ability, ...] = ()

    @property
    def capabilities(self) -> Mapping[str, tuple[str, ...]]:
        """The names of all that it can do, by where it has them from, what it has itself first."""
        found: dict[str, list[str]] = {OWN: []}
        for each in (*self.tools, *self.handoffs, *self.hooks, *self.prompts, *self.routes):
            found.setdefault(each.source, []).append(each.details["target"] if each.source == FLOW else each.name)
        return {source: tuple(names) for source, names in found.items() if names}


def describe(
    agent: Agent, reachable: Iterable[tuple[str, str]], permits: Callable[[str], bool] = lambda target: True
) -> AgentDescription:
    """What an agent can do.

    Args:
        agent: whom to describe.
        reachable: names and descriptions of those that it may delegate to along flows and plain handoffs.
        permits: whether nothing forbids handoffs to a target.
    """
    kind = agent.output_type
    return AgentDescription(
        agent.name,
        agent.description,
        agent.model if isinstance(agent.model, str) else "",
        agent.autonomy,
        "" if kind is None else getattr(kind, "__name__", None) or str(kind),
        scopes_of(agent),
        tuple(_tools(agent)),
        tuple(_handoffs(agent, dict(reachable), permits)),
        tuple(_hooks(agent)),
        tuple(
            Ability(
                skill.name,
                _first_line(skill.description or skill.instructions),
                OWN if skill in agent.skills else "required",
                scopes_of(skill),
                {"requires": list(skill.required)},
            )
            for skill in agent.all_skills
        ),
        "" if agent.prompt_spec is None else agent.prompt_spec.name,
        tuple(_prompts(agent)),
        tuple(_routes(agent)),
    )


def scopes_of(item: object) -> tuple[str, ...]:
    """Who may use something: its scopes, sorted; what has none is for all."""
    given = getattr(item, "scope", "all")
    return (given,) if isinstance(given, str) else tuple(sorted(given))


def _tools(agent: Agent) -> Iterable[Ability]:
    sources = {tool.name: f"skill {skill.name}" for skill in agent.all_skills for tool in as_tools(skill.tools, "")}
    for tool in agent.all_tools:
        details = {"risk": tool.risk, "parameters": dict(tool.spec.parameters)}
        yield Ability(tool.name, tool.spec.description, sources.get(tool.name, OWN), scopes_of(tool), details)


def _handoffs(agent: Agent, reachable: dict[str, str], permits: Callable[[str], bool]) -> Iterable[Ability]:
    sourced: list[tuple[Target | str | HandoffTool, str]] = [(item, OWN) for item in agent.handoffs]
    sourced += [(item, f"skill {skill.name}") for skill in agent.all_skills for item in skill.handoffs]
    plain: dict[str, tuple[str, tuple[str, ...]]] = {}
    targets = {offered.name: offered.target for offered in offered_by(agent)}
    for item, source in sourced:
        if isinstance(item, HandoffTool):
            target = targets.get(item.name, item.target)
            if not target or permits(target):  # one whose target a function chooses is offered always
                details = {"target": target, "kind": item.kind}
                yield Ability(item.name, item.description, source, scopes_of(item), details)
        else:
            plain.setdefault(item if isinstance(item, str) else item.name, (source, scopes_of(item)))
    for name, about in reachable.items():
        source, scopes = plain.get(name, (FLOW, ("all",)))
        yield Ability("SendMessage", about, source, scopes, {"target": name, "kind": "delegate"})


def _hooks(agent: Agent) -> Iterable[Ability]:
    sources: list[tuple[Hook, str]] = [(hook, OWN) for hook in only(agent.hooks)]
    sources += [(hook, f"skill {skill.name}") for skill in agent.all_skills for hook in only(skill.hooks)]
    for hook, source in sorted(sources, key=lambda each: -each[0].priority):  # the order in which they are called
        details = {"guardrail": hook.guardrail, "priority": hook.priority}
        yield Ability(hook.name, hook.event, source, scopes_of(hook), details)


def _prompts(agent: Agent) -> Iterable[Ability]:
    if agent.prompt is not None:
        yield Ability(name_of(agent.prompt), "", OWN, ("all",), {})
    for skill in agent.all_skills:
        if skill.prompt_spec is not None:
            yield Ability(skill.prompt_spec.name, "", f"skill {skill.name}", scopes_of(skill), {})


def _routes(agent: Agent) -> Iterable[Ability]:
    for skill in agent.all_skills:
        for route in skill.routes:
            details = {"methods": list(route.methods)}
            yield Ability(route.path, route.description, f"skill {skill.name}", scopes_of(route), details)


def _first_line(text: Any) -> str:
    return str(text).strip().partition("\n")[0][:120]
