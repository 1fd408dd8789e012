"""Answers that come piece by piece, as server-sent events: each has an id behind which whoever was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse

from .server import Server

SEND_TIMEOUT: Final = 60.0
"""Seconds for which a client may take nothing: then it has gone."""


class Event(NamedTuple):
    """One event of a stream.

    Args:
        data: its payload, written as JSON; a text is sent as it is.
        id: behind which to go on; empty for none.
        name: of the event; empty for the usual one.
    """

    data: Mapping[str, Any] | str
    id: str = ""
    name: str = ""

    def encoded(self) -> bytes:
        """The event as it is sent."""
        data = self.data if isinstance(self.data, str) else json.dumps(self.data, separators=(",", ":"))
        return ServerSentEvent(data, event=self.name or None, id=self.id or None, sep="\n").encode()


def streamed(server: Server, events: AsyncIterator[Event], headers: Mapping[str, str] | None = None) -> Any:
    """The answer to a request for a stream. Whoever is slow to read is waited for, and nothing piles up meanwhile.

    Args:
        server: whose it is.
        events: what to send; closed where the client goes.
        headers: that the answer has besides.
    """

    async def written() -> AsyncIterator[bytes]:
        async for event in events:
            yield event.encoded()

    return EventSourceResponse(written(), headers=headers, sep="\n", ping=server.ping, send_timeout=SEND_TIMEOUT)
