"""Who or what a task may be handed to."""

from __future__ import annotations

from typing import Protocol

from ..answer import Answer
from ..errors import DefinitionError
from .handoff import Handoff


class Target(Protocol):
    """Who or what a task may be handed to: an `Agent`, a `Pipeline`, or a `Responder`."""

    name: str
    description: str


class Responder(Target, Protocol):
    """A target that is no agent of this agency: it is given the handoff and returns the answer."""

    async def answer(self, handoff: Handoff) -> Answer:
        """Do the task. Raises an `AgentError`."""
        ...


class Pipeline:
    """A target of several agents: each is given the answer of the one before, the last one's answer comes back.

    Args:
        name: as the model knows it.
        stages: the agents, in order; at least one.
        description: when to use it.
    """

    def __init__(self, name: str, *stages: Target, description: str = "") -> None:
        if not stages:
            raise DefinitionError(f"pipeline {name!r} needs at least one agent")
        self.name = name
        self.stages = stages
        self.description = description or f"A pipeline: {', '.join(agent.name for agent in stages)}."
