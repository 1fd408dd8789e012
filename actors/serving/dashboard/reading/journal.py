"""The events of a conversation, by their order in the journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ....agents.conversations.reading import read_events
from ....agents.turns.encoding.codec import RunCodec
from ....journal.store import Record
from ...answers import Json
from ...operations.problem_json import query_of
from ...operations.whose import page_size
from ..board import Board
from .conversations import named
from .cutting import Room

_CODEC: Final = RunCodec()


async def get_journal(board: Board, request: Request) -> Response:
    """The events behind ``after`` of a conversation and of those it was transferred to, at most ``limit``."""
    await board.who(request, "read")
    query = query_of(request, "after", "limit")
    agent, conversation = named(request)
    after, limit = query.number("after", 0), page_size(query)
    found = await read_events(board.agency.journal, agent, conversation, after=after, limit=limit)
    # Beside the loop: an event may be large.
    events = await asyncio.to_thread(_events, found.records, after)
    last = after + len(events)
    return Json({"events": events, "next": last if events and last < found.version else None, "version": found.version})


def _events(records: Sequence[Record], after: int) -> list[dict[str, Any]]:
    room = Room()
    told: list[dict[str, Any]] = []
    for number, record in enumerate(records, after + 1):
        if room.spent:  # the next page begins with this one
            break
        event = {"version": number, "at": record.at, "type": record.type, "stream": record.stream}
        data = room.plain(json.loads(_CODEC.encode(record.event).data))
        told.append(room.told({**event, "position": record.position, "data": data}))
    return told
