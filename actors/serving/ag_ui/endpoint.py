"""``POST /ag-ui/{agent}``: a user interface has an agent run, and is sent what happens.

https://docs.ag-ui.com/spec/1.0/basic/transports/http-sse
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Set
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...agents.caller import Caller
from ...agents.conversations.view import ConversationView
from ...agents.errors import UnknownConversation, UnknownRun
from ...agents.events import ApprovalRequested, RunEvent
from ...agents.runs.handle import RunHandle
from ..problems import Problem, refuse
from ..requests import header, read_json
from ..runs import FINGERPRINT, Asked, begin, fingerprint, leaving, run_of
from ..server import OnDisconnect, Server
from ..sse import Event, EventStream
from ..streams import RESUME, Place, events_of
from .events import Events
from .history import ABOUT, new
from .inputs import Input, read
from .interrupts import Resume, answer, interrupt, read_resume

LOOK: Final = 5.0
"""Seconds after which to look whether an agent at work elsewhere waits for a person."""


def refusal(problem: Problem) -> Response:
    """The answer to an input that is not run: the protocol has no shape for it but its status; the body says what a
    ``RUN_ERROR`` would."""
    body = {"type": "RUN_ERROR", "message": problem.message, "code": problem.code}
    if problem.where:
        body["where"] = problem.where
    return JSONResponse(body, problem.status, problem.all_headers)


async def run_agent(server: Server, request: Request, agent: str) -> Response:
    """Run an agent, or go on with a run."""
    caller = await server.caller(request)
    asked = read(await read_json(request, server.body_limit))
    when_left = leaving(server, request)
    resume = read_resume(asked.body.get("resume"))
    came = header(request, RESUME)
    place = Place.read(came) if came else None
    if place is not None:
        handle = await _found(server, asked, agent, caller, place.run)
    elif resume is not None:
        try:
            handle = await _found(server, asked, agent, caller, resume.run)
        except UnknownRun:
            raise refuse(404, "unknown_interrupt", "resume: there is no interrupt of this id", "resume") from None
        await answer(server.agency, handle, resume, caller)
    else:
        handle = await _begun(server, request, caller, asked, agent)
    made = await _mapper(handle, asked, resume)
    events = _events(server, handle, made, place or Place(handle.id, resume.cursor if resume else ""), came, when_left)
    return EventStream(server, events, {"callboard-run": handle.id})


async def _found(server: Server, asked: Input, agent: str, caller: Caller, run: str) -> RunHandle:
    handle = await server.agency.handle(run, caller=caller)
    if (handle.agent, handle.conversation) != (agent, asked.thread):
        raise refuse(400, "invalid_request", "what is to be gone on with belongs to another thread", "threadId")
    return handle


async def _begun(server: Server, request: Request, caller: Caller, given: Input, agent: str) -> RunHandle:
    """The run that an input asks for: a new one, or the one that was begun when the same input came before."""
    key = json.dumps([given.thread, given.run])
    asked = Asked(agent, caller, (), given.body, key, stream=True, connection=request)
    with suppress(UnknownRun):
        handle = await server.agency.handle(run_of(asked), caller=caller)
        if (await handle.metadata()).get(FINGERPRINT) == fingerprint(asked):
            return handle
        raise refuse(422, "run_id_reused", "runId: another run had this id; give each its own", "runId")
    kept = await _kept(server, given.thread, agent, caller)
    if kept is not None and kept.status == "waiting":
        message = "the thread waits for an answer to an interrupt: give it in resume, or cancel the interrupt there"
        raise refuse(409, "interrupt_open", message, "resume")
    fresh = new(given, kept)
    if fresh.rewind is not None:
        await server.agency.rewind(given.thread, to=fresh.rewind, agent=agent, caller=caller)
    about = {"tools": list(given.tools), "messages": list(fresh.marks), "context": fresh.context}
    about |= {name: given.body[name] for name in ("state", "forwardedProps") if given.body.get(name) is not None}
    options = {"conversation": given.thread, "tools": given.wanted_tools, "metadata": {ABOUT: about}}
    return await begin(server, asked._replace(messages=fresh.messages, options=options))


async def _kept(server: Server, thread: str, agent: str, caller: Caller) -> ConversationView | None:
    with suppress(UnknownConversation):
        return await server.agency.conversation(thread, agent=agent, caller=caller)
    return None


async def _mapper(handle: RunHandle, asked: Input, resume: Resume | None) -> Events:
    tools = frozenset((await handle.metadata()).get(ABOUT, {}).get("tools", ()))
    if resume is None:
        return Events(asked, handle.id, handle.agent, tools)
    answered = frozenset(one.approval for one in resume.answers)
    return Events(asked, handle.id, handle.agent, tools, int(resume.cursor), answered)


async def _events(
    server: Server, handle: RunHandle, made: Events, place: Place, came: str, when_left: OnDisconnect
) -> AsyncGenerator[Event]:
    where = place.cursor
    if not came:
        yield Event(made.started(), f"{handle.id}:{where}")
    source = events_of(server, handle, place, when_left, made.take, made.failed, enough=lambda: made.over)
    async with aclosing(source):
        while True:
            found = await (_next(server, handle, made, source) if made.works else anext(source, None))
            if found is None:
                return
            if isinstance(found, list):
                for payload in made.interrupted([_of_another(handle.id, where, one) for one in found]):
                    yield Event(payload, f"{handle.id}:{where}")
                return
            if found.id:
                where = found.id.rpartition(":")[2]
            yield found


async def _next(
    server: Server, handle: RunHandle, made: Events, source: AsyncGenerator[Event]
) -> Event | list[ApprovalRequested] | None:
    """The next event of a run that works on calls, None at its end; or what agents ask a person to which it has
    delegated work: that is in no record of the run."""
    coming = asyncio.ensure_future(anext(source, None))
    unsubscribe = _nothing
    asked = asyncio.Event()
    asking = asyncio.ensure_future(asked.wait())
    try:
        await asyncio.sleep(0)
        if coming.done():  # it was there
            return coming.result()
        unsubscribe = server.agency.subscribe(partial(_heard, made.told_of, asked), root=handle.id)
        look = any(one.root == handle.id and one.run not in made.told_of for one in server.agency.approvals)
        while not coming.done():
            if look and (found := await _asked_by_others(server, handle, made)) and not coming.done():
                made.over = True
                return found
            if asking.done():
                asked.clear()
                asking = asyncio.ensure_future(asked.wait())
            await asyncio.wait((coming, asking), timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
            look = asking.done() or await handle.status() == "waiting"
        return coming.result()
    finally:
        unsubscribe()
        asking.cancel()
        if not coming.done():
            coming.cancel()
            with suppress(asyncio.CancelledError):
                await coming


def _nothing() -> None:
    pass


def _heard(told_of: Set[str], asked: asyncio.Event, event: RunEvent) -> None:
    if isinstance(event, ApprovalRequested) and event.run not in told_of:
        asked.set()


async def _asked_by_others(server: Server, handle: RunHandle, made: Events) -> list[ApprovalRequested]:
    waits = await server.agency.pending_approvals()
    return [one for one in waits if one.root == handle.id and one.run not in made.told_of]


def _of_another(run: str, where: str, asked: ApprovalRequested) -> dict[str, Any]:
    """An approval that another agent asks for, as an interrupt of the run that it works for."""
    about = {"approval": asked.approval, "call_id": asked.call_id, "expires_at": asked.expires_at}
    if not asked.tool:
        return interrupt(run, where, about, None)
    made = interrupt(run, where, about, {"name": asked.tool})
    del made["toolCallId"]
    more = {"agent": asked.agent, "tool": asked.tool, "arguments": asked.arguments}
    return {**made, "reason": "confirmation", "metadata": {"callboard": more}}
