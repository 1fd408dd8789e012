"""Secrets that tools were given, and keeping them out of what is shown, told and written down. Pure.

Base64 writes three bytes as four letters, so a text within a longer one stands there in one of three ways, whatever
surrounds it: each is looked for, without the letters that its neighbours have a part in (RFC 4648, section 4).
"""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import fields, replace
from typing import TypeVar
from urllib.parse import quote, quote_plus

from ..providers.messages import Part
from .result import ToolResult

P = TypeVar("P", bound=Part)

_LEAST = 4
"""Letters that a part of base64 must have to be told from chance."""


class Secrets:
    """What was given out, and is to be blotted out wherever it turns up: as it is, and as JSON (also within JSON), a
    URL, HTML, base64, hexadecimal digits or Python would write it."""

    __slots__ = ("_forms", "_pattern")

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        """How many, never which."""
        return f"<Secrets: {len(set(self._forms.values()))}>"

    def __bool__(self) -> bool:
        return bool(self._forms)

    def add(self, name: str, secret: str) -> None:
        """Blot out one more.

        Args:
            name: what is shown in its place.
            secret: it; not blank.
        """
        if secret in self._forms:
            return
        mark = f"[credential {name}]"
        self._forms[mark] = mark  # what stands there already stays
        for form in _forms(secret):
            self._forms.setdefault(form, mark)
        longest_first = sorted(self._forms, key=len, reverse=True)  # one may be a part of another
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def blot(self, text: str) -> str:
        """A text without them."""
        return text if self._pattern is None else self._pattern.sub(lambda found: self._forms[found[0]], text)

    def blot_part(self, part: P) -> P:
        """A part of a message without them."""
        texts = {each.name: getattr(part, each.name) for each in fields(part)}
        blotted = {name: self.blot(text) for name, text in texts.items() if isinstance(text, str)}
        changed: P = replace(part, **blotted)  # type: ignore[arg-type]  # they are the texts that it has
        return changed if any(texts[name] != text for name, text in blotted.items()) else part

    def blot_content(self, content: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
        """What a result shows without them."""
        return self.blot(content) if isinstance(content, str) else tuple(self.blot_part(part) for part in content)

    def blot_result(self, result: ToolResult) -> ToolResult:
        """A result whose content is without them; its value is the program's own."""
        content = self.blot_content(result.content)
        return result if content == result.content else replace(result, content=content)


def _forms(secret: str) -> set[str]:
    data = secret.encode("utf-8", "surrogatepass")
    as_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms = {
        secret,
        secret.strip(),  # as a header, or a line, has it
        *as_json,
        *(json.dumps(form)[1:-1] for form in as_json),
        *(json.dumps(form, ensure_ascii=False)[1:-1] for form in as_json),
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        repr(data)[2:-1],
        html.escape(secret),
        html.escape(secret, quote=False),
        quote(data),
        quote(data, safe=""),
        quote_plus(data),
        data.hex(),
        data.hex().upper(),
        *_in_base64(data),
    }
    return {form.rstrip("=") for form in forms if form.rstrip("=")} | forms


def _in_base64(data: bytes) -> set[str]:
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(data).decode())
        for before in range(3):
            whole = encode(bytes(before) + data).decode()
            inner = whole[(0, 2, 3)[before] : 8 * (before + len(data)) // 6]
            if len(inner) >= _LEAST:
                found.add(inner)
    return found
