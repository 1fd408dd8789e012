"""What a tool call comes to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, get_args

from ..providers.messages import Part, Text, shown
from .errors import ToolError

_PARTS = get_args(Part)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of one call.

    Args:
        content: the text for the model, or parts in order: `Text`, `Image`, `File`, `Audio`.
        is_error: the call failed; the text says how, and what would work.
        value: what the tool returned, for the program.
        error: the failure as an exception, for the program.

    Raises:
        TypeError: the content is neither.
    """

    content: str | tuple[Part, ...]
    is_error: bool = False
    value: Any = None
    error: ToolError | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        content = self.content
        if type(content) is not str and not isinstance(content, str):
            if isinstance(content, tuple) and all(isinstance(part, _PARTS) for part in content):
                return
            kind = type(content).__name__
            raise TypeError(f"ToolResult.content is a text or a tuple of Text, Image, File and Audio, not {kind}")

    @classmethod
    def failure(cls, error: ToolError) -> ToolResult:
        """The result of a call that failed with ``error``."""
        return cls(f"Error ({type(error).__name__}): {error}", True, None, error)

    @classmethod
    def returned(cls, value: Any) -> ToolResult:
        """The result of a call that returned ``value``: a part, or a list or tuple with parts in it, is shown to the
        model as what it is; all else is written as text."""
        return cls(parts_of(value) or render(value), value=value)

    @property
    def text(self) -> str:
        """The content as text, with other parts named in their places: ``[picture]``."""
        return shown(self.content)

    def shortened(self, limit: int) -> ToolResult:
        """The same result with at most ``limit`` characters of text, taken from the beginning and the end of the text
        that is too long. Pictures, files and sounds stay."""
        if isinstance(self.content, str):
            return self if len(self.content) <= limit else replace(self, content=_cut(self.content, limit))
        if sum(len(part.text) for part in self.content if isinstance(part, Text)) <= limit:
            return self
        kept: list[Part] = []
        for part in self.content:
            if isinstance(part, Text):
                part = replace(part, text=_cut(part.text, limit))
                limit -= len(part.text)
            kept.append(part)
        return replace(self, content=tuple(kept))


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    note = f"\n[… {len(text)} characters in all; the middle is left out …]\n"
    room = max(limit - len(note), 0)
    head = room - room // 2
    tail = text[len(text) - room // 2 :]
    return (text[:head] + note + tail)[:limit]


def parts_of(value: Any) -> tuple[Part, ...]:
    """The parts that a return value is or has in it, what stands between them as text; none if it has none."""
    if isinstance(value, _PARTS):
        return (value,)
    if isinstance(value, list | tuple) and any(isinstance(item, _PARTS) for item in value):
        return tuple(item if isinstance(item, _PARTS) else Text(render(item)) for item in value)
    return ()


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
