"""Whether a text is what was asked for: of the right length, of a schema, with links to known domains only."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ....providers.checks import Wish
from ..errors import DefinitionError
from ..wishes import define
from .findings import Finding
from .patterns.pattern import PatternCheck, not_behind

_SIZE = Wish(
    "a number of characters", lambda given: isinstance(given, int) and not isinstance(given, bool) and given >= 0
)
_MOST = Wish(
    "a number of characters from 1 on, or None", lambda given: given is None or (_SIZE.fits(given) and given > 0)
)


def text_length(most: int | None = None, *, least: int = 0) -> _Length:
    """Texts that are too long or too short. Redacted, one that is too long is cut, with ``…`` as its last character.

    Args:
        most, least: characters that there may be.

    Raises:
        DefinitionError: they are no numbers, or there is none between them.
    """
    define("text_length", most=(most, _MOST), least=(least, _SIZE))
    if most is not None and least > most:
        raise DefinitionError(f"text_length: no text has at least {least} and at most {most} characters")
    return _Length(most, least)


class _Length:
    __slots__ = ("_least", "_most")

    kind = "length"

    def __init__(self, most: int | None, least: int) -> None:
        self._most = most
        self._least = least

    def __call__(self, text: str) -> Iterable[Finding]:
        return self.scan(text, 0, True)[0]

    def scan(self, text: str, start: int, last: bool, base: int = 0) -> tuple[list[Finding], int]:
        end = len(text)
        length, most = base + end, self._most
        if most is not None and length > most:
            cut = most - 1 - base
            if cut < start:
                return [], end  # it was told before
            return [Finding(cut, end, "text that is too long", replacement="…", cut=True)], end
        if length < self._least:
            return ([Finding(start, end, "text that is too short")], end) if last else ([], start)
        return [], end if last or most is None else max(start, min(end, most - 1 - base))


def json_schema(schema: Mapping[str, Any]) -> _Schema:
    """Texts that are not JSON, or do not fit a schema. For an agent's own answers there is ``output_type``, with which
    the model is asked again; this is for what must not pass.

    Args:
        schema: a JSON schema. What it refers to is in it: nothing is fetched.

    Raises:
        DefinitionError: it is none.
    """
    return _Schema(schema)


class _Schema:
    __slots__ = ("_validator",)

    kind = "schema"

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema import exceptions, validators
        from referencing import Registry

        if not isinstance(schema, Mapping):
            raise DefinitionError(f"json_schema takes a JSON schema as a mapping, not {schema!r:.80}")
        kind = validators.validator_for(schema)
        try:
            kind.check_schema(schema)
        except exceptions.SchemaError as error:
            raise DefinitionError(f"json_schema: that is no schema: {error.message:.200}") from None
        self._validator = kind(schema, registry=Registry())  # an empty one of our own: the default fetches references

    def __call__(self, text: str) -> Iterable[Finding]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return [Finding(0, len(text), "text that is no JSON")]
        from referencing.exceptions import Unresolvable

        try:
            fits = self._validator.is_valid(value)
        except Unresolvable as error:
            raise DefinitionError(f"json_schema: it refers to {error.ref!r:.200}, which is not in it") from None
        return [] if fits else [Finding(0, len(text), "JSON that does not fit the schema")]


def links(allow: Collection[str] | None = None, *, deny: Collection[str] = ()) -> PatternCheck:
    """Links to other domains than those that are allowed: an address that a reader, or a browser that loads a picture,
    is sent to can carry away what stands in it.

    Args:
        allow: domains that may be linked to: ``"example.com"`` is that host and all below it. None for all.
        deny: domains that may not.

    Raises:
        DefinitionError: they are no names of domains.
    """
    allowed = None if allow is None else _domains(allow)
    denied = _domains(deny)

    def accept(text: str) -> int:
        line = _LINE_END.search(text)  # or a space, as JSON writes them
        size = len((text[: line.start()] if line is not None else text).rstrip(".,;:!?)]}*_\\"))
        read = _as_read(text[:size])
        hosts = [host for host in map(_host, read) if host is not None]
        refused = any(_below(host, denied) or (allowed is not None and not _below(host, allowed)) for host in hosts)
        return size if refused else 0

    begin = not_behind("A-Za-z0-9+.-")
    return PatternCheck(
        "link to another domain",
        rf"(?:{begin}(?:(?:{_WEB})(?::|{_COLON})|[A-Za-z][A-Za-z0-9+.-]{{1,11}}://)|{_WITHIN}[/\\]{{2}})"
        rf"{_ADDRESS}{{1,2000}}",
        2030,
        rf"(?:{begin}[A-Za-z][A-Za-z0-9+.-]{{0,11}}(?:[:&]{_ADDRESS}*)?|{_WITHIN}[/\\]{_ADDRESS}*)",
        accept,
    )


_ADDRESS: Final = r"[!#-&(-;=?-~\u00a1-\uffff]"
"""What an address is made of."""
_WEB: Final = "(?i:https?|wss?|ftp)"
"""Schemes whose slashes browsers do without."""
_COLON: Final = "&(?:colon|#0{0,5}58|#[xX]0{0,5}3[aA]);?"
_WITHIN: Final = r"(?:(?<=[(<=\"'])|(?<=\]:)|(?<=\]:[ \n]))"
"""Where an address stands that may begin with its host: in Markdown's brackets and references, in HTML's attributes."""
_LINE_END: Final = re.compile(r"(?<=[^:/\\])\\+(?:[bfnrt]|u00(?:[01][0-9A-Fa-f]|2[02]|[aA]0))")
_CODE: Final = re.compile(r"(?<!\\)\\+u([0-9A-Fa-f]{4})")
_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")


def _as_read(address: str) -> Iterable[str]:
    """An address as it stands there, and as JSON, Markdown and HTML read it."""
    plain = html.unescape(_CODE.sub(lambda code: chr(int(code[1], 16)), address))
    return {address, plain, _ESCAPED.sub(r"\1", plain)}


def _host(address: str) -> str | None:
    """The host of an address, as browsers read it; empty where it has none that can be read, None where that is no
    address."""
    address = address.replace("\\", "/")
    scheme, colon, rest = address.partition(":")
    if colon and not rest.startswith("//") and re.fullmatch(_WEB, scheme):
        host = re.split("[/?#]", rest.lstrip("/"), maxsplit=1)[0]
        if not rest.startswith("/") and "." not in host:
            return None
        address = f"{scheme}://{rest.lstrip('/')}"
    try:
        return (urlsplit(address).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _below(host: str, domains: Iterable[str]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


_DOMAIN = re.compile(r"[A-Za-z0-9.-]+")


def _domains(given: Collection[str]) -> frozenset[str]:
    names = given if not isinstance(given, str) and isinstance(given, Collection) else None
    if names is None or not all(isinstance(name, str) and _DOMAIN.fullmatch(name.strip(".")) for name in names):
        raise DefinitionError(f"links: domains are names, as ['example.com'], not {given!r:.80}")
    return frozenset(name.lower().strip(".") for name in names)
