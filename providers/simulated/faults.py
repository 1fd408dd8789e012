"""What can go wrong, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["status", "reset", "cut", "hang", "malformed", "html", "trickle", "stream_error"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail. Use the functions of this module to make one.

    Args:
        kind: what happens.
        status: the HTTP status, for ``status``.
        retry_after: seconds to wait that the answer names; None for no header.
        after: for ``cut``: events of a stream that still come; for ``stream_error``: the same.
        delay: for ``trickle``: seconds between two pieces.
        type: the error's type, as Anthropic names it; OpenAI's is made from it.
    """

    kind: Kind
    status: int = 500
    retry_after: float | None = None
    after: int = 2
    delay: float = 0.1
    type: str = ""


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error(status: int, *, retry_after: float | None = None) -> Fault:
    """Answer with an error status, in the protocol's form."""
    return Fault("status", status=status, retry_after=retry_after, type=_TYPES.get(status, "api_error"))


def rate_limited(retry_after: float | None = 1.0) -> Fault:
    """Answer 429, with the seconds to wait or without."""
    return error(429, retry_after=retry_after)


def unauthorized() -> Fault:
    """Answer 401."""
    return error(401)


def reset() -> Fault:
    """Reset the connection instead of answering."""
    return Fault("reset")


def cut(after: int = 2) -> Fault:
    """Reset the connection in the middle: after some events of a stream, or halfway through a JSON body."""
    return Fault("cut", after=after)


def hang() -> Fault:
    """Take the request and never answer."""
    return Fault("hang")


def malformed() -> Fault:
    """Answer 200 with JSON that breaks off; a stream breaks off within an event."""
    return Fault("malformed")


def html() -> Fault:
    """Answer 200 with a web page, as a proxy in between does."""
    return Fault("html")


def trickle(delay: float = 0.1) -> Fault:
    """Answer rightly and slowly: ``delay`` seconds before each piece."""
    return Fault("trickle", delay=delay)


def stream_error(type: str = "overloaded_error", after: int = 2) -> Fault:
    """Send an error as an event within a stream; to a request that is not streamed, answer with its status."""
    status = next((status for status, name in _TYPES.items() if name == type), 500)
    return Fault("stream_error", status=status, after=after, type=type)


def parse_fault(text: str) -> Fault | None:
    """A fault as the command line writes it.

    ``503``, ``429:2`` (retry after 2 s), ``reset``, ``cut`` or ``cut:5``, ``hang``, ``malformed``, ``html``,
    ``trickle`` or ``trickle:0.5``, ``stream_error`` or ``stream_error:rate_limit_error``; empty for no fault.

    Raises:
        ValueError: it is none of them; lists them.
    """
    name, _, value = text.strip().partition(":")
    try:
        if name in ("", "none"):
            return None
        if name.isdecimal() and 400 <= int(name) <= 599:
            return error(int(name), retry_after=_number(value) if value else None)
        if name == "cut":
            return cut(int(_number(value, whole=True))) if value else cut()
        if name == "trickle":
            return trickle(_number(value)) if value else trickle()
        if name == "stream_error":
            return stream_error(value) if value else stream_error()
        if not value and name in ("reset", "hang", "malformed", "html"):
            return {"reset": reset, "hang": hang, "malformed": malformed, "html": html}[name]()
    except ValueError:
        pass
    raise ValueError(
        f"{text!r} is no fault: expected a status such as 503 or 429:2, reset, cut:5, hang, malformed, html, "
        "trickle:0.5 or stream_error"
    )


def _number(text: str, *, whole: bool = False) -> float:
    """Raises `ValueError` where it is none, or none that time or events can be counted by."""
    number = int(text) if whole else float(text)
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number
