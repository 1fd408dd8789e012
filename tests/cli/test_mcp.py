"""``callboard mcp``: a team over standard input and output, used by the SDK's own client."""

from __future__ import annotations

import sys
from pathlib import Path

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
