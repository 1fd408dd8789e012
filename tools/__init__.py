"""Tools that models may call: functions with type hints, checked, limited, cancellable.

It works without the actor core, and importing it does not import pydantic: schemas are built on first use.
"""

from __future__ import annotations

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
from .registry import ToolRegistry
from .result import ToolResult
from .tool import FunctionTool, Risk, Scope, Tool, tool

__all__ = [
    "FunctionTool",
    "InvalidArguments",
    "OutsideFolder",
    "Risk",
    "Scope",
    "Tool",
    "ToolCancelled",
    "ToolCrashed",
    "ToolDefinitionError",
    "ToolError",
    "ToolRegistry",
    "ToolResult",
    "ToolTimeout",
    "UnknownTool",
    "tool",
]
