"""The stream of a run as the events of a protocol, each with an id behind which whoever was cut off goes on.

An item of the stream may lead to several events. The last of them has the item's place as its id, those before it the
place before the item and how many of its events were sent: ``…+2``; of a piece of text also of which kind, ``…+2t``, as
there may be another piece in its place, or none, when it is asked for again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from starlette.requests import Request

from ..agents.errors import AgencyClosed, AgentError, DefinitionError
from ..agents.runs.handle import RunHandle
from ..agents.runs.reading.cursor import KINDS, Cursor, Kind, RunText
from ..agents.runs.reading.progress import RunRecord
from .problems import Problem, Refused, problem_of, refuse
from .requests import header
from .runs import error_of_end, watched
from .server import OnDisconnect, Server
from .sse import COME_BACK, Event

RESUME: Final = "last-event-id"
"""The header that says which event came last."""

Item: TypeAlias = RunRecord | RunText
Expand: TypeAlias = Callable[[Item], Iterable[Any]]
"""The payloads of the events that an item leads to, in an order that does not change. Of a generator no more is taken
than was sent."""


class TextBegunAnew(Exception):
    """Text was sent that counts no more, which the protocol cannot say."""


class Place(NamedTuple):
    """Where in the stream of a run whoever reads is.

    Args:
        run: the run's id; empty for a run that is to be begun.
        cursor: of the last item whose events were all sent; empty for the beginning.
        sent: how many events of the next one were sent, too.
        kind: of which kind that one is, if it is a piece of text.
    """

    run: str = ""
    cursor: str = ""
    sent: int = 0
    kind: Kind | None = None

    @classmethod
    def read(cls, event_id: str) -> Place:
        """The place that an event's id names.

        Raises:
            Refused: it names none.
        """
        run, colon, rest = event_id.rpartition(":")
        cursor, plus, sent = rest.partition("+")
        kind = next((one for one in KINDS if sent.endswith(one[0])), None)
        sent = sent[:-1] if kind else sent
        if not (colon and run and sent.isascii() and (sent.isdigit() if plus else True)) or len(sent) > 6:
            raise _no_id(event_id)
        try:
            Cursor.read(cursor)
        except DefinitionError:
            raise _no_id(event_id) from None
        return cls(run, cursor, int(sent or 0), kind)


def came_last(request: Request, stream: bool) -> str:
    """The id of the event behind which a request goes on; empty for one that does not.

    Args:
        request: what was sent.
        stream: whether it asks for a stream.

    Raises:
        Refused: it goes on with a stream, and asks for none: a second run would be begun.
    """
    id = header(request, RESUME)
    if id and not stream:
        raise refuse(
            400, "invalid_event_id", f"{RESUME} is for a stream that was cut: ask with `stream` for it", RESUME
        )
    return id


def _no_id(event_id: str) -> Refused:
    return refuse(400, "invalid_event_id", f"{event_id!r:.100} is no event's id: give it as it came", RESUME)


async def events_of(
    server: Server,
    handle: RunHandle,
    place: Place,
    when_left: OnDisconnect,
    made: Expand,
    failed: Callable[[Problem], Any],
    *,
    enough: Callable[[], bool] = lambda: False,
    last: Event | None = None,
) -> AsyncGenerator[Event]:
    """The events of a run behind a place, until its end.

    Args:
        server: whose it is.
        handle: the run.
        place: behind which to begin.
        when_left: what becomes of the run where whoever reads leaves before its end.
        made: makes the payloads. It is shown all records of the run in order; those before the place first, whose
            events are not sent again.
        failed: makes the payload that tells of an error, the last event then.
        enough: whether the stream ends where it is, before the run does: nobody has left it then.
        last: what is sent at the end otherwise, where the protocol has such an event.
    """
    before, sent, kind_sent = place.cursor, place.sent, place.kind
    items = watched(server, handle, before, when_left, enough)
    try:
        if before:
            await catch_up(made, handle, before)
            if enough():
                return
        async for item in items:
            if kind_sent is not None:
                if not isinstance(item, RunText) or item.kind != kind_sent:  # the piece does not come any more
                    list(islice(made(RunText(before, "", kind_sent)), sent))
                    sent = 0
                kind_sent = None
            payloads = list(made(item))
            if isinstance(item, RunRecord) and item.type == "ended" and item.data["error"] is not None:
                failure = await error_of_end(handle)
                if isinstance(failure, AgencyClosed):
                    raise failure
                if failure is not None:
                    last = None
                    payloads.append(failed(problem_of(failure, handle.id)))
            if payloads:
                events, sent = _events(handle.id, item, before, payloads)[sent:], 0
                while events:
                    yield events.pop(0)
            before = item.cursor
            del item, payloads  # nothing of what was sent is kept (600 bytes) until more comes
            if enough():
                return
        if last is not None:
            yield last
    except TextBegunAnew:
        message = "the model was asked again and says something else: what came of this answer is void; ask for the run"
        yield Event(failed(Problem(409, "answer_changed", message, run=handle.id)))
    except AgencyClosed as error:
        yield Event(failed(problem_of(error, handle.id)), retry=COME_BACK)
    except (AgentError, Refused) as error:
        yield Event(failed(problem_of(error, handle.id)))
    finally:
        await items.aclose()


def _events(run: str, item: Item, before: str, payloads: list[Any]) -> list[Event]:
    """The events that an item leads to, each with its id."""
    kind = item.kind[0] if isinstance(item, RunText) else ""
    events = [Event(payload, f"{run}:{before}+{number}{kind}") for number, payload in enumerate(payloads[:-1], 1)]
    return [*events, Event(payloads[-1], f"{run}:{item.cursor}")]


async def catch_up(made: Expand, handle: RunHandle, where: str) -> None:
    """Let what makes the events see what was sent before: the records, and that there was text behind them.

    Raises:
        DefinitionError: it is no place in a stream.
    """
    cursor = Cursor.read(where)
    async with aclosing(handle.events()) as records:
        async for record in records:
            if record.position > cursor.position:
                break
            list(made(record))
            if record.position == cursor.position:
                break
    for kind in KINDS:
        if cursor.given(kind):
            list(made(RunText(where, "", kind)))
