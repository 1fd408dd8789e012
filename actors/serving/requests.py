"""Reading requests: bodies within their size, JSON that is an object, headers that say what they mean."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import islice
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from .problems import Problem, Refused, refuse

BODY_TIMEOUT: Final = 60.0
"""Seconds in which a body has to come."""

BODY_LIMIT: Final = 20 * 1024 * 1024
"""Bytes of a body, at most, where nobody says otherwise."""

MOST_PARTS: Final = 200_000
"""Texts, lists, objects and commas of a JSON body, at most: each costs far more to read than its bytes, and while it is
read nobody else is answered."""

# A text that does not end goes on to the end of the body, so that nothing is looked at twice.
_PART: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[,\[{]', re.DOTALL)


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Args:
        request: whose.
        limit: bytes, at most.

    Raises:
        Refused: it is longer, or did not come whole, or not in time.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_long(limit)
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for piece in request.stream():
                size += len(piece)
                if size > limit:
                    raise _too_long(limit)
                pieces.append(piece)
    except TimeoutError:
        message = f"the body did not come within {BODY_TIMEOUT:g} seconds: send it again"
        raise Refused(Problem(408, "too_slow", message, retry_after=0.0, headers={"connection": "close"})) from None
    except ClientDisconnect:
        raise Refused(Problem(400, "cut_short", "the request ended before its body was whole")) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_long(limit: int) -> Refused:
    return refuse(413, "too_large", f"the body is longer than {limit:,} bytes: send less at once")


async def read_json(request: Request, limit: int) -> dict[str, Any]:
    """The body of a request, which is a JSON object.

    Raises:
        Refused: it is none, is longer, or is said to be something else than JSON.
    """
    check_kind(request)
    return as_object(await read_body(request, limit))


def check_kind(request: Request) -> None:
    """Look whether a body is JSON by what is said of it: a page in a browser may send anything else to anybody.

    Raises:
        Refused: it is said to be something else.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/json", "") and not kind.endswith("+json"):
        raise refuse(415, "not_json", f"the body is {kind:.80}: send application/json")


def as_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        Refused: it is none, or has too many parts.
    """
    check_parts(body.encode(errors="surrogatepass") if isinstance(body, str) else body)
    try:
        value = json.loads(body, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise refuse(400, "not_json", f"the body is no UTF-8: byte {error.start} cannot be read") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise refuse(400, "not_json", f"the body is no JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise refuse(400, "not_json", "the body is JSON nested too deeply") from None
    except ValueError as error:
        raise refuse(400, "not_json", f"the body is no JSON: {error!s:.100}") from None
    if not isinstance(value, dict):
        raise refuse(400, "not_json", f"the body is a JSON object, not {type(value).__name__}")
    return value


def check_parts(body: bytes) -> None:
    """Look whether JSON can be read without keeping others waiting.

    Raises:
        Refused: it has too many parts.
    """
    if len(body) <= MOST_PARTS or sum(map(body.count, (b'"', b",", b"[", b"{"))) <= MOST_PARTS:
        return
    # Where there are bytes of zero it is not UTF-8, and texts would begin and end elsewhere.
    if b"\0" in body or sum(1 for _ in islice(_PART.finditer(body), MOST_PARTS + 1)) > MOST_PARTS:
        message = f"the body has more than {MOST_PARTS:,} texts, lists, objects and commas: send less at once"
        raise refuse(413, "too_large", message)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
