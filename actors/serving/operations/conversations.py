"""``/agency/conversations``: listed, read, forked, rewound, steered and deleted, by whoever may."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from ...agents.caller import Caller
from ...agents.conversations.view import ConversationSummary
from ...agents.errors import UnknownConversation
from ...agents.runs.validation import check_id
from ..answers import Json
from ..problems import refuse
from ..server import Server
from . import plain
from .problem_json import Fields, body_of, query_of
from .whose import page_size, sees_all

_LOOKED_AT: Final = 10_000
"""Conversations of others that one request may pass over; the next one goes on behind them."""

_STATES: Final = {"true": True, "false": False, None: None}


async def list_conversations(server: Server, request: Request) -> Response:
    """The caller's, by name; all of the tenant for the scopes ``conversations`` and ``admin``."""
    caller = await server.caller(request)
    query = query_of(request, "agent", "unfinished", "after", "limit")
    limit = page_size(query)
    unfinished = query.text("unfinished")
    if unfinished not in _STATES:
        raise refuse(400, "invalid_field", f"unfinished is true or false, not {unfinished!r:.40}", "unfinished")
    found: list[ConversationSummary] = []
    after: str | None = query.text("after", "")
    looked = 0
    while after is not None and len(found) < limit and looked < _LOOKED_AT:
        page = await server.agency.conversations(
            agent=query.text("agent"),
            user=None if sees_all(caller) else caller.user or None,
            tenant=caller.tenant or None,
            unfinished=_STATES[unfinished],
            after=after,
            limit=limit,
        )
        looked += len(page)
        after = page[-1].name if len(page) == limit else None
        for one in page:
            if _may_see(caller, one):
                found.append(one)
                if len(found) == limit:
                    after = one.name
                    break
    body = {"conversations": [plain.summary(one) for one in found], "next": after}
    return Json(body, headers={"cache-control": "no-store"})


def _may_see(caller: Caller, kept: ConversationSummary) -> bool:
    if kept.tenant != caller.tenant:
        return False
    return sees_all(caller) or kept.user == caller.user


async def get_conversation(server: Server, request: Request) -> Response:
    """A conversation with what was said in it."""
    caller = await server.caller(request)
    query_of(request)
    agent, conversation = _named(request)
    view = await server.agency.conversation(conversation, agent=agent, caller=caller)
    return Json(plain.conversation(view), headers={"cache-control": "no-store"})


async def delete_conversation(server: Server, request: Request) -> Response:
    """Forget it; a run under way is cancelled. 204 also where there is none any more."""
    caller = await server.caller(request)
    query_of(request)
    agent, conversation = _named(request)
    check_id(conversation, "conversation", UnknownConversation)
    await server.agency.release(conversation, agent=server.agent(agent), caller=caller)
    return Response(status_code=204)


async def fork_conversation(server: Server, request: Request) -> Response:
    """Begin another one with its history, ``at`` a step; ``to`` is the new one's id."""
    caller, agent, conversation, fields = await _changed(server, request, "at", "to")
    new = await server.agency.fork(
        conversation, at=fields.number("at"), to=fields.text("to"), agent=agent, caller=caller
    )
    where = f"{request.scope.get('root_path', '')}/agency/conversations/{quote(agent, safe='')}/{quote(new, safe='')}"
    return Json({"agent": agent, "id": new}, 201, {"location": where})


async def rewind_conversation(server: Server, request: Request) -> Response:
    """Have it go on from an earlier step, ``to``."""
    caller, agent, conversation, fields = await _changed(server, request, "to")
    to = fields.number("to", ...)
    await server.agency.rewind(conversation, to=to, agent=agent, caller=caller)
    return Json({"agent": agent, "id": conversation, "to": to})


async def steer_conversation(server: Server, request: Request) -> Response:
    """Say something, ``input``, to the run under way."""
    caller, agent, conversation, fields = await _changed(server, request, "input")
    said = fields.get("input", (str, list), "a text, or a list of messages", ...)
    await server.agency.steer(conversation, said, agent=agent, caller=caller)
    return Json({"agent": agent, "id": conversation}, 202)


async def _changed(server: Server, request: Request, *there: str) -> tuple[Caller, str, str, Fields]:
    caller = await server.caller(request)
    query_of(request)
    agent, conversation = _named(request)
    return caller, server.agent(agent), conversation, await body_of(server, request, *there)


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["agent"], request.path_params["conversation"]
