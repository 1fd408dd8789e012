"""What can be asked, as an OpenAPI document: https://spec.openapis.org/oas/v3.1.0

It has what the asking caller may use: the endpoints that every agency has, and the routes of agents' skills.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ....tools.scopes import may_use
from ...agents.skills.route import HttpRoute
from ..server import Server
from .described import DESCRIBED, Described
from .functions import HttpFunction, http_function
from .given import answers_of
from .info import holds
from .inlined import schema_of
from .routes import routes_of
from .schemas import SCHEMAS, Schema, named

_RAW: Final[Mapping[type, str]] = {bytes: "application/octet-stream", str: "text/plain"}
_BRACES: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::path)?\}")
_ANYTHING: Final = "/{agent}/{rest:path}"
_OPEN: Final = frozenset({"/healthz", "/readyz"})
"""Paths at which nobody has to say who they are."""


def _problem(kind: str, name: str) -> dict[str, Any]:
    return {"description": "What is wrong, and what to do.", "content": {kind: {"schema": named(name)}}}


_PROBLEM: Final = _problem("application/problem+json", "Problem")
_OPENAI_PROBLEM: Final = _problem("application/json", "OpenAIError")
_AG_UI_PROBLEM: Final = _problem("application/json", "RunError")


async def openapi(server: Server, request: Request) -> Response:
    """The document."""
    caller = await server.caller(request)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in (*_common(request), *_of_agents(server, caller)):
        paths.setdefault(path, {}).setdefault(method, operation)
    _name(paths)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": server.agency.name, "version": version("callboard")},
        "servers": [{"url": request.scope.get("root_path", "") or "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }
    if server.authenticate:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
        for path in _OPEN:
            for operation in paths[path].values():
                operation["security"] = []
    return JSONResponse(document)


def _name(paths: Mapping[str, Mapping[str, Any]]) -> None:
    """Give each operation an id of its own, which its method and path alone decide, unless another path has the same
    letters and digits."""
    taken: set[str] = set()
    for path in sorted(paths):
        for method, operation in paths[path].items():
            name = wanted = f"{method}_{re.sub(r'[^A-Za-z0-9]+', '_', path).strip('_')}"
            number = 2
            while name in taken:
                name, number = f"{wanted}_{number}", number + 1
            taken.add(name)
            operation["operationId"] = name


def _common(request: Request) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What every agency answers, as its routes say it of themselves; each with its path and method."""
    for route in request.app.routes:
        summary = getattr(getattr(route, "endpoint", None), "summary", "")
        if not summary or route.path == _ANYTHING:
            continue
        path = _BRACES.sub(r"{\1}", route.path)
        problem = _problem_of(path)
        for method in sorted(route.methods - {"HEAD"}):
            known = DESCRIBED.get((method.lower(), path), _UNKNOWN)
            parameters = [_in_path(one) for one in _BRACES.findall(path)]
            parameters += [_parameter(name, "query", schema) for name, schema in known.query.items()]
            yield path, method.lower(), _operation(summary, {**_answers(known), "default": problem}, parameters, known)


def _problem_of(path: str) -> dict[str, Any]:
    if path.startswith("/ag-ui/"):
        return _AG_UI_PROBLEM
    return _OPENAI_PROBLEM if path.startswith("/v1/") or path.endswith(_OF_OPENAI) else _PROBLEM


_OF_OPENAI: Final = ("/responses", "/chat/completions")
_UNKNOWN: Final = Described()


def _answers(known: Described) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if known.answer:
        content["application/json"] = {"schema": named(known.answer)}
    if known.stream:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    answers = {str(known.status): _answer(content)}
    for status, name in known.also.items():
        answers[str(status)] = _answer({"application/json": {"schema": named(name)}} if name else {})
    return answers


def _answer(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": "As asked.", **({"content": content} if content else {})}


def _of_agents(server: Server, caller: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in server.agency.open_to(caller):
        agent = server.agency.agents[name]
        held = holds(agent, caller)
        for skill, route in routes_of(agent):
            usable = server.agency.skill_available(name, skill.name, caller=caller)
            if usable and may_use(held, frozenset(route.scope)):
                function = http_function(route)
                path = f"/{quote(name)}" + _BRACES.sub(r"{\1}", route.path)
                for method in route.methods:
                    yield path, method.lower(), _own(route, function)


def _own(route: HttpRoute, function: HttpFunction) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = []
    body: dict[str, Any] | None = None
    for one in function.parameters:
        if one.place in ("path", "query"):
            required = one.place == "path" or one.required
            parameters.append(_parameter(one.name, one.place, schema_of(one.adapter), required))
        elif one.place == "body":
            kind = "application/json" if one.raw is None else _RAW[one.raw]
            schema = {} if one.raw is bytes else schema_of(one.adapter, closed=one.closed)
            body = {"required": one.required, "content": {kind: {"schema": schema}}}
    answers = {**answers_of(route), "default": _PROBLEM}
    operation = _operation(route.description or route.path, answers, parameters)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _in_path(name: str) -> dict[str, Any]:
    return _parameter(name, "path", {"type": "string", "minLength": 1}, required=True)


def _parameter(name: str, where: str, schema: Schema, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}


def _operation(
    summary: str, answers: Mapping[str, Any], parameters: list[dict[str, Any]], known: Described = _UNKNOWN
) -> dict[str, Any]:
    made: dict[str, Any] = {"summary": summary, "responses": answers}
    if parameters:
        made["parameters"] = parameters
    if known.body is not None:
        made["requestBody"] = {"required": known.needs_body, "content": {"application/json": {"schema": known.body}}}
    return made
