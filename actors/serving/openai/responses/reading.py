"""Responses as they are kept: found by their ids, and read as far as they are."""

from __future__ import annotations

from typing import Any

from ....agents.caller import Caller
from ....agents.errors import AgentError, UnknownRun
from ....agents.runs.handle import RunHandle
from ...problems import problem_of, refuse
from ...server import Server
from ..formats import output_type
from .resource import ABOUT, PREFIX, Response


async def find(server: Server, response_id: str, caller: Caller, where: str = "") -> tuple[RunHandle, Response]:
    """A response that is kept: its run, and what was asked for.

    Args:
        server: whose it is.
        response_id: the response's.
        caller: who wants it.
        where: the field that names it.

    Raises:
        Refused: there is none.
        NotAllowed: it is another's.
    """
    try:
        handle = await server.agency.handle(response_id.removeprefix(PREFIX), caller=caller)
        about = (await handle.metadata()).get(ABOUT)
    except UnknownRun:
        about = None
    if not isinstance(about, dict) or about["asked"].get("store") is False:
        said = f"there is no response {response_id!r:.100}: it was not stored, was deleted, or kept long enough"
        raise refuse(404, "unknown_response", said, where)
    return handle, response_of(handle, about)


def response_of(handle: RunHandle, about: dict[str, Any]) -> Response:
    """What is known of a response before anything of its run is."""
    asked = about["asked"]
    form = output_type((asked.get("text") or {}).get("format"), "text.format")
    return Response(handle.id, handle.agent, asked, tuple(about["notes"]), form)


async def as_it_is(handle: RunHandle, response: Response) -> Response:
    """The response as far as it is.

    Args:
        handle: its run.
        response: what was asked for; it is brought up to date.
    """
    for record in await handle.records():
        response.take(record, response.items_of(record))
        if record.type == "ended" and record.data["error"] is not None:
            await marked_failed(handle, response)
    return response


async def marked_failed(handle: RunHandle, response: Response) -> None:
    """Have a response say why its run, which has ended, failed."""
    try:
        await handle.answer()
    except AgentError as error:
        used = error.partial
        response.failed(
            problem_of(error, handle.id),
            used.usage if used is not None else None,
            used.cost if used is not None else 0.0,
        )
