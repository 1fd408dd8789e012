"""What a tool call comes to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .errors import ToolError


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of one call.

    Args:
        content: the text for the model.
        is_error: the call failed; the text says how, and what would work.
        value: what the tool returned, for the program.
        error: the failure as an exception, for the program.
    """

    content: str
    is_error: bool = False
    value: Any = None
    error: ToolError | None = field(default=None, compare=False)

    @classmethod
    def failure(cls, error: ToolError) -> ToolResult:
        """The result of a call that failed with ``error``."""
        return cls(f"Error ({type(error).__name__}): {error}", True, None, error)

    def shortened(self, limit: int) -> ToolResult:
        """The same result with at most ``limit`` characters of content, taken from its beginning and its end."""
        if len(self.content) <= limit:
            return self
        note = f"\n[… {len(self.content)} characters in all; the middle is left out …]\n"
        room = max(limit - len(note), 0)
        head = room - room // 2
        tail = self.content[len(self.content) - room // 2 :]
        return replace(self, content=(self.content[:head] + note + tail)[:limit])


def render(value: Any) -> str:
    """The text a model reads for a return value: strings as they are, the rest as JSON where that is possible."""
    if isinstance(value, str):
        return value
    if value is None:
        return "(no output)"
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", errors="replace")
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value, fallback=str, inf_nan_mode="strings").decode("utf-8", errors="replace")
    except (PydanticSerializationError, ValueError, RecursionError):
        return str(value)
