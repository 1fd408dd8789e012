"""What was asked, in what a vendor says of it: vendors quote prompts in their errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ..embeddings import Asked, EmbeddingRequest
from ..messages import Audio, File, Message, Text
from .fitting.letters import mended
from .history import data_of, decoded

_QUOTED = 20
"""Characters in a row that are a quotation."""
_PIECE = 10
"""Half of that: whatever is cut into such pieces, each quotation holds a whole one."""
_PIECES = re.compile(f"(?s:.{{{_PIECE}}})")
_BLOCK = 10_000 * _PIECE
_MOST = 4_000_000
"""Characters of a request that are searched, at some 50 ns each; data, which has no blanks, counts a quarter. Of a
request that has more nothing is shown that the vendor said."""
_MOST_ESCAPES = 200_000
"""Backslashes of a request that are searched; as there."""
_ESCAPES = r"\\+(?:u(?P<code>[0-9a-fA-F]{4})|(?P<itself>[\"\\/]))"
_BLANKS = r"\\+[nrtf]"
_ONE = re.compile(rf"(?P<blank>(?:\s|{_BLANKS})+)|{_ESCAPES}|.", re.DOTALL)
_ESCAPE = re.compile(rf"(?P<blank>{_BLANKS})|{_ESCAPES}")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def quotable(request: Asked) -> Iterator[str]:
    """The texts of a request that a vendor might quote: all that are somebody's words or data, wherever they stand. The
    names of tools, of properties in schemas and of fields are the program's: an error is of little use without them."""
    yield request.user or ""
    for field in request.extra.values():
        yield from _texts(field, keys=True)
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
    yield message.name or ""
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


def _texts(value: Any, keys: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if keys:
                yield str(key)
            yield from _texts(item, keys)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, keys)
    elif isinstance(value, int | float):
        with suppress(ValueError):  # too long for any text
            yield json.dumps(value)


def unquoted(text: str, prompts: Iterable[str]) -> str:
    """`text` with ``[prompt]`` in place of each quotation of twenty characters and more, also of one with other blanks
    or escaped as in JSON, once or several times. Where too much was asked to look for it, all is one but what stands
    before the first colon, which the vendor has not said."""
    letters, places = _plain(text)
    if len(letters) < _QUOTED:
        return text
    search = _Search(letters)
    if not all(map(search.takes, prompts)):
        head, mark, _ = text.partition(": ")
        return f"{head}: [prompt]" if mark else "[prompt]"
    shown = [True] * len(text)
    for start in range(len(letters) - _QUOTED + 1):
        if letters[start : start + _QUOTED] in search.found:
            first, end = places[start], places[start + _QUOTED]
            shown[first:end] = [False] * (end - first)
    return without_hidden(text, shown, "[prompt]")


class _Search:
    """Looks for all runs of twenty letters of a text at once, in time that grows with what is searched alone.

    Args:
        letters: the text, as `_plain` has it.
    """

    def __init__(self, letters: str) -> None:
        self.found: set[str] = set()
        self._wanted = {letters[start : start + _QUOTED] for start in range(len(letters) - _QUOTED + 1)}
        self._pieces = _pieces(self._wanted)
        self._is_solid = any(" " not in run for run in self._wanted)
        self._left = _MOST
        self._escapes_left = _MOST_ESCAPES

    def takes(self, prompt: str) -> bool:
        """Search what was asked; false, and nothing done, if that is too much."""
        if " " not in prompt and "\\" not in prompt and len(prompt.split(maxsplit=1)) < 2:
            if not self._is_solid:
                return True
            self._left -= len(prompt) // 4
        else:
            self._left -= len(prompt)
        self._escapes_left -= prompt.count("\\")
        if self._left < 0 or self._escapes_left < 0:
            return False
        plain = _plain_text(prompt)
        for start in range(0, len(plain), _BLOCK):
            pieces = _PIECES.findall(plain, start, start + _BLOCK)
            if not self._pieces.isdisjoint(pieces):
                self._look(plain, start, pieces)
        return True

    def _look(self, plain: str, start: int, pieces: list[str]) -> None:
        """Search around the pieces of a block that stand in the text, too."""
        areas = {
            plain[max(0, start + number * _PIECE - _PIECE) : start + (number + 2) * _PIECE]
            for number, piece in enumerate(pieces)
            if piece in self._pieces
        }
        found = {area[at : at + _QUOTED] for area in areas for at in range(len(area) - _QUOTED + 1)} & self._wanted
        if found:
            self.found |= found
            self._wanted -= found
            self._pieces = _pieces(self._wanted)


def _pieces(wanted: Iterable[str]) -> set[str]:
    return {run[at : at + _PIECE] for run in wanted for at in range(_QUOTED - _PIECE + 1)}


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
    A letter that JSON escapes in two is one."""
    letters: list[str] = []
    places: list[int] = []
    for found in _ONE.finditer(text):
        letter = _letter(found)
        if letters and _PAIR.fullmatch(letters[-1] + letter):
            letters[-1] = mended(letters[-1] + letter)
            continue
        letters.append(letter)
        places.append(found.start())
    return "".join(letters), [*places, len(text)]


def _plain_text(text: str) -> str:
    """The same of a text that may be long."""
    if "\\" in text:
        text = _PAIR.sub(lambda found: mended(found[0]), _ESCAPE.sub(_letter, text))
    return " ".join(text.split())


def _letter(found: re.Match[str]) -> str:
    if found["blank"]:
        return " "
    if found["code"]:
        letter = chr(int(found["code"], 16))
        return " " if letter.isspace() else letter
    return found["itself"] or found[0]
