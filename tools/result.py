"""What a tool call comes to."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any, Final, get_args

from ..actors.core.base.errors import said
from ..providers.messages import File, Image, Labels, Part, Text, shown
from .errors import ToolError

NOTHING: Final = "(no output)"
"""The text of a result where nothing was returned."""

CUT: Final = object()
"""The value of a result whose text was shortened, and is not what the tool returned any more."""

_PARTS = get_args(Part)
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of one call.

    Args:
        content: the text for the model, or parts in order: `Text`, `Image`, `File`, `Audio`.
        is_error: the call failed; the text says how, and what would work.
        value: what the tool returned, for the program.
        error: the failure as an exception, for the program.
        from_value: the text was made of the value, and says it; otherwise, as in a hook's answer, they are apart.
        labels: where the text is from, and what of it must not go everywhere, where that is not what the tool says of
            all its results.

    Raises:
        TypeError: the content is neither, or the labels are no `Labels`.
    """

    content: str | tuple[Part, ...]
    is_error: bool = False
    value: Any = None
    error: ToolError | None = field(default=None, compare=False)
    from_value: bool = field(default=False, compare=False, repr=False)
    labels: Labels | None = None

    def __post_init__(self) -> None:
        content = self.content
        if self.labels is not None and not isinstance(self.labels, Labels):
            raise TypeError(f"ToolResult.labels are Labels, or None, not {type(self.labels).__name__}")
        if not isinstance(content, str):
            if isinstance(content, tuple) and all(isinstance(part, _PARTS) for part in content):
                return
            kind = type(content).__name__
            raise TypeError(f"ToolResult.content is a text or a tuple of Text, Image, File and Audio, not {kind}")

    @classmethod
    def failure(cls, error: ToolError) -> ToolResult:
        """The result of a call that failed with ``error``."""
        return cls(f"Error ({type(error).__name__}): {said(error)}", True, None, error)

    @classmethod
    def returned(cls, value: Any) -> ToolResult:
        """The result of a call that returned ``value``: a part, the bytes of a picture or a PDF, or a list or tuple
        with such in it, is shown to the model as what it is; all else is written as text."""
        content = value if type(value) is str else parts_of(value) or render(value)
        return cls(content, value=value, from_value=True)

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
    part = _as_part(value)
    if part is not None:
        return (part,)
    if isinstance(value, list | tuple):
        parts = [_as_part(item) for item in value]
        if any(part is not None for part in parts):
            return tuple(part or Text(render(item)) for part, item in zip(parts, value, strict=True))
    return ()


def _as_part(value: Any) -> Part | None:
    if isinstance(value, _PARTS):
        part: Part = value
        return part
    if isinstance(value, bytes | bytearray) and (media := _media_type(value)):
        url = f"data:{media};base64,{base64.b64encode(value).decode()}"
        return File(url, "document.pdf") if media == "application/pdf" else Image(url)
    return None


def _media_type(value: bytes | bytearray) -> str:
    """What bytes are that every vendor can be shown, by how they begin; empty for all else."""
    for beginning, media in _BEGINNINGS.items():
        if value.startswith(beginning):
            return media
    return "image/webp" if value[:4] == b"RIFF" and value[8:12] == b"WEBP" else ""


def render(value: Any) -> str:
    """The text a model reads for a return value: strings as they are, the rest as JSON where that is possible."""
    if isinstance(value, str):
        return value
    if value is None:
        return NOTHING
    if isinstance(value, (bytes, bytearray)):
        if b"\0" in value:  # no text has one
            return f"({len(value)} bytes that are no text)"
        return value.decode("utf-8", errors="replace")
    from pydantic_core import PydanticSerializationError, to_json

    for bytes_mode in ("utf8", "base64"):  # bytes within it: those of a text are shown as such
        try:
            made = to_json(value, fallback=str, inf_nan_mode="strings", bytes_mode=bytes_mode)
        except (PydanticSerializationError, ValueError, RecursionError):
            continue
        return made.decode("utf-8", errors="replace")
    return str(value)
