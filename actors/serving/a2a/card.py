"""What an agent says of itself: its card."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import quote

from a2a.types import a2a_pb2 as pb

from ...agents.agent import Agent
from ..server import Server
from .messages import INPUT_MODES, OUTPUT_MODES

BEARER: Final = "bearer"


def card_of(server: Server, name: str, base: str, *, pushes: bool) -> pb.AgentCard:
    """An agent's card.

    Args:
        server: whose agent.
        name: its name.
        base: the server's address, without a slash at its end.
        pushes: whether webhooks are told of tasks.
    """
    agent = server.agency.agents[name]
    url = f"{base}/a2a/{quote(name, safe='')}"
    interfaces = [
        pb.AgentInterface(url=url, protocol_binding=binding, protocol_version=spoken)
        for spoken in ("1.0", "0.3")
        for binding in ("JSONRPC", "HTTP+JSON")
    ]
    card = pb.AgentCard(
        name=name,
        description=agent.description or f"The agent {name}.",
        version=_version(),
        supported_interfaces=interfaces,
        capabilities=pb.AgentCapabilities(streaming=True, push_notifications=pushes, extended_agent_card=False),
        default_input_modes=INPUT_MODES,
        default_output_modes=OUTPUT_MODES,
        skills=_skills(agent),
    )
    if server.authenticate:
        scheme = pb.HTTPAuthSecurityScheme(scheme="bearer", description="A key or token that you were given.")
        card.security_schemes[BEARER].http_auth_security_scheme.CopyFrom(scheme)
        card.security_requirements.append(pb.SecurityRequirement(schemes={BEARER: pb.StringList()}))
    return card


def _skills(agent: Agent) -> list[pb.AgentSkill]:
    """What it is there for. Its tools and what else it uses are its own affair."""
    description = agent.description or f"Ask {agent.name}."
    return [pb.AgentSkill(id=agent.name, name=agent.name, description=description, tags=["agent"])]


def _version() -> str:
    try:
        return version("callboard")
    except PackageNotFoundError:  # run from the source tree
        return "0"
