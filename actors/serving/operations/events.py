"""The journal as a store of events: read and followed by those who administer, appended to by programs of one's own."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ....tools.scopes import ADMIN
from ...agents.runs.reading.folding import APPENDED
from ...agents.turns.encoding.codec import RunCodec
from ...journal.errors import EventNotWritable, JournalError, StreamConflict, StreamOwned
from ...journal.store import Record, at_hand
from ..problems import problem_body, problem_of, refuse
from ..server import Server
from ..sse import Event, EventStream
from ..streams import RESUME
from .problem_json import body_of, query_of

PAGE: Final = 100
MOST: Final = 1_000
"""Events of a page."""

MOST_NAME: Final = 500

_CODEC: Final = RunCodec()


async def follow_events(server: Server, request: Request) -> Response:
    """All events of streams that begin with ``prefix``, behind ``after`` or ``Last-Event-ID``, then those to come."""
    await _check(server, request)
    query = query_of(request, "after", "prefix")
    came = request.headers.get(RESUME, "")
    if came and not (came.isascii() and came.isdigit() and len(came) < 19):
        raise refuse(400, "invalid_event_id", f"{came!r:.100} is no event's id: give it as it came", RESUME)
    after = int(came) if came else query.number("after", 0)
    if request.method == "HEAD":
        return Response(media_type=EventStream.media_type)
    return EventStream(server, _follow(server, after, query.text("prefix", "")))


async def read_events(server: Server, request: Request) -> Response:
    """The events of a stream behind version ``after``, at most ``limit``."""
    await _check(server, request)
    query = query_of(request, "after", "limit")
    limit = query.number("limit", PAGE)
    if not 1 <= limit <= MOST:
        raise refuse(400, "invalid_field", f"limit is a number from 1 to {MOST}, not {limit}", "limit")
    stream = request.path_params["stream"]
    found = await at_hand(server.agency.journal.read(stream, after=query.number("after", 0), limit=limit))
    return JSONResponse({"stream": stream, "events": [_plain(one) for one in found]})


async def append_events(server: Server, request: Request) -> Response:
    """Append to a stream whose name begins with ``events/``; with ``expected`` only if that is its version."""
    await _check(server, request)
    query_of(request)
    fields = await body_of(server, request, "events", "expected")
    stream = request.path_params["stream"]
    if not stream.startswith(APPENDED) or APPENDED[:-1] in server.agency.agents:
        raise refuse(403, "not_allowed", f"{APPENDED}… is appended to: other streams have a writer")
    if stream == APPENDED or len(stream) > MOST_NAME:
        raise refuse(400, "invalid_field", f"a stream's name is a text of up to {MOST_NAME} characters", "stream")
    events = fields.get("events", list, "a list of objects", ...)
    if not events or not all(isinstance(one, dict) for one in events):
        raise refuse(400, "invalid_field", "events is a list of objects, at least one", "events")
    try:
        version = await at_hand(server.agency.journal.append(stream, events, expected=fields.number("expected")))
    except StreamConflict as error:
        raise refuse(409, "version_conflict", f"{stream} is at version {error.actual}, not {error.expected}") from None
    except StreamOwned:
        raise refuse(409, "stream_owned", f"{stream} has a writer, which alone appends to it") from None
    except EventNotWritable as error:
        raise refuse(400, "invalid_field", f"events cannot be kept: {error}", "events") from None
    return JSONResponse({"stream": stream, "version": version}, 201)


async def _check(server: Server, request: Request) -> None:
    """Refuse who does not administer all of it: events have what is said in every tenant."""
    caller = await server.caller(request)
    if not server.authenticate or ADMIN not in caller.scopes or caller.tenant:
        message = f"events are for callers with the scope {ADMIN} and of no tenant, where it is asked who asks"
        raise refuse(403, "not_allowed", message)


async def _follow(server: Server, after: int, prefix: str) -> AsyncGenerator[Event]:
    try:
        async for record in server.agency.journal.subscribe(after=after, prefix=prefix):
            yield Event(_plain(record), str(record.position), record.type)
    except JournalError as error:
        yield Event(problem_body(problem_of(error)), name="problem")


def _plain(record: Record) -> dict[str, Any]:
    return {
        "position": record.position,
        "stream": record.stream,
        "version": record.version,
        "type": record.type,
        "at": record.at,
        "data": json.loads(_CODEC.encode(record.event).data),
    }
