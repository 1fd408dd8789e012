"""A connection to an MCP server, and its tools as tools."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ...providers.messages import Audio, File, Image, Part, Text, shown
from ..errors import MissingExtra, ToolError
from ..result import ToolResult
from ..schema import OpenSignature
from ..threads import in_thread
from ..tool import Tool


class McpServer:
    """A server whose tools can be used while the connection is open::

        async with McpServer("https://example.com/mcp") as server:
            agent = Agent("Helper", tools=[*server.tools])

    The connection lives in a task of its own, so that a server that fails fails its calls and not its user.

    Args:
        server: an address (streamable HTTP), a command and its arguments (stdio), or anything that ``mcp.Client``
            takes, such as an ``MCPServer`` in this process.
        prefix: put before each tool's name, to keep the names of several servers apart.
        timeout: seconds for each call, and for connecting.
        trust_hints: take the server's word for which of its tools only read and which are idempotent. Without it
            every tool is risky, because its server is unknown.
    """

    def __init__(
        self, server: str | Sequence[str] | Any, *, prefix: str = "", timeout: float = 60.0, trust_hints: bool = False
    ) -> None:
        self._server = server
        self._prefix = prefix
        self._timeout = timeout
        self._trust_hints = trust_hints
        self._client: Any = None
        self._keeper: asyncio.Task[None] | None = None
        self._leave: asyncio.Event | None = None
        self.tools: list[Tool] = []
        """The server's tools, once connected."""

    async def __aenter__(self) -> McpServer:
        """Connect, and list the tools.

        Raises:
            MissingExtra: the package mcp is not installed.
            ToolError: the server could not be reached in time.
        """
        mcp = await in_thread(_import_mcp)  # it takes a second
        loop = asyncio.get_running_loop()
        connected: asyncio.Future[list[Any]] = loop.create_future()
        self._leave = asyncio.Event()
        self._keeper = loop.create_task(self._keep(mcp, connected, self._leave), name="mcp connection")
        try:
            async with asyncio.timeout(self._timeout):
                listed = await connected
        except BaseException as error:
            await self._close()
            if isinstance(error, TimeoutError):
                raise ToolError(f"the MCP server did not answer within {self._timeout:g} seconds") from None
            raise
        self.tools = [self._as_tool(entry) for entry in listed]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        connecting, self._client = self._client is None, None
        keeper, leave = self._keeper, self._leave
        if keeper is None or leave is None:
            return
        self._keeper = None
        leave.set()
        if not connecting:
            await asyncio.wait({keeper}, timeout=5.0)
        if not keeper.done():  # or a server that does not let go
            keeper.cancel()
            await asyncio.wait({keeper}, timeout=5.0)

    async def _keep(self, mcp: Any, connected: asyncio.Future[list[Any]], leave: asyncio.Event) -> None:
        """Hold the connection open, in the one task that may enter and leave it."""
        try:
            async with mcp.Client(_target(mcp, self._server)) as client:
                listed: list[Any] = []
                cursor: str | None = None
                while True:
                    page = await client.list_tools(cursor=cursor)
                    listed += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        break
                self._client = client
                if not connected.done():
                    connected.set_result(listed)
                await leave.wait()
        except asyncio.CancelledError:
            if not connected.done() and not leave.is_set():  # the transport's doing, not its user's
                connected.set_exception(ToolError("the connection to the MCP server broke off"))
        except Exception as error:
            if not connected.done():
                connected.set_exception(ToolError(f"the MCP server cannot be used: {_reason(error)}"))
        finally:
            self._client = None

    def _as_tool(self, entry: Any) -> Tool:
        hints = entry.annotations if self._trust_hints else None
        reads_only = bool(hints and hints.read_only_hint)

        async def call(arguments: dict[str, Any]) -> ToolResult:
            return await self._call(entry.name, arguments)

        return Tool(
            OpenSignature(call, entry.input_schema, entry.description or entry.title or ""),
            name=re.sub(r"[^a-zA-Z0-9_-]", "_", self._prefix + entry.name)[:64],
            risk="safe" if reads_only else "risky",
            idempotent=reads_only or bool(hints and hints.idempotent_hint),
            timeout=self._timeout,
        )

    async def _call(self, name: str, arguments: dict[str, Any]) -> ToolResult:
        client = self._client
        if client is None:
            raise ToolError("the connection to the MCP server is closed")
        try:
            answer = await client.call_tool(name, arguments)
        except Exception as error:
            raise ToolError(f"the MCP server refused or failed: {_reason(error)}") from error
        parts = tuple(map(_part, answer.content))
        content: str | tuple[Part, ...] = parts
        if all(isinstance(part, Text) for part in parts):
            content = shown(parts) or "(no output)"
        if answer.is_error:
            return ToolResult(content, True, answer.structured_content, ToolError(shown(content)))
        value = answer.structured_content if answer.structured_content is not None else shown(content)
        return ToolResult(content, value=value)


def _import_mcp() -> Any:
    try:
        import mcp
    except ImportError:
        raise MissingExtra("mcp", "using an MCP server") from None
    return mcp


def _target(mcp: Any, server: Any) -> Any:
    if isinstance(server, (list, tuple)):
        return mcp.StdioServerParameters(command=server[0], args=list(server[1:]))
    return server


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _part(block: Any) -> Part:
    """What the model is shown of a block."""
    if block.type == "text":
        return Text(str(block.text))
    if block.type == "image":
        return Image(f"data:{block.mime_type};base64,{block.data}")
    if block.type == "audio":
        return Audio(f"data:{block.mime_type};base64,{block.data}")
    if block.type == "resource":
        resource = block.resource
        if blob := getattr(resource, "blob", ""):
            kind = resource.mime_type or "application/octet-stream"
            url = f"data:{kind};base64,{blob}"
            return Image(url) if kind.startswith("image/") else File(url, str(resource.uri).rpartition("/")[2])
        return Text(str(getattr(resource, "text", "")) or f"[resource {resource.uri}]")
    if block.type == "resource_link":
        return Text(f"[resource {block.uri}]")
    return Text(f"[{block.type}]")
