"""``callboard mcp``: a team over standard input and output, used by the SDK's own client."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp
import mcp_types as types
import pytest
from mcp.client.stdio import StdioServerParameters

from .command import assert_refused, callboard, offline

TEAM = """\
agents:
  Helper:
    description: Helps.
    instructions: Do it.
    tools: [LS, Grep]
    autonomy: autonomous
"""
MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_team_is_offered_over_stdio(tmp_path: Path, mode: str) -> None:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    (tmp_path / "a.txt").write_text("TODO: one\n", encoding="utf-8")
    command = StdioServerParameters(
        command=sys.executable, args=["-c", MAIN, "mcp", "team.yaml"], env=offline(), cwd=str(tmp_path)
    )
    async with mcp.Client(command, mode=mode) as client:
        (offered,) = (await client.list_tools()).tools
        assert (offered.name, offered.description) == ("ask_Helper", "Helps.")
        result = await client.call_tool("ask_Helper", {"message": "List every TODO"})
        assert not result.is_error
        assert isinstance(result.content[0], types.TextContent)
        assert "a.txt" in result.content[0].text


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text("agents: 5\n", encoding="utf-8")
    assert_refused(callboard("mcp", "team.yaml", cwd=tmp_path), "team.yaml")
    assert_refused(callboard("mcp", "none.yaml", cwd=tmp_path), "none.yaml")


INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, at work."""
    (folder / "team.yaml").write_text(TEAM, encoding="utf-8")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", MAIN, "mcp", "team.yaml"], cwd=folder, env=offline(), **pipes) as one:
        try:
            assert "result" in said(one, json.dumps(INITIALIZE).encode())
            yield one
        finally:
            one.kill()


def said(one: subprocess.Popen[bytes], line: bytes) -> dict[str, Any]:
    """The answer to a line."""
    assert one.stdin is not None
    assert one.stdout is not None
    one.stdin.write(line + b"\n")
    one.stdin.flush()
    answer: dict[str, Any] = json.loads(one.stdout.readline())
    return answer


def test_what_is_no_message_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    with started(tmp_path) as one:
        for line, code in (
            (b"no json", -32700),
            (b"\xff\xfe", -32700),
            (b"[" * 100_000, -32700),
            (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
            (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
        ):
            assert said(one, line)["error"]["code"] == code
        call = b'{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "none \\ud800"}}'
        assert said(one, call)["error"]["code"] == types.INVALID_PARAMS
        assert said(one, b'\n{"jsonrpc": "2.0", "id": 3, "method": "ping"}') == {
            "jsonrpc": "2.0",
            "id": 3,
            "result": {},
        }


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_when_it_is_told_to_though_its_input_is_open(tmp_path: Path, number: int, status: int) -> None:
    with started(tmp_path) as one:
        one.send_signal(number)
        assert one.wait(30) == status
        assert one.stderr is not None
        assert b"Traceback" not in one.stderr.read()


def test_it_ends_quietly_where_nobody_reads_its_answers(tmp_path: Path) -> None:
    with started(tmp_path) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        assert one.stderr is not None
        one.stdout.close()
        one.stdin.write(b'{"jsonrpc": "2.0", "id": 2, "method": "ping"}\n')
        one.stdin.flush()
        assert one.wait(30) == 0
        assert one.stderr.read() == b""


def test_where_the_input_ends_it_has_done_all_that_was_asked(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    assert callboard("mcp", "team.yaml", cwd=tmp_path).status == 0
