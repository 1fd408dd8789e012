"""Tools in processes of their own: nothing they compute holds the loop up, and what nobody waits for is killed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from callboard import ToolContext
from callboard.actors.testing import simulate
from callboard.tools import ToolCrashed, ToolDefinitionError, ToolTimeout, tool
from callboard.tools.errors import NotPicklable, ProcessDied

from .computing import Point, doubled, fails, moved, spins, spins_on, takes, where


async def test_it_runs_in_another_process_which_is_kept() -> None:
    first, second = (await where.run({"n": 1})).value, (await where.run({"n": 2})).value
    assert [first[1], second[1]] == [1, 2]
    assert first[0] == second[0] != os.getpid()


async def test_called_as_a_function_it_runs_here() -> None:
    assert where(n=3) == [os.getpid(), 3]


async def test_arguments_are_checked_here_and_values_cross_as_they_are() -> None:
    result = await moved.run('{"point": {"x": 1, "y": 2}}')
    assert result.value == Point(2, 3)
    assert result.text == '{"x":2,"y":3}'
    assert "point.x: Input should be a valid integer" in (await moved.run('{"point": {"x": "a", "y": 2}}')).text


async def test_many_calls_at_once_are_all_answered() -> None:
    results = await asyncio.gather(*(where.run({"n": n}) for n in range(20)))
    assert [result.value[1] for result in results] == list(range(20))
    assert len({result.value[0] for result in results}) <= max(os.cpu_count() or 1, 1)


async def test_what_it_raises_is_raised_here_with_where_it_was() -> None:
    told = await fails.run({"how": "told"})
    assert told.text == "Error (ToolError): the disk is full"
    crashed = await fails.run({"how": "index"})
    assert isinstance(crashed.error, ToolCrashed)
    assert isinstance(crashed.error.__cause__, IndexError)
    assert "in fails" in crashed.error.__cause__.__notes__[0]
    stubborn = await fails.run({"how": "stubborn"})
    assert stubborn.text == "Error (ToolCrashed): Stubborn: all wrong"
    assert (await fails.run({"how": "exits"})).text == "Error (ToolCrashed): SystemExit: 3"
    assert "StopIteration" in (await fails.run({"how": "ends"})).text


async def test_a_process_that_dies_fails_its_call_by_name_and_is_replaced() -> None:
    died = await fails.run({"how": "dies"})
    assert isinstance(died.error, ProcessDied)
    assert "the process of fails died: it ended with status 7" in died.text
    assert not (await where.run({"n": 1})).is_error


async def test_a_process_that_was_killed_while_it_was_idle_costs_no_call() -> None:
    pid = (await where.run({"n": 1})).value[0]
    os.kill(pid, 9)
    assert (await where.run({"n": 2})).value[1] == 2


async def test_what_cannot_be_sent_is_named() -> None:
    given = await takes.run({"what": threading.Lock()})
    assert isinstance(given.error, NotPicklable)
    assert "the arguments of takes cannot be sent to its process" in given.text
    back = await fails.run({"how": "lock"})
    assert isinstance(back.error, NotPicklable)
    assert "what fails returned, a lock, cannot be sent" in back.text


async def written(path: Path) -> None:
    """Wait until something stands in a file."""
    for _ in range(100_000):
        if await asyncio.to_thread(lambda: path.exists() and path.stat().st_size):
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never began")


async def gone(pid: int) -> None:
    """Wait until a child is."""
    for _ in range(10_000):
        if all(child.pid != pid for child in multiprocessing.active_children()):
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it goes on")


async def test_at_its_timeout_it_is_killed(tmp_path: Path) -> None:
    result = await spins.run({"path": str(tmp_path / "pid")})
    assert isinstance(result.error, ToolTimeout)
    # The start of a process does not count: it has begun.
    await gone(int((tmp_path / "pid").read_text()))


async def test_when_its_caller_gives_up_it_is_killed(tmp_path: Path) -> None:
    task = asyncio.ensure_future(spins_on.run({"path": str(tmp_path / "pid")}))
    await written(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(int((tmp_path / "pid").read_text()))


async def waits(n: int) -> int:
    return n


def test_only_a_plain_function_of_a_module_can_be_one() -> None:
    def inner(n: int) -> int:
        return n

    for wrong in (inner, lambda n: n, Point(1, 2).__eq__):
        with pytest.raises(ToolDefinitionError, match="cannot run in a process of its own"):
            tool(process=True, name="x")(wrong)
    with pytest.raises(ToolDefinitionError, match="is a plain `def`"):
        tool(process=True)(waits)
    with pytest.raises(ToolDefinitionError, match="tool 'doubled': process is 'yes'; expected True or False"):
        tool(process="yes")(doubled)  # type: ignore[call-overload]


def with_context(context: ToolContext[Any], n: int) -> int:
    return n


def test_a_context_cannot_follow_it() -> None:
    made = tool(process=True)(with_context)
    with pytest.raises(ToolDefinitionError, match="where its call's ToolContext cannot follow"):
        _ = made.spec


def test_in_a_simulation_it_runs_inline() -> None:
    made = tool(process=True)(doubled)

    async def scenario(sim: Any) -> None:
        assert (await made.run({"n": 2})).value == 4
        assert (await where.run({"n": 2})).value == [os.getpid(), 2]

    simulate(scenario, seeds=2)


def test_a_program_may_declare_one_and_ends_while_it_computes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import asyncio, os, sys
from callboard.tools import tool

@tool(process=True)
def other() -> int:
    return os.getpid()

@tool(process=True, timeout=None)
def spins(begun: str) -> None:
    open(begun, "w").close()
    while True:
        pass

async def main() -> None:
    print((await other.run()).value != os.getpid())
    asyncio.ensure_future(spins.run({"begun": sys.argv[1]}))
    while not os.path.exists(sys.argv[1]):
        await asyncio.sleep(0.01)

if __name__ == "__main__":
    asyncio.run(main())
""",
        encoding="utf-8",
    )
    command = [sys.executable, str(program), str(tmp_path / "begun")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "True", "")
