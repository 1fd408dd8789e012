"""What a user does wrong, or meets, is told with what to do about it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .command import assert_refused, callboard, offline

MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"
TEAM = "agents:\n  Lead: {instructions: lead, tools: [Write], autonomy: supervised}\nproviders: {offline: {}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", ".", "find", "every", "TODO"), 'put the request in quotes: callboard run TEAM.yaml "find every TODO"'),
        (("chat", ".", "more"), "put words that belong together in quotes, or see callboard chat --help"),
        (("help",), "write it behind the command: callboard --help"),
        (("help", "run"), "write it behind the command: callboard run --help"),
        (("--hlp",), "unknown option --hlp; did you mean --help?"),
        (("run", ".", "-"), "what is left out may be read from stdin, see callboard run --help"),
        (("journal", "prune", "a.db", "--finished", "30"), "--finished: a time has a unit, as in 30d, 12h or 90m"),
        (("keys", "add", "a.db", "--user", "u", "--expires", "soon"), "--expires: a time has a unit, as in 30d"),
        (("run", ".", "hi", "--conversation", "c1"), "write `journal: conversations.db` into it"),
    ],
)
def test_a_wrong_command_line_is_told_what_to_write(folder: Path, words: tuple[str, ...], said: str) -> None:
    assert_refused(callboard(*words, cwd=folder), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "agentz:\n  A: {instructions: a}\nproviders: {offline: {}}\n",
            "line 1: agentz: unknown entry; did you mean 'agents'?",
        ),
        (
            "agents:\n  A:\n    instructions: be brief: always\n",
            "line 3: expected valid YAML; mapping values are not allowed here: put a text that has a colon",
        ),
        ("agents:\n  A:\n\tinstructions: x\n", "indent with spaces, not with tabs"),
        ("agents:\n  A:\n    instructions: @all be brief\n", "put a text that begins with this character in quotes"),
        ("agents:\n  A:\n    instructions: 'x\n", "a quote or a bracket is not closed"),
        ("agents:\n  A:\n    instructions: x\n   tools: [LS]\n", "what belongs together begins in the same column"),
        (
            "config: llm.yaml\nagents:\n  A: {instructions: a}\n",
            "team.yaml, line 1: config: expected a file beside this one; there is no llm.yaml",
        ),
        ("agents:\n  A: {limits: {steps: 0}}\n", "steps is 0; expected at least 1"),
        (
            "agents:\n  A: {model: gpt-9}\nproviders:\n  a: {base_url: 'http://127.0.0.1:1/v1', api_key: any, "
            "models: [a-1, a-2]}\n",
            "set OPENAI_API_KEY, or use one that is there: a-1, a-2",
        ),
        (
            "agents:\n  A: {mcp: [clock]}\nproviders: {offline: {}}\nmcp_servers:\n  clock: "
            "{command: [no-such-program, --key, sesame]}\n",
            "team.yaml, line 5: mcp_servers.clock: the MCP server cannot be used: ",
        ),
    ],
)
def test_a_wrong_file_is_told_what_to_write(folder: Path, text: str, said: str) -> None:
    (folder / "team.yaml").write_text(text, encoding="utf-8")
    done = callboard("run", "team.yaml", "hi", cwd=folder)
    assert_refused(done, said)
    assert "sesame" not in done.err


def test_an_endpoint_that_is_not_there_is_told_with_its_address(folder: Path) -> None:
    (folder / "team.yaml").write_text(
        "agents:\n  A: {instructions: a}\nproviders:\n  a: {base_url: 'http://me:sesame@127.0.0.1:1/v1', api_key: any, "
        "default_model: a-1, retry: {attempts: 1}}\n",
        encoding="utf-8",
    )
    done = callboard("run", "team.yaml", "hi", cwd=folder)
    assert done.status == 1, done
    assert "a cannot be reached at http://127.0.0.1:1 (" in done.err
    assert "sesame" not in done.err


SERVER = """
import sys, pathlib
from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")

@server.tool()
def now() -> str:
    "Tell the time."
    return "twelve"

pathlib.Path("started").touch()
server.run()
"""


def test_the_command_of_an_mcp_server_starts_beside_the_team_file(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "clock.py").write_text(SERVER, encoding="utf-8")
    (folder / "team.yaml").write_text(
        "agents:\n  A: {instructions: a, mcp: [clock]}\nproviders: {offline: {}}\n"
        f"mcp_servers:\n  clock: {{command: ['{sys.executable}', clock.py], trusted: true}}\n",
        encoding="utf-8",
    )
    done = callboard("run", folder, "hi", cwd=tmp_path_factory.mktemp("elsewhere"))
    assert done.status == 0, done
    assert (folder / "started").exists()


def test_a_call_that_nobody_could_be_asked_about_was_denied_by_no_person(folder: Path) -> None:
    done = callboard("run", "team.yaml", 'Write "x" into a.txt', cwd=folder)
    assert done.status == 1, done
    assert "Denied: nobody is there to approve it" in done.err + done.out
    assert "by a person" not in done.err + done.out


def test_an_editors_agent_whose_stdin_nobody_writes_to_is_refused(folder: Path) -> None:
    command = [sys.executable, "-c", MAIN, "acp", "team.yaml"]
    done = subprocess.run(
        command, cwd=folder, env=offline(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert "stdin and stdout are to be pipes: nobody can write to stdin" in done.stderr


def test_a_simulated_provider_that_is_ended_as_it_says_has_done_its_work(folder: Path) -> None:
    command = [sys.executable, "-u", "-c", MAIN, "simulate-provider", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, env=offline(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(4)]
        assert "in a team file: providers: {trial: {base_url: " in said[3]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


TOOLS = """
import asyncio, pathlib
from callboard import tool

@tool
async def dig() -> str:
    "Dig."
    if not pathlib.Path("dug").exists():
        pathlib.Path("dug").touch()
        await asyncio.Event().wait()
    return "dug"
"""


def test_what_a_killed_run_left_is_marked_in_the_next_one(folder: Path) -> None:
    (folder / "digging.py").write_text(TOOLS, encoding="utf-8")
    (folder / "team.yaml").write_text(
        "agents:\n  Lead: {instructions: lead, tools: ['digging:dig']}\nproviders: {offline: {}}\njournal: team.db\n",
        encoding="utf-8",
    )
    words = ["run", "team.yaml", "dig", "--import-from", ".", "--conversation", "first"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], cwd=folder, env=offline(), stderr=subprocess.PIPE
    ) as it:
        while not (folder / "dug").exists() and it.poll() is None:
            time.sleep(0.01)
        it.kill()
    done = callboard("run", "team.yaml", "hello there", "--import-from", ".", cwd=folder)
    assert done.status == 0, done
    assert "(of an earlier run)" in done.err, done.err
    ends = [line for line in done.err.splitlines() if " you ← " in line]
    assert len([line for line in ends if "(of an earlier run)" not in line]) == 1, done.err
    assert not [line for line in done.err.splitlines() if "hello there" in line and "(of an earlier run)" in line]


def test_top_ends_on_q(folder: Path) -> None:
    env = {**offline(), "TMPDIR": str(folder), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    chat = subprocess.Popen(
        [sys.executable, "-c", MAIN, "chat", "team.yaml"],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert chat.stdout is not None
        assert chat.stdout.readline()
        ours, terminal = pty.openpty()
        command = [sys.executable, "-c", MAIN, "top"]
        with subprocess.Popen(command, cwd=folder, env=env, stdin=terminal, stdout=terminal) as top:
            os.close(terminal)
            said = b""
            while b"actors" not in said:
                said += os.read(ours, 1 << 16)
            os.write(ours, b"q")
            while True:  # what it says must be read, or it never ends
                try:
                    if not os.read(ours, 1 << 16):
                        break
                except OSError:
                    break
            assert top.wait() == 0
        os.close(ours)
    finally:
        chat.kill()
        chat.communicate()


def test_the_help_shows_no_option_that_says_nothing(folder: Path) -> None:
    shown = callboard("keys", "add", "--help", cwd=folder).out + callboard("journal", "prune", "--help", cwd=folder).out
    for words in ("--no-json", "--empty-scope", "[default: ()]", "1:00:00", '[default: ""]'):
        assert words not in shown
    assert "[default: 1h]" in shown
