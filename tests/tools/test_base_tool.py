from __future__ import annotations

import threading

import pytest
from pydantic import Field, model_validator

from callboard.tools import BaseTool, InvalidArguments, ToolDefinitionError, ToolRegistry, as_tool, tool


class Book(BaseTool, risk="safe", idempotent=True, timeout=5, max_result=50):
    """Book a table.

    Args:
        guests: how many come.
    """

    name: str = Field(description="who books")
    guests: int = Field(ge=1)
    first: int = 18
    last: int = 20

    @model_validator(mode="after")
    def _check_hours(self) -> Book:
        if self.first > self.last:
            raise ValueError("first is after last")
        return self

    async def run(self) -> str:
        return f"{self.name}: {self.guests}, {self.first} to {self.last}"


async def test_the_fields_are_the_arguments() -> None:
    made = Book.as_tool()
    assert (made.name, made.risk, made.idempotent, made.timeout) == ("Book", "safe", True, 5)
    assert made.spec.description == "Book a table."
    assert made.spec.parameters["required"] == ["name", "guests"]
    assert made.spec.parameters["properties"]["name"]["description"] == "who books"
    assert made.spec.parameters["properties"]["guests"]["description"] == "how many come."
    assert (await made.run('{"name": "Ada", "guests": 2}')).content == "Ada: 2, 18 to 20"
    assert (await made.run({"name": "x" * 100, "guests": 2})).content != "x"
    assert len((await made.run({"name": "x" * 100, "guests": 2})).content) == 50


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"name": "Ada"}', "- guests: required"),
        ('{"name": "Ada", "guests": 0}', "- guests: Input should be greater"),
        ('{"name": "Ada", "guests": 1, "hats": 1}', "- hats: there is no such argument"),
        ('{"name": "Ada", "guests": 1, "first": 22}', "first is after last"),
        ("[]", "JSON object"),
        ("{", "not valid JSON"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(arguments: str, said: str) -> None:
    result = await Book.as_tool().run(arguments)
    assert isinstance(result.error, InvalidArguments)
    assert said in result.content


async def test_a_plain_run_is_called_in_a_thread() -> None:
    class Where(BaseTool, name="where_am_i"):
        """Say where."""

        def run(self) -> bool:
            return threading.current_thread() is threading.main_thread()

    assert Where.as_tool().name == "where_am_i"
    assert (await Where.as_tool().run()).value is False


def test_options_are_inherited_but_for_the_name() -> None:
    class Base(BaseTool, name="base", risk="safe", timeout=3):
        async def run(self) -> None: ...

    class Derived(Base, timeout=4): ...

    made = Derived.as_tool()
    assert (made.name, made.risk, made.timeout) == ("Derived", "safe", 4)
    assert Derived.as_tool() is made


def test_a_class_without_run_or_with_an_unknown_option_is_refused() -> None:
    class Nothing(BaseTool): ...

    with pytest.raises(ToolDefinitionError, match="Nothing has no 'run'"):
        Nothing.as_tool()
    with pytest.raises(ToolDefinitionError, match="Wrong has no option 'colour'"):

        class Wrong(BaseTool, colour="red"): ...


def test_tools_classes_and_functions_all_count_as_tools() -> None:
    @tool
    def one() -> None: ...

    def two() -> None: ...

    assert [made.name for made in ToolRegistry([one, two, Book])] == ["one", "two", "Book"]
    for wrong in (3, int, "one"):
        with pytest.raises(ToolDefinitionError, match="is no tool"):
            as_tool(wrong)  # type: ignore[arg-type]
