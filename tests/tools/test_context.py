"""A tool's first parameter may be the context of its call, of which the model sees nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from callboard import ToolContext, tool
from callboard.providers.messages import ToolCall
from callboard.tools import BaseTool, ToolDefinitionError, ToolRegistry, composite, run_calls
from callboard.tools.context import CallContext
from callboard.tools.errors import MissingContext


@dataclass
class Shelf:
    books: dict[int, str]


@tool
async def look_up(context: ToolContext[Shelf], number: int) -> str:
    """Look up a book.

    Args:
        number: which one.
    """
    return context.deps.books[number]


SHELF = Shelf({1: "Emma"})


async def test_a_tool_can_be_run_with_a_context_of_the_tests_own() -> None:
    assert (await look_up.run({"number": 1}, context=ToolContext(deps=SHELF))).text == "Emma"
    assert await look_up(ToolContext(deps=SHELF), number=1) == "Emma"


def test_the_context_is_not_in_the_schema() -> None:
    assert look_up.spec.parameters == {
        "type": "object",
        "properties": {"number": {"type": "integer", "description": "which one."}},
        "required": ["number"],
        "additionalProperties": False,
    }
    assert look_up.context is ToolContext


async def test_a_model_cannot_give_the_context() -> None:
    result = await look_up.run({"number": 1, "context": {}}, context=ToolContext(deps=SHELF))
    assert result.is_error
    assert "context: there is no such argument (known: number)" in result.text


@pytest.mark.parametrize("context", [None, CallContext("1", "look_up")])
async def test_a_tool_that_wants_a_context_and_gets_none_says_so(context: CallContext | None) -> None:
    result = await look_up.run({"number": 1}, context=context)
    assert isinstance(result.error, MissingContext)
    assert "'look_up' takes a ToolContext" in result.text


async def test_a_tool_may_take_any_class_of_context_in_any_form_of_annotation() -> None:
    class Mine(ToolContext[int]):
        pass

    @tool
    def plain(context: CallContext) -> str:
        return context.tool

    @tool
    def bare(context: ToolContext) -> str:
        return context.tool

    @tool
    def noted(context: Annotated[ToolContext[Any], "the call"]) -> str:
        return context.tool

    @tool
    def own(context: Mine, word: str = "") -> int:
        return context.deps

    for one in (plain, bare, noted):
        assert (await one.run(context=ToolContext("1", one.name))).text == one.name
    assert (await own.run('{"word": "x"}', context=Mine(deps=3))).value == 3
    assert isinstance((await own.run(context=ToolContext(deps=3))).error, MissingContext)


async def test_methods_and_callable_objects_may_take_one() -> None:
    class Service:
        async def where(self, context: CallContext, city: str) -> str:
            return f"{context.call_id} {city}"

    where = tool(Service().where)
    assert (await where.run({"city": "Rome"}, context=CallContext("c1"))).text == "c1 Rome"


def test_a_context_that_is_not_the_first_parameter_is_refused() -> None:
    @tool
    def late(city: str, context: ToolContext) -> str:
        return city

    with pytest.raises(ToolDefinitionError, match="'context' is a ToolContext; make it the first parameter"):
        _ = late.spec


async def test_a_tool_that_is_a_class_may_take_one() -> None:
    class Borrow(BaseTool):
        """Borrow a book."""

        number: int

        async def run(self, context: ToolContext[Shelf]) -> str:
            return context.deps.books[self.number]

    borrow = Borrow.as_tool()
    assert "context" not in borrow.spec.parameters["properties"]
    assert (await borrow.run({"number": 1}, context=ToolContext(deps=SHELF))).text == "Emma"
    assert isinstance((await borrow.run({"number": 1})).error, MissingContext)


def test_a_class_whose_run_takes_something_else_is_refused() -> None:
    class Wrong(BaseTool):
        """Wrong."""

        def run(self, number: int) -> int:
            return number

    with pytest.raises(ToolDefinitionError, match=r"Wrong\.run takes number; the arguments are fields of the class"):
        _ = Wrong.as_tool().spec


async def test_a_context_reaches_the_tools_of_a_composite() -> None:
    @tool
    def which(context: CallContext) -> str:
        return f"{context.tool} {context.call_id}"

    @tool
    def plain() -> str:
        return "plain"

    both = composite([which, plain, look_up])
    assert both.context is ToolContext
    calls = [{"name": "which"}, {"name": "plain"}, {"name": "look_up", "args": {"number": 1}}]
    result = await both.run({"calls": calls}, context=ToolContext("c7", "batch", deps=SHELF))
    assert [entry["result"] for entry in result.value["results"]] == ["which c7/1", "plain", "Emma"]


async def test_several_calls_have_a_context_each() -> None:
    @tool
    async def which(context: CallContext) -> str:
        await asyncio.sleep(0)
        return f"{context.tool} {context.call_id}"

    calls = [ToolCall("a", "which", "{}"), ToolCall("b", "which", "{}")]
    results = await run_calls(calls, ToolRegistry([which]), context=CallContext())
    assert [result.text for result in results] == ["which a", "which b"]


async def test_progress_goes_to_whoever_wants_it_also_from_a_thread() -> None:
    told: list[tuple[str, str, float | None]] = []

    @tool
    def slow(context: CallContext) -> str:
        context.progress("reading", fraction=0.5)
        context.progress(fraction=1)
        return "done"

    def take(context: CallContext, text: str, fraction: float | None) -> None:
        told.append((context.tool, text, fraction))

    assert (await slow.run(context=CallContext("1", "slow", on_progress=take))).text == "done"
    assert (await slow.run(context=CallContext())).text == "done"
    assert told == [("slow", "reading", 0.5), ("slow", "", 1.0)]


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan"), "half"])
def test_progress_that_is_no_fraction_is_refused(fraction: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="fraction is from 0 to 1"):
        CallContext("1", "slow").progress(fraction=fraction)


def test_a_repr_shows_nothing_of_what_a_tool_depends_on() -> None:
    assert repr(ToolContext("1", "x", deps="secret")) == "<ToolContext of 'x', call '1'>"
