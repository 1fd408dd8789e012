"""Composite tools: several calls in one, each with its own result or error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..providers.checks import COUNT, FLAG, LIST, TEXT, require
from ..providers.messages import Part, Text, ToolCall, ToolSpec
from .context import CallContext
from .errors import InvalidArguments, ToolDefinitionError
from .registry import ToolRegistry
from .result import ToolResult
from .runner import run_calls
from .schema import OpenSignature
from .scopes import ADMIN, ALL, EVERYBODY
from .tool import Autonomy, Tool


def composite(
    tools: Iterable[Tool | type | Callable[..., Any]],
    *,
    name: str = "batch",
    description: str = "",
    parallel: bool = False,
    concurrency: int = 10,
) -> Tool:
    """A tool that makes several calls of other tools in one.

    It takes ``{"calls": [{"name": …, "args": {…}}, …]}`` and answers ``{"results": [{"name": …, "result": …} or
    {"name": …, "error": …}, …]}``, in the order of the calls; one that fails does not touch the others. They
    run one after another, so that one may read what another has written. It is risky if one of its tools is, and
    idempotent if all are; who uses it needs a scope for each of them, and it waits for a person where one of them
    would. Each call keeps its own tool's timeout.

    Args:
        tools: what may be called.
        name: the composite's own name.
        description: what it is for; empty names its tools.
        parallel: whether the calls run at once: for tools that do not depend on each other.
        concurrency: how many of them at most.

    Raises:
        ToolDefinitionError: an argument is of the wrong type, or two of the tools have the same name.
    """
    require(
        ToolDefinitionError,
        "a composite tool",
        tools=(tools, LIST),
        description=(description, TEXT),
        parallel=(parallel, FLAG),
        concurrency=(concurrency, COUNT),
    )
    members = ToolRegistry(tools)
    names = [tool.name for tool in members]
    how = "at once" if parallel else "in order"

    def wanted() -> type[CallContext] | None:
        kinds = {tool.context for tool in members if tool.context is not None}
        return max(kinds, key=lambda kind: len(kind.__mro__), default=None)

    async def run(*given: Any) -> ToolResult:
        arguments: dict[str, Any] = given[-1]
        entries = arguments["calls"]
        if not isinstance(entries, list):
            raise InvalidArguments(f"'calls' of {name!r} must be a list of objects with 'name' and 'args'")
        results = await run_calls(
            [_as_call(index, entry) for index, entry in enumerate(entries)],
            members,
            scope=ADMIN,  # who may use the composite may use what it is made of
            concurrency=concurrency if parallel else 1,
            context=given[0] if len(given) > 1 else None,
        )
        answers = [_as_entry(entry, result) for entry, result in zip(entries, results, strict=True)]
        value = {"results": answers}
        text = json.dumps(value, ensure_ascii=False)
        shown = [part for result in results if not isinstance(result.content, str) for part in result.content]
        media: list[Part] = [part for part in shown if not isinstance(part, Text)]
        return ToolResult((Text(text), *media) if media else text, value=value)

    return Tool(
        OpenSignature(
            run,
            lambda: calls_schema(tool.spec for tool in members),
            description or f"Make several calls {how}: {', '.join(names)}.",
            wanted,
        ),
        name=name,
        risk="risky" if any(tool.risk == "risky" for tool in members) else "safe",
        idempotent=all(tool.idempotent for tool in members),
        scope=_scope_for_all(members),
        approval=frozenset[Autonomy]().union(*(tool.approval for tool in members)) or "never",
        approved_by=_common([tool.approved_by for tool in members if tool.approved_by]) or None,
        timeout=None,
    )


def _scope_for_all(members: Iterable[Tool]) -> frozenset[str]:
    """The scopes with which all of the tools may be used."""
    return _common([tool.scope for tool in members if ALL not in tool.scope]) or EVERYBODY


def _common(scopes: list[frozenset[str]]) -> frozenset[str]:
    """The scopes that suffice for each of several; where none does, that of who may do everything."""
    return (frozenset.intersection(*scopes) or frozenset({ADMIN})) if scopes else frozenset()


def calls_schema(specs: Iterable[ToolSpec]) -> dict[str, Any]:
    """The parameters of what makes several calls in one: ``{"calls": [{"name": …, "args": {…}}, …]}``.

    Args:
        specs: of what may be called.
    """
    definitions: dict[str, Any] = {}
    kinds: list[dict[str, Any]] = []
    for spec in specs:
        arguments = dict(spec.parameters)
        own = arguments.pop("$defs", {})
        # A reference is resolved from the outermost schema, so the definitions move there, under names of their own.
        renamed = {f"#/$defs/{key}": f"#/$defs/{spec.name}.{key}" for key in own}
        definitions.update({f"{spec.name}.{key}": _renamed(value, renamed) for key, value in own.items()})
        kinds.append(
            {
                "type": "object",
                "description": spec.description,
                "properties": {"name": {"const": spec.name}, "args": _renamed(arguments, renamed)},
                "required": ["name", "args"],
            }
        )
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"calls": {"type": "array", "items": {"anyOf": kinds}}},
        "required": ["calls"],
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    return schema


def _renamed(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: renamed.get(item, item) if key == "$ref" and isinstance(item, str) else _renamed(item, renamed)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, renamed) for item in value]
    return value


def _as_call(index: int, entry: Any) -> ToolCall:
    if not isinstance(entry, dict):
        return ToolCall(str(index), "", json.dumps(entry))
    return ToolCall(str(index), str(entry.get("name", "")), json.dumps(entry.get("args", {})))


def _as_entry(entry: Any, result: ToolResult) -> dict[str, Any]:
    name = entry.get("name") if isinstance(entry, dict) else None
    if result.is_error:
        return {"name": name, "error": result.text}
    if isinstance(result.value, str) or result.value is None:
        return {"name": name, "result": result.text}
    try:
        return {"name": name, "result": json.loads(result.text)}
    except ValueError:  # shortened, or no JSON in the first place
        return {"name": name, "result": result.text}
