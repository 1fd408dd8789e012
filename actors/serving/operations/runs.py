"""``/agency/runs``: begun in the background, looked at, followed and cancelled, by whoever may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, Final, get_args
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from ...agents.errors import AgencyClosed, AgentError, UnknownRun
from ...agents.runs.handle import RunHandle, Status
from ...journal.errors import JournalError
from ..answers import Json
from ..problems import Refused, problem_body, problem_of, refuse
from ..requests import header
from ..runs import Asked, begin, headers_of, key_of, run_of
from ..server import Server
from ..sse import COME_BACK, Event, EventStream
from ..streams import RESUME
from ..webhooks import Deliveries
from . import plain
from .problem_json import body_of, query_of
from .whose import page_size, sees_all

_OVER: Final = ("ended", "failed")


async def start_run(server: Server, request: Request, deliveries: Deliveries | None) -> Response:
    """Have a run made in the background: 202, and where it is found. A ``webhook`` is told of its end."""
    caller = await server.caller(request)
    query_of(request)
    fields = await body_of(server, request, "agent", "input", "conversation", "when_busy", "webhook")
    agent = server.agent(fields.text("agent", server.agency.entry))
    question = fields.get("input", (str, list), "a text, or a list of messages", ...)
    options = {"conversation": fields.text("conversation"), "when_busy": fields.text("when_busy", "queue")}
    asked = Asked(agent, caller, question, fields.given, key_of(request), options=options, connection=request)
    webhook = fields.text("webhook")
    if webhook is None:
        handle = await begin(server, asked)
    else:
        handle = await _begin_telling(server, asked, webhook, deliveries)
    about = {"id": handle.id, "agent": handle.agent, "conversation": handle.conversation}
    root = request.scope.get("root_path", "")
    return Json(about, 202, {"location": f"{root}/agency/runs/{handle.id}", "callboard-run": handle.id})


async def _begin_telling(server: Server, asked: Asked, webhook: str, deliveries: Deliveries | None) -> RunHandle:
    """Have a run made whose end a webhook is told of: written down before the run is."""
    if deliveries is None:
        raise refuse(400, "webhook_not_allowed", "webhook: none is told of runs here", "webhook")
    run = run_of(asked) if asked.key else f"run-{uuid4().hex}"
    if asked.key:
        with suppress(UnknownRun):  # asked for before, with its webhook
            await server.agency.handle(run, caller=asked.caller)
            return await begin(server, asked)
    await deliveries.expect(run, webhook)
    try:
        handle = await begin(server, asked._replace(options={**(asked.options or {}), "run_id": run}))
    except (AgentError, JournalError, Refused):
        await deliveries.withdraw(run)
        raise
    except asyncio.CancelledError:
        await asyncio.shield(deliveries.begin(run, webhook))  # the run may be there all the same
        raise
    await deliveries.begin(run, webhook)
    return handle


async def list_runs(server: Server, request: Request) -> Response:
    """Those in the caller's conversations; all of the tenant for the scopes `conversations` and `admin`."""
    caller = await server.caller(request)
    query = query_of(request, "agent", "conversation", "status", "after", "limit")
    status = query.text("status")
    if status not in (None, *get_args(Status)):
        raise refuse(400, "invalid_field", f"status is {', '.join(get_args(Status))}, not {status!r:.40}", "status")
    page = await server.agency.runs(
        agent=query.text("agent"),
        conversation=query.text("conversation"),
        status=status,
        user=None if sees_all(caller) else caller.user,
        tenant=caller.tenant,
        after=query.text("after", ""),
        limit=page_size(query),
    )
    body = {"runs": [plain.run(one) for one in page.runs], "next": page.next}
    return Json(body, headers={"cache-control": "no-store"})


async def get_run(server: Server, request: Request) -> Response:
    """How far a run is, and its answer or error."""
    return Json(await told(server, await _found(server, request)), headers={"cache-control": "no-store"})


async def cancel_run(server: Server, request: Request) -> Response:
    """Have a run end in `RunCancelled`. One that has ended stays as it is."""
    handle = await _found(server, request)
    fields = await body_of(server, request, "reason")
    await handle.cancel(fields.text("reason", "cancelled by the caller"))
    return Json(await told(server, handle))


async def run_events(server: Server, request: Request) -> Response:
    """What is recorded of a run, as server-sent events: those behind ``Last-Event-ID``, then those to come.

    204 tells a browser's EventSource not to connect again: the run has ended, and nothing comes behind.
    """
    handle = await _found(server, request)
    if request.method == "HEAD":
        return Response(media_type=EventStream.media_type)
    after = _position(header(request, RESUME))
    if after and await handle.status() in _OVER and not [one async for one in handle.events(after=after)]:
        return Response(status_code=204)
    return EventStream(server, _events(handle, after), {"callboard-run": handle.id})


async def _events(handle: RunHandle, after: int) -> AsyncGenerator[Event]:
    try:
        async with aclosing(handle.events(after=after)) as records:
            async for record in records:
                yield Event(plain.record(record), str(record.position), record.type)
    except AgencyClosed as error:  # of no record, so that whoever comes back misses none
        yield Event(problem_body(problem_of(error, handle.id)), name="problem", retry=COME_BACK)
    except (AgentError, JournalError) as error:
        yield Event(problem_body(problem_of(error, handle.id)), name="problem")


async def told(server: Server, handle: RunHandle) -> dict[str, Any]:
    """A run as an object.

    Raises:
        Refused: its payment was not taken.
    """
    status = await handle.status()
    about: dict[str, Any] = {
        "id": handle.id,
        "agent": handle.agent,
        "conversation": handle.conversation,
        "status": status,
        "answer": None,
        "error": None,
    }
    if status in _OVER:
        try:
            answer = await handle.answer()
        except AgentError as error:
            about["error"] = problem_body(problem_of(error, handle.id))
        else:
            await headers_of(server, handle)
            about["answer"] = plain.answer(answer)
    return about


def _position(given: str) -> int:
    if not given:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise refuse(400, "invalid_event_id", f"{given!r:.100} is no event's id: give it as it came", RESUME)
    return int(given)


async def _found(server: Server, request: Request) -> RunHandle:
    caller = await server.caller(request)
    query_of(request)
    return await server.agency.handle(request.path_params["run"], caller=caller)
