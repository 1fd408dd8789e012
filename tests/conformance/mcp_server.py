"""A server for MCP's conformance suite: tools and agents that do what its scenarios need, by the names it wants.

The suite knows tools by fixed names, and calls them with arguments of its own. What is an agent here is called
``ask_…`` by us: so requests are renamed on their way in, and nothing else.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callboard import Agency, Agent, Caller, MemoryJournal, ToolContext, ToolError, serve, tool, tool_from_schema
from callboard.actors import Actor, ChildSpec
from callboard.providers.messages import Audio, Completion, File, Image, Request, ToolCall
from callboard.providers.messages import Message as Said

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

AGENTS = ("slow_compute", "failing_job", "confirm_delete", "multi_input", "test_input_required_result_elicitation")
"""Those of the suite's tools that are agents here."""


@tool(risk="safe")
def test_simple_text() -> str:
    """A text."""
    return "This is a simple text response for testing."


@tool(risk="safe")
def test_image_content() -> Image:
    """A picture."""
    return Image(f"data:image/png;base64,{PNG}")


@tool(risk="safe")
def test_audio_content() -> Audio:
    """A sound."""
    return Audio(f"data:audio/wav;base64,{WAV}")


def _file(text: str, kind: str, name: str) -> File:
    return File(f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}", name)


@tool(risk="safe")
def test_embedded_resource() -> File:
    """A file."""
    return _file("This is an embedded resource content.", "text/plain", "embedded.txt")


@tool(risk="safe")
def test_multiple_content_types() -> list[Any]:
    """A text, a picture and a file."""
    picture = Image(f"data:image/png;base64,{PNG}")
    return ["Multiple content types test:", picture, _file('{"test":"data"}', "application/json", "mixed.json")]


@tool(risk="safe")
async def test_tool_with_progress(context: ToolContext[Any]) -> str:
    """Say how far it is."""
    for percent in (0, 50, 100):
        context.progress(f"{percent} of 100", fraction=percent / 100)
    return "done"


@tool(risk="safe")
def test_error_handling() -> str:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


@tool(risk="safe")
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


def _echo(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments)


headers = tool_from_schema(
    handler=_echo,
    name="test_custom_headers",
    description="Takes what headers say.",
    schema={
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "query": {"type": "string"}},
        "required": ["region", "query"],
    },
    risk="safe",
)

schema = tool_from_schema(
    handler=_echo,
    name="json_schema_2020_12_tool",
    description="Has all that a schema can have.",
    schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
    risk="safe",
)


@tool(risk="risky")
def erase(name: str) -> str:
    """Erase something."""
    return f"{name} is gone"


class Model(Actor):
    """What the agents say: those that confirm call a tool first that waits for a person."""

    def on_receive(self, request: Request) -> Completion:
        """Answer a request."""
        asked = request.messages[-1]
        text = next(message.text for message in request.messages if message.role == "user")
        if "fail" in text:
            raise RuntimeError("it fails, as it should")
        if asked.role == "tool" or "compute" in text:
            return Completion(Said("assistant", "Done."), "stop")
        calls = tuple(ToolCall(f"c{each}", "erase", json.dumps({"name": f"x{each}"})) for each in range(_inputs(text)))
        return Completion(Said("assistant", "", calls), "tool_calls")


def _inputs(text: str) -> int:
    return 2 if "multi" in text else 1


class Renamed:
    """Has the suite's names be those of agents."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        named = next((value.decode() for key, value in scope["headers"] if key == b"mcp-name"), "")
        if named.strip() in AGENTS:
            scope["headers"] = [
                (key, b"ask_" + value.strip() if key == b"mcp-name" else value) for key, value in scope["headers"]
            ]
        scope["headers"] = [(key, value) for key, value in scope["headers"] if key != b"content-length"]

        async def renamed() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                message["body"] = _renamed(message["body"])
            return message

        await self._app(scope, renamed, send)


def _renamed(body: bytes) -> bytes:
    try:
        request = json.loads(body)
        name = request["params"]["name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    if name not in AGENTS:
        return body
    request["params"] |= {"name": f"ask_{name}", "arguments": {"message": name}}
    return json.dumps(request).encode()


def main(port: int, *, known: bool) -> None:
    """Serve until told to stop.

    Args:
        port: where.
        known: whether it is known who asks: only they may approve, and only without is it looked where pages come from.
    """
    agents = [Agent(name, tools=[erase], autonomy="supervised") for name in AGENTS]
    offered = [test_simple_text, test_image_content, test_audio_content, test_embedded_resource, greet, headers, schema]
    offered += [test_multiple_content_types, test_tool_with_progress, test_error_handling]
    app = serve(
        Agency(*agents, model=ChildSpec(Model), journal=MemoryJournal()),
        authenticate=(lambda connection: Caller("suite")) if known else None,
        mcp_tools=offered,
    )
    uvicorn.run(Renamed(app), port=port, log_level="critical")


if __name__ == "__main__":
    main(int(sys.argv[1]), known="known" in sys.argv)
