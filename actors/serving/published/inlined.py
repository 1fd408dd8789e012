"""The JSON schemas of types, each with all that it refers to within itself, as the document has other definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter


def schema_of(adapter: TypeAdapter[Any], *, closed: bool = False, given: bool = False) -> dict[str, Any]:
    """A type's schema.

    Args:
        adapter: of the type.
        closed: whether objects have no fields but those that are named.
        given: whether it is of what is given, and not of what is taken.

    Raises:
        PydanticUserError: JSON does not know the type.
    """
    schema: dict[str, Any] = adapter.json_schema(mode="serialization" if given else "validation")
    definitions: Mapping[str, Any] = schema.pop("$defs", {})

    def inlined(part: Any, within: frozenset[str]) -> Any:
        if isinstance(part, list):
            return [inlined(item, within) for item in part]
        if not isinstance(part, dict):
            return part
        name = part.get("$ref", "").rpartition("/")[2] if isinstance(part.get("$ref"), str) else ""
        if name in definitions:
            return {} if name in within else inlined(definitions[name], within | {name})
        made = {key: inlined(value, within) for key, value in part.items()}
        if closed and made.get("type") == "object" and isinstance(made.get("properties"), dict):
            made.setdefault("additionalProperties", False)
        return made

    found: dict[str, Any] = inlined(schema, frozenset())
    return found
