"""What a caller is offered: each agent that they may ask as a tool, and the tools that are published beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types

from ....tools.registry import ToolRegistry
from ....tools.tool import Tool
from ...agents.agent import Agent
from ...agents.caller import Caller
from ..server import Server
from .published import ASK
from .results import ANSWER_SCHEMA

QUESTION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "minLength": 1, "description": "What the agent is to do, or to know."},
        "conversation": {
            "type": "string",
            "description": "The conversation to go on with, as an answer named it; otherwise a new one begins.",
        },
    },
    "required": ["message"],
    "additionalProperties": False,
}


def listed(server: Server, tools: ToolRegistry, caller: Caller) -> list[types.Tool]:
    """All that a caller is offered."""
    agency = server.agency
    return [
        *(_of_agent(agency.agents[name]) for name in agency.open_to(caller)),
        *(_of_tool(tool) for tool in tools.available(held(caller))),
    ]


def held(caller: Caller) -> frozenset[str]:
    """What counts of a caller where a tool is nobody's."""
    return caller.scopes or frozenset({"all"})


def schema_of(tools: ToolRegistry, name: str) -> Mapping[str, Any] | None:
    """What a published tool takes; None for an agent, and for what there is not."""
    return next((tool.spec.parameters for tool in tools if tool.name == name), None)


def output_schema(tool: Tool) -> dict[str, Any] | None:
    """What a tool returns, where that is an object."""
    schema = tool.returned.schema
    return dict(schema) if schema.get("type") == "object" else None


def _of_agent(agent: Agent) -> types.Tool:
    schema = ANSWER_SCHEMA
    if agent.output is not None:
        value, definitions = dict(agent.output.schema), {}
        if "$defs" in value:  # references begin at the root
            definitions = {"$defs": value.pop("$defs")}
        schema = {**schema, "properties": {**schema["properties"], "value": value}, **definitions}
    return types.Tool(
        name=ASK + agent.name,
        title=agent.name,
        description=agent.description or f"Ask the agent {agent.name}.",
        input_schema=QUESTION_SCHEMA,
        output_schema=schema,
        annotations=types.ToolAnnotations(open_world_hint=True),
    )


def _of_tool(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=tool.spec.description,
        input_schema=dict(tool.spec.parameters),
        output_schema=output_schema(tool),
        annotations=types.ToolAnnotations(destructive_hint=tool.risk == "risky", idempotent_hint=tool.idempotent),
    )
