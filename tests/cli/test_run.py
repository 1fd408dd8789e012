"""What ``callboard run`` takes besides a request, and what it says in the end."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.simulated import SimulatedProvider

from .command import assert_refused, callboard, offline

TEAM = """\
agents:
  Planner: {instructions: Hand the work over to the Developer; do none of it yourself.}
  Developer: {tools: [Grep, Write], autonomy: supervised}
flows: [[Planner, Developer]]
journal: team.db
"""
ASK = "List every TODO and write the report to out.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("TODO: one\n", encoding="utf-8")
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    return tmp_path


def test_a_needed_call_that_is_denied_makes_the_exit_status_1_and_is_named(folder: Path) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", cwd=folder)
    assert done.status == 1, done
    assert "Developer's Write was denied; let it with --approve Write" in done.err
    assert not (folder / "work" / "out.md").exists()


@pytest.mark.parametrize("approve", ["Write", "all"])
def test_calls_that_are_approved_beforehand_are_made(folder: Path, approve: str) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", "--approve", approve, cwd=folder)
    assert done.status == 0, done
    assert "denied" not in done.err
    assert (folder / "work" / "out.md").exists()


def test_a_tool_that_nobody_has_is_not_approved_beforehand(folder: Path) -> None:
    assert_refused(callboard("run", "team.yaml", ASK, "--approve", "Wrte", cwd=folder), "did you mean 'Write'?")
    assert_refused(callboard("run", "team.yaml", ASK, "--approve", "x", cwd=folder), "there are Grep, ", ", all")


def test_a_request_may_come_from_stdin(folder: Path) -> None:
    done = callboard("run", "team.yaml", "--folder", "work", cwd=folder, typed="List every TODO\n")
    assert "a.txt:1" in done.out, done


def test_an_answer_as_json_says_where_it_stands_and_what_was_denied(folder: Path) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", "--json", "--conversation", "c1", cwd=folder)
    assert done.status == 1, done
    said = json.loads(done.out)
    assert "a.txt:1" in said["text"]
    assert (said["conversation"], said["agents"], said["cost"]) == ("c1", ["Planner", "Developer"], 0.0)
    assert said["denied"] == [{"agent": "Developer", "tool": "Write", "reason": "nobody is there to approve it"}]


def test_a_conversation_goes_on_in_the_next_command(folder: Path) -> None:
    for _ in range(2):
        callboard("run", "team.yaml", "hello", "--conversation", "c1", cwd=folder)
    shown = json.loads(callboard("show", "team.db", "Planner/c1", "--json", cwd=folder).out)
    assert len(shown["runs"]) == 2
    assert_refused(callboard("run", "team.yaml", "hello", "--conversation", "a/b", cwd=folder), "a/b")


async def test_a_model_that_is_named_is_used_by_all_agents(folder: Path) -> None:
    async with SimulatedProvider(Completion(Message("assistant", "hello"), "stop", Usage(3, 4))) as server:
        mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: usual}}}}\n"
        (folder / "team.yaml").write_text(TEAM + mine, encoding="utf-8")
        done = await asyncio.to_thread(
            callboard, "run", "team.yaml", "hi", "--model", "mine:other", "--json", cwd=folder
        )
        assert done.status == 0, done
        assert [body["model"] for _, body in server.log] == ["other"]
    assert json.loads(done.out)["cost"] is None, "nobody knows the price"
    assert "3 + 4 tokens, price unknown" in done.err
    assert_refused(callboard("run", "team.yaml", "hi", "--model", "gpt-5", cwd=folder), "gpt-5")


async def test_a_stop_during_the_first_request_says_only_that_it_was_stopped(folder: Path) -> None:
    asked = asyncio.Event()

    async def hangs(request: Request) -> Completion:
        asked.set()
        never: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        return await never

    async with SimulatedProvider(hangs) as server:
        mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: usual}}}}\n"
        (folder / "team.yaml").write_text(TEAM + mine, encoding="utf-8")
        main = "import sys; from callboard.actors.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", main, "run", "team.yaml", "hi"]
        process = subprocess.Popen(  # noqa: ASYNC220
            command, cwd=folder, env=offline(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        await asyncio.wait_for(asked.wait(), 60)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate)
    assert (process.returncode, out) == (130, "")
    assert [line.split("  ")[-1] for line in err.splitlines()][-1] == "the run was cancelled: its caller was cancelled"
    assert "Unclosed" not in err
    assert "Traceback" not in err
