"""OpenAI's chat completions: an agent is what the request calls a model.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ....providers.messages import Request as ToComplete
from ....providers.messages import ToolSpec
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
from ..requests import header, read_json
from ..runs import Asked, answer_of, begin, headers_of, key_of, leaving
from ..server import OnDisconnect, Server
from ..sse import Event, EventStream
from ..streams import RESUME, Place, came_last, events_of
from .chunks import Chunks
from .documented import CHAT
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

_HEEDED: Final = frozenset({"model", "messages", "stream", "stream_options", "response_format", "tools"}) | _QUIET
"""Fields of which nothing is left out."""


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
    CHAT(body, "")
    stream = body.get("stream") is True
    include_usage = (body.get("stream_options") or {}).get("include_usage") is True
    when_left = leaving(server, request)
    resumed = came_last(request, stream)
    if resumed:
        place = Place.read(resumed)
        handle = await server.agency.handle(place.run, caller=caller)
        return await _streamed(server, handle, place, when_left)
    form = output_type(body.get("response_format"), "response_format", nested="json_schema")
    wanted = read(server, body, agent)
    notes = wanted.notes
    options = {**_options(body, wanted), "output_type": form}
    if form is not None or include_usage or notes:
        format = body["response_format"] if form is not None else None
        options["metadata"] = {ABOUT: {"format": format, "usage": include_usage, "notes": list(notes)}}
    about = Asked(wanted.agent, caller, wanted.messages, body, key_of(request), stream, options, request)
    handle = await begin(server, about)
    if stream:
        return await _streamed(server, handle, Place(handle.id), when_left)
    answer = await answer_of(server, request, handle, when_left)
    return _whole(answer, form, notes, await headers_of(server, handle))


async def get_completion(server: Server, request: Request) -> Response:
    """A completion that was asked for before, once there is one; with ``Accept: text/event-stream`` its chunks, behind
    ``Last-Event-ID`` where that is given, as browsers come back for a stream that was cut."""
    caller = await server.caller(request)
    id = request.path_params["completion"]
    handle = await server.agency.handle(id.removeprefix(PREFIX), caller=caller)
    if "text/event-stream" in header(request, "accept"):
        resumed = header(request, RESUME)
        place = Place.read(resumed) if resumed else Place(handle.id)
        if place.run != handle.id:
            raise refuse(400, "invalid_event_id", f"{resumed!r:.100} is of another completion", RESUME)
        return await _streamed(server, handle, place, "continue")
    about = (await handle.metadata()).get(ABOUT, _NOTHING)
    form = output_type(about["format"], "response_format", nested="json_schema")
    answer = await answer_of(server, request, handle, leaving(server, request))
    return _whole(answer, form, tuple(about["notes"]), await headers_of(server, handle))


class Wanted(NamedTuple):
    """What a body asks for.

    Args:
        agent: whom.
        messages: the question.
        tools: of the client.
        notes: what of it was left out.
    """

    agent: str
    messages: Sequence[Any]
    tools: tuple[ToolSpec, ...]
    notes: tuple[str, ...]


def read(server: Server, body: Mapping[str, Any], agent: str | None) -> Wanted:
    """What a body asks for.

    Raises:
        Refused: it is wrong; says which field and what was expected.
    """
    given = body
    if "response_format" in body:
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
    if asked.extra.get("tools"):
        raise refuse(400, "unsupported", "tools: expected functions; the agent has all others itself", "tools")
    notes = () if body.keys() <= _HEEDED else tuple(_left_out(asked))
    return Wanted(name, messages, asked.tools if asked.tool_choice != "none" else (), notes)


def _left_out(asked: ToComplete) -> Iterator[str]:
    for field in _AGENTS_OWN:
        if getattr(asked, field) not in (None, ()):
            yield f"{field} is the agent's own affair: left out"
    if asked.tool_choice not in ("auto", "none", ""):
        yield "tool_choice is the agent's own affair: left out"
    for field in asked.extra:
        if field not in _QUIET:
            yield f"{field} is not known: left out"


def _options(body: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    options: dict[str, Any] = {"tools": wanted.tools}
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
