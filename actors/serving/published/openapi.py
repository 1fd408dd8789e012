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
from .functions import HttpFunction, http_function
from .info import holds
from .routes import routes_of

_TEXT: Final = {"type": "string"}
_OBJECT: Final = {"type": "object"}
_RAW: Final[Mapping[type, str]] = {bytes: "application/octet-stream", str: "text/plain"}
_BRACES: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::path)?\}")

_PROBLEM: Final = {
    "description": "What is wrong, and what to do.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["title", "status", "code", "detail"],
                "properties": {
                    **dict.fromkeys(("type", "title", "code", "detail", "where", "run"), _TEXT),
                    "status": {"type": "integer"},
                },
            }
        }
    },
}
_OPENAI_PROBLEM: Final = {
    "description": "What is wrong, and what to do.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {"type": "object", "required": ["message", "type"], "properties": {"message": _TEXT}}
                },
            }
        }
    },
}
_MESSAGE: Final = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _OBJECT}, {"type": "null"}]},
    },
}
_CHAT: Final = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "model": _TEXT,
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": {"type": "boolean"},
    },
}

_RESPONSE: Final = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "model": _TEXT,
        "input": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _OBJECT}]},
        "stream": {"type": "boolean"},
        "background": {"type": "boolean"},
        "previous_response_id": {"anyOf": [_TEXT, {"type": "null"}]},
        "conversation": {"anyOf": [_TEXT, _OBJECT, {"type": "null"}]},
    },
}
_RUN: Final = {
    "type": "object",
    "required": ["input"],
    "additionalProperties": False,
    "properties": {
        "input": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _MESSAGE}]},
        "when_busy": {"enum": ["queue", "reject", "interrupt", "rollback"]},
        **dict.fromkeys(("agent", "conversation", "webhook"), _TEXT),
    },
}
_ANYTHING: Final = "/{agent}/{rest:path}"


async def openapi(server: Server, request: Request) -> Response:
    """The document."""
    caller = await server.caller(request)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in (*_common(), *_others(request), *_of_agents(server, caller)):
        paths.setdefault(path, {}).setdefault(method, operation)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": server.agency.name, "version": version("callboard")},
        "servers": [{"url": request.scope.get("root_path", "") or "/"}],
        "paths": paths,
    }
    if server.authenticate:
        document["components"] = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
        document["security"] = [{"bearer": []}]
    return JSONResponse(document)


def _common() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What every agency answers; each with its path and method."""
    agent = _in_path("agent")
    yield "/v1/chat/completions", "post", _operation("Ask an agent", _OPENAI_PROBLEM, body=_CHAT)
    yield "/{agent}/chat/completions", "post", _operation("Ask this agent", _OPENAI_PROBLEM, [agent], _CHAT)
    yield "/v1/responses", "post", _operation("Ask an agent", _OPENAI_PROBLEM, body=_RESPONSE)
    yield "/{agent}/responses", "post", _operation("Ask this agent", _OPENAI_PROBLEM, [agent], _RESPONSE)
    yield "/agency/runs", "post", _operation("Begin a run in the background", _PROBLEM, body=_RUN)
    yield "/v1/models", "get", _operation("The agents as models", _OPENAI_PROBLEM)
    yield "/v1/models/{model}", "get", _operation("An agent as a model", _OPENAI_PROBLEM, [_in_path("model")])
    query = {"name": "q", "in": "query", "required": False, "schema": _TEXT}
    yield "/agency/agents", "get", _operation("The agents, or those that fit some words", _PROBLEM, [query])
    yield "/{agent}", "get", _operation("Who an agent is and what it can do", _PROBLEM, [agent])


def _others(request: Request) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What every agency answers besides, as its routes say it of themselves."""
    for route in request.app.routes:
        summary = getattr(getattr(route, "endpoint", None), "summary", "")
        if not summary or route.path == _ANYTHING:
            continue
        path = _BRACES.sub(r"{\1}", route.path)
        problem = _OPENAI_PROBLEM if path.startswith("/v1/") or path.endswith("/responses") else _PROBLEM
        for method in sorted(route.methods - {"HEAD"}):
            yield path, method.lower(), _operation(summary, problem, [_in_path(one) for one in _BRACES.findall(path)])


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
            where = {"name": one.name, "in": one.place, "required": one.place == "path" or one.required}
            parameters.append({**where, "schema": _schema(one.adapter)})
        elif one.place == "body":
            kind = "application/json" if one.raw is None else _RAW[one.raw]
            schema = {} if one.raw is bytes else _schema(one.adapter, one.closed)
            body = {"required": one.required, "content": {kind: {"schema": schema}}}
    operation = _operation(route.description or route.path, _PROBLEM, parameters)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _schema(adapter: Any, closed: bool = False) -> dict[str, Any]:
    """A type's JSON schema with all that it refers to within itself, as the document has other definitions.

    Args:
        adapter: of the type.
        closed: whether objects have no fields but those that are named.
    """
    schema: dict[str, Any] = adapter.json_schema()
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


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _operation(
    summary: str,
    problem: Mapping[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    made: dict[str, Any] = {"summary": summary, "responses": {"200": {"description": "As asked."}, "default": problem}}
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return made
