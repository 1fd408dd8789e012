"""Composite tools: several calls in one, each with its own result or error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..providers.checks import COUNT, FLAG, LIST, TEXT, require
from ..providers.messages import Part, Text, ToolSpec
from .context import CallContext
from .errors import InvalidArguments, ToolDefinitionError, UnknownTool
from .registry import ToolRegistry
from .result import ToolResult
from .scopes import ADMIN, ALL, EVERYBODY
from .signatures.schema import OpenSignature
from .tool import CallingTool, Tool


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
    run one after another, so that one may read what another has written. Each is made by `ToolContext.call`: in an
    agency a person is asked about it where one would be if the model made it, and it is recorded, so that after a
    crash what was made is not made again. So it is safe, whatever it calls. Who uses it needs a scope for each of its
    tools, and each call keeps its own tool's timeout.

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

    def wanted() -> type[CallContext]:
        kinds = {tool.context for tool in members if tool.context is not None}
        return max(kinds, key=lambda kind: len(kind.__mro__), default=CallContext)

    async def run(context: CallContext, arguments: dict[str, Any]) -> ToolResult:
        entries = arguments["calls"]
        if not isinstance(entries, list):
            raise InvalidArguments(f"'calls' of {name!r} must be a list of objects with 'name' and 'args'")

        async def made(entry: Any) -> ToolResult:
            called = str(entry.get("name", "")) if isinstance(entry, dict) else ""
            try:
                tool = members.get(called, ADMIN)  # who may use the composite may use what it is made of
            except UnknownTool as error:
                return ToolResult.failure(error)
            return await context.call(tool, json.dumps(entry.get("args", {}), ensure_ascii=False))

        if parallel:
            results = await _at_once([partial(made, entry) for entry in entries], concurrency)
        else:
            results = [await made(entry) for entry in entries]
        answers = [_as_entry(entry, result) for entry, result in zip(entries, results, strict=True)]
        value = {"results": answers}
        text = json.dumps(value, ensure_ascii=False)
        shown = [part for result in results if not isinstance(result.content, str) for part in result.content]
        media: list[Part] = [part for part in shown if not isinstance(part, Text)]
        return ToolResult((Text(text), *media) if media else text, value=value, from_value=True)

    return CallingTool(
        OpenSignature(
            run,
            lambda: calls_schema(tool.spec for tool in members),
            description or f"Make several calls {how}: {', '.join(names)}.",
            wanted,
        ),
        name=name,
        risk="safe",
        resumable=True,
        scope=_scope_for_all(members),
        timeout=None,
    )


async def _at_once(calls: Sequence[Callable[[], Awaitable[ToolResult]]], most: int) -> list[ToolResult]:
    """Make calls at once, begun in their order; that is also the order in which they are recorded to have been made."""
    room = asyncio.Semaphore(most)

    async def bounded(call: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        async with room:
            return await call()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bounded(call)) for call in calls]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


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
