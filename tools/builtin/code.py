"""The tool RunPython: code that a model wrote, run in a sandbox.

The sandbox is pydantic-monty (the extra ``sandbox``): an interpreter of a subset of Python in a process of its own,
with no file, no network and no environment. The code is type-checked before any of it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..code.library import Library
from ..code.program import Bounds
from ..code.tool import CodeTool
from ..tool import Risk, Tool


def python_tool(
    tools: Iterable[Tool | type | Callable[..., Any]] = (),
    *,
    namespaces: Mapping[str, Iterable[Tool | type | Callable[..., Any]]] | None = None,
    timeout: float = 10.0,
    max_memory: int = 100_000_000,
    max_calls: int = 100,
    risk: Risk = "safe",
) -> Tool:
    """The tool RunPython. Each call starts from nothing: a new process, no names left from the call before.

    Args:
        tools: what the code may call, as ``await name(argument=…)``. Each of its calls is treated as the model's own:
            checked, recorded, and a person is asked about it where one would be.
        namespaces: what it may call as ``await namespace.name(argument=…)``.
        timeout: seconds the code itself may run; waiting for the tools it calls does not count.
        max_memory: bytes it may hold.
        max_calls: how many calls of tools it may make.
        risk: of running code, whatever it calls.

    Raises:
        ToolDefinitionError: a tool cannot be called by its name in Python, or two have one name.
        MissingExtra: on the first call, if pydantic-monty is not installed.
    """
    library = Library(tools, namespaces)
    return CodeTool(library, Bounds(timeout, max_memory, max_calls), name="RunPython", risk=risk)
