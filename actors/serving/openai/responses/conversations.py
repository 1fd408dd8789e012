"""OpenAI's conversations: a head that responses go on from, one at a time.

https://platform.openai.com/docs/api-reference/conversations

A conversation belongs to one agent: the one whose response is the first in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from .....providers.messages import Message
from ....agents.caller import Caller
from ....agents.conversations.view import ConversationView
from ....agents.errors import DefinitionError, UnknownConversation
from ...answers import Json
from ...problems import refuse
from ...requests import read_json
from ...server import Server
from .asking import messages_of, metadata_of
from .items import input_items, page
from .reading import as_it_is, response_of
from .resource import ABOUT, ADDED, PREFIX


async def create(server: Server, request: Request) -> HttpResponse:
    """Begin a conversation."""
    caller = await server.caller(request)
    body = await _body(server, request, "items", "metadata")
    messages = messages_of(body.get("items"), "items")
    id = f"conv_{uuid.uuid4().hex}"
    await server.agency.begin(messages, to=id, caller=caller, metadata=metadata_of(body))
    view = await server.agency.conversation(id, caller=caller)
    return Json(_written(view))


async def retrieve(server: Server, request: Request) -> HttpResponse:
    """A conversation."""
    return Json(_written(await _found(server, request)))


async def delete(server: Server, request: Request) -> HttpResponse:
    """Forget a conversation with all that was said in it; a response under way is cancelled."""
    view = await _found(server, request)
    await server.agency.release(view.id, agent=view.agent)
    return Json({"id": view.id, "object": "conversation.deleted", "deleted": True})


async def list_items(server: Server, request: Request) -> HttpResponse:
    """What was said in a conversation."""
    items = await _items(server, await _found(server, request))
    return Json(page(items, request, newest_first=True))


async def retrieve_item(server: Server, request: Request) -> HttpResponse:
    """One item of a conversation."""
    wanted = request.path_params["item"]
    for item in await _items(server, await _found(server, request)):
        if item["id"] == wanted:
            return Json(item)
    raise refuse(404, "unknown_item", f"there is no item {wanted!r:.100} in the conversation", "item_id")


async def update(server: Server, request: Request) -> HttpResponse:
    """Give a conversation other metadata."""
    caller, view = await _unasked(server, request)
    body = await _body(server, request, "metadata")
    await _begin_over(server, caller, view, view.began_with, metadata_of(body))
    return Json(_written(await _found(server, request)))


async def add_items(server: Server, request: Request) -> HttpResponse:
    """Say more in a conversation."""
    caller, view = await _unasked(server, request)
    body = await _body(server, request, "items")
    before = len(input_items(view.began_with, view.id))
    messages = (*view.began_with, *messages_of(body.get("items"), "items"))
    if len(messages) == len(view.began_with):
        raise refuse(400, "invalid_request", "items: expected a list with at least one item", "items")
    await _begin_over(server, caller, view, messages, view.metadata)
    added = input_items(messages, view.id)[before:]
    ends = {"first_id": added[0]["id"], "last_id": added[-1]["id"]} if added else {"first_id": None, "last_id": None}
    return Json({"object": "list", "data": added, **ends, "has_more": False})


async def delete_item(server: Server, request: Request) -> HttpResponse:
    """Take back the last item of a conversation."""
    caller, view = await _unasked(server, request)
    items = input_items(view.began_with, view.id)
    wanted = request.path_params["item"]
    if wanted not in [item["id"] for item in items]:
        raise refuse(404, "unknown_item", f"there is no item {wanted!r:.100} in the conversation", "item_id")
    if items[-1]["id"] != wanted:
        raise refuse(400, "unsupported", "item_id: only the last item can be taken back", "item_id")
    await _begin_over(server, caller, view, messages_of(items[:-1], "items"), view.metadata)
    return Json(_written(await _found(server, request)))


async def _unasked(server: Server, request: Request) -> tuple[Caller, ConversationView]:
    """A conversation in which nobody was asked anything yet: it can still be changed."""
    caller = await server.caller(request)
    view = await find(server, request.path_params["conversation"], caller, "conversation_id")
    if view.runs:
        said = "an agent has answered here: give items as the input of the next response, or begin another conversation"
        raise refuse(400, "unsupported", said)
    return caller, view


async def _begin_over(
    server: Server,
    caller: Caller,
    view: ConversationView,
    messages: tuple[Message, ...],
    metadata: Mapping[str, str],
) -> None:
    await server.agency.begin(
        messages, to=view.id, agent=view.agent, caller=caller, metadata=metadata, over=view.version
    )


async def _body(server: Server, request: Request, *fields: str) -> dict[str, Any]:
    body = await read_json(request, server.body_limit)
    for name in sorted(body.keys() - set(fields))[:1]:
        raise refuse(400, "invalid_request", f"{name:.80}: expected {' and '.join(fields)}", f"{name:.80}")
    return body


async def settle(server: Server, conversation: str, agent: str, caller: Caller) -> ConversationView:
    """The conversation in which an agent is asked. One that nobody has answered in yet becomes the agent's.

    Raises:
        Refused: there is none, or it is another agent's.
        NotAllowed: it is another's.
    """
    view = await find(server, conversation, caller, "conversation", first=agent)
    if view.agent == agent:
        return view
    if view.runs:
        said = f"conversation: {conversation:.100} is {view.agent}'s: ask it there, or begin another one"
        raise refuse(400, "conversation_of_another_agent", said, "conversation")
    agency = server.agency
    try:
        await agency.begin(view.began_with, to=conversation, agent=agent, caller=caller, metadata=view.metadata)
    except DefinitionError:  # somebody else did it this moment
        return await agency.conversation(conversation, agent=agent, caller=caller)
    await agency.release(conversation, agent=view.agent)
    return await agency.conversation(conversation, agent=agent, caller=caller)


async def find(server: Server, conversation: str, caller: Caller, where: str, *, first: str = "") -> ConversationView:
    """A conversation, whichever agent's it is.

    Args:
        server: whose it is.
        conversation: its id.
        caller: who wants it.
        where: the field that names it.
        first: the agent that has it, most likely.

    Raises:
        Refused: there is none.
        NotAllowed: it is another's.
    """
    agency = server.agency
    names = [first or agency.entry, agency.entry, *agency.agents]
    for name in dict.fromkeys(names):
        try:
            return await agency.conversation(conversation, agent=name, caller=caller)
        except UnknownConversation:
            continue
    raise refuse(404, "unknown_conversation", f"there is no conversation {conversation!r:.100}", where)


async def _found(server: Server, request: Request) -> ConversationView:
    caller = await server.caller(request)
    return await find(server, request.path_params["conversation"], caller, "conversation_id")


async def _items(server: Server, view: ConversationView) -> list[dict[str, Any]]:
    """What was said in a conversation: what it began with, and what each response was asked and answered."""
    items = input_items(view.began_with, view.id)
    for run in view.runs:
        if run.rewound:
            continue
        handle = await server.agency.handle(run.id)
        about = (await handle.metadata()).get(ABOUT) or {"asked": {}, "notes": [], ADDED: False}
        items += input_items((await handle.question())[about[ADDED] :], f"{run.id}_in")
        items += (await as_it_is(handle, response_of(handle, about))).items
    return items


def _written(view: ConversationView) -> dict[str, Any]:
    return {
        "id": view.id,
        "object": "conversation",
        "created_at": int(view.created_at),
        "metadata": dict(view.metadata),
        "callboard": {"agent": view.agent, "responses": [f"{PREFIX}{run.id}" for run in view.runs]},
    }
