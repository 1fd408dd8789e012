"""What was asked, in what a vendor says of it: vendors quote prompts in their errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..embeddings import Asked, EmbeddingRequest
from ..messages import Audio, File, Message, Text
from .history import data_of, decoded

_QUOTED = 20
"""Characters in a row that are a quotation."""
_ESCAPES = r"\\+(?:u(?P<code>[0-9a-fA-F]{4})|(?P<itself>[\"\\/]))"
_BLANK = r"(?:\s|\\+[nrtf])+"
_ONE = re.compile(rf"(?P<blank>{_BLANK})|{_ESCAPES}|(?P<astral>[^\0-\uffff])|.", re.DOTALL)


def quotable(request: Asked) -> Iterator[str]:
    """The texts of a request that a vendor might quote: all that are somebody's words or data, wherever they stand."""
    yield request.user or ""
    yield from _texts(request.extra)
    if isinstance(request, EmbeddingRequest):
        yield from request.texts
        return
    for message in request.messages:
        yield from _said(message)
    for tool in request.tools:
        yield tool.description
        yield from _texts(tool.parameters)
    yield from request.stop
    yield from _texts(request.response_schema)


def _said(message: Message) -> Iterator[str]:
    yield message.text
    yield message.reasoning
    yield from (call.arguments for call in message.tool_calls)
    if message.state is not None:
        yield message.state.content
    for part in () if isinstance(message.content, str) else message.content:
        if isinstance(part, Text):
            yield part.text
            continue
        yield part.url
        data = data_of(part.url)
        if data is not None:
            yield decoded(data[1]) or ""
        if isinstance(part, File):
            yield part.name
        elif isinstance(part, Audio):
            yield part.transcript


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def unquoted(text: str, prompts: Iterable[str]) -> str:
    """`text` with ``[prompt]`` in place of each quotation of twenty characters and more, also of one with other blanks
    or escaped as in JSON, once or several times."""
    letters, places = _plain(text)
    if len(letters) < _QUOTED:
        return text
    plain = [_plain_text(prompt) for prompt in prompts if len(prompt) >= _QUOTED]
    # Data may be long, and is without blanks: it is searched for what has none.
    solid = "\n".join(prompt for prompt in plain if " " not in prompt)
    spaced = "\n".join(prompt for prompt in plain if " " in prompt)
    shown = [True] * len(text)
    for start in range(len(letters) - _QUOTED + 1):
        window = letters[start : start + _QUOTED]
        if window in spaced or (" " not in window and window in solid):
            first, end = places[start], places[start + _QUOTED]
            shown[first:end] = [False] * (end - first)
    return without_hidden(text, shown, "[prompt]")


def without_hidden(text: str, shown: list[bool], instead: str) -> str:
    """`text` with `instead` in place of each run of letters that are not to be shown."""
    if all(shown):
        return text
    kept: list[str] = []
    for letter, show in zip(text, shown, strict=True):
        if show:
            kept.append(letter)
        elif not kept or kept[-1] != instead:
            kept.append(instead)
    return "".join(kept)


def _plain(text: str) -> tuple[str, list[int]]:
    """A text without escapes and with single blanks, and where in it each of these letters begins, and the last ends.
    What lies beyond the first plane is two, as in JSON's escapes."""
    letters: list[str] = []
    places: list[int] = []
    for found in _ONE.finditer(text):
        for letter in _letters(found):
            letters.append(letter)
            places.append(found.start())
    return "".join(letters), [*places, len(text)]


def _plain_text(text: str) -> str:
    if "\\" not in text and (text.isascii() or max(text) <= "\uffff"):
        return " ".join(text.split())  # most are
    return _plain(text)[0]


def _letters(found: re.Match[str]) -> str:
    if found["blank"]:
        return " "
    if found["code"]:
        letter = chr(int(found["code"], 16))
        return " " if letter.isspace() else letter
    if found["astral"]:
        high, low = divmod(ord(found["astral"]) - 0x10000, 0x400)
        return chr(0xD800 + high) + chr(0xDC00 + low)
    return found["itself"] or found[0]
