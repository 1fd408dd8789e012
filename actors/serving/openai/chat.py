"""OpenAI's chat completions: an agent is what the request calls a model.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ....providers.messages import Request as Wanted
from ....providers.wire.fields import WrongField
from ....providers.wire.openai_chat import from_payload
from ...agents.answer import Answer
from ...agents.rendering.openai_shape import as_response
from ...agents.runs.handle import RunHandle
from ..answers import Json
from ..problems import Problem, refuse
from ..requests import read_json
from ..runs import KEY, Asked, answer_of, begin, leaving
from ..server import OnDisconnect, Server
from ..sse import Event, EventStream
from ..streams import RESUME, Place, events_of
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
    form = output_type(body.get("response_format"), "response_format", nested="json_schema")

    def sent(handle: RunHandle, place: Place) -> Response:
        made = Chunks(handle.id, handle.agent, include_usage=include_usage, form=form)
        return _streamed(server, handle, place, when_left, made)

    if stream and resumed:
        place = Place.read(resumed)
        return sent(await server.agency.handle(place.run, caller=caller), place)
    asked, notes = read(server, body, agent)
    options = {**_options(body, asked), "output_type": form}
    about = Asked(asked.model, caller, asked.messages, body, request.headers.get(KEY, ""), stream, options)
    handle = await begin(server, about)
    if stream:
        return sent(handle, Place(handle.id))
    answer = await answer_of(server, request, handle)
    if form is not None:
        answer = replace(answer, text=as_json(answer.text))
    return Json(whole(answer, notes), headers={"callboard-run": handle.id})


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
    name = agent if agent is not None else server.agent(asked.model or server.agency.entry)
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
    return Wanted(asked.messages, name, asked.tools if asked.tool_choice != "none" else ()), tuple(notes)


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


def _streamed(server: Server, handle: RunHandle, place: Place, left: OnDisconnect, made: Chunks) -> Response:
    async def events() -> AsyncGenerator[Event]:
        failed = False

        def told(problem: Problem) -> Any:
            nonlocal failed
            failed = True
            return error_body(problem)

        async with aclosing(events_of(server, handle, place, left, made.take, told)) as given:
            async for event in given:
                yield event
        if not failed:
            yield Event("[DONE]")

    return EventStream(server, events(), {"callboard-run": handle.id})
