from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from callboard.tools import InvalidArguments, ToolDefinitionError, tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


@dataclass
class Span:
    start: int
    end: int


GOOGLE = """Mix a colour.

    The colours are mixed as paint is.

    Args:
        base: what to start from,
            over two lines.
        parts (int): how many parts.

    Returns:
        the mixture
    """
NUMPY = """Mix a colour.

    The colours are mixed as paint is.

    Parameters
    ----------
    base : str
        what to start from,
        over two lines.
    parts : int
        how many parts.

    Returns
    -------
    str
        the mixture
    """
SPHINX = """Mix a colour.

    The colours are mixed as paint is.

    :param base: what to start from,
        over two lines.
    :param int parts: how many parts.
    :return: the mixture
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_the_description_and_the_parameters_descriptions_come_from_the_docstring(docstring: str) -> None:
    def mix(base: str, parts: int = 1) -> str:
        return base * parts

    mix.__doc__ = docstring
    spec = tool(mix).spec
    assert spec.name == "mix"
    assert spec.description == "Mix a colour.\n\nThe colours are mixed as paint is."
    assert spec.parameters["properties"]["base"]["description"] == "what to start from, over two lines."
    assert spec.parameters["properties"]["parts"]["description"] == "how many parts."


def test_a_docstring_without_sections_is_the_description() -> None:
    @tool
    def ping() -> str:
        """Say pong: nothing else."""
        return "pong"

    assert ping.spec.description == "Say pong: nothing else."
    assert ping.spec.parameters == {"type": "object", "properties": {}, "additionalProperties": False}


def test_type_hints_become_the_json_schema() -> None:
    @tool
    def draw(
        colour: Colour,
        points: list[Point],
        mode: Literal["fill", "line"] = "line",
        width: Annotated[float, Field(gt=0, description="in pixels")] = 1.0,
        note: Annotated[str | None, "shown below"] = None,
    ) -> None: ...

    parameters = draw.spec.parameters
    assert parameters["required"] == ["colour", "points"]
    properties = parameters["properties"]
    assert properties["mode"] == {"enum": ["fill", "line"], "type": "string", "default": "line"}
    assert properties["width"] == {"exclusiveMinimum": 0, "type": "number", "default": 1.0, "description": "in pixels"}
    assert properties["note"]["description"] == "shown below"
    assert parameters["$defs"]["Colour"]["enum"] == ["red", "blue"]
    assert parameters["$defs"]["Point"]["properties"]["y"] == {"type": "integer", "default": 0}


def test_a_parameter_that_is_called_title_keeps_its_place_in_the_schema() -> None:
    @tool
    def name_it(title: str, properties: str = "") -> None: ...

    assert name_it.spec.parameters["properties"] == {
        "title": {"type": "string"},
        "properties": {"type": "string", "default": ""},
    }


def test_a_local_class_can_be_named_in_a_string_annotation() -> None:
    class Local(BaseModel):
        size: int

    @tool
    def measure(thing: Local) -> int:
        return thing.size

    assert measure.check('{"thing": {"size": 3}}')["thing"] == Local(size=3)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ('{"b": 2}', ["a: required, but missing"]),
        ('{"a": "x"}', ["a: Input should be a valid integer", "(got 'x')"]),
        ('{"a": 1, "c": 1}', ["c: there is no such argument (known: a, b)"]),
        ('{"b": "x"}', ["a: required", "b: Input should be a valid integer"]),
        ("[1, 2]", ["must be a JSON object"]),
        ("3", ["must be a JSON object"]),
        ('{"a": 1', ["not valid JSON", "line 1"]),
        ("{'a': 1}", ["not valid JSON"]),
    ],
)
async def test_arguments_that_do_not_fit_are_answered_with_each_misfit_and_the_schema(
    arguments: str, parts: list[str]
) -> None:
    ran: list[int] = []

    @tool
    async def add(a: int, b: int = 0) -> int:
        ran.append(a)
        return a + b

    result = await add.run(arguments)
    assert result.is_error
    assert isinstance(result.error, InvalidArguments)
    assert not ran, "the tool ran with arguments that do not fit"
    for part in [*parts, "'add'", "Expected arguments", '"required": ["a"]']:
        assert part in result.content


def test_an_error_never_shows_a_long_value_whole() -> None:
    @tool
    def add(a: int) -> int:
        return a

    with pytest.raises(InvalidArguments) as caught:
        add.check({"a": "x" * 100_000})
    assert len(str(caught.value)) < 1_000


def test_empty_argument_text_is_an_empty_object() -> None:
    @tool
    def ping(n: int = 3) -> int:
        return n

    assert ping.check("") == {"n": 3}
    assert ping.check("  ") == {"n": 3}


def test_extra_arguments_reach_a_tool_that_takes_them() -> None:
    @tool
    def log(message: str, **fields: int) -> str:
        return message

    assert log.check('{"message": "m", "a": 1}') == {"message": "m", "a": 1}
    assert log.spec.parameters["additionalProperties"] == {"type": "integer"}
    with pytest.raises(InvalidArguments, match="a: Input should be a valid integer"):
        log.check('{"message": "m", "a": "x"}')


async def test_values_are_converted_to_the_hinted_types() -> None:
    @tool
    def use(span: Span, colour: Colour, pair: tuple[int, str], tags: set[str]) -> str:
        return f"{span.end - span.start} {colour.name} {pair!r} {sorted(tags)}"

    text = json.dumps({"span": {"start": 2, "end": 5}, "colour": "blue", "pair": [1, "a"], "tags": ["y", "x"]})
    assert (await use.run(text)).content == "3 BLUE (1, 'a') ['x', 'y']"
    assert (await use.run(json.loads(text))).content == "3 BLUE (1, 'a') ['x', 'y']"


def _positional(a: int, /) -> None: ...


def _starred(*a: int) -> None: ...


@pytest.mark.parametrize("function", [_positional, _starred])
def test_a_parameter_that_cannot_be_passed_by_name_is_refused_when_the_tool_is_made(function: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="'a' cannot be passed by name"):
        tool(function)


def test_a_type_without_a_schema_is_a_named_error() -> None:
    class Opaque: ...

    @tool
    def use(thing: Opaque) -> None: ...

    with pytest.raises(ToolDefinitionError, match="use"):
        _ = use.spec


def test_an_annotation_that_nobody_defines_is_a_named_error() -> None:
    @tool
    def use(thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ToolDefinitionError, match="Nowhere"):
        _ = use.spec


async def test_bound_methods_and_callable_objects_are_tools_too() -> None:
    class Counter:
        """Count on."""

        def __init__(self, start: int) -> None:
            self.total = start

        def add(self, by: int) -> int:
            """Add to the count."""
            self.total += by
            return self.total

        async def __call__(self, by: int) -> int:
            return self.total - by

    one, two = Counter(1), Counter(10)
    assert (await tool(one.add).run({"by": 1})).value == 2
    assert (await tool(two.add).run({"by": 1})).value == 11
    assert tool(two.add).spec.description == "Add to the count."
    called = tool(name="subtract")(two)
    assert (await called.run('{"by": 1}')).value == 10
    assert called.spec.description == "Count on."
