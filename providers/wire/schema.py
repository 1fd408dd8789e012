"""JSON schemas of answers and of tools' arguments, as vendors take them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..messages import Message, Request
from .fitting.models import bare_name

_WITHOUT_TOOLS = re.compile(r"gemini-[12]\b")
"""Models that refuse a schema beside tools: "Function calling with a response mime type: 'application/json' is
unsupported". Since the third generation they take both: https://ai.google.dev/gemini-api/docs/structured-output"""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def name_of(schema: Mapping[str, Any]) -> str:
    """What an answer of that schema is called: its title, where that can be a name."""
    title = schema.get("title")
    return title if isinstance(title, str) and _NAME.fullmatch(title) else "answer"


def named(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The schema with the name as its title, unless it has one."""
    return schema if "title" in schema or name in ("", "answer") else {**schema, "title": name}


def in_words(schema: Mapping[str, Any]) -> Message:
    """What asks for an answer of that schema where it cannot be enforced."""
    wish = "Answer with JSON only, fitting this JSON schema:\n" + json.dumps(schema, default=str)
    return Message("system", wish)


def beside_tools(request: Request, model: str, notes: list[str]) -> Request:
    """`request` with the schema of its answer in words, where the model takes none beside tools."""
    if request.response_schema is None or not (request.tools or request.extra.get("tools")):
        return request
    if not _WITHOUT_TOOLS.match(bare_name(model)):
        return request
    notes.append("the model takes no schema of its answer beside tools: it was asked for in words")
    messages = request.messages
    head = next((place for place, message in enumerate(messages) if message.role != "system"), len(messages))
    wish = in_words(request.response_schema)
    return replace(request, messages=(*messages[:head], wish, *messages[head:]), response_schema=None)


def of_arguments(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a tool's arguments as OpenAI takes it: an object with properties, also of a tool without any."""
    return {"type": "object", "properties": {}, **parameters}


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes a schema: every object closed, every property required.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" or "properties" in schema:
            properties = schema.get("properties") or {}
            if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties):
                return False
        return all(is_strict(value) for value in schema.values())
    if isinstance(schema, list):
        return all(is_strict(value) for value in schema)
    return True
