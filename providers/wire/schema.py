"""JSON schemas of answers: their names, and which of them OpenAI's strict mode takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def name_of(schema: Mapping[str, Any]) -> str:
    """What an answer of that schema is called: its title, where that can be a name."""
    title = schema.get("title")
    return title if isinstance(title, str) and _NAME.fullmatch(title) else "answer"


def named(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The schema with the name as its title, unless it has one."""
    return schema if "title" in schema or name in ("", "answer") else {**schema, "title": name}


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
