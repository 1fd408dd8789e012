"""The skill ``mcp``: what an MCP server has, connected to while the agency runs (the extra ``mcp``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .....providers.checks import FLAG, SOME_SECONDS, TEXT
from .....tools.function_tool import tool
from .....tools.mcp import McpServer
from .....tools.mcp.listed import Elicit
from .....tools.result import ToolResult
from .....tools.tool import Tool
from ...errors import DefinitionError
from ...prompts.prompt import Prompt
from ...wishes import AGENT_NAME, define
from ..context import SkillContext
from ..skill import Skill


class McpSkill(Skill):
    """The tools of an MCP server, and, where it has resources, tools that list and read them.

    The connection lives as long as the agency, as an actor in its system; a server that fails is connected to anew, see
    `McpServer`. The tools are offered in each step, and so are no part of what `Agency.describe` tells.

    Args:
        url: the server's address (streamable HTTP).
        command: in its place, how the server is started (stdio): a command and its arguments.
        server: in place of both, anything that ``mcp.Client`` takes.
        name: of the skill.
        prefix: put before the names of its tools.
        timeout: seconds for connecting, and for each call.
        trust_hints: take its word for which of its tools only read.
        trusted: the server is yours: what comes from it is trusted text, and what it is asked stays with you; see
            `LabelPolicy`.
        defer: whether a model searches for its tools, and is not shown them all.
        elicit: answers what the server asks in the middle of a call; see `McpServer`.

    Raises:
        DefinitionError: there is not one server, or an argument is of the wrong type.

    Attributes:
        server: the connection, for its resources and prompts; open while the agency runs.
    """

    def __init__(
        self,
        url: str = "",
        *,
        command: Sequence[str] = (),
        server: Any = None,
        name: str = "mcp",
        prefix: str = "",
        timeout: float = 60.0,
        trust_hints: bool = False,
        trusted: bool = False,
        defer: bool | None = None,
        elicit: Elicit | None = None,
    ) -> None:
        define("an MCP skill", name=(name, AGENT_NAME))
        define(
            f"skill {name}",
            url=(url, TEXT),
            prefix=(prefix, TEXT),
            timeout=(timeout, SOME_SECONDS),
            trust_hints=(trust_hints, FLAG),
            trusted=(trusted, FLAG),
            defer=(defer, FLAG.or_none()),
        )
        if isinstance(command, str) or sum((bool(url), bool(command), server is not None)) != 1:
            raise DefinitionError(f"skill {name}: give a url, a command as a list, or a server, one of them")
        self._where: Any = url or list(command) or server
        self._options: dict[str, Any] = {
            "prefix": prefix,
            "timeout": timeout,
            "trust_hints": trust_hints,
            "trusted": trusted,
            "defer": defer,
            "elicit": elicit,
        }
        self._prefix = prefix
        self._offered: list[Tool] = []
        self.server: McpServer | None = None
        super().__init__(name, prompt=self._offer, description=f"What the MCP server {name} can do.")

    async def initialize(self, context: SkillContext) -> None:
        """Connect, and learn what there is."""
        server = McpServer(self._where, system=context.system, **self._options)
        await server.__aenter__()
        self.server = server
        self._offered = list(server.tools)
        if await server.resources():
            trusted = self._options["trusted"]
            reading: dict[str, Any] = {"risk": "safe", "idempotent": True, "timeout": self._options["timeout"]}
            reading["trusted"] = trusted
            self._offered += [
                tool(name=f"{self._prefix}list_resources", **reading)(self.list_resources),
                # An address may be made up, and so tells the server something.
                tool(name=f"{self._prefix}read_resource", sends=not trusted, **reading)(self.read_resource),
            ]

    async def close(self) -> None:
        """End the connection."""
        server, self.server, self._offered = self.server, None, []
        if server is not None:
            await server.__aexit__(None, None, None)

    async def list_resources(self) -> str:
        """What there is to read: addresses, names and descriptions."""
        assert self.server is not None
        there = await self.server.resources()
        return "\n".join(f"{each.uri}: {each.name} {each.description}".rstrip() for each in there) or "(nothing)"

    async def read_resource(self, uri: str) -> ToolResult:
        """Read something.

        Args:
            uri: its address, as list_resources tells it.
        """
        assert self.server is not None
        return await self.server.read_resource(uri)

    def _offer(self, prompt: Prompt) -> None:
        for each in self._offered:
            prompt.tool(each)
