"""A running agency of a team file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from ....providers.config.pool import pool_from_config
from ....tools.mcp.client import McpServer
from ..agency import Agency
from ..agent import Agent
from .schema import McpEntry
from .team import Team


@asynccontextmanager
async def open_agency(team: Team, **options: Any) -> AsyncIterator[Agency]:
    """Connect the team's MCP servers, and start its agency; both end with the block.

    Args:
        team: from `load_team`.
        options: of the `Agency`, in place of the file's.

    Raises:
        MissingExtra: the file names MCP servers, and the package mcp is not installed.
        ToolError: an MCP server cannot be used.
        JournalUnavailable: the journal cannot be opened.
        DefinitionError: two tools of an agent have one name.
    """
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(_server(entry)) for name, entry in team.servers.items()}
        agents = [
            _equipped(agent, [servers[server] for server in team.served.get(name, ())])
            for name, agent in team.agents.items()
        ]
        models = [agent.model for agent in agents if isinstance(agent.model, str)]
        if "pool" not in options and "model" not in options:
            on_usage = options.pop("on_usage", team.on_usage)
            options["pool"] = pool_from_config(team.config, models, team.env, on_usage=on_usage)
        agency = Agency(*agents, flows=team.flows, **{**team.options, **options})
        yield await stack.enter_async_context(agency)


def _server(entry: McpEntry) -> McpServer:
    target = entry.url or list(entry.command)
    return McpServer(target, prefix=entry.prefix, timeout=entry.timeout, trust_hints=entry.trust_hints)


def _equipped(agent: Agent, servers: list[McpServer]) -> Agent:
    return replace(agent, tools=[*agent.tools, *(tool for server in servers for tool in server.tools)])
