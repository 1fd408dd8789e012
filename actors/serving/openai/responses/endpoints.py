"""OpenAI's Responses: made, read, gone on with, cancelled and deleted. A response is a run of an agent.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from .....providers.messages import Message
from ....agents.caller import Caller
from ....agents.errors import AgentError
from ....agents.runs.handle import RunHandle
from ...answers import Json
from ...problems import Problem, Refused, refuse
from ...requests import header, read_json
from ...runs import KEY, Asked, answer_of, begin, headers_of, leaving, run_of
from ...server import OnDisconnect, Server
from ...sse import Event, EventStream
from ...streams import RESUME, came_last
from .asking import Wished, read
from .conversations import settle
from .items import input_items, page
from .reading import as_it_is, find, response_of
from .resource import ABOUT, ADDED, INCOMPLETE, Response
from .resuming import Place, events_behind
from .turns import turn


async def create(server: Server, request: Request, agent: str | None = None) -> HttpResponse:
    """Ask an agent.

    Args:
        server: whose it is.
        request: what was sent.
        agent: whom, where the path says it; otherwise the body's ``model`` does.
    """
    caller = await server.caller(request)
    body = await read_json(request, server.body_limit)
    when_left = leaving(server, request)
    resumed = came_last(request, body.get("stream") is True)
    if resumed:
        place = Place.read(resumed)
        handle = await server.agency.handle(place.run, caller=caller)
        about = (await handle.metadata()).get(ABOUT)
        if about is None:
            raise refuse(400, "invalid_event_id", f"run {handle.id} is no response", RESUME)
        return _streamed(server, handle, response_of(handle, about), place, when_left)
    wished = read(body)
    name = agent if agent is not None else server.agent(wished.model or server.agency.entry)
    key = header(request, KEY)
    async with turn(server, wished.conversation or (wished.previous and key)):
        handle = await _begun(server, wished, name, caller, body, request)
    response = response_of(handle, (await handle.metadata())[ABOUT])
    if wished.stream:
        return _streamed(server, handle, response, Place(), when_left)
    if not wished.about.get("background"):
        try:
            await answer_of(server, request, handle, when_left)
        except Refused as refused:
            if refused.problem.code not in INCOMPLETE:
                raise
    answer = await _answered(server, handle, response)
    await _let_go(server, handle, response)
    return answer


async def _begun(server: Server, wished: Wished, agent: str, caller: Caller, body: Any, request: Request) -> RunHandle:
    """The run of a new response."""
    agency, key = server.agency, header(request, KEY)
    messages = wished.messages
    options: dict[str, Any] = {"tools": wished.tools, "output_type": wished.output}
    said_before = ""
    forked: tuple[RunHandle, int | None] | None = None
    if wished.conversation:
        view = await settle(server, wished.conversation, agent, caller)
        said_before = next((one.text for one in reversed(view.messages) if one.role == "system"), "")
        options |= {"conversation": wished.conversation, "when_busy": wished.when_busy}
    if wished.previous:
        forked, said_before = await _before(server, wished.previous, agent, caller)
    instructed = bool(wished.instructions) and wished.instructions != said_before
    if instructed:
        messages = (Message("system", wished.instructions), *messages)
    about = {
        "asked": wished.about,
        "notes": list(wished.notes),
        ADDED: instructed,
    }
    options["metadata"] = {ABOUT: about}
    asked = Asked(agent, caller, messages, body, key, wished.stream, options, request)
    if forked is None:
        return await begin(server, asked)
    handle, at = forked
    run = options["run_id"] = options["conversation"] = run_of(asked) if key else uuid.uuid4().hex
    if not key or not await _is_there(server, run, caller):
        await agency.fork(handle.conversation, at=at, to=run, agent=agent, caller=caller)
    try:
        return await begin(server, asked)
    except (AgentError, Refused):
        if not key:
            await agency.release(run, agent=agent)
        raise


async def _is_there(server: Server, run: str, caller: Caller) -> bool:
    """Whether a run was begun before; then so was its conversation."""
    try:
        await server.agency.handle(run, caller=caller)
    except AgentError:
        return False
    return True


async def _before(
    server: Server, response_id: str, agent: str, caller: Caller
) -> tuple[tuple[RunHandle, int | None], str]:
    """Where a response branches off: the run before it with its last step, and what that was instructed."""
    where = "previous_response_id"
    handle, response = await find(server, response_id, caller, where)
    if handle.agent != agent:
        raise refuse(400, "invalid_request", f"{where}: that response is {handle.agent}'s: ask it again", where)
    if await handle.status() not in ("ended", "failed"):
        said = f"{where}: that response is still under way: wait for it, or cancel it"
        raise Refused(Problem(409, "response_in_progress", said, where, retry_after=1.0))
    at = None
    if handle.conversation != handle.id:  # others may have followed in the same conversation
        view = await server.agency.conversation(handle.conversation, agent=agent, caller=caller)
        ids = [run.id for run in view.runs]
        runs = {"", *ids[: ids.index(handle.id) + 1]}
        at = max((step.number for step in view.steps if step.run in runs), default=0)
        if at == len(view.steps):
            at = None
    return (handle, at), response.about.get("instructions", "")


async def _answered(server: Server, handle: RunHandle, response: Response) -> HttpResponse:
    await as_it_is(handle, response)
    told = {"callboard-run": handle.id} if response.status != "completed" else await headers_of(server, handle)
    return Json(response.written(), headers=told)


async def _let_go(server: Server, handle: RunHandle, response: Response) -> None:
    """Forget a response that is not to be stored, once it was given."""
    if response.about.get("store") is False and handle.conversation == handle.id:
        with suppress(AgentError):
            await server.agency.release(handle.conversation, agent=handle.agent)


def _streamed(
    server: Server, handle: RunHandle, response: Response, place: Place, when_left: OnDisconnect
) -> HttpResponse:
    async def events() -> AsyncGenerator[Event]:
        async with aclosing(events_behind(server, handle, response, place, when_left)) as given:
            async for event in given:
                yield event
        if response.completed is not None:
            await _let_go(server, handle, response)

    return EventStream(server, events(), {"callboard-run": handle.id})


async def retrieve(server: Server, request: Request) -> HttpResponse:
    """A response as far as it is, or its events."""
    handle, response = await _found(server, request)
    asked = request.query_params
    if asked.get("stream", "false") not in ("true", "false"):
        raise refuse(400, "invalid_request", "stream: expected true or false", "stream")
    if asked.get("stream") != "true":
        return await _answered(server, handle, response)
    place = Place()
    if resumed := header(request, RESUME):
        place = Place.read(resumed)
        if place.run != handle.id:
            raise refuse(400, "invalid_event_id", f"{resumed!r:.100} is of another response", RESUME)
    elif (after := asked.get("starting_after")) is not None:
        if not (after.isascii() and after.isdigit() and len(after) <= 17):
            raise refuse(400, "invalid_request", "starting_after: expected the number of an event", "starting_after")
        place = Place(int(after))
    return _streamed(server, handle, response, place, "continue")


async def cancel(server: Server, request: Request) -> HttpResponse:
    """End a response that is under way; one that has ended stays as it is."""
    handle, response = await _found(server, request)
    await handle.cancel()
    return await _answered(server, handle, response)


async def delete(server: Server, request: Request) -> HttpResponse:
    """Forget a response; one that is under way is cancelled."""
    handle, response = await _found(server, request)
    if handle.conversation != handle.id:
        said = f"the response is part of conversation {handle.conversation:.100}: delete that"
        raise refuse(400, "part_of_conversation", said, "response_id")
    await server.agency.release(handle.conversation, agent=handle.agent)
    return Json({"id": response.id, "object": "response", "deleted": True})


async def list_input(server: Server, request: Request) -> HttpResponse:
    """What a response was asked."""
    handle, response = await _found(server, request)
    messages = await handle.question()
    if (await handle.metadata())[ABOUT][ADDED]:
        messages = messages[1:]
    return Json(page(input_items(messages, f"{response.run}_in"), request, newest_first=True))


async def _found(server: Server, request: Request) -> tuple[RunHandle, Response]:
    caller = await server.caller(request)
    return await find(server, request.path_params["response"], caller)
