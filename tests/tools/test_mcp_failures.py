"""MCP servers that crash, hang, or never come back. Each is a process of its own."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from callboard import Agency, AgencyClosed, Agent, ChildSpec, System
from callboard.actors.core.base.restart import Backoff
from callboard.providers.messages import Request, ToolCall
from callboard.testing import FunctionModel
from callboard.tools import Tool, ToolError, ToolTimeout
from callboard.tools.errors import McpCallLost, McpUnavailable
from callboard.tools.mcp import McpServer
from callboard.tools.mcp.connection import ATTEMPTS
from tests.children import command_of
from tests.warm import Program

pytest.importorskip("mcp")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes by Linux's pidfd")

SDK = "mcp.server.mcpserver,uvicorn,sse_starlette"

# A server made with the official SDK, for what is its own: what is seen over HTTP of one that is killed or started
# anew. Over stdio that is only the end of its output, and `mcp_server.py` is enough.
SDK_SERVER = """
import os, sys, threading
from pathlib import Path
from mcp import MCPError
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

folder = Path(sys.argv[1])
server = MCPServer("child")

@server.tool()
def pid() -> int:
    return os.getpid()

@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def again() -> str:
    with open(folder / "calls", "a") as file:
        file.write(f"{os.getpid()}\\n")
    if len((folder / "calls").read_text().splitlines()) == 1:
        (folder / "reached").write_text("")  # a named pipe: whoever reads it knows that a call is at work
        threading.Event().wait()
    return "done"

@server.tool()
def refuses() -> None:
    with open(folder / "refused", "a") as file:
        file.write(f"{os.getpid()}\\n")
    raise MCPError(-32050, "not today")

if len(sys.argv) > 2:
    server.run("streamable-http", port=int(sys.argv[2]))
else:
    server.run("stdio")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    os.mkfifo(tmp_path / "reached")
    monkeypatch.setattr("callboard.tools.mcp.connection.BACKOFF", Backoff())  # no waits between attempts
    return tmp_path


def _command(folder: Path) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("mcp_server.py")), str(folder)]


def _noted(folder: Path, what: str) -> list[int]:
    return [int(line) for line in (folder / what).read_text().split()]


def _killed(pid: int) -> None:
    """Kill a process, and return when it is dead with all of its threads."""
    descriptor = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        assert select.select([descriptor], [], [], 20)[0]
    finally:
        os.close(descriptor)


async def _reached(folder: Path) -> None:
    await asyncio.to_thread((folder / "reached").read_text)


@asynccontextmanager
async def _connected(folder: Path, **options: Any) -> AsyncIterator[tuple[McpServer, dict[str, Tool]]]:
    before = {child.pid for child in psutil.Process().children()}
    async with McpServer(_command(folder), **options) as server:
        yield server, {made.name: made for made in server.tools}
    assert {child.pid for child in psutil.Process().children()} <= before
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.usefixtures("protocol")
async def test_a_server_that_is_killed_between_calls_is_connected_to_anew(folder: Path) -> None:
    async with _connected(folder) as (_, tools):
        pids = []
        for _ in range(3):
            pids.append(int((await tools["pid"].run()).text))
            _killed(pids[-1])
        assert len(set(pids)) == 3
        assert _noted(folder, "starts") == pids


async def test_a_server_made_with_the_official_sdk_is_connected_to_anew(folder: Path) -> None:
    async with McpServer([sys.executable, "-c", SDK_SERVER, str(folder)]) as server:
        pid = server.tools[0]
        first = int((await pid.run()).text)
        _killed(first)
        assert int((await pid.run()).text) != first


async def test_a_call_at_work_when_its_server_is_killed_is_a_named_error_and_is_not_made_again(folder: Path) -> None:
    async with _connected(folder) as (_, tools):
        call = asyncio.ensure_future(tools["once"].run())
        await _reached(folder)
        _killed(_noted(folder, "starts")[0])
        error = (await call).error
        assert isinstance(error, McpCallLost)
        assert "may have had its effect" in str(error)
        assert len(_noted(folder, "calls")) == 1
        assert not (await tools["pid"].run()).is_error


@pytest.mark.usefixtures("protocol")
async def test_an_idempotent_call_is_made_again(folder: Path) -> None:
    async with _connected(folder, trust_hints=True) as (_, tools):
        call = asyncio.ensure_future(tools["again"].run())
        await _reached(folder)
        _killed(_noted(folder, "starts")[0])
        assert (await call).content == "done"
        assert len(_noted(folder, "calls")) == 2


async def test_a_server_whose_hints_are_not_trusted_gets_no_call_twice(folder: Path) -> None:
    async with _connected(folder) as (_, tools):
        call = asyncio.ensure_future(tools["again"].run())
        await _reached(folder)
        _killed(_noted(folder, "starts")[0])
        assert isinstance((await call).error, McpCallLost)
        assert len(_noted(folder, "calls")) == 1


async def test_calls_that_come_after_a_crash_share_one_new_connection(folder: Path) -> None:
    async with _connected(folder) as (_, tools):
        calls = [asyncio.ensure_future(tools["once"].run())]
        await _reached(folder)
        _killed(_noted(folder, "starts")[0])
        calls += [asyncio.ensure_future(tools["pid"].run()) for _ in range(20)]
        lost, *answers = await asyncio.gather(*calls)
        assert isinstance(lost.error, McpCallLost)
        first, second = _noted(folder, "starts")
        # One that came before the end was noticed was at work on the old connection.
        told = {answer.text for answer in answers if not isinstance(answer.error, McpCallLost)}
        assert told == {str(second)}
        assert first != second


@pytest.mark.parametrize("how", ["broken", "dies"])
async def test_a_server_that_cannot_start_or_is_killed_as_it_starts_is_a_named_error(folder: Path, how: str) -> None:
    (folder / how).write_text("")
    with pytest.raises(McpUnavailable, match="cannot be used"):
        async with _connected(folder):
            pass
    assert len(_noted(folder, "starts")) == 1
    assert not [child for child in psutil.Process().children() if "mcp_server.py" in command_of(child)]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("how", ["broken", "dies"])
async def test_a_server_that_never_comes_back_is_a_named_error_and_used_again_when_it_does(
    folder: Path, how: str
) -> None:
    async with _connected(folder) as (_, tools):
        (folder / how).write_text("")
        _killed(int((await tools["pid"].run()).text))
        assert isinstance((await tools["pid"].run()).error, McpUnavailable)
        assert len(_noted(folder, "starts")) == 1 + ATTEMPTS
        (folder / how).unlink()
        assert not (await tools["pid"].run()).is_error
        assert len(_noted(folder, "starts")) == 2 + ATTEMPTS


async def test_the_connection_is_a_supervised_actor(folder: Path) -> None:
    async with System() as system:
        async with McpServer(_command(folder), system=system) as server:
            pid, once = (next(made for made in server.tools if made.name == name) for name in ("pid", "once"))
            assert server.connection is not None
            assert [node.name for node in system.tree()] == [server.connection.name]
            call = asyncio.ensure_future(once.run())
            await _reached(folder)
            server.connection.kill()
            assert isinstance((await call).error, McpCallLost)
            assert not (await pid.run()).is_error
            assert len(_noted(folder, "starts")) == 2
        assert [node.name for node in system.tree()] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_when_its_system_stops_calls_end_by_name_and_no_process_is_left(folder: Path) -> None:
    async with System() as system, McpServer(_command(folder), system=system) as server:
        pid, once = (next(made for made in server.tools if made.name == name) for name in ("pid", "once"))
        call = asyncio.ensure_future(once.run())
        await _reached(folder)
        await system.stop()
        assert isinstance((await call).error, ToolError)
        assert isinstance((await pid.run()).error, McpUnavailable)
        assert not psutil.pid_exists(_noted(folder, "starts")[0])
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _calling(name: str) -> ChildSpec:
    """A model that calls one tool, and says what came of it."""

    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else [ToolCall("1", name, "{}")]

    return ChildSpec(FunctionModel, (model,), name="model")


async def test_an_agent_is_told_of_a_server_that_was_killed_and_goes_on(folder: Path) -> None:
    async with (
        _connected(folder) as (server, _),
        Agency(Agent("A", tools=server.tools), model=_calling("once")) as team,
    ):
        run = asyncio.ensure_future(team.run("go"))
        await _reached(folder)
        _killed(_noted(folder, "starts")[0])
        assert "may have had its effect" in (await run).text
        assert len(_noted(folder, "calls")) == 1


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_an_agency_that_stops_or_a_run_that_is_cancelled_gives_the_call_up(folder: Path, how: str) -> None:
    async with _connected(folder) as (server, tools):
        async with Agency(Agent("A", tools=server.tools), model=_calling("once")) as agency:
            run = asyncio.ensure_future(agency.run("go"))
            await _reached(folder)
            if how == "cancel":
                run.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await run
        if how == "stop":
            with pytest.raises(AgencyClosed):
                await run
        assert int((await tools["pid"].run()).text) == _noted(folder, "starts")[0]


async def test_closing_ends_calls_at_work(folder: Path) -> None:
    async with System() as system:
        for own in (None, system):
            async with McpServer(_command(folder), system=own) as server:
                once = next(made for made in server.tools if made.name == "once")
                call = asyncio.ensure_future(once.run())
                await _reached(folder)
            assert isinstance((await call).error, ToolError)
            assert not psutil.pid_exists(_noted(folder, "starts")[-1])


async def test_another_event_loop_may_use_the_tools(folder: Path) -> None:
    async with _connected(folder) as (_, tools):
        here = (await tools["pid"].run()).text
        there = await asyncio.to_thread(lambda: asyncio.run(tools["pid"].run()).text)
        assert here == there


async def test_a_call_that_takes_too_long_is_given_up_and_the_connection_goes_on(folder: Path) -> None:
    async with _connected(folder) as (_, tools):
        tools["once"].timeout = 0.5
        call = asyncio.ensure_future(tools["once"].run())
        await _reached(folder)
        assert isinstance((await call).error, ToolTimeout)
        assert int((await tools["pid"].run()).text) == _noted(folder, "starts")[0]


@pytest.mark.parametrize("step", range(0, 60, 6))
async def test_cancelled_at_any_step_of_its_block_a_server_leaves_nothing(folder: Path, step: int) -> None:
    async def use() -> None:
        async with McpServer(_command(folder)) as server:
            await server.tools[0].run()

    before = {child.pid for child in psutil.Process().children()}
    task = asyncio.ensure_future(use())
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {child.pid for child in psutil.Process().children()} <= before
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelled_as_it_closes_a_server_leaves_nothing(folder: Path) -> None:
    for step in range(1, 24, 6):  # a task that is cancelled before its first step never begins
        server = await McpServer(_command(folder)).__aenter__()
        pid = int((await next(made for made in server.tools if made.name == "pid").run()).text)
        task = asyncio.ensure_future(server.__aexit__(None, None, None))
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not psutil.pid_exists(pid)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_server_that_does_not_end_when_it_is_told_to_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("PROCESS_TERMINATION_TIMEOUT", "FORCE_KILL_TIMEOUT"):
        monkeypatch.setattr(f"mcp.client.stdio.{patience}", 0.1)
    (folder / "stubborn").write_text("")
    async with System() as system:
        for own in (None, system):
            async with McpServer(_command(folder), system=own) as server:
                pid = int((await next(made for made in server.tools if made.name == "pid").run()).text)
            assert not psutil.pid_exists(pid)


# -- over HTTP -------------------------------------------------------------------------------------------------------


class _Web:
    """A server over HTTP, which may be killed and started again at its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/mcp"
        self.start()

    def start(self) -> None:
        words = ("-X", f"import={SDK}", "-c", SDK_SERVER, self._folder, self._port)
        with open(os.devnull, "r+b") as nothing:
            self._process = Program(*words, files=(nothing, nothing, nothing))
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                with pytest.raises(TimeoutError):
                    self._process.wait(0.02)  # until it listens
            else:
                return

    def kill(self) -> None:
        self._process.__exit__()


@pytest.fixture(params=["auto", "legacy"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the protocol of 2026 nothing connects one request to another; with those before there is a session."""
    mcp = pytest.importorskip("mcp")
    monkeypatch.setattr("mcp.Client", partial(mcp.Client, mode=request.param))


@pytest.fixture
def web(folder: Path, protocol: None) -> Iterator[_Web]:
    made = _Web(folder)
    yield made
    made.kill()


async def test_a_server_over_http_that_was_restarted_is_used_again(web: _Web) -> None:
    async with McpServer(web.url) as server:
        pid = next(made for made in server.tools if made.name == "pid")
        first = (await pid.run()).text
        web.kill()
        web.start()
        second = await pid.run()
        assert not second.is_error, second.content
        assert second.text != first
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_server_over_http_that_is_gone_is_a_named_error_until_it_is_back(web: _Web) -> None:
    async with McpServer(web.url) as server:
        pid = next(made for made in server.tools if made.name == "pid")
        web.kill()
        for _ in range(2):
            assert isinstance((await pid.run()).error, McpUnavailable)
        web.start()
        assert not (await pid.run()).is_error
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_call_over_http_at_work_when_its_server_is_killed_is_lost_or_made_again(
    folder: Path, web: _Web, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with McpServer(web.url, trust_hints=trusted) as server:
        again = next(made for made in server.tools if made.name == "again")
        call = asyncio.ensure_future(again.run())
        await _reached(folder)
        web.kill()
        web.start()
        result = await call
        if trusted:
            assert result.content == "done"
        else:
            assert isinstance(result.error, McpCallLost)
        assert len(_noted(folder, "calls")) == 1 + trusted
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_call_over_http_that_the_server_refuses_is_not_taken_for_lost(folder: Path, web: _Web) -> None:
    async with McpServer(web.url) as server:
        refuses = next(made for made in server.tools if made.name == "refuses")
        result = await refuses.run()
        assert "not today" in result.text
        assert not isinstance(result.error, McpCallLost)
    assert len(_noted(folder, "refused")) == 1
