"""A running agency of a team file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....providers.config.pool import pool_from_config
from ....providers.config.yamlfile import YamlFile
from ....tools.errors import McpUnavailable
from ....tools.mcp.client import McpServer
from ...core.system import System
from ..agency import Agency
from ..agent import Agent
from .schema import McpEntry
from .team import Team


@asynccontextmanager
async def open_agency(team: Team, make: Callable[..., Agency] = Agency, **options: Any) -> AsyncIterator[Agency]:
    """Connect the team's MCP servers, and start its agency; both end with the block.

    Args:
        team: from `load_team`.
        make: makes it of what `Agency` takes.
        options: of the `Agency`, in place of the file's.

    Raises:
        MissingExtra: the file names MCP servers, and the package mcp is not installed.
        McpUnavailable: an MCP server cannot be used; says which, and where it stands in the file.
        JournalUnavailable: the journal cannot be opened.
        DefinitionError: two tools of an agent have one name.
    """
    options = {**team.options, **options}
    async with AsyncExitStack() as stack:
        servers: dict[str, McpServer] = {}
        if team.servers:  # their connections live in the agency's system, as its agents do
            system = options.get("system")
            if system is None:
                named = System(options.get("name") or "agency")
                system = options["system"] = await stack.enter_async_context(named)
            for name, entry in team.servers.items():
                try:
                    servers[name] = await stack.enter_async_context(_server(entry, system, team.file))
                except McpUnavailable as error:
                    raise McpUnavailable(_which(name, entry, team.file, str(error))) from error
        agents = [
            _equipped(agent, [servers[server] for server in team.served.get(name, ())])
            for name, agent in team.agents.items()
        ]
        models = [agent.model for agent in agents if isinstance(agent.model, str)]
        if "pool" not in options and "model" not in options:
            on_usage = options.pop("on_usage", team.on_usage)
            options["pool"] = pool_from_config(team.config, models, team.env, on_usage=on_usage)
        agency = make(*agents, flows=team.flows, **options)
        yield await stack.enter_async_context(agency)


def _server(entry: McpEntry, system: System, file: YamlFile) -> McpServer:
    target = entry.url or list(entry.command)
    return McpServer(
        target,
        prefix=entry.prefix,
        timeout=entry.timeout,
        trust_hints=entry.trust_hints,
        trusted=entry.trusted,
        system=system,
        cwd=Path(file.path).parent,
    )


def _which(name: str, entry: McpEntry, file: YamlFile, problem: str) -> str:
    """A problem with an MCP server, with its place in the file. A command's arguments may have secrets."""
    where = f"its command {entry.command[0]} starts in {Path(file.path).parent}" if entry.command else "see its url"
    line = file.line(("mcp_servers", name))
    return f"{file.path}, line {line}: mcp_servers.{name}: {problem}; {where}"


def _equipped(agent: Agent, servers: list[McpServer]) -> Agent:
    return replace(agent, tools=[*agent.tools, *(tool for server in servers for tool in server.tools)])
