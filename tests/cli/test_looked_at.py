"""What other commands of the same user see of a team of a file: ``callboard dashboard`` shows each, as ``top`` does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .command import assert_refused, callboard, offline

MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"
STANDS = """
import asyncio, sys
from pathlib import Path
from callboard import tool

@tool
async def dig() -> str:
    "Dig."
    Path("digs").touch()
    await asyncio.Event().wait()
"""
TEAM = "agents:\n  Digger: {instructions: dig, tools: ['stands:dig']}\nproviders: {offline: {}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    (tmp_path / "stands.py").write_text(STANDS, encoding="utf-8")
    return tmp_path


@contextmanager
def begun(folder: Path, *words: str, until: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """A command, once it has said something on stderr or stdout."""
    everything = {**offline(), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **env}
    command = [sys.executable, "-c", MAIN, *words]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=everything,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if found := re.search(until, line):
                    break
            else:
                raise AssertionError(f"it never said {until!r}: {said}")
            yield process, found
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("words", "until"),
    [
        (("chat", "team.yaml"), r"\S"),
        (("serve", "team.yaml", "--port", "0"), "serving"),
        (("run", "team.yaml", "dig", "--import-from", "."), "Digger"),
    ],
)
def test_a_team_of_a_file_is_shown_in_a_browser(folder: Path, words: tuple[str, ...], until: str) -> None:
    if words[0] != "run":
        words = (*words, "--import-from", ".")
    said = r"process (\d+): (http://127\.0\.0\.1:\d+/)#key=([\w-]{43})$"
    with begun(folder, *words, until=until) as (team, _), begun(folder, "dashboard", until=said) as (_, found):
        assert int(found[1]) == team.pid
        headers = {"authorization": f"Bearer {found[3]}"}
        with httpx.Client(base_url=found[2], headers=headers, timeout=120, trust_env=False) as client:
            me = client.get("api/me")
            assert me.status_code == 200, me.text
            assert me.json()["agents"] == ["Digger"]
            assert client.get("api/me", headers={"authorization": ""}).status_code == 401


def test_workers_of_one_team_are_one_to_the_dashboard(folder: Path) -> None:
    (folder / "team.yaml").write_text(TEAM + "journal: team.db\n", encoding="utf-8")
    words = ("serve", "team.yaml", "--port", "0", "--workers", "2", "--import-from", ".")
    said = r"process (\d+): (http://127\.0\.0\.1:\d+/)#key=([\w-]{43})$"
    with begun(folder, *words, until="serving") as (team, _):
        try:
            with begun(folder, "dashboard", until=said) as (_, found):
                assert int(found[1]) != team.pid
        finally:
            team.send_signal(signal.SIGTERM)
            team.wait()


def test_what_to_start_is_said_where_nothing_runs(folder: Path) -> None:
    done = callboard("dashboard", cwd=folder, env={"TMPDIR": str(folder)})
    assert_refused(done, "no running team shows a dashboard; start one with: callboard chat TEAM.yaml")


def test_nobody_else_can_enter_where_a_team_is_seen(folder: Path) -> None:
    with begun(folder, "serve", "team.yaml", "--port", "0", "--import-from", ".", until="serving") as (team, _):
        (place,) = folder.glob("callboard-*")
        assert place.stat().st_mode & 0o077 == 0
        assert {path.name for path in place.iterdir()} == {f"{team.pid}.sock", f"{team.pid}.dashboard"}
        team.send_signal(signal.SIGTERM)
        assert team.wait() == 0
        assert not list(place.iterdir())


@pytest.mark.parametrize("ignored", [False, True])
def test_one_process_that_serves_drains_where_its_terminal_is_closed(folder: Path, ignored: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)  # as nohup does
    try:
        with begun(folder, "serve", "team.yaml", "--port", "0", "--import-from", ".", until=r"at (http\S+);") as (
            it,
            at,
        ):
            it.send_signal(signal.SIGHUP)
            if ignored:
                assert httpx.get(f"{at[1]}/healthz", timeout=120, trust_env=False).status_code == 200
                os.kill(it.pid, signal.SIGTERM)
            assert it.wait() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_is_said_to_be_served_that_does_not_start(folder: Path) -> None:
    (folder / "stands.py").write_text(STANDS + BROKEN, encoding="utf-8")
    skill = "agents:\n  A: {instructions: a, skills: ['stands:Broken']}\nproviders: {offline: {}}\n"
    (folder / "team.yaml").write_text(skill, encoding="utf-8")
    done = callboard("serve", "team.yaml", "--port", "0", "--import-from", ".", cwd=folder)
    assert_refused(done, "skill broken could not be initialized: ConnectionError: nobody there")
    assert "serving" not in done.err


BROKEN = """
from callboard import Skill

class Broken(Skill):
    name = "broken"

    async def initialize(self, context):
        raise ConnectionError("nobody there")
"""
SERVER = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")

@server.tool()
def now() -> str:
    "Tell the time."
    return "twelve"

server.run()
"""


@pytest.mark.parametrize(
    "command",
    [("run", "team.yaml", "hi"), ("chat", "team.yaml"), ("mcp", "team.yaml"), ("serve", "team.yaml", "--port", "0")],
)
def test_why_a_team_with_a_journal_and_servers_does_not_start_is_said(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "stands.py").write_text(STANDS + BROKEN, encoding="utf-8")
    (folder / "clock.py").write_text(SERVER, encoding="utf-8")
    (folder / "team.yaml").write_text(
        "agents:\n  A: {instructions: a, skills: ['stands:Broken'], mcp: [clock]}\nproviders: {offline: {}}\n"
        f"mcp_servers:\n  clock: {{command: ['{sys.executable}', clock.py]}}\njournal: team.db\n",
        encoding="utf-8",
    )
    done = callboard(*command, "--import-from", ".", cwd=folder)
    assert_refused(done, "skill broken could not be initialized: ConnectionError: nobody there")
