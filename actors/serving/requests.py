"""Reading requests: bodies within their size, JSON that is an object, headers that say what they mean."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Coroutine, Generator
from functools import partial
from itertools import islice
from types import coroutine
from typing import Any, Final, TypeVar, cast

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Message, Receive

from .problems import Problem, Refused, refuse

T = TypeVar("T")

BODY_TIMEOUT: Final = 60.0
"""Seconds in which a body has to come."""

BODY_LIMIT: Final = 20 * 1024 * 1024
"""Bytes of a body, at most, where nobody says otherwise."""

MOST_PARTS: Final = 200_000
"""Texts, lists, objects and commas of a JSON body, at most: each costs far more to read than its bytes, and while it is
read nobody else is answered."""

# A text that does not end goes on to the end of the body, so that nothing is looked at twice.
_PART: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[,\[{]', re.DOTALL)


def header(connection: HTTPConnection, name: str, usual: str = "") -> str:
    """A header of a request; of several the first. Starlette's own look-up makes an object for each request, and raises
    an error for each header that is missing: six of them took 11 µs of a request, and take 3.

    Args:
        connection: whose.
        name: of the header, in small letters.
        usual: where it is missing.
    """
    wanted = name.encode()
    for given, value in connection.scope["headers"]:
        if given == wanted:
            return str(value, "latin-1")
    return usual


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Args:
        request: whose.
        limit: bytes, at most.

    Raises:
        Refused: it is longer, or did not come whole, or not in time.
    """
    length = header(request, "content-length")
    if length.isdigit() and int(length) > limit:
        raise _too_long(limit)
    reading = _read(request, limit)
    try:
        try:
            waits = reading.send(None)
        except StopIteration as read:
            # Most bodies are there when their heads are: those need no timer, which takes 3 µs.
            body: bytes = read.value
            return body
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _resumed(reading, waits)
    except TimeoutError:
        message = f"the body did not come within {BODY_TIMEOUT:g} seconds: send it again"
        raise Refused(Problem(408, "too_slow", message, retry_after=0.0, headers={"connection": "close"})) from None
    except ClientDisconnect:
        raise Refused(Problem(400, "cut_short", "the request ended before its body was whole")) from None


async def _read(request: Request, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise _too_long(limit)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@coroutine
def _resumed(begun: Coroutine[Any, Any, T], waits: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that waits for something."""
    while True:
        try:
            sent = yield waits
        except BaseException as error:
            step = partial(begun.throw, error)
        else:
            step = partial(begun.send, sent)
        try:
            waits = step()
        except StopIteration as ended:
            return cast("T", ended.value)


def _too_long(limit: int) -> Refused:
    return refuse(413, "too_large", f"the body is longer than {limit:,} bytes: send less at once")


async def read_json(request: Request, limit: int) -> dict[str, Any]:
    """The body of a request, which is a JSON object.

    Raises:
        Refused: it is none, is longer, or is said to be something else than JSON.
    """
    check_kind(request)
    return as_object(await read_body(request, limit))


def check_kind(request: HTTPConnection) -> None:
    """Look whether a body is said to be JSON, or nothing is said. A page in a browser has to say it: what it may send
    to others without asking them is of other kinds, or of none.

    Raises:
        Refused: it is said to be something else.
    """
    kind = header(request, "content-type").partition(";")[0].strip().lower()
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return
    if kind or header(request, "origin"):
        raise refuse(415, "not_json", f"the body is {kind[:80] or 'of no kind'}: send application/json", "body")


def read_again(body: bytes, receive: Receive) -> Receive:
    """Have a body that was read be given to who reads it now."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def as_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object that a body is; see `as_value`.

    Raises:
        Refused: it is none.
    """
    value = as_value(body)
    if not isinstance(value, dict):
        raise refuse(400, "not_json", f"the body is a JSON object, not {type(value).__name__}")
    return value


def as_value(body: bytes | str) -> Any:
    """What a body is as JSON, whose numbers are finite: the answer could not have another one.

    Raises:
        Refused: it is none, or has too many parts.
    """
    _check_parts(body.encode(errors="surrogatepass") if isinstance(body, str) else body)
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body), "surrogatepass")
        return _read_text(text)
    except UnicodeDecodeError as error:
        raise refuse(400, "not_json", f"the body is no UTF-8: byte {error.start} cannot be read") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise refuse(400, "not_json", f"the body is no JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise refuse(400, "not_json", "the body is JSON nested too deeply") from None
    except ValueError as error:
        raise refuse(400, "not_json", f"the body is no JSON: {error!s:.100}") from None


def _check_parts(body: bytes) -> None:
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
    raise ValueError(f"{name:.40} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


_read_text: Final = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite).decode
"""Reads JSON. One reader is kept, as to make one takes as long as to read what is short."""
