"""Text that cannot be sent. A lone surrogate, half of a letter as ``json.loads('"\\\\ud800"')`` makes one, has no form
in UTF-8. But it comes from users, who should be answered all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

REPLACED = "letters that no text can have (lone surrogates) were replaced by \ufffd"
"""The note on an answer to a request that was mended."""


def sendable(payload: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """A payload as it can be sent, for those who find out too late by sending it.

    Raises:
        TypeError, ValueError: JSON cannot say it.
    """
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        notes.append(REPLACED)
        return {name: mended(value) for name, value in payload.items()}
    return payload


def mended(value: Any) -> Any:
    """A value for JSON with U+FFFD in place of each lone surrogate in its texts; two that make a letter become it."""
    if isinstance(value, str):
        return value if _is_whole(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mended(item) for item in value]
    return value


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
