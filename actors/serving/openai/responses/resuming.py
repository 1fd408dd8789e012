"""The stream of a response, gone on with behind any of its events.

The run is gone through from its beginning, and what whoever reads was sent before is left out. So an event's number is
enough to go on; its id says besides what was open then, and a checksum of it, which tells where the model was asked
again meanwhile and says something else.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from ....agents.errors import AgentError
from ....agents.runs.handle import RunHandle
from ....agents.runs.reading.cursor import RunText
from ....agents.runs.reading.progress import RunRecord
from ...problems import Refused, problem_of, refuse
from ...runs import watched
from ...server import OnDisconnect, Server
from ...sse import Event
from ...streams import RESUME
from .events import LEAP, MOST_VOIDED, ResponseEvents
from .reading import marked_failed
from .resource import Response

_ID: Final = re.compile(r"(?P<run>.{1,600}):(?P<number>[0-9]{1,17})-(?P<state>0|[rmb][0-9a-f]{8})")


class Place(NamedTuple):
    """Where in the stream of a response whoever reads is.

    Args:
        number: of the last event that they were sent; -1 for none.
        state: what was open then, see `ResponseEvents.state`; None where that is not known.
        run: the run's id, where an event's id named it.
    """

    number: int = -1
    state: str | None = None
    run: str = ""

    @classmethod
    def read(cls, event_id: str) -> Place:
        """The place that an event's id names.

        Raises:
            Refused: it names none.
        """
        found = _ID.fullmatch(event_id)
        if found is None:
            raise refuse(400, "invalid_event_id", f"{event_id!r:.100} is no event's id: give it as it came", RESUME)
        state = found["state"]
        return cls(int(found["number"]), "" if state == "0" else state, found["run"])

    @property
    def parts(self) -> tuple[int, int, int]:
        """How often text was lost by then, how often it was void, and how many events there were before."""
        leaps, count = divmod(self.number, LEAP)
        return (*divmod(leaps, MOST_VOIDED), count)


class Behind:
    """What of a run's events is sent to whoever was sent those before.

    Args:
        made: makes the events; none yet.
        place: where whoever reads is.
    """

    def __init__(self, made: ResponseEvents, place: Place) -> None:
        self.made = made
        self._place = place
        self._passed = place.number < 0
        self._last: dict[str, Any] | None = None

    def take(self, item: RunRecord | RunText) -> Iterator[dict[str, Any]]:
        """The events that an item of the stream leads to, as far as they are still to be sent."""
        made, place = self.made, self._place
        if self._passed:
            yield from made.take(item)
            return
        lost, voided, count = place.parts
        done = made.response.done
        for event in made.take(item):
            if self._passed:
                yield event
                continue
            self._last = event
            here = Place(event["sequence_number"]).parts
            if here == (lost, voided, count) or here[:2] > (lost, voided):
                self._passed = True
                if here[:2] > (lost, voided) or place.state not in (None, made.state):
                    yield from made.given_up(place.number, (place.state or "")[:1], done)
                    yield from made.anew()
                    if isinstance(item, RunRecord):
                        yield from made.take(item)
                    return
        if not self._passed and made.lost > lost:
            self._passed = True
            yield from made.given_up(place.number, (place.state or "")[:1], done)

    def end(self) -> Iterator[dict[str, Any]]:
        """The last event, where the place was not found: whoever waits for it must not wait for ever."""
        if not self._passed and self._last is not None:
            yield self._last


async def events_behind(
    server: Server, handle: RunHandle, response: Response, place: Place, when_left: OnDisconnect
) -> AsyncGenerator[Event]:
    """The events of a response behind a place, until its end.

    Args:
        server: whose it is.
        handle: the run.
        response: what is known of the response: what was asked for.
        place: behind which to begin.
        when_left: what becomes of the run where whoever reads leaves before its end.
    """
    made = ResponseEvents(response, max(0, place.parts[1]) if place.number >= 0 else 0)
    behind = Behind(made, place)
    try:
        async with aclosing(watched(server, handle, "", when_left)) as items:
            async for item in items:
                for event in behind.take(item):
                    yield _sent(handle, made, event)
                if isinstance(item, RunRecord) and item.type == "ended":
                    if item.data["error"] is not None:
                        await marked_failed(handle, response)
                        for event in made.failed():
                            yield _sent(handle, made, event)
                    else:
                        for event in behind.end():
                            yield _sent(handle, made, event)
    except (AgentError, Refused) as error:
        event = made.broken(problem_of(error, handle.id))
        yield Event(event, name=event["type"])


def _sent(handle: RunHandle, made: ResponseEvents, event: dict[str, Any]) -> Event:
    return Event(event, f"{handle.id}:{event['sequence_number']}-{made.state or 0}", event["type"])
