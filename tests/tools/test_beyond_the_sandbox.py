"""What passes the type check, but is beyond the sandbox, is refused before a call goes out."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from callboard import tool
from callboard.tools.builtin import code
from callboard.tools.builtin.code import python_tool
from callboard.tools.code.beyond import MODULES
from callboard.tools.errors import ToolDefinitionError

pytest.importorskip("pydantic_monty")


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("import asyncio\nawait asyncio.gather(pay(), return_exceptions=True)", "main.py:3: asyncio.gather"),
        ("from asyncio import gather as g\nawait g(pay(), return_exceptions=True)", "main.py:3: asyncio.gather"),
        ("import json as j\nj.dumps({}, default=str)", "main.py:3: json.dumps has no default"),
        ("import json\njson.loads('1', object_hook=dict)", "main.py:3: json.loads has no object_hook"),
        ("import re\nre.sub('a', lambda found: 'b', 'a')", "main.py:3: re.sub takes a text"),
        ("import re\ndef by(found):\n    return 'b'\nre.sub('a', by, 'a')", "main.py:5: re.sub takes a text"),
        ("import re\nre.subn('a', 'b', 'a')", "main.py:3: the sandbox has not"),
        ("import dataclasses\nprint(dataclasses.asdict)", "main.py:3: the sandbox has not"),
        ("from typing import cast\ncast(int, 1)", "main.py:2: the sandbox has not"),
        ("from collections.abc import Iterable", "main.py:2: the sandbox has not"),
        ("import statistics", "main.py:2: the sandbox has not"),
        ("import os\nos.environ.get('A')", "main.py:3: the sandbox has not"),
        ("sorted(['b'], key=str.lower)", "main.py:2: the sandbox has not"),
    ],
)
async def test_what_the_sandbox_has_not_is_refused_before_a_call_goes_out(use: str, said: str) -> None:
    paid = 0

    @tool(risk="safe")
    async def pay() -> int:
        nonlocal paid
        paid += 1
        return paid

    for _ in range(2):  # what is there is remembered, what is not is not
        result = await python_tool([pay]).run({"code": f"x = await pay()\n{use}"})
        assert result.is_error
        assert "the code does not pass its check" in result.text
        assert said in result.text
    assert paid == 0


async def test_the_modules_that_the_sandbox_is_said_to_have_are_there_and_no_others() -> None:
    async def has(name: str) -> bool:
        return not (await python_tool().run({"code": f"import {name}"})).is_error

    assert {name for name in MODULES if not await has(name)} == set()
    page = Path(code.__file__).with_name("README.md").read_text()
    named = page.partition("the sandbox has a part (")[2].partition(")")[0]
    assert set(re.findall(r"\w+", named.replace("os.path", "os"))) == MODULES - {"posixpath", "sys"}
    others = [name for name in sorted(sys.stdlib_module_names - MODULES) if name[0] != "_"]
    assert [name for name in others[::15] if await has(name)] == []


@pytest.mark.parametrize(
    "refused", ["asyncio", "json", "os", "\N{LATIN SMALL LIGATURE FI}le", "\N{MATHEMATICAL BOLD SMALL A}"]
)
async def test_what_is_called_like_a_module_or_not_as_python_reads_it_is_refused(refused: str) -> None:
    @tool(risk="safe")
    async def look() -> None: ...

    with pytest.raises(ToolDefinitionError, match=r"cannot be called|is a module"):
        python_tool(namespaces={refused: [look]})
    if refused.isascii():
        copied = tool(name=refused, risk="safe")(look.function)
        with pytest.raises(ToolDefinitionError, match="is a module that programs may import"):
            python_tool([copied])
        assert (await python_tool(namespaces={"files": [copied]}).run({"code": f"await files.{refused}()"})).text


async def test_a_call_that_nothing_awaits_is_refused_and_made_where_its_result_is_kept() -> None:
    made: list[str] = []

    @tool(risk="safe")
    async def echo(text: str) -> str:
        made.append(text)
        return text

    refused = await python_tool([echo]).run({"code": "echo('a')"})
    assert "the code does not pass its check" in refused.text
    assert "Every function is awaited" in refused.text
    assert not made
    assert (await python_tool([echo]).run({"code": "later = echo('b')\n'over'"})).text == "over"
    assert made == ["b"]


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("import json, re, asyncio\njson.dumps({'b': 1}, sort_keys=True, indent=None)", '{"b": 1}'),
        ("import os.path\nos.path.join('a', 'b')", "a/b"),
        ("from datetime import datetime, timezone\nstr(datetime(2020, 1, 1, tzinfo=timezone.utc))", "2020-01-01 00:00"),
        ("import re\nre.sub('a', 'b', 'ca')", "cb"),
        ("dict.fromkeys('a', 1)", "{'a': 1}"),
    ],
)
async def test_what_the_sandbox_has_is_run(program: str, text: str) -> None:
    result = await python_tool().run({"code": program})
    assert not result.is_error, result.text
    assert result.text.startswith(text)
