"""A connection to an MCP server, and its tools as tools."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ...actors.core.base.errors import ActorCrashed, ActorDead, SystemClosed
from ...actors.core.base.spec import ChildSpec
from ...actors.core.refs.ref import ActorRef
from ...actors.core.system import System
from ...providers.messages import Audio, File, Image, Labels, Message, Part, Text, shown
from ..errors import McpCallLost, McpUnavailable, MissingExtra, ToolError
from ..from_schema import SchemaSignature
from ..result import NOTHING, ToolResult
from ..threads import in_thread
from ..tool import Tool
from .connection import CLOSED, CallTool, Close, ListAll, McpClient, Read
from .listed import Elicit, McpPrompt, McpResource, answering

_SHUTDOWN = 10.0  # seconds: the SDK gives a command up to 6 to end by itself, on being told, and by force


class McpServer:
    """A server whose tools can be used while the block is open::

        async with McpServer("https://example.com/mcp") as server:
            agent = Agent("Helper", tools=[*server.tools])

    The connection is an actor (`McpClient`), supervised by its system. A server that fails fails the calls at work
    with `McpCallLost`, or they are made again where they are idempotent; the next call connects anew. The tools are
    those of the first connection.

    Args:
        server: an address (streamable HTTP), a command and its arguments (stdio), or anything that ``mcp.Client``
            takes, such as an ``MCPServer`` in this process.
        prefix: put before each tool's name, to keep the names of several servers apart.
        timeout: seconds for each call, and for connecting.
        trust_hints: take the server's word for which of its tools only read and which are idempotent. Without it
            every tool is risky, because its server is unknown.
        trusted: the server is yours: what its tools return, and how they are described, is trusted text, and what they
            are called with stays with you; see `LabelPolicy`.
        defer: whether a model is shown its tools only once it has looked for them; by default as the agent says.
        system: the system that the connection's actor lives in; by default one of its own.
        cwd: where a command starts; by default in the current folder.
        elicit: answers what the server asks in the middle of a call: a function of its message and the JSON schema of
            the answer, which may be async. It returns a mapping, or None to decline. Without, all is declined.
    """

    def __init__(
        self,
        server: str | Sequence[str] | Any,
        *,
        prefix: str = "",
        timeout: float = 60.0,
        trust_hints: bool = False,
        trusted: bool = False,
        defer: bool | None = None,
        system: System | None = None,
        cwd: str | Path | None = None,
        elicit: Elicit | None = None,
    ) -> None:
        self._cwd = cwd
        self._elicit = elicit
        self._server = server
        self._prefix = prefix
        self._timeout = timeout
        self._trust_hints = trust_hints
        self._trusted = trusted
        self._defer = defer
        self._given_system = system
        self._system: System | None = None
        self._ref: ActorRef[McpClient] | None = None
        self.tools: list[Tool] = []
        """The server's tools, once connected."""

    @property
    def connection(self) -> ActorRef[McpClient] | None:
        """The actor that holds the connection, while the block is open."""
        return self._ref

    async def __aenter__(self) -> McpServer:
        """Connect, and list the tools.

        Raises:
            MissingExtra: the package mcp is not installed.
            McpUnavailable: the server could not be reached in time.
        """
        mcp = await in_thread(_import_mcp)  # it takes a second
        system = self._given_system
        if system is None:
            system = self._system = System("mcp").start()
        try:
            options = {} if self._elicit is None else {"elicitation_callback": answering(self._elicit)}
            server = self._server
            if self._cwd is not None and isinstance(server, list | tuple):
                server = mcp.StdioServerParameters(command=server[0], args=list(server[1:]), cwd=self._cwd)
            spec = ChildSpec(McpClient, (mcp, server, self._timeout, options), shutdown=_SHUTDOWN)
            self._ref = system.supervise(spec)
            async with asyncio.timeout(self._timeout):
                listed = await _all_of(self._ref, "tools")
        except BaseException as error:
            await self._close()
            if isinstance(error, TimeoutError):
                raise McpUnavailable(f"the MCP server did not answer within {self._timeout:g} seconds") from None
            raise
        self.tools = [self._as_tool(entry) for entry in listed]
        return self

    async def resources(self) -> list[McpResource]:
        """What the server has to read.

        Raises:
            McpUnavailable: it cannot be reached, or does not tell.
        """
        return [
            McpResource(str(each.uri), each.name or "", each.description or "", each.mime_type or "")
            for each in await _all_of(self._connected(), "resources")
        ]

    async def read_resource(self, uri: str) -> ToolResult:
        """A resource, as a model is shown it. It is read again where the connection ends meanwhile.

        Args:
            uri: as `resources` tells it.

        Raises:
            ToolError: the server has none of that address, or failed.
        """
        found = await self._call(Read("read_resource", uri))
        return ToolResult(tuple(_resource_part(each) for each in found.contents))

    async def prompts(self) -> list[McpPrompt]:
        """The prompts that the server has for people to choose.

        Raises:
            McpUnavailable: it cannot be reached, or does not tell.
        """
        return [
            McpPrompt(
                each.name,
                each.description or "",
                tuple(one.name for one in each.arguments or () if one.required),
                tuple(one.name for one in each.arguments or () if not one.required),
            )
            for each in await _all_of(self._connected(), "prompts")
        ]

    async def get_prompt(self, name: str, **arguments: str) -> list[Message]:
        """A prompt, filled in: messages to begin a conversation with, text from outside unless the server is trusted.

        Args:
            name: as `prompts` tells it.
            arguments: by their names.

        Raises:
            ToolError: the server has none of that name, or an argument is missing.
        """
        made = await self._call(Read("get_prompt", name, arguments))
        labels = None if self._trusted else Labels(frozenset({f"prompt {name}"}))
        return [Message(each.role, (_part(each.content),), labels=labels) for each in made.messages]

    def _connected(self) -> ActorRef[McpClient]:
        if self._ref is None:
            raise McpUnavailable(CLOSED)
        return self._ref

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        closing = asyncio.ensure_future(self._wind_up())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            # Bounded by the shutdown time; a second cancel stops only this waiting.
            await asyncio.wait({closing})
            raise

    async def _wind_up(self) -> None:
        ref, self._ref = self._ref, None
        system, self._system = self._system, None
        if system is not None:
            await system.stop(_SHUTDOWN)
        elif ref is not None and ref.is_alive():
            with suppress(ActorDead, SystemClosed):
                await ref.ask(Close())
            await ref.stop()

    def _as_tool(self, entry: Any) -> Tool:
        hints = entry.annotations if self._trust_hints else None
        reads_only = bool(hints and hints.read_only_hint)
        idempotent = reads_only or bool(hints and hints.idempotent_hint)

        async def call(arguments: dict[str, Any]) -> ToolResult:
            return _result(await self._call(CallTool(entry.name, arguments, idempotent)))

        return Tool(
            SchemaSignature(call, entry.input_schema, entry.description or entry.title or ""),
            name=re.sub(r"[^a-zA-Z0-9_-]", "_", self._prefix + entry.name)[:64],
            risk="safe" if reads_only else "risky",
            idempotent=idempotent,
            trusted=self._trusted,
            foreign=not self._trusted,
            sends=not self._trusted,
            timeout=self._timeout,
            defer=self._defer,
        )

    async def _call(self, call: CallTool | Read) -> Any:
        while True:
            try:
                return await self._connected().ask(call)
            except ActorCrashed as error:
                if not call.again:
                    raise McpCallLost(
                        f"the connection to the MCP server failed while {call.name!r} was at work; it may have had its "
                        "effect"
                    ) from error
                call = call._replace(again=False)
            except (ActorDead, SystemClosed) as error:
                raise McpUnavailable(CLOSED) from error


async def _all_of(ref: ActorRef[McpClient], kind: str) -> Any:
    """What a server has of a kind. A connection that crashed on it is asked once more: it has been restarted."""
    try:
        try:
            return await ref.ask(ListAll(kind))
        except ActorCrashed:
            return await ref.ask(ListAll(kind))
    except (ActorCrashed, ActorDead, SystemClosed) as error:
        raise McpUnavailable(f"the connection to the MCP server failed before it had listed its {kind}") from error


def _result(answer: Any) -> ToolResult:
    parts = tuple(map(_part, answer.content))
    content: str | tuple[Part, ...] = parts
    if all(isinstance(part, Text) for part in parts):
        content = shown(parts) or NOTHING
    if answer.is_error:
        return ToolResult(content, True, answer.structured_content, ToolError(shown(content)))
    if answer.structured_content is not None:
        return ToolResult(content, value=answer.structured_content)
    return ToolResult(content, value=shown(content), from_value=True)


def _import_mcp() -> Any:
    try:
        import mcp
    except ImportError:
        raise MissingExtra("mcp", "using an MCP server") from None
    return mcp


def _part(block: Any) -> Part:
    """What the model is shown of a block."""
    if block.type == "text":
        return Text(str(block.text))
    if block.type == "image":
        return Image(f"data:{block.mime_type};base64,{block.data}")
    if block.type == "audio":
        return Audio(f"data:{block.mime_type};base64,{block.data}")
    if block.type == "resource":
        return _resource_part(block.resource)
    if block.type == "resource_link":
        return Text(f"[resource {block.uri}]")
    return Text(f"[{block.type}]")


def _resource_part(resource: Any) -> Part:
    """What the model is shown of a resource."""
    if blob := getattr(resource, "blob", ""):
        kind = resource.mime_type or "application/octet-stream"
        url = f"data:{kind};base64,{blob}"
        return Image(url) if kind.startswith("image/") else File(url, str(resource.uri).rpartition("/")[2])
    return Text(str(getattr(resource, "text", "")) or f"[resource {resource.uri}]")
