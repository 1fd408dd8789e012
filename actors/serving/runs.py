"""Runs that were asked for over HTTP: begun once, watched by whoever comes, and cancelled where that was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, NamedTuple, cast

from starlette.requests import HTTPConnection, Request

from ..agents.answer import Answer
from ..agents.caller import Caller
from ..agents.errors import AgentError
from ..agents.runs.handle import RunHandle
from ..agents.runs.reading.cursor import RunText
from ..agents.runs.reading.progress import RunRecord
from .problems import Refused, problem_of, refuse
from .requests import header
from .server import OnDisconnect, Server

KEY: Final = "idempotency-key"
ON_DISCONNECT: Final = "callboard-on-disconnect"
FINGERPRINT: Final = "serving.request"
"""Where in a run's metadata the digest of its request stands."""


class Asked(NamedTuple):
    """What a request wants of an agent, whichever protocol it came by.

    Args:
        agent: whose run it is.
        caller: who asks.
        messages: the question.
        body: the request's, to tell two with one key apart.
        key: under which it is made once, of the client's own; empty for none.
        stream: whether its text shall come in pieces.
        options: of `Agency.start_run` besides.
        connection: which may have a payment with it; without it, agents that answer only who pays refuse.
    """

    agent: str
    caller: Caller
    messages: Any
    body: Mapping[str, Any]
    key: str = ""
    stream: bool = False
    options: Mapping[str, Any] | None = None
    connection: HTTPConnection | None = None


async def begin(server: Server, asked: Asked) -> RunHandle:
    """Have a run made. With a key, or a payment, it is made once, however often it is asked for.

    Raises:
        Refused: the key or payment belongs to another request, or there is no payment where one is needed.
        AgentError: as `Agency.start_run`.
    """
    till = server.till
    options = dict(asked.options or {})
    named = str(options.get("run_id") or (run_of(asked) if asked.key else ""))
    if till is None:
        _look_for_price(server, asked.agent)
    if till is None or not till.records(asked.agent):
        return await _begun(server, asked, options, named)
    bill = till.bill(asked.agent, asked.caller, asked.connection)
    if not till.takes(asked.agent):
        handle = await _begun(server, asked, options, named)
        await till.note(bill, handle.id)
        till.watch(handle.id)
        return handle
    run = named or await till.run_of(bill, fingerprint(asked))
    await till.take(bill, run)
    try:
        return await _begun(server, asked, options, run)
    finally:
        till.watch(run)  # whatever became of it: what was not begun costs nothing


def _look_for_price(server: Server, agent: str) -> None:
    """An agent that was given a price, or was added with one, while nobody takes any is not given away."""
    found = server.agency.agents.get(agent)
    if found is not None and found.price is not None:
        raise refuse(402, "payment_required", f"agent {agent} has a price, and no payments are taken here")


async def _begun(server: Server, asked: Asked, options: dict[str, Any], run: str) -> RunHandle:
    if run:
        options["metadata"] = {**options.get("metadata", {}), FINGERPRINT: fingerprint(asked)}
        options["run_id"] = run
    handle = await server.agency.start_run(
        asked.messages, agent=asked.agent, caller=asked.caller, stream=asked.stream, **options
    )
    if run and (await handle.metadata()).get(FINGERPRINT) != options["metadata"][FINGERPRINT]:
        message = "another request was made under this key or payment: give each its own"
        raise refuse(422, "idempotency_key_reused", message, KEY)
    return handle


async def headers_of(server: Server, handle: RunHandle) -> dict[str, str]:
    """The headers of the answer of a run, once it has one: which run it was, and that it was paid.

    Raises:
        Refused: its payment was not taken: the answer is not to be given.
    """
    till = server.till
    paid = await till.settled(handle.id) if till is not None and till.takes(handle.agent) else {}
    return {"callboard-run": handle.id, **paid}


def run_of(asked: Asked) -> str:
    """The id of the run that a key stands for: of one caller and agent."""
    whose = json.dumps([asked.caller.tenant, asked.caller.user, asked.agent, asked.key])
    return f"key-{hashlib.sha256(whose.encode()).hexdigest()[:32]}"


def fingerprint(asked: Asked) -> str:
    """A digest of what is asked: the same for the same request, whether it is streamed or not."""
    same = {name: value for name, value in asked.body.items() if name not in ("stream", "stream_options")}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:32]


async def answer_of(server: Server, request: Request, handle: RunHandle, when_left: OnDisconnect) -> Answer:
    """Wait for a run's answer.

    Args:
        server: whose run.
        request: of whom to be answered.
        handle: the run.
        when_left: what becomes of it if the client goes before.

    Raises:
        Refused: the run has ended in an error, which is told with the run's id.
    """
    try:
        async with cancelled_when_left(server, request, handle, when_left):
            return await handle.answer()
    except AgentError as error:
        raise Refused(problem_of(error, handle.id)) from error


@asynccontextmanager
async def cancelled_when_left(
    server: Server, request: Request, handle: RunHandle, when_left: OnDisconnect
) -> AsyncIterator[None]:
    """Where that was asked for, a run is cancelled if the client goes before the end of the block.

    Args:
        server: whose run.
        request: whose body was read.
        handle: the run.
        when_left: what becomes of it.
    """
    if when_left == "continue":
        yield
        return

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancel_soon(server, handle)

    leaves = asyncio.ensure_future(gone())
    try:
        yield
    finally:
        leaves.cancel()


def _is_paid(server: Server, handle: RunHandle) -> bool:
    """Whether a run is paid for: it is not cancelled, as who has read nearly all of it would pay nothing."""
    return server.till is not None and server.till.takes(handle.agent)


def leaving(server: Server, request: Request, usual: OnDisconnect | None = None) -> OnDisconnect:
    """What becomes of a run whose client goes.

    Args:
        server: whose run.
        request: which may say it.
        usual: where it does not; by default what the server was told.

    Raises:
        Refused: the request asks for something else.
    """
    wish = header(request, ON_DISCONNECT, usual or server.on_disconnect)
    if wish in ("continue", "cancel"):
        return cast("OnDisconnect", wish)
    raise refuse(400, "invalid_header", f"{ON_DISCONNECT} is continue or cancel, not {wish:.40}", ON_DISCONNECT)


def watched(
    server: Server,
    handle: RunHandle,
    after: str,
    when_left: OnDisconnect,
    enough: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[RunRecord | RunText]:
    """What `RunHandle.stream` gives. Where that was asked for, the run is cancelled if whoever reads leaves before its
    end, and before they have had enough."""
    if when_left == "continue":
        return handle.stream(after=after)
    return _ended_when_left(server, handle, after, enough)


async def _ended_when_left(
    server: Server, handle: RunHandle, after: str, enough: Callable[[], bool]
) -> AsyncGenerator[RunRecord | RunText]:
    ended = False
    try:
        async with aclosing(handle.stream(after=after)) as items:
            async for item in items:
                ended = isinstance(item, RunRecord) and item.type == "ended"
                yield item
            ended = True
    except AgentError:
        ended = True
        raise
    finally:
        if not ended and not enough():
            cancel_soon(server, handle)


_CANCELLING: Final[set[asyncio.Future[None]]] = set()


def cancel_soon(server: Server, handle: RunHandle) -> None:
    """Have a run ended whose client has gone, unless it is paid for, or the server stops: then others go on with it."""
    if not server.draining and not _is_paid(server, handle):
        cancelling = asyncio.ensure_future(handle.cancel("its client has gone"))
        _CANCELLING.add(cancelling)
        cancelling.add_done_callback(_cancelled)


def _cancelled(task: asyncio.Future[None]) -> None:
    _CANCELLING.discard(task)
    if not task.cancelled():
        task.exception()  # a run that has ended meanwhile needs no cancelling


async def error_of_end(handle: RunHandle) -> AgentError | None:
    """The error that a run has ended in; None where it has its answer. `AgencyClosed` is one, too: of an agency that
    keeps nothing."""
    try:
        await handle.answer()
    except AgentError as error:
        return error
    return None
