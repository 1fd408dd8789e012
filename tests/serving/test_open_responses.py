"""Open Responses: its schema, as PyPI's openresponses-types has it, and the demands of its compliance suite.

https://www.openresponses.org/compliance
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import openresponses_types as schema
import pytest

from callboard import Agency, Agent
from callboard.actors import ChildSpec
from callboard.actors.testing.doubles.models import FunctionModel
from callboard.providers.messages import Completion, Image, Message, Request, ToolCall

from .support import Served, served
from .test_response_events import check_order

EVENTS: dict[str, Any] = {
    next(iter(model.model_fields["type"].annotation)).value: model
    for name, model in vars(schema).items()
    if name.endswith("StreamingEvent")
}
"""The classes of the schema's events, by their types."""


def check_response(response: Any) -> None:
    """Look at a response by the schema."""
    found = copy.deepcopy(response)
    if found["text"]["format"]["type"] == "json_schema":
        found["text"]["format"]["schema"] = None  # the generated class knows nothing else
    schema.ResponseResource.model_validate(found)


def check_event(event: Any) -> None:
    """Look at an event by the schema."""
    found = copy.deepcopy(event)
    if "response" in found:
        check_response(found["response"])
        if found["response"]["text"]["format"]["type"] == "json_schema":
            found["response"]["text"]["format"]["schema"] = None
    EVENTS[event["type"]].model_validate(found)


async def events_of(it: Served, body: Any, path: str = "/v1/responses") -> list[dict[str, Any]]:
    found = []
    async with it.client() as client, client.stream("POST", path, json={**body, "stream": True}) as got:
        assert got.status_code == 200, await got.aread()
        assert got.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in got.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                assert event["type"] == name
                found.append(event)
    return found


def said(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather somewhere",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
FORM = {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": False}


def answer(request: Request) -> Any:
    last = request.messages[-1]
    if request.tools:
        call = ToolCall("call_1", "get_weather", '{"location": "San Francisco, CA"}')
        return Completion(Message("assistant", "", (call,)), "tool_calls")
    if request.response_schema is not None:
        return '{"a": 1}'
    if any(isinstance(part, Image) for message in request.messages for part in message.content):
        return "I see a point."
    return Completion(Message("assistant", f"You said: {last.text}", reasoning="Let me see."), "stop")


CASES: list[tuple[str, dict[str, Any], Callable[[Any], bool]]] = [
    (
        "basic-response",
        {"input": [said("user", "Say hello in exactly 3 words.")]},
        lambda response: response["status"] == "completed" and response["output"],
    ),
    (
        "system-prompt",
        {"input": [said("system", "You are a pirate."), said("user", "Say hello.")]},
        lambda response: response["status"] == "completed" and response["output"],
    ),
    (
        "tool-calling",
        {"input": [said("user", "What's the weather like in San Francisco?")], "tools": [WEATHER]},
        lambda response: any(item["type"] == "function_call" for item in response["output"]),
    ),
    (
        "image-input",
        {
            "input": [
                said(
                    "user",
                    [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PICTURE}],
                )
            ]
        },
        lambda response: response["output"][-1]["content"][0]["text"] == "I see a point.",
    ),
    (
        "multi-turn",
        {
            "input": [
                said("user", "My name is Alice."),
                said("assistant", "Hello Alice! How can I help you?"),
                said("user", "What is my name?"),
            ]
        },
        lambda response: response["status"] == "completed" and response["output"],
    ),
    ("text", {"input": "hello"}, lambda response: response["status"] == "completed"),
    (
        "everything",
        {
            "input": "hello",
            "instructions": "Be kind.",
            "metadata": {"a": "b"},
            "temperature": 0.5,
            "top_p": 0.9,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.1,
            "top_logprobs": 3,
            "max_output_tokens": 500,
            "max_tool_calls": 3,
            "reasoning": {"effort": "low"},
            "text": {"format": FORM, "verbosity": "low"},
            "truncation": "auto",
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "service_tier": "auto",
            "safety_identifier": "x",
            "prompt_cache_key": "y",
            "include": ["reasoning.encrypted_content"],
            "store": True,
            "background": False,
            "stream_options": {"include_obfuscation": False},
        },
        lambda response: response["status"] == "completed",
    ),
]


def agency() -> Agency:
    return Agency(Agent("A"), model=ChildSpec(FunctionModel, (answer,), name="model"))


@pytest.mark.parametrize(("name", "body", "demand"), CASES, ids=[case[0] for case in CASES])
async def test_a_response_is_what_the_suite_demands(name: str, body: Any, demand: Callable[[Any], bool]) -> None:
    async with served(agency()) as it, it.client() as client:
        whole = await client.post("/v1/responses", json={"model": "A", **body})
        assert whole.status_code == 200, whole.text
        check_response(whole.json())
        assert demand(whole.json())
        events = await events_of(it, {"model": "A", **body})
        for event in events:
            check_event(event)
        check_order(events)
        assert demand(events[-1]["response"])
        background = await client.post("/v1/responses", json={"model": "A", **body, "background": True})
        check_response(background.json())
        for field, value in body.items():
            if field in ("metadata", "temperature", "top_p", "instructions", "max_output_tokens", "truncation"):
                assert whole.json()[field] == value


async def test_a_streamed_call_has_its_events() -> None:
    async with served(agency()) as it:
        events = await events_of(it, {"model": "A", "input": "?", "tools": [WEATHER]})
        kinds = [event["type"].removeprefix("response.") for event in events]
        assert kinds == [
            *("created", "in_progress", "output_item.added", "function_call_arguments.delta"),
            *("function_call_arguments.done", "output_item.done", "completed"),
        ]
        assert events[2]["item"]["type"] == events[5]["item"]["type"] == "function_call"


async def test_a_response_that_failed_fits_the_schema_too() -> None:
    def broken(request: Request) -> str:
        raise RuntimeError("x")

    failing = Agency(Agent("A"), model=ChildSpec(FunctionModel, (broken,), name="model"))
    async with served(failing) as it, it.client() as client:
        events = await events_of(it, {"model": "A", "input": "?"})
        for event in events:
            check_event(event)
        kept = await client.get(f"/v1/responses/{events[-1]['response']['id']}")
        check_response(kept.json())
        assert kept.json()["status"] == "failed"
