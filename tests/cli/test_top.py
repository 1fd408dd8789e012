"""``callboard top`` and ``callboard tree``, of an agency in a program of its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .command import assert_refused, callboard, offline

PROGRAM = """
import asyncio
from callboard import (
    Agency, Agent, Caller, ChildSpec, Completion, Limits, Message, ToolCall, Usage, tool, watchable
)
from callboard.actors.testing.doubles.models import FunctionModel

@tool
async def dig() -> str:
    "Dig."
    await asyncio.Event().wait()

def model(request):
    call = ToolCall("1", "dig", "{}")
    return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 5), cost=0.25)

async def main():
    agents = (
        Agent("Digger", "digs", tools=[dig]),
        Agent("Careful", "asks", tools=[dig], autonomy="supervised"),
        Agent("Spent", "asks for more", tools=[dig], limits=Limits(cost=0.1, ask=True)),
    )
    caller = Caller("a\\x1b[31mb", "acme")
    async with Agency(*agents, model=ChildSpec(FunctionModel, (model,), name="model")) as agency, watchable(agency):
        runs = [asyncio.ensure_future(agency.run("go", agent=agent, conversation="c", caller=caller))
                for agent in agents]
        while {run.doing for run in agency.under_way()} != {"tools", "person", "limits"}:
            await asyncio.sleep(0)
        print("ready", flush=True)
        await asyncio.to_thread(input)

asyncio.run(main())
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    env = {**offline(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        yield program
        program.kill()


def test_what_a_team_does_is_shown_from_another_terminal(running: subprocess.Popen[str], tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path), "COLUMNS": "200"}
    done = callboard("top", cwd=tmp_path, env=env)
    assert done.status == 0, done
    lines = [line.split() for line in done.out.splitlines()]
    rows = {line[0]: line[1:10] for line in lines if len(line) > 8}
    assert rows["Digger"] == ["c", "dig", "a\\x1b[31mb", "of", "acme", "1", "15", "$0.2500", *rows["Digger"][8:]]
    assert rows["Careful"] == ["c", "person:", "dig", "a\\x1b[31mb", "of", "acme", "1", "15", "$0.2500"]
    assert rows["Spent"] == ["c", "person:", "more", "than", "its", "limits", "a\\x1b[31mb", "of", "acme"]
    assert any(line[:3] == ["Careful", "dig", "c"] for line in lines)
    assert "\x1b" not in done.out
    assert f"(process {running.pid})" in done.out
    assert "├── Digger  AgentActor" in done.out
    tree = callboard("tree", str(running.pid), cwd=tmp_path, env=env)
    assert tree.out.splitlines()[1:3] == ["├── model  FunctionModel", "└── agency  AgencyActor"]
    assert "    ├── Digger  AgentActor" in tree.out


def test_a_program_that_was_killed_or_does_not_answer_is_said_so(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    env = {"TMPDIR": str(tmp_path)}
    os.kill(running.pid, 19)  # SIGSTOP
    assert_refused(callboard("top", cwd=tmp_path, env=env), "does not answer")
    assert f"process {running.pid} does not answer" in callboard("tree", cwd=tmp_path, env=env).out
    os.kill(running.pid, 9)
    running.wait()
    assert_refused(callboard("top", cwd=tmp_path, env=env), "no running team")
    assert_refused(callboard("tree", "1", cwd=tmp_path, env=env), "no running team in process 1")


def test_of_several_one_is_named_and_what_shows_them_is_said(running: subprocess.Popen[str], tmp_path: Path) -> None:
    env = {**offline(), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM.replace("Digger", "Baker")]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        said = callboard("top", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
        trees = callboard("tree", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}).out
        other.kill()
    assert_refused(said, "several run; name one: callboard top", f"{running.pid}", "callboard tree shows what each is")
    assert "Digger" in trees
    assert "Baker" in trees


def test_a_program_that_is_stopped_is_looked_at_until_it_goes_on(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    whole = callboard("top", cwd=tmp_path, env={"TMPDIR": str(tmp_path), "COLUMNS": "150"}).out.splitlines()
    least = len(whole) + 3  # the terminal's lines in which all of it has room, with some to spare for its two tables
    env = {**offline(), "TMPDIR": str(tmp_path), "TERM": "xterm", "COLUMNS": "150", "LINES": f"{least}"}
    ours, terminal = pty.openpty()
    main = "import sys; from callboard.actors.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "top", "--interval", "0.1"]

    def shown(words: str) -> str:
        said = b""
        while words.encode() not in said:
            said += os.read(ours, 65_536)
        return said.decode(errors="replace")

    with subprocess.Popen(command, env=env, stdin=terminal, stdout=terminal, stderr=terminal) as looker:
        os.close(terminal)
        try:
            assert "… and" not in shown("AgencyActor") + shown("$")
            os.kill(running.pid, 19)  # SIGSTOP
            shown("does not answer")
            shown("does not answer")
            os.kill(running.pid, 18)  # SIGCONT
            shown("Digger")
            running.kill()
            shown("it has ended")
            assert looker.wait() == 0
        finally:
            looker.kill()
            os.close(ours)


def test_on_a_terminal_of_few_lines_it_is_said_how_much_more_there_is(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    env = {**offline(), "TMPDIR": str(tmp_path), "TERM": "xterm", "COLUMNS": "150", "LINES": "9"}
    ours, terminal = pty.openpty()
    main = "import sys; from callboard.actors.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "top", str(running.pid), "--interval", "0.1"]
    with subprocess.Popen(command, env=env, stdin=terminal, stdout=terminal, stderr=terminal) as looker:
        os.close(terminal)
        try:
            said = ""
            while said.count("dead letters") < 3:
                said += os.read(ours, 65_536).decode(errors="replace")
        finally:
            looker.kill()
            os.close(ours)
    assert "… and 1 more" in said, "of two runs one is shown"


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    assert_refused(callboard("top", "--interval", "0", cwd=tmp_path, env=env), "--interval is a number of seconds")
    folder = tmp_path / f"callboard-{os.getuid()}"
    folder.chmod(0o777) if folder.exists() else folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    assert_refused(callboard("top", cwd=tmp_path, env=env), "is not this user's alone")
