"""Looks at what is given where a value is made, so that nothing impossible is found out at work."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .errors import TelemetryError

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header, as RFC 9110 has it."""


def check_address(name: str, given: Any) -> None:
    """Refuse what is no address that can be asked over HTTP.

    Args:
        name: of what is given.
        given: it. It is not shown: it may hold a key.

    Raises:
        TelemetryError: it is none.
    """
    wanted = f"{name} is an address http://… or https://…"
    if not isinstance(given, str):
        raise TelemetryError(f"{wanted}, not {given!r:.80}")
    try:
        parts = urlsplit(given)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port, or of brackets
        known = False
    if not known or any(letter.isspace() or not letter.isprintable() for letter in given):
        raise TelemetryError(f"{wanted}; what is given is none")


def check_headers(given: Any) -> None:
    """Refuse headers that cannot be sent.

    Args:
        given: they. Their values are not shown: they may be keys.

    Raises:
        TelemetryError: they cannot.
    """
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise TelemetryError(f"headers are texts by their names, not {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise TelemetryError(f"headers: {name!r:.80} is no header's name")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise TelemetryError(f"headers: the value of {name} is no text of ASCII's characters in one line")


def is_number(given: Any) -> bool:
    """Whether something is a number from 0 on, and neither NaN nor infinite; True and False are none."""
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given) and given >= 0


def is_whole(given: Any) -> bool:
    """Whether something is a whole number from 0 on; True and False are none."""
    return type(given) is int and given >= 0
