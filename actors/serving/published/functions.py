"""Functions that answer HTTP requests, and where in a request their arguments are."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from ....tools.errors import ToolDefinitionError
from ....tools.signatures.schema import hints_of
from ...agents.caller import Caller
from ...agents.errors import DefinitionError
from ...agents.skills.route import HttpRoute
from ..problems import Refused, refuse
from ..requests import as_value, check_kind, read_body
from ..server import Server
from ..sse import EventStream
from .returned import as_events, as_response

Place: TypeAlias = Literal["path", "query", "body", "request", "caller"]

MOST_SIGNATURES: Final = 4_096
_SEVERAL: Final = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a function takes by one name.

    Args:
        name: the parameter's.
        place: where in the request it is.
        adapter: of its type.
        required: whether it has no default.
        several: whether a query may name it several times.
        raw: whether a body is taken as its bytes or its text, and not as JSON.
        closed: whether a body has no fields but those of its type, as that does not say what becomes of others.
    """

    name: str
    place: Place
    adapter: TypeAdapter[Any]
    required: bool
    several: bool = False
    raw: type | None = None
    closed: bool = False


class HttpFunction:
    """A route's function.

    Args:
        route: see `HttpRoute`.

    Attributes:
        parameters: what it takes.
        pattern: the route's path, to be matched.

    Raises:
        DefinitionError: what it takes cannot be found in a request.
    """

    __slots__ = ("_converters", "_route", "parameters", "pattern")

    def __init__(self, route: HttpRoute) -> None:
        self._route = route
        self.pattern, _, self._converters = compile_path(route.path)
        self.parameters = tuple(_parameters(route, set(self._converters)))

    def match(self, path: str) -> dict[str, Any] | None:
        """The values of what stands in braces, where a path is the route's."""
        found = self.pattern.match(path)
        if found is None:
            return None
        return {name: self._converters[name].convert(value) for name, value in found.groupdict().items()}

    async def answer(self, server: Server, request: Request, caller: Caller, path: Mapping[str, Any]) -> Response:
        """Call it, and make an answer of what it returns.

        Raises:
            Refused: an argument is missing, unknown, or does not fit; says which.
            WrongReturn: what it returned is no answer.
        """
        given = await self._arguments(server, request, caller, path)
        function = self._route.function
        if inspect.isasyncgenfunction(function):
            return EventStream(server, as_events(function(**given), request.url.path))
        if inspect.iscoroutinefunction(function):
            returned = await function(**given)
        else:
            returned = await anyio.to_thread.run_sync(lambda: function(**given))
            if inspect.isawaitable(returned):
                returned = await returned
        return as_response(returned, self._route)

    async def _arguments(
        self, server: Server, request: Request, caller: Caller, path: Mapping[str, Any]
    ) -> dict[str, Any]:
        self._check_query(request)
        given: dict[str, Any] = {}
        for parameter in self.parameters:
            name = parameter.name
            if parameter.place == "request":
                given[name] = request
            elif parameter.place == "caller":
                given[name] = caller
            elif parameter.place == "path":
                given[name] = _fitting(parameter, path[name])
            elif parameter.place == "query":
                values = request.query_params.getlist(name)
                if len(values) > 1 and not parameter.several:
                    raise refuse(400, "invalid_parameter", f"{name} stands {len(values)} times in the query", name)
                if values:
                    given[name] = _fitting(parameter, values if parameter.several else values[-1])
                elif parameter.required:
                    raise refuse(400, "missing_parameter", f"{name} is missing in the query", name)
            else:
                body = await read_body(request, server.body_limit)
                if body or parameter.required:
                    given[name] = _body(parameter, body, request)
        return given

    def _check_query(self, request: Request) -> None:
        if any(parameter.place == "request" for parameter in self.parameters):
            return  # it may read what it likes
        there = [parameter.name for parameter in self.parameters if parameter.place == "query"]
        for name in request.query_params:
            if name not in there:
                known = f"there are {', '.join(there)}" if there else "there are none"
                raise refuse(400, "unknown_parameter", f"{name!r:.80} is no parameter of the query; {known}", name[:80])


@lru_cache(MOST_SIGNATURES)
def http_function(route: HttpRoute) -> HttpFunction:
    """The function of a route, looked at once."""
    return HttpFunction(route)


def _parameters(route: HttpRoute, in_path: set[str]) -> Iterator[Parameter]:
    function, whose = route.function, f"route {route.path:.80}"
    try:
        hints = hints_of(function)
        signature = inspect.signature(function)
    except (ToolDefinitionError, TypeError, ValueError) as error:
        raise DefinitionError(f"{whose}: what its function takes cannot be read: {error!s:.200}") from error
    missing = in_path - signature.parameters.keys()
    if missing:
        raise DefinitionError(f"{whose}: its function has no parameter {', '.join(sorted(missing))}")
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise DefinitionError(f"{whose}: its function takes what it names, without {parameter}")
        hint = hints.get(name, str)
        place = _place(name, hint, name in hints, in_path)
        required = parameter.default is parameter.empty
        if place in ("request", "caller"):
            yield Parameter(name, place, TypeAdapter(Any), required)
            continue
        try:
            hint = dict[str, Any] if place == "body" and name not in hints else hint
            adapter = _adapter(hint)
            adapter.json_schema()
        except Exception as error:
            raise DefinitionError(f"{whose}: {name} has no type that JSON knows: {error!s:.200}") from error
        raw = hint if place == "body" and hint in (bytes, str) and name in hints else None
        closed = place == "body" and "extra" not in _config_of(hint)
        yield Parameter(name, place, adapter, required, _is_several(hint), raw, closed)


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))
    except PydanticUserError:  # a model, which says itself how it is read
        return TypeAdapter(hint)


def _config_of(hint: Any) -> Mapping[str, Any]:
    """What a model or dataclass says of how it is read."""
    config: Mapping[str, Any] = getattr(hint, "model_config", None) or getattr(hint, "__pydantic_config__", None) or {}
    return config


def _is_several(hint: Any) -> bool:
    """Whether a type is of several values, or may be."""
    return get_origin(hint) in _SEVERAL or hint in _SEVERAL or any(map(_is_several, _members(hint)))


def _members(hint: Any) -> tuple[Any, ...]:
    """The types that a union may be, and the one that an annotated type is."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return get_args(hint)
    return get_args(hint)[:1] if origin is Annotated else ()


def _place(name: str, hint: Any, hinted: bool, in_path: set[str]) -> Place:
    kind = hint if isinstance(hint, type) else None
    if (kind is not None and issubclass(kind, Request)) or (name == "request" and not hinted):
        return "request"
    if kind is Caller or (name == "caller" and not hinted):
        return "caller"
    if name in in_path:
        return "path"
    return "body" if name == "body" or _is_object(hint) else "query"


def _is_object(hint: Any) -> bool:
    """Whether a type is a model or a dataclass, or may be."""
    kind = hint if isinstance(hint, type) else None
    if kind is not None and (is_dataclass(kind) or issubclass(kind, BaseModel)):
        return True
    return any(map(_is_object, _members(hint)))


def _fitting(parameter: Parameter, value: Any) -> Any:
    try:
        return parameter.adapter.validate_python(value)
    except ValidationError as error:
        raise _unfit("invalid_parameter", parameter.name, error) from None


def _body(parameter: Parameter, body: bytes, request: Request) -> Any:
    if parameter.raw is bytes:
        return body
    if parameter.raw is str:
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise refuse(400, "not_text", f"the body is no UTF-8: byte {error.start} cannot be read", "body") from None
    check_kind(request)
    if not body:
        raise refuse(400, "missing_body", "the request has no body: send JSON", "body")
    as_value(body)  # says what is wrong better than pydantic, which takes NaN besides
    try:
        return parameter.adapter.validate_json(body, extra="forbid" if parameter.closed else None)
    except ValidationError as error:
        raise _unfit("invalid_body", "body", error) from None


def _unfit(code: str, name: str, error: ValidationError) -> Refused:
    """What is wrong, and where, without what was sent."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(step) for step in (name, *first["loc"]))[:200]
    return refuse(400, code, f"{where}: {first['msg']}", where)
