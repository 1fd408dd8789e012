"""What the function of a route gives, as its annotation says it: the answers of an OpenAPI operation."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from starlette.responses import Response

from ....tools.errors import ToolDefinitionError
from ....tools.signatures.schema import hints_of
from ...agents.skills.route import HttpRoute
from .inlined import schema_of

_ANY: Final = {"2XX": {"description": "As asked."}, "3XX": {"description": "Elsewhere."}}
"""Of what may be a `Response`."""


def answers_of(route: HttpRoute) -> dict[str, Any]:
    """The answers of a function, by their status: those of its return annotation, and any where it has none."""
    if inspect.isasyncgenfunction(route.function):
        return {"200": _answer({"type": "string"}, "text/event-stream")}
    try:
        hint = hints_of(route.function).get("return", Any)
    except ToolDefinitionError:
        hint = Any
    answers: dict[str, Any] = {}
    of_200: list[Any] = []
    for one in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        parts = get_args(one) if get_origin(one) is tuple else ()
        if one is NoneType:
            answers["204"] = {"description": "Nothing."}
        elif one in (Any, object) or (isinstance(one, type) and issubclass(one, Response)):
            return dict(_ANY)
        elif len(parts) == 2 and _is_status(parts[1]):
            schema = _schema(parts[0])
            for status in get_args(parts[1]) or ("2XX",):
                answers[str(int(status)) if isinstance(status, int) else status] = _answer(schema)
        else:
            of_200.append(one)
    if of_200:
        answers["200"] = _answer(_schema(Union[tuple(of_200)]))  # noqa: UP007  # they are known only now
    return answers


def _is_status(hint: Any) -> bool:
    """Whether a type is of numbers, or of some that are told."""
    if get_origin(hint) is Literal:
        return all(isinstance(value, int) and not isinstance(value, bool) for value in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, int) and hint is not bool


def _schema(hint: Any) -> dict[str, Any]:
    try:
        return schema_of(TypeAdapter(hint), given=True)
    except (PydanticUserError, PydanticSchemaGenerationError):  # nothing is known of it then
        return {}


def _answer(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": "As asked.", "content": {kind: {"schema": schema}}}
