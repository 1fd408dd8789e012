"""The skill ``remote``: agents elsewhere, behind OpenAI-compatible endpoints, as those of one's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...handoffs.remote import RemoteAgent
from ..skill import Skill


@dataclass(frozen=True)
class Remote:
    """An agent elsewhere; see `RemoteAgent`, which this is the plain data of.

    Args:
        name: as the model here knows it.
        url: the endpoint's address, up to and including ``/v1``.
        description: when to use it.
        model: what the endpoint calls it; the name by default.
        api_key: sent along; never shown.
        timeout: seconds for the whole answer.
    """

    name: str
    url: str = field(repr=False)
    description: str = ""
    model: str = ""
    api_key: str = field(default="", repr=False)
    timeout: float = 300.0


def remote_skill(*agents: Remote, name: str = "remote") -> Skill:
    """Lets an agent hand work to agents elsewhere; they join the agency.

    Args:
        agents: which.
        name: of the skill.

    Raises:
        DefinitionError: an address is none of the web, or another argument is of the wrong type.
    """
    made = [
        RemoteAgent(
            each.name,
            each.url,
            model=each.model,
            api_key=each.api_key,
            description=each.description,
            timeout=each.timeout,
        )
        for each in agents
    ]
    names = ", ".join(each.name for each in agents) or "none"
    return Skill(name, handoffs=made, description=f"Hands work to agents elsewhere: {names}.")
