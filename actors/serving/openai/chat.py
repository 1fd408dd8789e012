"""OpenAI's chat completions: an agent is what the request calls a model.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ....providers.messages import Request as Wanted
from ....providers.wire.fields import WrongField
from ....providers.wire.openai_chat import from_payload
from ...agents.answer import Answer
from ...agents.errors import DefinitionError
from ...agents.json_schema import JsonSchema
from ...agents.rendering.openai_shape import as_response
from ...agents.runs.handle import RunHandle
from ...agents.turns.questions import as_messages
from ..answers import Json
from ..problems import refuse
from ..requests import read_json
from ..runs import KEY, Asked, answer_of, begin, headers_of, leaving
from ..server import OnDisconnect, Server
from ..sse import Event, EventStream
from ..streams import RESUME, Place, came_last, events_of
from .chunks import Chunks
from .errors import error_body
from .formats import as_json, output_type

_AGENTS_OWN: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "stop",
)
"""What a request may say of the model, and is the agent's own affair: noted, and left out."""

_QUIET: Final = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "n", "callboard"}
)
"""Fields that are taken without a word."""


PREFIX: Final = "chatcmpl-"

ABOUT: Final = "serving.chat"
"""Where in a run's metadata that stands of its request which whoever comes back must find."""

_NOTHING: Final[Mapping[str, Any]] = {"format": None, "usage": False, "notes": []}


async def chat_completions(server: Server, request: Request, agent: str | None) -> Response:
    """Ask an agent.

    Args:
        server: whose it is.
        request: what was sent.
        agent: whom, where the path says it; otherwise the body's ``model`` does.
    """
    caller = await server.caller(request)
    body = await read_json(request, server.body_limit)
    stream, include_usage = _streaming(body)
    when_left = leaving(server, request)
    resumed = came_last(request, stream)
    if resumed:
        place = Place.read(resumed)
        handle = await server.agency.handle(place.run, caller=caller)
        return await _streamed(server, handle, place, when_left)
    form = output_type(body.get("response_format"), "response_format", nested="json_schema")
    asked, notes = read(server, body, agent)
    options = {**_options(body, asked), "output_type": form}
    if form is not None or include_usage or notes:
        format = body["response_format"] if form is not None else None
        options["metadata"] = {ABOUT: {"format": format, "usage": include_usage, "notes": list(notes)}}
    about = Asked(asked.model, caller, asked.messages, body, request.headers.get(KEY, ""), stream, options, request)
    handle = await begin(server, about)
    if stream:
        return await _streamed(server, handle, Place(handle.id), when_left)
    answer = await answer_of(server, request, handle)
    return _whole(answer, form, notes, await headers_of(server, handle))


async def get_completion(server: Server, request: Request) -> Response:
    """A completion that was asked for before, once there is one; with ``Accept: text/event-stream`` its chunks, behind
    ``Last-Event-ID`` where that is given, as browsers come back for a stream that was cut."""
    caller = await server.caller(request)
    id = request.path_params["completion"]
    handle = await server.agency.handle(id.removeprefix(PREFIX), caller=caller)
    if "text/event-stream" in request.headers.get("accept", ""):
        resumed = request.headers.get(RESUME, "")
        place = Place.read(resumed) if resumed else Place(handle.id)
        if place.run != handle.id:
            raise refuse(400, "invalid_event_id", f"{resumed!r:.100} is of another completion", RESUME)
        return await _streamed(server, handle, place, "continue")
    about = (await handle.metadata()).get(ABOUT, _NOTHING)
    form = output_type(about["format"], "response_format", nested="json_schema")
    answer = await answer_of(server, request, handle)
    return _whole(answer, form, tuple(about["notes"]), await headers_of(server, handle))


def _streaming(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the answer shall come as chunks, and whether their last one shall tell what was used.

    Raises:
        Refused: the request says neither yes nor no.
    """
    options = body.get("stream_options")
    if not isinstance(options, Mapping | None):
        raise refuse(400, "invalid_request", "stream_options: expected an object", "stream_options")
    usage = (options or {}).get("include_usage")
    for field, given in (("stream", body.get("stream")), ("stream_options.include_usage", usage)):
        if not isinstance(given, bool | None):
            raise refuse(400, "invalid_request", f"{field}: expected true or false", field)
    return body.get("stream") is True, usage is True


def read(server: Server, body: Mapping[str, Any], agent: str | None) -> tuple[Wanted, tuple[str, ...]]:
    """What a body asks for, with the agent as its model, and what of it was left out.

    Raises:
        Refused: it is wrong; says which field and what was expected.
    """
    given = {field: value for field, value in body.items() if field != "response_format"}
    try:
        asked = from_payload(given)
    except WrongField as error:
        where, _, _ = str(error).partition(":")
        raise refuse(400, "invalid_request", str(error), where) from None
    except ValueError as error:
        raise refuse(400, "invalid_request", str(error)) from None
    if agent is None and not asked.model:
        raise refuse(400, "missing_field", "model is missing: name the agent, see GET /v1/models", "model")
    name = agent if agent is not None else server.agent(asked.model)
    messages = asked.messages
    if any(not isinstance(message.get("content"), str) for message in body["messages"]):
        try:  # what the protocol's reader keeps for vendors is a mistake here
            messages = as_messages(body["messages"])
        except DefinitionError as error:
            where = str(error).partition(":")[0].partition(" ")[0]
            raise refuse(400, "invalid_request", str(error), where if where.startswith("messages[") else "") from None
    if body.get("n") not in (None, 1):
        raise refuse(400, "unsupported", "n: an agent gives one answer", "n")
    notes = [
        f"{field} is the agent's own affair: left out"
        for field in _AGENTS_OWN
        if getattr(asked, field) not in (None, ())
    ]
    if asked.tool_choice not in ("auto", "none", ""):
        notes.append("tool_choice is the agent's own affair: left out")
    notes += [f"{field} is not known: left out" for field in asked.extra if field not in _QUIET]
    if asked.extra.get("tools"):
        raise refuse(400, "unsupported", "tools: expected functions; the agent has all others itself", "tools")
    return Wanted(messages, name, asked.tools if asked.tool_choice != "none" else ()), tuple(notes)


def _options(body: Mapping[str, Any], asked: Wanted) -> dict[str, Any]:
    options: dict[str, Any] = {"tools": asked.tools}
    own = body.get("callboard")
    if own is not None:
        if not isinstance(own, Mapping) or not own.keys() <= {"conversation"}:
            raise refuse(400, "invalid_request", "callboard: expected an object with `conversation`", "callboard")
        options["conversation"] = own.get("conversation")
    return options


def _whole(answer: Answer, form: JsonSchema | None, notes: tuple[str, ...], headers: Mapping[str, str]) -> Response:
    if form is not None:
        answer = replace(answer, text=as_json(answer.text))
    return Json(whole(answer, notes), headers=headers)


def whole(answer: Answer, notes: tuple[str, ...]) -> dict[str, Any]:
    """An answer as a ``chat.completion``."""
    about = {"run": answer.run, "conversation": answer.conversation, "agents": list(answer.agents)}
    return {**as_response(answer), "callboard": {**about, "notes": [*notes, *answer.notes], "cost": answer.cost}}


async def _streamed(server: Server, handle: RunHandle, place: Place, left: OnDisconnect) -> Response:
    about = (await handle.metadata()).get(ABOUT, _NOTHING)
    form = output_type(about["format"], "response_format", nested="json_schema")
    made = Chunks(handle.id, handle.agent, include_usage=about["usage"], form=form)

    events = events_of(server, handle, place, left, made.take, error_body, last=Event("[DONE]"))
    return EventStream(server, events, {"callboard-run": handle.id})
