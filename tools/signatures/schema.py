"""From type hints to a JSON schema, and from a model's arguments to a checked call.

A signature says what a tool takes (`parameters`) and turns raw arguments into a `Bound` call, or raises
`InvalidArguments` with a text the model can repair its call from. Schemas are built on first use: declaring a tool
costs microseconds, and importing this module does not import pydantic.
"""

from __future__ import annotations

import functools
import inspect
import json
import reprlib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..context import CallContext, context_type
from ..errors import InvalidArguments, ToolDefinitionError
from .docs import Documentation, read_docstring

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_SCHEMA_SHOWN = 1200  # characters of the expected schema in an error: enough to repair a call, and bounded
_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 80


@dataclass(frozen=True, slots=True)
class Bound:
    """A call whose arguments fit: the values by parameter name, and the call itself, ready to make. It is handed the
    context of the call, where the signature has one."""

    values: dict[str, Any]
    invoke: Callable[..., Any]


class Signature(Protocol):
    """What a tool takes, and how it is called."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The JSON schema of the arguments, an object."""

    @property
    def documentation(self) -> Documentation:
        """The tool's description and its parameters'."""

    @property
    def context(self) -> type[CallContext] | None:
        """The class of the context that the call is to be handed, if it is."""

    def bind(self, name: str, arguments: str | Mapping[str, Any]) -> Bound:
        """Check the arguments (JSON text, or a mapping) and return the call.

        Raises:
            InvalidArguments: they do not fit; the text names the tool and each misfit.
        """


class ModelSignature:
    """The signature of a class-based tool: a pydantic model whose fields are the arguments and that has a ``run``."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    @functools.cached_property
    def documentation(self) -> Documentation:
        # inspect.getdoc would inherit the base class's text
        return read_docstring(self._model.__doc__)

    @functools.cached_property
    def parameters(self) -> Mapping[str, Any]:
        schema = without_titles(self._model.model_json_schema())
        schema.pop("description", None)  # it is the tool's description already
        for name, text in self.documentation.parameters.items():
            entry = schema.get("properties", {}).get(name)
            if entry is not None:
                entry.setdefault("description", text)
        return schema

    @functools.cached_property
    def context(self) -> type[CallContext] | None:
        run: Any = self._model.run  # type: ignore[attr-defined]
        names = list(inspect.signature(run).parameters)[1:]
        if not names:
            return None
        wanted = context_type(hints_of(run).get(names[0]))
        if wanted is None or len(names) > 1:
            raise ToolDefinitionError(
                f"{name_of(run)} takes {', '.join(names)}; the arguments are fields of the class, and 'run' takes "
                "nothing, or the call's context, annotated with ToolContext"
            )
        return wanted

    def bind(self, name: str, arguments: str | Mapping[str, Any]) -> Bound:
        from pydantic import ValidationError

        try:
            if isinstance(arguments, str):
                instance = self._model.model_validate_json(arguments.strip() or "{}")
            else:
                instance = self._model.model_validate(dict(arguments))
        except ValidationError as error:
            raise InvalidArguments(explained(name, error, self.parameters)) from None
        return Bound(dict(instance), instance.run)  # type: ignore[attr-defined]


class OpenSignature:
    """A signature given as a JSON schema; that the arguments fit it is checked by whoever runs the tool.

    Args:
        function: called with the arguments, a dictionary, and, where it takes one, the call's context before it.
        parameters: the JSON schema that the model is shown, or what returns it when it is first needed.
        description: what the tool does.
        context: returns the class of the context that the function takes, if it does; asked when it is first needed.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        description: str,
        context: Callable[[], type[CallContext] | None] = lambda: None,
    ) -> None:
        self._function = function
        self._parameters = parameters
        self._context = context
        self.documentation = Documentation(description)

    @functools.cached_property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters() if callable(self._parameters) else self._parameters

    @functools.cached_property
    def context(self) -> type[CallContext] | None:
        return self._context()

    def bind(self, name: str, arguments: str | Mapping[str, Any]) -> Bound:
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments.strip() or "{}")
            except ValueError as error:
                raise InvalidArguments(f"the arguments of {name!r} are not valid JSON: {error}") from None
            if not isinstance(arguments, dict):
                raise InvalidArguments(f"the arguments of {name!r} must be a JSON object")
        missing = [key for key in self.parameters.get("required", ()) if key not in arguments]
        if missing:
            raise InvalidArguments(f"the arguments of {name!r} lack {', '.join(missing)}{expected(self.parameters)}")
        values = dict(arguments)
        if self.context is not None:
            return Bound(values, lambda context: self._function(context, values))
        return Bound(values, functools.partial(self._function, values))


def name_of(function: Callable[..., Any]) -> str:
    """By what an error calls a function."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function, a method or a callable object.

    Raises:
        ToolDefinitionError: one cannot be resolved.
    """
    return read_hints(source_of(function), {}, tolerant=False) or {}


def yields(function: Any) -> bool:
    """Whether it is a function that yields: calling it runs nothing of it."""
    body = body_of(function) if callable(function) else None
    return inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body)


def body_of(function: Callable[..., Any]) -> Any:
    """What is run when it is called: of a partial the function, of another callable object its ``__call__``."""
    return function if inspect.isroutine(function) else getattr(function, "func", type(function).__call__)


def source_of(function: Callable[..., Any]) -> Any:
    source: Any = getattr(function, "__func__", function)
    if inspect.isroutine(source) or isinstance(source, functools.partial):
        return source
    return type(function).__call__


def read_hints(source: Any, namespace: Mapping[str, Any], *, tolerant: bool) -> dict[str, Any] | None:
    if isinstance(source, functools.partial):
        source = source.func
    try:
        return typing.get_type_hints(source, localns=dict(namespace) or None, include_extras=True)
    except NameError as error:
        if tolerant:  # it may be defined by the time the schema is needed
            return None
        raise ToolDefinitionError(f"{name_of(source)}: an annotation cannot be resolved: {error}") from error
    except TypeError as error:
        raise ToolDefinitionError(f"{name_of(source)}: {error}") from error


def without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop pydantic's generated titles: they repeat the names, and the model pays for each token. Bytes are base64."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs", "patternProperties") and isinstance(value, dict):
            result[key] = {name: without_titles(sub) if isinstance(sub, dict) else sub for name, sub in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            result[key] = [without_titles(sub) if isinstance(sub, dict) else sub for sub in value]
        elif key in ("items", "additionalProperties", "not", "contains") and isinstance(value, dict):
            result[key] = without_titles(value)
        elif key == "format" and value == "base64url":
            # Bytes. Not every vendor takes this name, and both alphabets are read.
            result["contentEncoding"] = "base64"
        else:
            result[key] = value
    if "contentEncoding" in result:
        result.setdefault("description", "bytes, as base64")
    return result


def expected(schema: Mapping[str, Any]) -> str:
    """What an error says at its end of what would have fitted."""
    text = json.dumps(
        {key: schema[key] for key in ("properties", "required", "$defs") if schema.get(key)}, ensure_ascii=False
    )
    if len(text) > _SCHEMA_SHOWN:
        text = text[:_SCHEMA_SHOWN] + "…"
    return f"\nExpected arguments: {text}"


def explained(name: str, error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What a model is told of arguments that do not fit."""
    lines = [f"the arguments of {name!r} do not fit its schema:"]
    known = list(schema.get("properties", {}))
    for problem in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"])
        kind = problem["type"]
        if kind in ("missing_keyword_only_argument", "missing"):
            lines.append(f"- {place}: required, but missing")
        elif kind in ("unexpected_keyword_argument", "extra_forbidden"):
            lines.append(f"- {place}: there is no such argument (known: {', '.join(known) or 'none'})")
        elif kind in ("unexpected_positional_argument", "arguments_type", "model_type"):
            return f"the arguments of {name!r} must be a JSON object{expected(schema)}"
        elif kind == "json_invalid":
            reason = problem["msg"].removeprefix("Invalid JSON: ")
            return f"the arguments of {name!r} are not valid JSON: {reason}{expected(schema)}"
        else:
            lines.append(f"- {place}: {problem['msg']} (got {_shortened.repr(problem['input'])})")
    return "\n".join(lines) + expected(schema)
