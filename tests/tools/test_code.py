from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import psutil
import pytest

from callboard.tools import Tool, tool
from callboard.tools.builtin.code import python_tool
from callboard.tools.code.sandboxes import sandboxes
from callboard.tools.errors import CodeFailed, MissingExtra
from tests.children import command_of

pytest.importorskip("pydantic_monty")


@tool(risk="safe", idempotent=True)
async def add(a: int, b: int = 1) -> int:
    return a + b


@tool
async def lookup(name: str, kind: Literal["a", "b"] = "a", tags: list[str] | None = None) -> dict[str, str]:
    if name == "broken":
        raise ValueError("the index is broken")
    return {name: kind + "".join(tags or [])}


def _workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "monty" in command_of(child)]


async def _run(code: str, made: Tool | None = None) -> str:
    result = await (made or python_tool()).run({"code": code})
    assert not result.is_error, result.content
    return result.text


async def test_it_returns_what_is_printed_and_the_last_value() -> None:
    assert await _run("print('hi')\n6 * 7") == "hi\n42"
    assert await _run("x = 1") == "(no output)"
    assert await _run("import json\njson.dumps([1])") == "[1]"


async def test_nothing_is_kept_between_calls() -> None:
    made = python_tool()
    await _run("x = 1", made)
    assert (await made.run({"code": "x"})).is_error


async def test_code_that_does_not_pass_its_type_check_is_not_run() -> None:
    made = python_tool([lookup])
    for code in ("print('ran')\nx: int = 'a'", "print('ran')\nawait lookup(nme='x')", "print('ran')\ndef f(:"):
        result = await made.run({"code": code})
        assert isinstance(result.error, CodeFailed)
        assert "does not pass its check" in result.content
        assert "\nran" not in result.content


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("while True: pass", "time limit"),
        ("def f(n: int) -> int: return f(n + 1)\nf(0)", "RecursionError"),
        ("import time\ntime.sleep(3000)", "sleep limit"),
        ("import os\nos.listdir('/')", "Permission denied"),
        ("from pathlib import Path\nPath('/etc/passwd').read_text()", "Permission denied"),
        ("import os\nos.environ['HOME']", ""),
        ("import socket", ""),
        ("import subprocess", ""),
    ],
)
async def test_errors_limits_and_attempts_to_get_out_are_shown_to_the_model(code: str, said: str) -> None:
    result = await python_tool(timeout=0.5, max_memory=20_000_000).run({"code": code})
    assert isinstance(result.error, CodeFailed), result.content
    assert said in result.content


async def test_code_that_takes_more_memory_than_it_may_have_is_told_so() -> None:
    # On a busy machine it takes a while until it has taken that much.
    result = await python_tool(timeout=60.0, max_memory=20_000_000).run({"code": "x = [0]\nwhile True: x = x + x"})
    assert isinstance(result.error, CodeFailed), result.content
    assert "memory limit" in result.content


async def test_what_was_printed_before_an_error_is_shown() -> None:
    result = await python_tool().run({"code": "print('so far')\n1 / 0"})
    assert "so far\n" in result.content


async def test_code_may_call_tools_with_checked_arguments() -> None:
    made = python_tool([add, lookup])
    assert await _run("await add(1) + await add(a=3, b=4)", made) == "9"
    code = "import asyncio\nawait asyncio.gather(lookup('x'), lookup('y', kind='b', tags=['t']))"
    assert await _run(code, made) == "[{'x': 'a'}, {'y': 'bt'}]"
    caught = "try:\n    await lookup('broken')\nexcept RuntimeError as e:\n    print(e)"
    assert "the index is broken" in await _run(caught, made)


def test_running_code_is_safe_whatever_it_calls_and_can_be_declared_risky() -> None:
    assert (python_tool().risk, python_tool([add, lookup]).risk, python_tool(risk="risky").risk) == (
        *("safe", "safe"),
        "risky",
    )


PROGRAM = """
import asyncio
from callboard.tools.builtin.code import python_tool

async def main():
    result = await python_tool().run({"code": "6 * 7"})
    print(result.content)

asyncio.run(main())
"""


def test_a_process_that_ran_code_ends_in_order_each_time() -> None:
    for _ in range(12):  # before: an abort in four of ten
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=100
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


STOPPED = """
import asyncio, os
from callboard.tools import tool
from callboard.tools.builtin.code import python_tool

async def main():
    begun = asyncio.Event()

    @tool
    async def tell() -> None:
        begun.set()

    asyncio.ensure_future(python_tool([tell]).run({"code": "await tell()\\nwhile True: pass"}))
    await begun.wait()

asyncio.run(main())
"""


def test_a_process_that_ends_while_code_runs_ends_in_order_and_leaves_no_process() -> None:
    before = {process.pid for process in psutil.process_iter() if "monty" in process.name()}
    done = subprocess.run([sys.executable, "-W", "error", "-c", STOPPED], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    left = [p for p in psutil.process_iter() if "monty" in p.name() and p.pid not in before]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive


def test_every_event_loop_of_the_process_uses_the_one_pool() -> None:
    made = python_tool()
    assert [asyncio.run(_run("1 + 1", made)) for _ in range(3)] == ["2", "2", "2"]
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda n: asyncio.run(_run(f"{n} + 1", made)), range(8)))
    assert told == [str(n + 1) for n in range(8)]
    assert sandboxes()[1] is sandboxes()[1]


async def test_a_sandbox_that_is_killed_is_a_named_error_and_the_next_call_has_another() -> None:
    begun = asyncio.Event()

    @tool
    async def tell() -> None:
        begun.set()

    task = asyncio.ensure_future(python_tool([tell]).run({"code": "await tell()\nwhile True: pass"}))
    await begun.wait()
    for worker in _workers():
        worker.kill()
    assert isinstance((await task).error, CodeFailed)
    assert await _run("1 + 1") == "2"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_is_told_that_it_has_no_sandboxes() -> None:
    asyncio.run(_run("1"))
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        told = b"nothing"
        try:
            sandboxes()
        except CodeFailed:
            told = b"named"
        finally:
            os.write(write, told)
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"named"
    assert os.waitpid(pid, 0)[1] == 0
    assert asyncio.run(_run("1 + 1")) == "2"


async def test_cancelling_ends_the_sandbox() -> None:
    started = asyncio.Event()

    @tool
    async def begun() -> None:
        started.set()

    task = asyncio.ensure_future(python_tool([begun]).run({"code": "await begun()\nwhile True: pass"}))
    await started.wait()
    workers = _workers()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


async def test_a_missing_extra_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    result = await python_tool().run({"code": "1"})
    assert isinstance(result.error, MissingExtra)
    assert "pip install 'callboard[sandbox]'" in result.content
