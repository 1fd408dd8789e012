"""Agents that an agency makes of an agent by itself: the same with another model, and one that makes its summaries."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

from ..agent import Agent
from ..handoffs.offer import HandoffTool, summarizer_of
from ..handoffs.target import ModelTarget

SUMMARIZER = (
    "You sum up a conversation for somebody who is asked next and sees nothing else of it. Say what is wanted, what "
    "was found and done, and what is open: names, numbers and decisions exactly, nothing that was not said."
)


def derived_from(agent: Agent) -> Iterable[Agent]:
    """What an agent's handoffs need of such agents.

    Raises:
        DefinitionError: a name is too long, or a setting is unknown.
    """
    for item in agent.all_handoffs:
        if not isinstance(item, HandoffTool):
            continue
        if isinstance(item.agent, ModelTarget) and not is_derived(agent):
            yield _derived(_with_model(agent, item.agent))
        if item.summary:
            model = agent.model if isinstance(item.summary, bool) else item.summary
            yield _derived(Agent(summarizer_of(agent.name, item.summary), SUMMARIZER, model=model))


def is_derived(agent: Agent) -> bool:
    """Whether it is one that an agency has made."""
    return _MARK in vars(agent)


def offered_by(agent: Agent) -> list[HandoffTool]:
    """An agent's handoffs that are tools of their own, each with its target as it is called in the agency. An agent
    with another model has none to other models."""
    offered = []
    for item in agent.all_handoffs:
        if not isinstance(item, HandoffTool):
            continue
        if not isinstance(item.agent, ModelTarget):
            offered.append(item)
        elif not is_derived(agent):
            offered.append(replace(item, target=_named(agent, item.agent)))
    return offered


_MARK = "_derived"


def _derived(agent: Agent) -> Agent:
    vars(agent)[_MARK] = True
    return agent


def _named(agent: Agent, target: ModelTarget) -> str:
    return f"{agent.name}-{target.name}"


def _with_model(agent: Agent, target: ModelTarget) -> Agent:
    """The agent with another model."""
    other = copy.copy(agent)
    other.name = _named(agent, target)
    other.description = target.description
    other.model = target.model or agent.model
    other.settings = {**agent.settings, **target.settings}
    other.__post_init__()
    return other
