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
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .context import CallContext, context_type
from .docs import Documentation, read_docstring
from .errors import InvalidArguments, ToolDefinitionError

if TYPE_CHECKING:
    from pydantic import BaseModel, TypeAdapter, ValidationError

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


class FunctionSignature:
    """The signature of a function, from its type hints and its docstring.

    Args:
        function: a function, a bound method or a callable object; its parameters must be passable by keyword.
        namespace: names that its string annotations may use beside its module's.

    Raises:
        ToolDefinitionError: it does not say what it takes, or that is ``*args`` or positional-only parameters, now; or,
            on first use, an annotation cannot be resolved or has no schema.
    """

    def __init__(self, function: Callable[..., Any], namespace: Mapping[str, Any] | None = None) -> None:
        self._function = function
        # What carries the hints; for a method it is shared by all instances, and so is the schema built from it.
        self._source = _source_of(function)
        self._hints: dict[str, Any] | None = None
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise ToolDefinitionError(
                f"{name_of(function)} does not say what it takes; a tool is made of a function with type hints"
            ) from error
        for parameter in self._signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise ToolDefinitionError(
                    f"{name_of(function)}: parameter {parameter.name!r} cannot be passed by name; "
                    "a tool's arguments come as a JSON object"
                )
        if namespace is not None:
            self._hints = _hints(self._source, namespace, tolerant=True)

    @functools.cached_property
    def _built(self) -> _Built:
        built = _built.get(self._source)
        if built is None:
            built = _built[self._source] = self._build()
        return built

    def _build(self) -> _Built:
        from pydantic import ConfigDict, PydanticUserError, TypeAdapter

        hints = self._hints if self._hints is not None else hints_of(self._function)
        described = self.documentation.parameters
        parameters: list[inspect.Parameter] = []
        context: type[CallContext] | None = None
        for index, parameter in enumerate(self._signature.parameters.values()):
            if (wanted := context_type(hints.get(parameter.name))) is not None:
                if index:
                    raise ToolDefinitionError(
                        f"{name_of(self._function)}: {parameter.name!r} is a {wanted.__name__}; "
                        "make it the first parameter"
                    )
                context = wanted
                continue
            hint = _described(hints.get(parameter.name, Any), described.get(parameter.name))
            kind = parameter.kind if parameter.kind is parameter.VAR_KEYWORD else parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=kind, annotation=hint))

        def capture(**values: Any) -> dict[str, Any]:
            return values

        # pydantic validates a call against this stand-in, so that validating and calling are two steps:
        # between them come hooks, approval and the change of thread.
        capture.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        capture.__annotations__ = {p.name: p.annotation for p in parameters}
        try:
            adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(
                typing.cast(Any, capture), config=ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")
            )
        except (PydanticUserError, TypeError) as error:
            raise ToolDefinitionError(f"{name_of(self._function)}: no schema for its parameters: {error}") from error
        return _Built(adapter, without_titles(adapter.json_schema()), context)

    @functools.cached_property
    def documentation(self) -> Documentation:
        found = _documented.get(self._source)
        if found is None:
            source: Any = self._function
            if isinstance(source, functools.partial):
                source = source.func
            found = read_docstring((source if inspect.isroutine(source) else type(source)).__doc__)
            _documented[self._source] = found
        return found

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._built.schema

    @property
    def context(self) -> type[CallContext] | None:
        return self._built.context

    @property
    def is_async(self) -> bool:
        """Whether calling the function blocks nobody."""
        return inspect.iscoroutinefunction(self._source)

    def bind(self, name: str, arguments: str | Mapping[str, Any]) -> Bound:
        from pydantic import ValidationError

        adapter = self._built.adapter
        try:
            if isinstance(arguments, str):
                values = adapter.validate_json(arguments.strip() or "{}")
            else:
                values = adapter.validate_python(dict(arguments))
        except ValidationError as error:
            raise InvalidArguments(explained(name, error, self.parameters)) from None
        return Bound(values, functools.partial(self._function, **values))


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


@dataclass(frozen=True, slots=True)
class _Built:
    adapter: TypeAdapter[dict[str, Any]]
    schema: dict[str, Any]
    context: type[CallContext] | None


# By what carries the hints, so that the same method of many instances is read once.
_documented: weakref.WeakKeyDictionary[Any, Documentation] = weakref.WeakKeyDictionary()
_built: weakref.WeakKeyDictionary[Any, _Built] = weakref.WeakKeyDictionary()


def name_of(function: Callable[..., Any]) -> str:
    """By what an error calls a function."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function, a method or a callable object.

    Raises:
        ToolDefinitionError: one cannot be resolved.
    """
    return _hints(_source_of(function), {}, tolerant=False) or {}


def body_of(function: Callable[..., Any]) -> Any:
    """What is run when it is called: of a partial the function, of another callable object its ``__call__``."""
    return function if inspect.isroutine(function) else getattr(function, "func", type(function).__call__)


def _source_of(function: Callable[..., Any]) -> Any:
    source: Any = getattr(function, "__func__", function)
    if inspect.isroutine(source) or isinstance(source, functools.partial):
        return source
    return type(function).__call__


def _hints(source: Any, namespace: Mapping[str, Any], *, tolerant: bool) -> dict[str, Any] | None:
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


def _described(hint: Any, documented: str | None) -> Any:
    """Attach a description: the one in ``Annotated`` wins, as a `Field` or as a plain string, then the docstring's."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    text = documented
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, FieldInfo) and extra.description:
            return hint
        if isinstance(extra, str):
            text = extra
    return typing.Annotated[hint, Field(description=text)] if text else hint


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
