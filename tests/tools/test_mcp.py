from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from callboard.providers import Audio, File, Image, Text
from callboard.tools import InvalidArguments, ToolError, ToolRegistry, ToolTimeout
from callboard.tools.errors import MissingExtra
from callboard.tools.mcp import McpServer

pytest.importorskip("mcp")


class _World:
    """A real MCP server in this process, and what its tools did."""

    def __init__(self) -> None:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError as ServerToolError
        from mcp.types import ToolAnnotations

        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.server = MCPServer("test")

        @self.server.tool(annotations=ToolAnnotations(read_only_hint=True))
        def add(a: int, b: int = 1) -> int:
            """Add two numbers."""
            return a + b

        @self.server.tool(name="files.list")
        def files() -> list[str]:
            """List."""
            return ["x", "y"]

        @self.server.tool()
        def look() -> list[Any]:
            from mcp.types import AudioContent, BlobResourceContents, EmbeddedResource, ImageContent, TextContent

            page = BlobResourceContents(uri="file:///a/page.pdf", mime_type="application/pdf", blob="JVBERi0=")
            return [
                TextContent(type="text", text="see"),
                ImageContent(type="image", data="iVBORw0KGgo=", mime_type="image/png"),
                AudioContent(type="audio", data="UklGRg==", mime_type="audio/wav"),
                EmbeddedResource(type="resource", resource=page),
            ]

        @self.server.tool()
        def fail(text: str) -> str:
            raise ServerToolError(text)

        @self.server.tool()
        async def hang() -> str:
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
            return ""


async def test_a_servers_tools_are_tools() -> None:
    async with McpServer(_World().server, prefix="my_") as server:
        tools = ToolRegistry(server.tools)
        assert [made.name for made in tools] == ["my_add", "my_files_list", "my_look", "my_fail", "my_hang"]
        add = tools.get("my_add")
        assert add.spec.description == "Add two numbers."
        assert add.spec.parameters["required"] == ["a"]
        assert (await add.run('{"a": 2, "b": 3}')).content == "5"
        assert "x" in (await tools.get("my_files_list").run()).content
        assert all(made.risk == "risky" for made in tools)


async def test_pictures_sound_and_files_of_a_server_are_shown_to_the_model() -> None:
    async with McpServer(_World().server) as server:
        result = await ToolRegistry(server.tools).get("look").run()
    assert result.content == (
        Text("see"),
        Image("data:image/png;base64,iVBORw0KGgo="),
        Audio("data:audio/wav;base64,UklGRg=="),
        File("data:application/pdf;base64,JVBERi0=", "page.pdf"),
    )


async def test_hints_of_a_trusted_server_are_believed() -> None:
    async with McpServer(_World().server, trust_hints=True) as server:
        risks = {made.name: (made.risk, made.idempotent) for made in server.tools}
    assert risks["add"] == ("safe", True)
    assert risks["fail"] == ("risky", False)


async def test_the_servers_errors_and_wrong_arguments_reach_the_model() -> None:
    async with McpServer(_World().server) as server:
        tools = ToolRegistry(server.tools)
        failed = await tools.get("fail").run({"text": "the disk is full"})
        assert isinstance(failed.error, ToolError)
        assert "the disk is full" in failed.content
        for wrong in ('{"b": 1}', "[]", "{"):
            assert isinstance((await tools.get("add").run(wrong)).error, InvalidArguments)
        assert (await tools.get("add").run('{"a": "x"}')).is_error


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_call_that_is_given_up_is_cancelled_at_the_server(how: str) -> None:
    world = _World()
    async with McpServer(world.server) as server:
        hang = ToolRegistry(server.tools).get("hang")
        if how == "timeout":
            hang.timeout = 1.0
        task = asyncio.ensure_future(hang.run())
        await world.started.wait()
        if how == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            assert isinstance((await task).error, ToolTimeout)
        await asyncio.wait_for(world.stopped.wait(), 10)
        assert (await ToolRegistry(server.tools).get("add").run({"a": 1})).content == "2"


async def test_after_leaving_calls_fail_and_no_task_is_left() -> None:
    async with McpServer(_World().server) as server:
        add = ToolRegistry(server.tools).get("add")
    assert "closed" in (await add.run({"a": 1})).content
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_server_that_is_a_command_is_started_and_ended(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        "import os\n"
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('child')\n"
        "@server.tool()\n"
        "def pid() -> int:\n"
        "    return os.getpid()\n"
        "server.run('stdio')\n"
    )
    async with McpServer([sys.executable, str(script)]) as server:
        pid = int((await server.tools[0].run()).text)
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


async def test_a_server_that_cannot_be_reached_is_a_named_error(tmp_path: Path) -> None:
    for target in ([str(tmp_path / "no-such-program")], "http://127.0.0.1:9/mcp"):
        with pytest.raises(ToolError):
            async with McpServer(target, timeout=20):
                pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_connecting_to_a_server_that_never_answers_is_given_up(how: str, tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    os.mkfifo(tmp_path / "started")
    command = ["sh", "-c", f"echo > {tmp_path}/started; while read line; do :; done"]
    server = McpServer(command, timeout=1.0 if how == "timeout" else 60.0)
    task = asyncio.ensure_future(server.__aenter__())
    await asyncio.to_thread((tmp_path / "started").read_text)
    if how == "cancel":
        task.cancel()
    with pytest.raises(asyncio.CancelledError if how == "cancel" else ToolError):
        await task
    assert {child.pid for child in psutil.Process().children()} <= before
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_missing_extra_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingExtra, match=r"pip install 'callboard\[mcp\]'"):
        async with McpServer("http://127.0.0.1:9/"):
            pass


async def test_a_refusal_under_the_number_that_the_sdk_has_for_a_closed_connection_is_a_refusal() -> None:
    from mcp import MCPError
    from mcp.server.mcpserver import MCPServer
    from mcp_types import CONNECTION_CLOSED

    calls = 0
    server = MCPServer("test")

    @server.tool()
    def refuses() -> None:
        nonlocal calls
        calls += 1
        raise MCPError(CONNECTION_CLOSED, "not today")

    @server.tool()
    def answers() -> str:
        return "here"

    async with McpServer(server) as mcp:
        by_name = {tool.name: tool for tool in mcp.tools}
        result = await by_name["refuses"].run()
        assert type(result.error) is ToolError
        assert "not today" in result.text
        assert calls == 1
        assert (await by_name["answers"].run()).text == "here"
