"""Programs that call functions: namespaces, several calls at once, what is out of reach, what is bounded."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from callboard.testing import simulate
from callboard.tools import ToolDefinitionError, ToolError, ToolResult, tool, tool_from_schema
from callboard.tools.code.library import Library
from callboard.tools.code.program import Bounds, Ran, run_program
from callboard.tools.errors import CodeFailed
from tests.cli.command import ROOT

pytest.importorskip("pydantic_monty")

_CALLED: list[tuple[str, str]] = []


class Place(BaseModel):
    city: str
    zip: str | None = None


class Person(TypedDict):
    name: str
    places: list[Place]


@tool(risk="safe")
async def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@tool(response=list[Place])
async def places(of: Person, kind: Literal["home", "work"] = "home") -> Any:
    return [*of["places"], Place(city=kind)]


@tool(name="list")
async def list_(path: str) -> list[str]:
    return [f"{path}/a", f"{path}/b"]


@tool
async def read(path: str) -> str:
    """Read a file.

    Args:
        path: from the folder on.
    """
    return f"text of {path}"


async def _ran(code: str, library: Library, **bounds: Any) -> Ran:
    _CALLED.clear()

    async def call(name: str, arguments: str) -> ToolResult:
        _CALLED.append((name, arguments))
        return await library[name].run(arguments)

    return await run_program(code, library, call, Bounds(**bounds), seed="1", now=1_700_000_000.0)


async def _value(code: str, *tools: Any, **namespaces: Any) -> Any:
    return (await _ran(code, Library(tools, namespaces))).value


async def _refusal(code: str, *tools: Any, **namespaces: Any) -> str:
    with pytest.raises(CodeFailed) as refused:
        await _ran(code, Library(tools, namespaces))
    return str(refused.value)


async def test_functions_of_a_namespace_are_called_by_both_names() -> None:
    assert await _value("await files.read('x')", files=[read, list_]) == "text of x"
    assert await _value("await files.list(path='x')", files=[read, list_]) == ["x/a", "x/b"]
    assert _CALLED == [("files.list", '{"path":"x"}')]
    assert await _value("look = files.read\nawait look('y')", files=[read]) == "text of y"


async def test_calls_of_a_namespace_are_checked_as_any_other() -> None:
    assert "Expected `str`" in await _refusal("await files.read(1)", files=[read, list_])
    assert "Unsupported `+` operation" in await _refusal("await files.read('x') + 1", files=[read, list_])
    assert "Expected `str`" in await _refusal("await files.list(path=1)", files=[read, list_])
    assert "Unsupported `+` operation" in await _refusal("(await files.list('x'))[0] + 1", files=[read, list_])
    assert not _CALLED


async def test_several_calls_are_made_at_once() -> None:
    met = asyncio.Barrier(3)

    @tool
    async def meet(name: str) -> str:
        await met.wait()
        return name

    code = "import asyncio\nawait asyncio.gather(meet('a'), meet('b'), meet('c'))"
    assert await _value(code, meet) == ["a", "b", "c"]


async def test_dictionaries_are_typed_and_what_comes_back_is_too() -> None:
    code = (
        "found = await places({'name': 'A', 'places': [{'city': 'Rome'}]}, kind='work')\n[one['city'] for one in found]"
    )
    assert await _value(code, places) == ["Rome", "work"]
    made = "await places(Person(name='A', places=[Place(city='Rome', zip=None)]))\nprint('made')"
    assert (await _ran(made, Library([places]))).printed == "made\n"
    assert "Unknown key" in await _refusal(code.replace("['city']", "['town']"), places)
    assert 'Expected `Literal["home", "work"]`' in await _refusal(code.replace("'work'", "'school'"), places)
    assert "value of type `Literal[1]`" in await _refusal(code.replace("'Rome'", "1"), places)


async def test_what_is_wrong_is_said_with_its_line_and_how_it_is_mended_and_nothing_was_called() -> None:
    forgotten = await _refusal("x = 1\nadd(1)\nx", add)
    assert "main.py:2:1" in forgotten
    assert "result = await name(…)" in forgotten
    kept = await _refusal("who = {'name': 'A', 'places': []}\nawait places(who)", places)
    assert "`row: Row = {…}`" in kept
    assert await _value("who: Person = {'name': 'A', 'places': []}\nlen(await places(who))", places) == 1
    assert "NameError" in await _refusal("eval('subtract(1)')", add)
    assert not _CALLED


async def test_an_error_of_a_function_can_be_caught_and_otherwise_names_its_line() -> None:
    @tool
    async def broken(n: int) -> int:
        raise ToolError(f"there is no {n}")

    told = await _refusal("x = 1\n\nawait broken(x)", broken)
    assert "line 3" in told
    assert "there is no 1" in told
    caught = "try:\n    await broken(1)\nexcept RuntimeError as error:\n    print('caught', error)"
    assert (await _ran(caught, Library([broken]))).printed == "caught Error (ToolError): there is no 1\n"


async def test_hooks_of_a_function_see_its_calls() -> None:
    seen: list[str] = []

    def before(arguments: dict[str, Any]) -> dict[str, Any] | ToolResult:
        return ToolResult("5", value=5) if arguments["a"] == 0 else {**arguments, "b": 10}

    def worked(arguments: dict[str, Any], result: ToolResult) -> None:
        seen.append(f"{arguments} gave {result.value}")

    def failed(arguments: dict[str, Any], error: ToolError) -> ToolResult:
        return ToolResult("-1", value=-1)

    @tool(before_call=before, on_success=worked, on_error=failed)
    async def hooked(a: int, b: int = 1) -> int:
        return 100 // a + b

    assert await _value("[await hooked(a) for a in (0, 1)]", hooked) == [5, 110]
    assert seen == ["{'a': 0, 'b': 1} gave 5", "{'a': 1, 'b': 10} gave 110"]

    @tool(on_error=failed)
    async def recovered() -> int:
        raise ValueError

    assert await _value("await recovered()", recovered) == -1


def _answering(text: str, **more: Any) -> Any:
    """A hook that stands for the call."""
    return lambda arguments, *_: ToolResult(text, **more)


@pytest.mark.parametrize("hook", ["before_call", "on_success", "on_error"])
async def test_a_program_gets_what_a_hook_answers(hook: str) -> None:
    def answered(returns: Any, text: str, **more: Any) -> Any:
        async def hooked() -> Any:
            if hook == "on_error":
                raise ToolError("no")

        hooked.__annotations__["return"] = returns
        return tool(**{hook: _answering(text, **more)})(hooked)

    assert await _value("await hooked()", answered(str, "instead")) == "instead"
    assert await _value("await hooked()", answered(str, "5")) == "5"
    assert await _value("await hooked()", answered(str | None, "(no output)")) == "(no output)"
    assert await _value("await hooked() + 1", answered(int, "5")) == 6
    assert await _value("await hooked()", answered(dict[str, int], "cached", value={"t": 7})) == {"t": 7}
    assert await _value("await hooked()", answered(Any, "cached")) == "cached"
    assert await _value("await hooked()", answered(None, "done")) is None
    assert await _value("(await hooked())['city']", answered(Place, "cached", value=Place(city="Rome"))) == "Rome"
    assert await _value("(await hooked())['city']", answered(Place, '{"city": "Rome"}')) == "Rome"
    for wrong in (answered(int, "five"), answered(int, "5", value="five"), answered(list[int], "5", value=[1, "x"])):
        told = await _refusal("await hooked()", wrong)
        assert "what was answered in place of hooked does not fit what it returns: " in told
        assert "five" not in told


async def test_a_hooks_answer_is_read_as_the_declared_response() -> None:
    @tool(response=list[Place], before_call=_answering('[{"city": "Rome"}]'))
    async def there() -> Any: ...

    assert await _value("(await there())[0]['city']", there) == "Rome"


async def test_a_call_that_is_not_awaited_is_made_to_its_end_and_its_failure_is_told() -> None:
    ended: list[str] = []

    @tool
    async def late(fails: bool) -> None:
        await asyncio.sleep(0)
        ended.append("late")
        if fails:
            raise ToolError("it did not work")

    assert await _value("pending = late(False)\n'done'", late) == "done"
    assert ended == ["late"]
    told = await _refusal("x = 1\npending = late(True)\n'done'", late)
    assert told == "line 2: late(…), not awaited, failed: Error (ToolError): it did not work"


async def test_names_that_no_parameter_can_have_come_in_one_dictionary() -> None:
    async def handler(arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments

    schema = {"type": "object", "properties": {"from": {"type": "integer"}, "a-b": {"type": "string"}}}
    moved = tool_from_schema(name="move-it", description="", schema={**schema, "required": ["from"]}, handler=handler)
    assert await _value("await move_it({'from': 1, 'a-b': 'x'})", moved) == {"from": 1, "a-b": "x"}
    assert "Missing required key 'from'" in await _refusal("await move_it({'a-b': 'x'})", moved)


@pytest.mark.parametrize(
    ("tools", "namespaces", "said"),
    [
        ([tool(name="print")(lambda: 1)], {}, "Python's own"),
        ([tool(name="class")(lambda: 1)], {}, "cannot be called 'class'"),
        ([tool(name="a-b")(lambda: 1), tool(name="a_b")(lambda: 1)], {}, "two functions called 'a_b'"),
        ([tool(name="files")(lambda: 1)], {"files": []}, "a namespace and a function"),
        ([], {"a.b": []}, "a namespace cannot be called 'a.b'"),
        ([], {"files": [tool(name="_x")(lambda: 1)]}, "a letter first"),
        ([], {"files": [tool(name="1x")(lambda: 1)]}, "a letter first"),
    ],
)
def test_names_that_a_program_could_not_use_are_refused(tools: Any, namespaces: Any, said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        Library(tools, namespaces)


OUT_OF_REACH = """
open('/etc/passwd')
__import__('os').system('id')
__builtins__
globals()
locals()
vars()
dir()
getattr(add, '__globals__')
setattr(files, 'read', 1)
add.__globals__
add.__code__
add.__closure__
add.__self__
add.function
files.read.__self__
files.read.__func__
files.value
files._tools
files.__dict__
files.__init__
files.call_method('write')
files.write('x')
().__class__.__bases__[0].__subclasses__()
''.__class__.__mro__
(lambda: 0).__code__
(1).__class__.__base__
[x for x in ()].__class__
type(add).__subclasses__()
type('X', (), {})
compile('1', '', 'eval')
breakpoint()
input()
memoryview(b'x').obj
object.__subclasses__()
Exception().__traceback__.tb_frame
eval("getattr(add, '__globals__')")
eval("open('/etc/passwd')")
eval("__import__('os')")
eval("files.write('x')")
eval("subtract(1)")
exec("import socket")
exec("import subprocess")
exec("from os import system")
import importlib
import ctypes
import gc
import inspect
import builtins
import socket
import subprocess
import threading
import pickle
import callboard
import sys; sys._getframe()
import sys; sys.modules['os']
import os; os.system('id')
import os; os.fork()
import os; os.environ['PATH']
import os; os.listdir('/')
import os; os.remove('x')
import pathlib; pathlib.Path('/').iterdir()
import pathlib; pathlib.Path('x').write_text('x')
from pathlib import Path; Path('/etc/passwd').read_text()
import asyncio; asyncio.get_event_loop()
import asyncio; asyncio.create_subprocess_exec('id')
import random; random.SystemRandom()
import time; time.get_clock_info('time')
'{0.__class__}'.format(add)
"""


@pytest.mark.parametrize("code", OUT_OF_REACH.strip().splitlines())
async def test_only_what_was_registered_can_be_reached(code: str) -> None:
    reached: list[str] = []

    @tool
    async def write(path: str) -> None:
        reached.append(path)

    library = Library([add], {"files": [read]})
    for program in (code, f"eval({code!r})", f"exec({code!r})", f"x = {code}\nprint(x)"):
        try:
            ran = await _ran(program, library)
        except CodeFailed as refused:
            assert "root:" not in str(refused)  # noqa: PT017
        else:
            shown = f"{ran.printed}{ran.value!r}"
            for inside in ("root:", "0x7f", "callboard", sys.prefix, os.getcwd(), "uid="):
                assert inside not in shown, f"{program} showed {shown}"
    assert not reached
    assert {name for name, _ in _CALLED} <= set(library)


LOOPS = {
    "an endless loop": ("while True: pass", "time limit"),
    "an endless loop that catches": (
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
        "time limit",
    ),
    "a sum without end": ("sum(range(10**12))", "time limit"),
    "a list that grows": ("x = [0]\nwhile True: x = x + x", "memory limit"),
    "a text that is too long": ("'a' * 10**12", "memory limit"),
    "a number that is too long": ("10**10**10", "memory limit"),
    "functions that call themselves": ("def f(n: int) -> int: return f(n + 1)\nf(0)", "RecursionError"),
    "data within data": ("x: list[object] = []\nfor _ in range(10**7): x = [x]\nx == x", ""),
    "output without end": ("while True: print('x' * 1000)", "printed more than 20000 characters"),
    "output without end that catches": (
        "while True:\n    try:\n        print('x' * 1000)\n    except Exception:\n        pass",
        "printed more than 20000 characters",
    ),
    "a long sleep": ("import time\ntime.sleep(3600)", "sleep limit"),
    "many short sleeps": ("import asyncio\nfor _ in range(10**5): await asyncio.sleep(100)", "line 2: the sleep limit"),
    "ten thousand calls": ("for n in range(10_000): await add(n)", "line 1: add would be one call more than the 50"),
    "ten thousand calls at once": (
        "import asyncio\nawait asyncio.gather(*[add(n) for n in range(10_000)])",
        "line 2: add would be one call more than the 50",
    ),
    "ten thousand calls that catch": (
        "for n in range(10_000):\n    try:\n        await add(n)\n    except BaseException:\n        pass",
        "one call more than the 50",
    ),
    "names that are not there": (
        "while True:\n    try:\n        eval('nobody')\n    except NameError:\n        pass",
        "",
    ),
}


@pytest.mark.parametrize("what", LOOPS)
async def test_what_a_program_uses_is_bounded(what: str) -> None:
    code, said = LOOPS[what]
    bounds = {"timeout": 0.5, "max_memory": 20_000_000, "max_calls": 50}
    bounds |= {"max_output": 20_000, "max_sleep": 2.0, "max_depth": 200}
    with pytest.raises(CodeFailed) as refused:
        await _ran(code, Library([add]), **bounds)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 30_000
    assert len(_CALLED) <= 50
    assert await _value("await add(1)", add) == 2


async def test_a_program_that_is_run_again_sees_the_same_clock_and_the_same_random_numbers() -> None:
    code = """
import datetime, random, time
[datetime.datetime.now().isoformat(), time.time(), random.random(), list({'b', 'a', 'c'}), hash('a')]
"""
    first, second = [await _value(code) for _ in range(2)]
    assert first == second
    assert first[:2] == ["2023-11-14T22:13:20", 1_700_000_000.0]


def test_a_program_runs_under_a_simulated_loop_and_only_its_calls_take_time() -> None:
    @tool(timeout=None)
    async def wait(seconds: int) -> int:
        await asyncio.sleep(seconds)
        return seconds

    async def scenario(sim: Any) -> None:
        begun = asyncio.get_running_loop().time()
        code = "import asyncio\nawait asyncio.sleep(4)\nawait asyncio.gather(wait(3600), wait(1800))"
        assert await _value(code, wait) == [3600, 1800]
        assert asyncio.get_running_loop().time() - begun == 3604

    simulate(scenario, seeds=3)


async def test_what_is_no_plain_data_is_no_argument() -> None:
    @tool
    async def show(what: Any) -> str:
        return repr(what)

    assert await _value("await show({'a': (1, 2), 'b': None})", show) == "{'a': [1, 2], 'b': None}"
    assert "takes plain data" in await _refusal("await show(print)", show) or "takes plain data" in await _refusal(
        "await show(files)", show, files=[read]
    )


async def test_what_a_function_returned_and_was_cut_is_an_error_of_its_call() -> None:
    @tool(max_result=100)
    async def much() -> list[int]:
        return list(range(1000))

    assert "was cut, as it is too long" in await _refusal("await much()", much)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("odd", "odd() takes one dictionary"),
        ("odd, [1]", "odd() takes one dictionary"),
        ("odd, {'a-b': 1}, {'a-b': 2}", "odd() takes one dictionary"),
        ("odd, {'a-b': 1}, more=2", "odd() takes one dictionary"),
        ("add, 1, 2, 3", "add() takes 2 arguments, 3 were given"),
        ("add, 1, a=2", "add() got a twice"),
    ],
)
async def test_arguments_that_get_around_the_check_are_refused_before_anything_is_called(given: str, says: str) -> None:
    async def handler(arguments: dict[str, Any]) -> None: ...

    schema = {"type": "object", "properties": {"a-b": {"type": "integer"}}}
    odd = tool_from_schema(name="odd", description="", schema=schema, handler=handler)
    around = "def around(function, *args, **kwargs):\n    return function(*args, **kwargs)\n"
    assert says in await _refusal(f"{around}await around({given})", odd, add)
    assert not _CALLED


def test_a_program_may_use_by_default_what_the_page_says() -> None:
    page = " ".join((ROOT / "tools" / "builtin" / "README.md").read_text(encoding="utf-8").split())
    bounds = Bounds()
    for said in (
        f"the time the code itself runs ({bounds.timeout:g} s)",
        f"the memory it holds ({bounds.max_memory // 1_000_000} MB)",
        f"its calls ({bounds.max_calls})",
        f"what it prints ({bounds.max_output:,} characters)",
        f"what it sleeps ({bounds.max_sleep:g} s in all)",
        f"how deep its functions call each other ({bounds.max_depth:,})",
    ):
        assert said in page
    assert bounds.max_memory % 1_000_000 == 0
