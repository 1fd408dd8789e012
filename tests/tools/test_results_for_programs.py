"""What a function returns, and JSON or Unicode has no place for, as a program gets it."""

from __future__ import annotations

import math

import pytest

from callboard import tool
from callboard.tools.builtin.code import python_tool

pytest.importorskip("pydantic_monty")


@tool(risk="safe")
async def number(which: str) -> float:
    return float(which)


@tool(risk="safe")
async def numbers() -> dict[str, list[float]]:
    return {"NaN": [math.inf, 1.5]}


@tool(risk="safe")
async def text(half: bool) -> str:
    return "a\ud800" if half else "NaN \N{GRINNING FACE}"


@tool(risk="safe")
async def escaped() -> str:
    return r'{"a": "\ud83d"}'


@tool(risk="safe")
async def texts() -> list[str]:
    return ["a\udc00"]


async def _run(code: str) -> str:
    result = await python_tool([number, numbers, text, texts, escaped]).run({"code": code})
    assert not result.is_error, result.text
    return result.text


async def test_numbers_that_are_none_are_numbers_for_programs() -> None:
    assert await _run("x = await number('nan')\nx + 1.0 != x") == "True"
    assert await _run("await number('-inf') < 0.0") == "True"
    assert await _run("x = await numbers()\nx['NaN'][0] > x['NaN'][1]") == "True"
    assert await _run("await escaped()") == r'{"a": "\ud83d"}'
    assert await _run("await text(half=False)") == "NaN \N{GRINNING FACE}"


@pytest.mark.parametrize("called", ["text(half=True)", "texts()"])
async def test_half_a_character_is_an_error_of_the_call_that_a_program_can_catch(called: str) -> None:
    code = f"try:\n    x = await {called}\n    y = 'got'\nexcept RuntimeError as error:\n    y = str(error)\ny"
    assert "has half a character in it" in await _run(code)
