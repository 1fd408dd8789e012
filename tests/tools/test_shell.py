from __future__ import annotations

import asyncio
import os
import select
import sys
from pathlib import Path

import psutil
import pytest

from callboard.tools import Tool, ToolTimeout
from callboard.tools.builtin.shell import bash_tool
from callboard.tools.errors import CommandFailed, NoSuchPath

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes by Linux's pidfd")


@pytest.fixture
def bash(tmp_path: Path) -> Tool:
    return bash_tool(tmp_path, timeout=60)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _gone(pids: list[int]) -> bool:
    """Whether each process ends; a killed one may take a moment. One that nobody reaps yet has ended, too."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], 10)[0]:
                return False
        finally:
            os.close(descriptor)
    return True


async def _pids(folder: Path, count: int) -> list[int]:
    """Wait until a command has written its processes' ids into the named pipe ``pids``."""

    def read() -> list[int]:
        with open(folder / "pids") as pipe:
            return [int(pipe.readline()) for _ in range(count)]

    return await asyncio.to_thread(read)


# A shell, a child, and a grandchild that ignores gentle signals, each telling its id.
_FAMILY = """
exec 3> pids
echo $$ >&3
bash -c 'trap "" TERM INT HUP; echo $$ >&3; sleep 1000 & echo $! >&3; wait' &
wait
"""


async def test_output_of_both_streams_comes_in_order(bash: Tool, tmp_path: Path) -> None:
    result = await bash.run({"command": "echo one; echo two >&2; pwd"})
    assert result.content == f"one\ntwo\n{os.path.realpath(tmp_path)}"  # noqa: ASYNC240
    assert (await bash.run({"command": "true"})).content == "(no output)"


async def test_a_failure_shows_the_output_and_the_status(bash: Tool) -> None:
    result = await bash.run({"command": "echo broken; exit 3"})
    assert isinstance(result.error, CommandFailed)
    assert result.text.endswith("broken\n[exit status 3]")
    assert "[ended by signal 15]" in (await bash.run({"command": "kill -TERM $$"})).content


async def test_cancelling_kills_the_whole_process_group(bash: Tool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pids")
    task = asyncio.ensure_future(bash.run({"command": _FAMILY}))
    pids = await _pids(tmp_path, 3)
    assert all(_is_alive(pid) for pid in pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _gone(pids)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_timeout_kills_the_whole_process_group_and_shows_what_was_printed(bash: Tool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pids")
    task = asyncio.ensure_future(bash.run({"command": "echo so far" + _FAMILY, "timeout": 2.0}))
    pids = await _pids(tmp_path, 3)
    result = await task
    assert isinstance(result.error, CommandFailed)
    assert "so far\n[stopped after 2 seconds]" in result.content
    assert _gone(pids)


async def test_the_tools_own_timeout_kills_the_group_too(bash: Tool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pids")
    bash.timeout = 2.0
    task = asyncio.ensure_future(bash.run({"command": _FAMILY}))
    pids = await _pids(tmp_path, 3)
    assert isinstance((await task).error, ToolTimeout)
    assert _gone(pids)


async def test_what_was_put_in_the_background_ends_with_the_call(bash: Tool) -> None:
    result = await bash.run({"command": "sleep 1000 & echo $!"})
    assert _gone([int(result.text)])


async def test_a_process_that_leaves_its_group_is_not_waited_for(bash: Tool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pids")
    task = asyncio.ensure_future(
        bash.run({"command": "exec 3> pids; (setsid sh -c 'echo $$ >&3; exec sleep 1000' &); read -t 50 line < done"})
    )
    os.mkfifo(tmp_path / "done")
    (pid,) = await _pids(tmp_path, 1)
    await asyncio.to_thread((tmp_path / "done").write_text, "\n")
    try:
        assert (await asyncio.wait_for(task, 30)).content == "(no output)"
    finally:
        psutil.Process(pid).kill()


@pytest.mark.parametrize("step", range(12))
async def test_a_command_cancelled_at_any_step_leaves_no_process(bash: Tool, step: int) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    task = asyncio.ensure_future(bash.run({"command": "sleep 1000"}))
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = [process.pid for process in psutil.Process().children(recursive=True) if process.pid not in before]
    assert _gone(left)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_long_output_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    bash = bash_tool(tmp_path, max_output=1_000)
    result = await bash.run({"command": "seq 1 100000"})
    assert len(result.content) < 1_200
    assert result.text.startswith("1\n2\n3\n")
    assert result.text.endswith("99999\n100000")
    assert "bytes left out" in result.content


async def test_endless_output_is_stopped(bash: Tool) -> None:
    result = await bash.run({"command": "yes"})
    assert isinstance(result.error, CommandFailed)
    assert "bytes of output]" in result.content


async def test_a_memory_limit_holds(tmp_path: Path) -> None:
    bash = bash_tool(tmp_path, max_memory=300_000_000)
    result = await bash.run({"command": "python3 -c 'x = bytearray(10**9)'"})
    assert "MemoryError" in result.content
    assert (await bash.run({"command": "echo fine"})).content == "fine"


async def test_keys_in_our_environment_do_not_reach_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    bash = bash_tool(tmp_path, environment={"COLOUR": "red"})
    printed = (await bash.run({"command": "env"})).content
    assert "sk-secret" not in printed
    assert "COLOUR=red" in printed
    assert "PATH=" in printed


async def test_a_command_has_no_input_to_wait_for(bash: Tool) -> None:
    assert (await bash.run({"command": "cat"})).content == "(no output)"


async def test_the_models_timeout_cannot_exceed_ours(tmp_path: Path) -> None:
    bash = bash_tool(tmp_path, timeout=0.2)
    assert "stopped after 0.2 seconds" in (await bash.run({"command": "sleep 1000", "timeout": 5000})).content


def test_a_folder_that_does_not_exist_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPath):
        bash_tool(tmp_path / "nowhere")
