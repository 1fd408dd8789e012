"""Token estimates on admission. Pure.

The estimate must not be below what the vendor will count, or the pool over-admits; it is settled from the vendor's own
usage afterwards. Input is UTF-8 bytes / 4 (characters / 4 is far too low for scripts of wide characters); output is
``max_tokens`` where the request says it, otherwise the longest of recent answers of the same model.
"""

from __future__ import annotations

import json

from ...embeddings import Asked, EmbeddingRequest, estimated_tokens
from ...messages import Image, Text

_IMAGE = 1_000
_PER_MESSAGE = 4
_FIRST_OUTPUT = 512


def text_bytes(text: str) -> int:
    """Return how long a text is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def input_tokens(request: Asked) -> int:
    """Return about how many tokens the request's messages and tools, or its texts, are."""
    if isinstance(request, EmbeddingRequest):
        return estimated_tokens(request)
    size = 0
    tokens = 0
    for message in request.messages:
        tokens += _PER_MESSAGE
        content = message.content
        if isinstance(content, str):
            size += text_bytes(content)
        else:
            for part in content:
                if isinstance(part, Text):
                    size += text_bytes(part.text)
                elif isinstance(part, Image):
                    tokens += _IMAGE
        for call in message.tool_calls:
            size += text_bytes(call.name) + text_bytes(call.arguments)
    for tool in request.tools:
        size += text_bytes(tool.name) + text_bytes(tool.description) + len(json.dumps(tool.parameters))
    return tokens + -(-size // 4)


class OutputEstimate:
    """How long a model's answers are, as an upper estimate: rises at once, falls slowly."""

    __slots__ = ("_value",)

    @property
    def seen(self) -> int:
        """What answers seen so far make one expect."""
        return int(self._value)

    def __init__(self) -> None:
        self._value = float(_FIRST_OUTPUT)

    def add(self, tokens: int) -> None:
        """Count one answer."""
        self._value = float(tokens) if tokens > self._value else self._value + 0.05 * (tokens - self._value)

    def tokens(self, request: Asked) -> int:
        """Return how many output tokens to expect for ``request``."""
        if isinstance(request, EmbeddingRequest):
            return 0
        return int(self._value) if request.max_tokens is None else request.max_tokens
