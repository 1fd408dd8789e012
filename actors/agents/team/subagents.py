"""Agents that a prompt function offers as tools, as the agency knows them: each is called ``{agent}-{name}``."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..agent import Agent
from ..errors import PromptError
from ..prompts.spec import PromptSpec
from ..prompts.subagents import SubAgent
from ..turns.rules import Limits
from ..wishes import AGENT_NAME
from .prepared import PreparedAgent

_MARK = "_sub_agent"
_AROUND_RUNS = ("connection", "finalize")


class AskedAgent(NamedTuple):
    """A sub-agent as one call asks it.

    Args:
        prepared: the agent.
        prompt: its prompt function.
        input: what that is given.
    """

    prepared: PreparedAgent
    prompt: PromptSpec
    input: Any


def name_of(agent: str, sub: SubAgent) -> str:
    """What a sub-agent is called in the agency.

    Args:
        agent: the name of the one whose prompt function offers it.
        sub: it.

    Raises:
        PromptError: the name is too long.
    """
    name = f"{agent}-{sub.name}"
    if not AGENT_NAME.fits(name):
        raise PromptError(
            f"the sub-agent {sub.name!r} of {agent} is called {name!r} in the agency, and names there have at most 48 "
            "characters: give it, or the agent, a shorter one"
        )
    return name


def sub_agent_of(agent: Agent, sub: SubAgent) -> Agent:
    """A sub-agent as an agent: what stands around requests, answers and calls of the one that offers it stands around
    those of the sub-agent too.

    Args:
        agent: the one whose prompt function offers it.
        sub: it.

    Raises:
        PromptError: the name is too long.
    """
    made = Agent(
        name_of(agent.name, sub),
        _instructions(sub),
        model=sub.model or agent.model,
        description=sub.description,
        limits=sub.limits or Limits(),
        autonomy=agent.autonomy,
        settings=agent.settings,
        hooks=[hook for hook in agent.all_hooks if hook.event not in _AROUND_RUNS],
        owner=agent.owner,
    )
    vars(made)[_MARK] = True
    return made


def is_sub_agent(agent: Agent) -> bool:
    """Whether it is known only because a prompt function offers it."""
    return _MARK in vars(agent)


def _instructions(sub: SubAgent) -> str:
    """What it is told before all that its prompt function defines."""
    output = sub.output
    if output is None:
        return sub.system
    schema = json.dumps(output.schema, ensure_ascii=False).replace("</", "<\\/")
    told = (
        f"<response_schema>\n{schema}\n</response_schema>\n"
        "Your last message is JSON that fits this schema, and nothing else."
    )
    return f"{sub.system}\n\n{told}" if sub.system else told
