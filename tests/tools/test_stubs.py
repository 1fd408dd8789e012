"""Stubs: from any schema, what fits it passes the check of a program that calls with it, and nothing else does."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import json
from typing import Any, Literal, NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from callboard.tools import ToolResult, tool, tool_from_schema
from callboard.tools.code import program
from callboard.tools.code.library import Library
from callboard.tools.code.program import Bounds, run_program
from callboard.tools.errors import CodeFailed, ToolDefinitionError

pytest.importorskip("pydantic_monty")

WRONG = "1j"  # of no type that JSON has


class Kind(NamedTuple):
    """A schema, what fits it, and in source text what does not fit at one place of it."""

    schema: dict[str, Any]
    value: Any
    wrong: str
    defs: dict[str, Any]


NAMES = st.sampled_from(["id", "type", "list", "str", "from", "a-b", "class", "Any", "__x", "name", "x y", "größe"])
TEXTS = st.text(max_size=5) | st.sampled_from(['"""', "\\", "'", '\\"', "\n"])


def _plain(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Kind]:
    about: st.SearchStrategy[dict[str, Any]] = st.just({}) | TEXTS.map(lambda text: {"description": text})
    return st.builds(lambda value, more: Kind({"type": kind, **more}, value, WRONG, {}), values, about)


LEAVES = st.one_of(
    _plain("string", TEXTS),
    _plain("integer", st.integers(-(2**70), 2**70)),
    _plain("number", st.integers(-5, 5) | st.floats(-1e6, 1e6)),
    _plain("boolean", st.booleans()),
    _plain("null", st.none()),
    st.lists(TEXTS | st.integers(-3, 9) | st.booleans() | st.none(), min_size=1, max_size=3).flatmap(
        lambda values: st.sampled_from(values).map(lambda value: Kind({"enum": values}, value, WRONG, {}))
    ),
    TEXTS.map(lambda text: Kind({"const": text}, text, repr(f"{text}!"), {})),
)


def _list(item: Kind) -> Kind:
    schema = {"type": "array", "items": item.schema}
    return Kind(schema, [item.value, item.value], f"[{item.value!r}, {item.wrong}]", item.defs)


def _dict(item: Kind) -> Kind:
    schema = {"type": "object", "additionalProperties": item.schema}
    return Kind(schema, {"k": item.value}, f"{{'k': {item.wrong}}}", item.defs)


def _either(items: list[Kind]) -> Kind:
    defs = {key: made for item in items for key, made in item.defs.items()}
    return Kind({"anyOf": [item.schema for item in items]}, items[0].value, WRONG, defs)


def _object(fields: dict[str, Kind], left_out: str, title: str | None, wrong: str, referred: bool) -> Kind:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: field.schema for name, field in fields.items()},
        "required": [name for name in fields if name != left_out],
    }
    if title is not None:
        schema["title"] = title
    value = {name: field.value for name, field in fields.items() if name != left_out}
    texts = {name: fields[name].wrong if name == wrong else repr(item) for name, item in value.items()}
    broken = ", ".join(f"{name!r}: {text}" for name, text in texts.items())
    unknown = "" if wrong in value else f"{', ' if broken else ''}'unknown': 1"
    defs = {key: made for field in fields.values() for key, made in field.defs.items()}
    if referred:
        name = f"Part{len(json.dumps(schema))}"
        if defs.setdefault(name, schema) == schema:
            schema = {"$ref": f"#/$defs/{name}"}
    return Kind(schema, value, f"{{{broken}{unknown}}}", defs)


def _grown(smaller: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    objects = st.dictionaries(NAMES, smaller, min_size=1, max_size=3).flatmap(
        lambda fields: st.builds(
            _object,
            st.just(fields),
            st.sampled_from([*fields, ""]),
            st.none() | st.sampled_from(["Row", "list", "a row!", ""]),
            st.sampled_from([*fields, ""]),
            st.booleans(),
        )
    )
    return st.one_of(
        smaller.map(_list), smaller.map(_dict), st.lists(smaller, min_size=2, max_size=3).map(_either), objects
    )


KINDS = st.recursive(LEAVES, _grown, max_leaves=6)


def _run(code: str, library: Library, shown: int = 3_500) -> list[Any]:
    called: list[Any] = []

    async def call(name: str, arguments: str) -> ToolResult:
        called.append(json.loads(arguments))
        return await library[name].run(arguments)

    async def main() -> None:
        await run_program(code, library, call, Bounds())

    with mock.patch.object(program, "SHOWN", shown):
        asyncio.run(main())
    return called


@settings(max_examples=25)
@given(kinds=st.lists(st.tuples(KINDS, NAMES, st.booleans()), min_size=1, max_size=6))
def test_what_fits_a_schema_passes_the_check_and_comes_back_and_what_does_not_is_refused(
    kinds: list[tuple[Kind, str, bool]],
) -> None:
    async def handler(arguments: dict[str, Any]) -> None: ...

    tools = []
    for number, (kind, name, optional) in enumerate(kinds):
        schema = {"type": "object", "properties": {name: kind.schema}, "required": [name], "$defs": kind.defs}
        schema = schema if not optional else {**schema, "required": []}
        tools.append(tool_from_schema(name=f"take{number}", description="", schema=schema, handler=handler))
    library = Library(tools)
    calls = {
        f"take{number}": f"({name}=%s)" if library.stubs.parameters[f"take{number}"] else f"({{{name!r}: %s}})"
        for number, (_, name, _) in enumerate(kinds)
    }
    right = [f"await {take}{calls[take] % repr(kind.value)}" for take, (kind, _, _) in zip(calls, kinds, strict=True)]
    assert _run("\n".join(right), library) == [{name: kind.value} for kind, name, _ in kinds]
    wrong = [f"await {take}{calls[take] % kind.wrong}" for take, (kind, _, _) in zip(calls, kinds, strict=True)]
    with pytest.raises(CodeFailed, match="does not pass its check") as refused:
        _run("\n".join(wrong), library, shown=100_000)
    for line in range(1, len(wrong) + 1):
        assert f"main.py:{line}:" in str(refused.value), f"line {line} of {wrong} was not refused"


@settings(max_examples=25)
@given(kind=KINDS)
def test_what_a_function_returns_may_be_given_to_one_that_takes_it_and_is_nothing_else(kind: Kind) -> None:
    schema = {"type": "object", "properties": {"x": kind.schema}, "required": ["x"], "$defs": kind.defs}

    async def handler(arguments: dict[str, Any]) -> Any:
        return kind.value

    take = tool_from_schema(name="take", description="", schema=schema, handler=handler)
    give = tool_from_schema(name="give", description="", schema={"type": "object"}, handler=handler)
    object.__setattr__(give, "__class__", _declared(type(give), {**kind.schema, "$defs": kind.defs}))
    library = Library([take, give])
    assert _run("await take(x=await give())", library) == [{}, {"x": kind.value}]
    with pytest.raises(CodeFailed, match="does not pass its check"):
        _run("wrong: complex = await give()\nf: dict[complex, complex] = await give()", library)


def _declared(kind: type[Any], schema: dict[str, Any]) -> type[Any]:
    """A class of tools whose response has a schema that is drawn: types that have it are not."""
    return type("Declared", (kind,), {"response_schema": property(lambda self: schema)})


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Child(BaseModel):
    """One below."""

    id: int
    children: list[Child] = []


class Row(BaseModel):
    id: int = Field(description='which "one"')
    when: datetime.date
    child: Child | None = None


async def test_stubs_read_as_a_person_would_write_them() -> None:
    @tool(response=list[Row])
    async def rows(limit: int = 10, color: Color = Color.RED) -> Any:
        """Look rows up.

        Args:
            limit: how many at most.
        """
        return []

    @tool
    async def put(row: Row, scores: dict[str, float], tags: list[str] | None = None) -> None:
        return None

    @tool
    async def read(path: str) -> str:
        return path

    @tool(name="list")
    async def list_(kind: Literal["list", "tree"]) -> list[str]:
        return [kind]

    library = Library([rows, put], {"files": [read, list_]})
    text = library.stubs.text
    assert (
        text.partition("TypedDict\n")[2]
        == '''class Row(TypedDict):
    id: int
    """which \\"one\\""""
    when: str
    child: NotRequired[Child | None]
class Child(TypedDict):
    """One below."""
    id: int
    children: NotRequired[list[Child]]
async def rows(limit: int = 10, color: Literal['red', 'blue'] = 'red') -> list[Row]:
    """Look rows up.
    limit: how many at most."""
async def put(row: Row, scores: Mapping[str, float], tags: list[str] | tuple[str, ...] | None = None) -> None: ...
_list_ = list
class _files:
    async def read(self, path: str) -> str: ...
    async def list(self, kind: Literal['list', 'tree']) -> _list_[str]: ...
files: _files'''
    )


def test_data_that_has_itself_in_it_has_a_name() -> None:
    anything = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/JSON"}}]}
    schema = {"type": "object", "properties": {"x": {"$ref": "#/$defs/JSON"}}, "required": ["x"]}

    async def handler(arguments: dict[str, Any]) -> None: ...

    full = {**schema, "$defs": {"JSON": anything}}
    library = Library([tool_from_schema(name="take", description="", schema=full, handler=handler)])
    assert "type JSON = str | list[JSON]" in library.stubs.text
    assert _run("await take(['a', ['b', []]])", library) == [{"x": ["a", ["b", []]]}]
    with pytest.raises(CodeFailed, match="does not pass"):
        _run("await take(['a', [1]])", library)


class Item(BaseModel):
    name: str
    price: decimal.Decimal


class Order(BaseModel):
    items: list[Item]
    by_name: dict[str, Item] = {}
    next: Order | None = None


def _orders() -> Library:
    @tool
    async def find() -> list[Order]:
        tea = Item(name="tea", price=decimal.Decimal("7.50"))
        return [Order(items=[tea], by_name={"tea": tea})]

    @tool
    async def put(order: Order) -> int:
        return len(order.items)

    @tool
    async def put_all(orders: list[Order], named: dict[str, Order], last: Order | None = None) -> int:
        return len(orders)

    return Library([put, put_all, find])


def test_what_one_function_returns_is_taken_by_another_although_that_one_takes_more() -> None:
    code = """
orders = await find()
await put(orders[0])
await put_all(orders, {"a": orders[0]}, orders[0])
made: Order = {"items": [{"name": "ink", "price": 3.5}]}
made["items"].append({"name": "tea", "price": "7.50"})
await put(made)
"""
    tea = {"name": "tea", "price": "7.50"}
    order = {"items": [tea], "by_name": {"tea": tea}, "next": None}
    assert _run(code, _orders()) == [
        {},
        {"order": order},
        {"orders": [order], "named": {"a": order}, "last": order},
        {"order": {"items": [{"name": "ink", "price": 3.5}, tea]}},
    ]


def test_what_a_function_returns_is_not_taken_by_one_that_takes_something_else_of_that_name() -> None:
    class Item(BaseModel):
        name: str
        price: decimal.Decimal
        weight: float

    @tool
    async def weigh(item: Item) -> float:
        return item.weight

    library = Library([*_orders().tools, weigh])
    with pytest.raises(CodeFailed, match="does not pass"):
        _run("await weigh((await find())[0]['items'][0])", library)


def test_equal_data_has_one_class_wherever_it_stands() -> None:
    @tool
    async def one(child: Child) -> Child:
        return child

    @tool
    async def several() -> list[Child]:
        return []

    assert Library([one, several]).stubs.text.count("(TypedDict)") == 1


def test_what_is_only_read_may_be_of_a_narrower_type() -> None:
    @tool
    async def total(xs: list[float], by: dict[str, float]) -> float:
        return sum(xs) + sum(by.values())

    library = Library([total])
    assert _run("xs = [1, 2]\nby = {'a': 1}\nawait total(xs, by)", library) == [{"xs": [1, 2], "by": {"a": 1}}]
    with pytest.raises(CodeFailed, match="does not pass"):
        _run("await total('12', {})", library)


@pytest.mark.parametrize(
    "schema",
    [
        *({"anyOf": []}, {"oneOf": {"type": "string"}}, {"enum": []}, {"enum": "ab"}, {"$ref": 3}, {"type": {}}, True),
        *({"allOf": []}, {"allOf": [{"type": "string"}, {"type": "integer"}]}),
    ],
)
def test_what_says_nothing_that_a_type_could_say_is_any(schema: Any) -> None:
    assert _given(schema) == "Any"


def test_the_only_part_of_a_schema_is_all_of_it() -> None:
    assert _given({"allOf": [{"type": "string"}]}) == "str"


def _given(schema: Any) -> str:
    """The hint of what a function returns that declares this schema."""

    async def handler(arguments: dict[str, Any]) -> None: ...

    give = tool_from_schema(name="give", description="", schema={"type": "object"}, handler=handler)
    object.__setattr__(give, "__class__", _declared(type(give), schema))
    return Library([give]).stubs.text.partition("async def give() -> ")[2].removesuffix(": ...")


def test_functions_that_are_made_again_have_the_stubs_that_they_had() -> None:
    def made(returned: Any = int, *, name: str = "count", description: str = "", default: int = 0) -> Library:
        async def counts(n: int = default) -> Any: ...

        counts.__annotations__["return"] = returned
        return Library(namespaces={"numbers": [tool(name=name, description=description)(counts)]})

    first = made().stubs
    assert made().stubs is first
    others = [made(str), made(name="sum"), made(description="Counts."), made(default=1)]
    texts = {first.text, *(other.stubs.text for other in others)}
    assert len(texts) == 5, "each of them says something else"
    assert "async def count(self, n: int = 0) -> int" in made().stubs.text


async def _nothing(arguments: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    ("schema", "hint"),
    [
        ({"type": ["string", "boolean"]}, "str | bool"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False},
            "list[str | bool] | tuple[str | bool, ...]",
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "boolean"}},
            "list[str | bool] | tuple[str | bool, ...]",
        ),
        ({"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1}, "list[str] | tuple[str, ...]"),
        ({"type": "object"}, "Mapping[str, Any]"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "Mapping[str, bool]"),
        ({"$ref": "#/$defs/gone"}, "Any"),
    ],
)
def test_a_parameter_of_each_kind_of_schema_has_its_hint(schema: dict[str, Any], hint: str) -> None:
    taking = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    made = tool_from_schema(name="take", description="", schema=taking, handler=_nothing)
    assert f"async def take(x: {hint}) -> " in Library([made]).stubs.text


def test_what_takes_more_than_it_names_says_so_and_an_empty_namespace_is_one() -> None:
    taking = {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": True}
    made = tool_from_schema(name="take", description="", schema=taking, handler=_nothing)
    text = Library([made], {"files": []}).stubs.text
    assert "async def take(x: str = ..., **more: Any) -> " in text
    assert "class _files:\n    ...\nfiles: _files" in text


def test_a_namespace_and_a_function_of_one_name_are_refused() -> None:
    made = tool_from_schema(name="files", description="", schema={"type": "object"}, handler=_nothing)
    other = tool_from_schema(name="read", description="", schema={"type": "object"}, handler=_nothing)
    with pytest.raises(ToolDefinitionError, match="'files'; give one another name"):
        Library([made], {"files": [other]})


@pytest.mark.parametrize(
    ("title", "name"),
    [("row", "Row"), ("row 2", "Row2"), ("2 rows", "Data2Rows"), ("…", "Data"), ("none", "None2"), ("any", "Any2")],
)
def test_an_object_is_called_by_its_title_as_a_class_can_be(title: str, name: str) -> None:
    row = {"type": "object", "title": title, "properties": {"a": {"type": "string"}}}
    taking = {"type": "object", "properties": {"x": row}, "required": ["x"]}
    made = tool_from_schema(name="take", description="", schema=taking, handler=_nothing)
    assert f"class {name}(TypedDict):" in Library([made]).stubs.text
