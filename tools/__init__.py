"""Tools that models may call: functions with type hints, checked, limited, cancellable.

It works without the actor core, and importing it does not import pydantic: schemas are built on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .compose import composite
from .errors import (
    InvalidArguments,
    OutsideFolder,
    ToolCancelled,
    ToolCrashed,
    ToolDefinitionError,
    ToolError,
    ToolTimeout,
    UnknownTool,
)
from .from_schema import tool_from_schema
from .function_tool import FunctionTool, as_tool, tool
from .preview import Change
from .registry import ToolRegistry
from .result import ToolResult
from .runner import run_calls, tool_message
from .tool import Risk, Tool

if TYPE_CHECKING:
    from .base import BaseTool

__all__ = [
    "BaseTool",
    "Change",
    "FunctionTool",
    "InvalidArguments",
    "OutsideFolder",
    "Risk",
    "Tool",
    "ToolCancelled",
    "ToolCrashed",
    "ToolDefinitionError",
    "ToolError",
    "ToolRegistry",
    "ToolResult",
    "ToolTimeout",
    "UnknownTool",
    "as_tool",
    "composite",
    "run_calls",
    "tool",
    "tool_from_schema",
    "tool_message",
]


if not TYPE_CHECKING:  # a checker that saw this function would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name == "BaseTool":  # the one name that needs pydantic at once
            from .base import BaseTool

            return BaseTool
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
