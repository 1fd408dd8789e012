"""Structured answers: what a request says of their form, as the type that the run's answer must fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...agents.errors import DefinitionError
from ...agents.json_schema import JsonSchema
from ...agents.output import Output, unfenced
from ..problems import refuse
from .kinds import FLAG, NAME, TEXT, fields

LONGEST: Final = 50_000
"""Characters of a schema, at most: looking at one takes 10 µs a character."""

_ANY_OBJECT: Final = {"type": "object"}
_ABOUT: Final = fields({"name": NAME, "description": TEXT, "strict": FLAG}, ["name"])
_STARTS: Final = frozenset('{["-0123456789')


def output_type(wanted: Any, where: str, *, nested: str = "") -> JsonSchema | None:
    """The type that an answer must fit; None where that is the agent's affair.

    Args:
        wanted: ``{"type": …}``, as both protocols have it.
        where: the field that it is in.
        nested: the field of ``wanted`` that has name and schema, where they do not stand beside the type.

    Raises:
        Refused: it is no form, or no schema; says which field and why.
    """
    if wanted is None:
        return None
    if not isinstance(wanted, Mapping):
        raise refuse(400, "invalid_request", f"{where}: expected an object with a type", where)
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonSchema(_ANY_OBJECT)
    if kind != "json_schema":
        field = f"{where}.type"
        raise refuse(400, "invalid_request", f"{field}: expected text, json_object or json_schema", field)
    inner = wanted.get(nested) if nested else wanted
    if nested:
        where = f"{where}.{nested}"
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    field = f"{where}.schema"
    if not isinstance(inner, Mapping) or not isinstance(schema, Mapping):
        raise refuse(400, "invalid_request", f"{field}: expected a JSON schema, an object", field)
    _ABOUT(inner, where)
    if "title" not in schema:
        schema = {**schema, "title": inner["name"]}
    if len(str(schema)) > LONGEST:
        raise refuse(400, "invalid_schema", f"{field}: expected {LONGEST:,} characters at most", field)
    try:
        return JsonSchema(schema)
    except DefinitionError as error:
        raise refuse(400, "invalid_schema", f"{field}: {error}", field) from None


def fits(schema: JsonSchema, text: str) -> bool:
    """Whether a text is an answer that fits: of one that does not the agent is asked for another."""
    return not Output(schema).read(text)[1]


def begins_as_json(text: str) -> bool:
    """Whether a text that has begun can be nothing but JSON, so that it can be sent as it comes. A Markdown fence is
    taken off once the text is whole, and what is said beside calls is told apart then."""
    return text.lstrip()[:1] in _STARTS


def as_json(text: str) -> str:
    """The text of a structured answer, as clients read it."""
    return text if begins_as_json(text) else unfenced(text)
