"""Tools from a JSON schema and a handler: what does not fit the schema does not reach the handler."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from callboard import ToolContext, tool_from_schema
from callboard.tools import Tool, ToolDefinitionError
from callboard.tools.errors import InvalidArguments
from callboard.tools.from_schema import SchemaSignature

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"enum": ["small", "large"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
    },
    "required": ["size"],
    "additionalProperties": False,
    "$defs": {
        "line": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}, "required": ["count"]}
    },
}


def order(handler: Any, schema: Any = SCHEMA, **options: Any) -> Tool:
    return tool_from_schema(name="order", description="Order coffee.", schema=schema, handler=handler, **options)


async def test_a_handler_gets_arguments_that_fit() -> None:
    async def handler(arguments: dict[str, Any]) -> str:
        return f"{arguments['size']}, {sum(line['count'] for line in arguments['lines'])}"

    made = order(handler, risk="safe")
    assert (made.name, made.risk, made.spec.description) == ("order", "safe", "Order coffee.")
    assert made.spec.parameters == SCHEMA
    assert (await made.run('{"size": "small", "lines": [{"count": 2}, {"count": 1}]}')).text == "small, 3"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"size": "huge"}', "- size: 'huge' is not one of ['small', 'large']"),
        (
            '{"size": "small", "lines": [{"count": 1}, {"count": 0}]}',
            "- lines.1.count: 0 is less than the minimum of 1",
        ),
        ('{"size": "small", "lines": [{}]}', "- lines.0: 'count' is a required property"),
        ('{"lines": []}', "lack size"),
        ('{"size": "small", "sugar": 1}', "- Additional properties are not allowed ('sugar' was unexpected)"),
        ('{"size": "small", "note": "too long"}', "- note: 'too long' is too long"),
        ('{"size": "small"', "not valid JSON"),
        ("[1]", "must be a JSON object"),
    ],
)
async def test_what_does_not_fit_is_told_with_its_place(arguments: str, told: str) -> None:
    def handler(arguments: dict[str, Any]) -> str:
        raise AssertionError("it was called")

    result = await order(handler).run(arguments)
    assert isinstance(result.error, InvalidArguments)
    assert told in result.text


async def test_every_misfit_is_told_and_none_at_length() -> None:
    result = await order(lambda arguments: None).run({"size": "x" * 5000, "lines": [{"count": 0}]})
    assert "- lines.0.count: 0 is less" in result.text
    assert "- size: 'xxx" in result.text
    assert len(result.text) < 2000


async def test_a_handler_may_block_and_may_take_the_context() -> None:
    def blocking(context: ToolContext[str], arguments: dict[str, Any]) -> str:
        return f"{context.deps} {threading.current_thread() is threading.main_thread()} {arguments['size']}"

    made = order(blocking)
    assert (await made.run({"size": "large"}, context=ToolContext(deps="ada"))).text == "ada False large"


async def test_a_handler_may_have_defaults_of_its_own() -> None:
    assert (await order(lambda arguments, more="!": arguments["size"] + more).run({"size": "small"})).text == "small!"


def test_a_handler_that_takes_something_else_is_refused() -> None:
    def handler(size: str, lines: list[Any]) -> None: ...

    with pytest.raises(ToolDefinitionError, match="handler takes size, lines; a handler takes the arguments"):
        order(handler)
    with pytest.raises(ToolDefinitionError, match="takes nothing"):
        order(lambda: None)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {"n": {"type": "whole"}}}, "no JSON schema at properties.n.type"),
        ({"type": "array"}, "its schema is one of an object"),
        ("{}", "its schema is one of an object"),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Any, told: str) -> None:
    with pytest.raises(ToolDefinitionError) as refused:
        order(lambda arguments: None, schema)
    assert told in str(refused.value)
    assert "'order'" in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"n": {"type": "whole"}}},
        {"type": "object", "properties": {"n": {"$ref": "http://localhost:9/of-a-server"}}},
        {"type": "object", "properties": {"n": {"$ref": "#/$defs/nowhere"}}},
    ],
)
async def test_a_strange_schema_of_somebody_elses_is_not_checked_and_nothing_is_fetched(schema: Any) -> None:
    async def call(arguments: dict[str, Any]) -> Any:
        return arguments["n"]

    made = Tool(SchemaSignature(call, schema, "of a server"), name="x")
    assert (await made.run({"n": 3})).value == 3


async def test_not_even_what_could_be_fetched_for_a_schema_is() -> None:
    asked: list[str] = []

    class Serving(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "string"}')

    async def call(arguments: dict[str, Any]) -> Any:
        return arguments["n"]

    with HTTPServer(("127.0.0.1", 0), Serving) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            schema = {"properties": {"n": {"$ref": f"http://127.0.0.1:{server.server_port}/text"}}}
            made = Tool(SchemaSignature(call, schema, "of a server"), name="x")
            assert (await made.run({"n": 3})).value == 3
        finally:
            server.shutdown()
            thread.join()
    assert asked == []
