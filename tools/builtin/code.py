"""The tool RunPython: code that a model wrote, run in a sandbox.

The sandbox is pydantic-monty (the extra ``sandbox``): an interpreter of a subset of Python in a process of its own,
with no file, no network and no environment. The code is type-checked before any of it runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import CodeFailed, ToolDefinitionError
from ..registry import ToolRegistry
from ..threads import in_thread
from ..tool import Risk, Tool, tool
from .sandboxes import sandboxes

_OUTPUT = 1_000_000  # bytes that the code may print
_SLEEP = 5.0  # seconds the code may sleep in all


def python_tool(
    tools: Iterable[Tool | type | Callable[..., Any]] = (),
    *,
    timeout: float = 10.0,
    max_memory: int = 100_000_000,
    max_calls: int = 100,
    risk: Risk | None = None,
) -> Tool:
    """The tool RunPython. Each call starts from nothing: a new process, no names left from the call before.

    Args:
        tools: what the code may call, as ``await name(argument=…)``. The code's calls are checked like a model's. No
            person is asked about them: the tool is risky if one of them is.
        timeout: seconds the code itself may run; waiting for the tools it calls does not count.
        max_memory: bytes it may hold.
        max_calls: how many calls of tools it may make.
        risk: of running code; None leaves it to the tools that the code may call.

    Raises:
        ToolDefinitionError: it is declared safe, and a tool that the code may call is risky.
        MissingExtra: on the first call, if pydantic-monty is not installed.
    """
    callable_tools = ToolRegistry(tools)
    dangers = [one.name for one in callable_tools if one.risk == "risky"]
    if risk == "safe" and dangers:
        raise ToolDefinitionError(
            f"RunPython is declared safe, and its code may call {', '.join(dangers)}, which are risky; leave out `risk`"
        )

    async def run_python(code: str) -> str:
        monty, pool = await in_thread(sandboxes)
        functions = {one.name: _as_function(one) for one in callable_tools}
        stubs = await in_thread(lambda: _stubs(callable_tools))
        printed = monty.CollectString(_OUTPUT)
        limits = {
            "max_feed_duration_secs": timeout,
            "max_memory": max_memory,
            "max_total_sleep_secs": _SLEEP,
            "max_suspensions": max_calls + 10,
        }
        try:
            async with pool.checkout(type_check=True, type_check_stubs=stubs, limits=limits) as session:
                value = await session.feed_run(code, external_lookup=functions, print_callback=printed)
        except (monty.MontyTypingError, monty.MontySyntaxError) as error:
            raise CodeFailed(f"the code was not run, its check found:\n{error}") from None
        except monty.MontyRuntimeError as error:
            raise CodeFailed(f"{printed.output}{error.display()}") from None
        except monty.MontyError as error:
            raise CodeFailed(f"{printed.output}{error}") from None
        return _shown(printed.output, value)

    about = "Run Python code in a sandbox and return what it prints and the value of its last expression.\n\n"
    about += (
        "The code is type-checked first. There are no files, no network and only parts of the standard library "
        f"(math, json, re, datetime, asyncio and the like). It may run {timeout:g} seconds. "
        "Nothing is kept between calls."
    )
    names = ", ".join(one.name for one in callable_tools)
    if names:
        about += f"\n\nThese functions can be awaited, with keyword arguments: {names}."
    return tool(
        name="RunPython",
        description=about,
        risk=risk or ("risky" if dangers else "safe"),
        idempotent=all(one.idempotent for one in callable_tools),
        timeout=timeout + 60,  # the code's own limit is the sandbox's; this one covers the tools it calls
    )(run_python)


def _as_function(called: Tool) -> Callable[..., Any]:
    async def function(*args: Any, **kwargs: Any) -> Any:
        names = list(called.spec.parameters.get("properties", {}))
        if len(args) > len(names):
            raise TypeError(f"{called.name}() takes {len(names)} arguments, {len(args)} were given")
        result = await called.run(dict(zip(names, args, strict=False)) | kwargs)
        if result.is_error:
            raise RuntimeError(result.text)
        if result.value is None or isinstance(result.value, str):
            return result.value
        try:
            return json.loads(result.text)  # plain data: all that crosses into the sandbox
        except ValueError:
            return result.text

    return function


def _stubs(tools: ToolRegistry) -> str:
    lines = ["from typing import Any, Literal"]
    for one in tools:
        schema = one.spec.parameters
        required = schema.get("required", ())
        parameters = [
            f"{name}: {_hint(hint)}" + ("" if name in required else " = ...")
            for name, hint in sorted(schema.get("properties", {}).items(), key=lambda item: item[0] not in required)
            if name.isidentifier()
        ]
        lines.append(f"async def {one.name}({', '.join(parameters)}) -> Any: ...")
    return "\n".join(lines)


_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def _hint(schema: Mapping[str, Any]) -> str:
    """The Python type of a JSON schema, as closely as the check needs it; what is not plain is ``Any``."""
    if "enum" in schema:
        return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]"
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            return " | ".join(_hint(option) for option in schema[kind])
    kind = schema.get("type", "")
    if kind == "array":
        return f"list[{_hint(schema.get('items', {}))}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_hint(values) if isinstance(values, dict) else 'Any'}]"
    return _PLAIN.get(kind, "Any") if isinstance(kind, str) else "Any"


def _shown(printed: str, value: Any) -> str:
    if value is None:
        return printed or "(no output)"
    return f"{printed}{value if isinstance(value, str) else repr(value)}"
