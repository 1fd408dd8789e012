"""OpenAI's chat completions: an agent is what the request calls a model.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ....providers.messages import Request as Wanted
from ....providers.wire.fields import WrongField
from ....providers.wire.openai_chat import from_payload
from ...agents.answer import Answer
from ...agents.rendering.openai_shape import as_response
from ...agents.runs.handle import RunHandle
from ..problems import Problem, refuse
from ..requests import read_json
from ..runs import KEY, Asked, answer_of, begin, headers_of, leaving
from ..server import OnDisconnect, Server
from ..sse import Event, EventStream
from ..streams import RESUME, Place, events_of
from .chunks import Chunks, error_body

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


def refusal(problem: Problem) -> Response:
    """The answer to a request that is not served."""
    return JSONResponse(error_body(problem), problem.status, problem.all_headers)


async def chat_completions(server: Server, request: Request, agent: str | None) -> Response:
    """Ask an agent.

    Args:
        server: whose it is.
        request: what was sent.
        agent: whom, where the path says it; otherwise the body's ``model`` does.
    """
    caller = await server.caller(request)
    body = await read_json(request, server.body_limit)
    stream = body.get("stream") is True
    options = body.get("stream_options")
    include_usage = isinstance(options, Mapping) and options.get("include_usage") is True
    when_left = leaving(server, request)
    resumed = request.headers.get(RESUME, "")
    if stream and resumed:
        place = Place.read(resumed)
        handle = await server.agency.handle(place.run, caller=caller)
        return _streamed(server, handle, place, when_left, include_usage)
    asked, notes = read(server, body, agent)
    about = Asked(
        asked.model, caller, asked.messages, body, request.headers.get(KEY, ""), stream, _options(body, asked), request
    )
    handle = await begin(server, about)
    if stream:
        return _streamed(server, handle, Place(handle.id), when_left, include_usage)
    answer = await answer_of(server, request, handle)
    return JSONResponse(whole(answer, notes), headers=await headers_of(server, handle))


def read(server: Server, body: Mapping[str, Any], agent: str | None) -> tuple[Wanted, tuple[str, ...]]:
    """What a body asks for, with the agent as its model, and what of it was left out.

    Raises:
        Refused: it is wrong; says which field and what was expected.
    """
    try:
        asked = from_payload(body)
    except WrongField as error:
        where, _, _ = str(error).partition(":")
        raise refuse(400, "invalid_request", str(error), where) from None
    except ValueError as error:
        raise refuse(400, "invalid_request", str(error)) from None
    name = agent if agent is not None else server.agent(asked.model or server.agency.entry)
    if body.get("n") not in (None, 1):
        raise refuse(400, "unsupported", "n: an agent gives one answer", "n")
    if asked.tool_choice not in ("auto", ""):
        raise refuse(400, "unsupported", "tool_choice: which tools are called is the agent's affair", "tool_choice")
    notes = [
        f"{field} is the agent's own affair: left out"
        for field in _AGENTS_OWN
        if getattr(asked, field) not in (None, ())
    ]
    notes += [f"{field} is not known: left out" for field in asked.extra if field not in _QUIET]
    return Wanted(asked.messages, name, asked.tools, response_schema=asked.response_schema), tuple(notes)


def _options(body: Mapping[str, Any], asked: Wanted) -> dict[str, Any]:
    options: dict[str, Any] = {"tools": asked.tools}
    own = body.get("callboard")
    if own is not None:
        if not isinstance(own, Mapping) or not own.keys() <= {"conversation"}:
            raise refuse(400, "invalid_request", "callboard: expected an object with `conversation`", "callboard")
        options["conversation"] = own.get("conversation")
    return options


def whole(answer: Answer, notes: tuple[str, ...]) -> dict[str, Any]:
    """An answer as a ``chat.completion``."""
    about = {"run": answer.run, "conversation": answer.conversation, "agents": list(answer.agents)}
    return {**as_response(answer), "callboard": {**about, "notes": [*notes, *answer.notes], "cost": answer.cost}}


def _streamed(server: Server, handle: RunHandle, place: Place, left: OnDisconnect, include_usage: bool) -> Response:
    made = Chunks(handle.id, handle.agent, include_usage=include_usage)

    events = events_of(server, handle, place, left, made.take, error_body, Event("[DONE]"))
    return EventStream(server, events, {"callboard-run": handle.id})
