"""What is said over one WebSocket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Set
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final, cast

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...agents.caller import Caller
from ...agents.errors import AgencyClosed
from ...agents.events import ApprovalRequested, RunEvent
from ...agents.runs.handle import RunHandle
from ...agents.runs.reading.cursor import Cursor
from ...agents.runs.reading.progress import RunRecord
from ..problems import Problem, problem_of, refuse
from ..runs import Asked, begin, error_of_end, watched
from ..server import OnDisconnect, Server
from ..sse import SEND_TIMEOUT
from .entering import Entrant, is_stranger
from .messages import Said, of_approval, of_item, of_problem

logger = logging.getLogger("callboard")

MOST_RUNS: Final = 32
"""Runs that one connection is told of at once."""

MOST_APPROVALS: Final = 64
"""Approvals that wait to be told of: those before are found by asking for them."""

INTRODUCTION: Final = 10.0
"""Seconds in which somebody must have said who they are."""

_AGAIN: Final = "the server stops: connect again, resume"
_BINARY, _TOO_LARGE, _FAILED, _STOPPING, _UNKNOWN = 1003, 1009, 1011, 1012, 4401


class Closed(Exception):
    """The connection is to be closed.

    Args:
        code: of the WebSocket.
        reason: why.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Session:
    """One connection that was accepted.

    Args:
        server: whose it is.
        websocket: by what.
        agent: who is asked.
        entrant: who has connected.
    """

    def __init__(self, server: Server, websocket: WebSocket, agent: str, entrant: Entrant) -> None:
        self._server = server
        self._websocket = websocket
        self._agent = agent
        self._entrant = entrant
        self._sending = asyncio.Lock()
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._waiting: deque[ApprovalRequested] = deque(maxlen=MOST_APPROVALS)
        self._telling: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve it until it is closed."""
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait((reading, self._closing), return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and (error := reading.exception()) is not None:
                raise error
            if self._closing.done():
                raise self._closing.result()
        except Closed as closed:
            with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
                async with asyncio.timeout(SEND_TIMEOUT):
                    await self._websocket.close(closed.code, closed.reason[:120])
        except WebSocketDisconnect:
            pass
        finally:
            tasks = [reading, *self._watching.values(), *([self._telling] if self._telling else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        if self._server.authenticate and not self._entrant.said:
            await self._introduced()
        await self._send({"type": "ready", "agent": self._agent})
        while (text := await self._next()) is not None:
            await self._hear(text)

    async def _introduced(self) -> None:
        """Have them say who they are, before anything else is heard."""
        until = asyncio.get_running_loop().time() + INTRODUCTION
        while not self._entrant.said:
            try:
                async with asyncio.timeout_at(until):
                    text = await self._next()
            except TimeoutError:
                raise Closed(_UNKNOWN, f"say who you are within {INTRODUCTION:g} seconds") from None
            if text is None:
                raise WebSocketDisconnect
            await self._hear(text, first=True)

    async def _next(self) -> str | None:
        """The next message; None where they have gone."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            raise Closed(_BINARY, "messages are JSON, as text")
        if len(text) > self._server.body_limit:
            raise Closed(_TOO_LARGE, f"a message has up to {self._server.body_limit:,} characters")
        return cast("str", text)

    async def _hear(self, text: str, *, first: bool = False) -> None:
        """Do what a message wants; what goes wrong is told."""
        said = None
        try:
            said = Said(text)
            said.check()
            if first and said.type != "authenticate":
                raise refuse(401, "unauthorized", "say who you are first: send authenticate, with your token")
            await self._do(said)
        except (Closed, WebSocketDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            problem = problem_of(error)
            await self._send(of_problem(problem, None if said is None else said.id))
            if isinstance(error, AgencyClosed):
                raise Closed(_STOPPING, _AGAIN) from None
            if is_stranger(error):
                raise Closed(_UNKNOWN, "you have not said who you are, or not credibly") from None
            if problem.code == "internal_error":
                logger.error("a message to %s over a WebSocket failed", self._agent, exc_info=error)
                raise Closed(_FAILED, "the server failed") from None

    async def _do(self, said: Said) -> None:
        if said.type == "ping":
            await self._send({"type": "pong"}, said.id)
            return
        if said.type == "authenticate":
            self._entrant.say(said.get("token"))
        caller, connection, over = await self._entrant.caller()
        try:
            if said.type == "ask":
                await self._ask(said, caller, connection, over)
                over = _nothing
            elif said.type == "resume":
                await self._resume(said, caller, over)
                over = _nothing
            elif said.type == "approvals":
                found = await self._server.agency.pending_approvals(caller=caller)
                await self._send({"type": "approvals", "approvals": [of_approval(one) for one in found]}, said.id)
            else:
                await self._decide(said, caller)
                await self._send({"type": "done"}, said.id)
        finally:
            over()

    async def _ask(self, said: Said, caller: Caller, connection: HTTPConnection, over: Callable[[], None]) -> None:
        self._check_room()
        when_left = self._when_left(said)
        options = {"conversation": said.get("conversation"), "tools": said.get("tools", ())}
        given = (said.get("input"), said.body, said.get("key", ""))
        handle = await begin(self._server, Asked(self._agent, caller, *given, True, options, connection))
        await self._accepted(said, handle, "", when_left, over)

    async def _resume(self, said: Said, caller: Caller, over: Callable[[], None]) -> None:
        when_left = self._when_left(said)
        after = said.get("cursor", "")
        Cursor.read(after)
        handle = await self._server.agency.handle(said.get("run"), caller=caller)
        await self._leave(handle.id)
        self._check_room()
        await self._accepted(said, handle, after, when_left, over)

    async def _accepted(
        self, said: Said, handle: RunHandle, after: str, when_left: OnDisconnect, over: Callable[[], None]
    ) -> None:
        about = {"run": handle.id, "agent": handle.agent, "conversation": handle.conversation}
        await self._leave(handle.id)  # the same key came twice: it is one run
        await self._send({"type": "accepted", **about}, said.id)
        task = self._watching[handle.id] = asyncio.ensure_future(self._watch(handle, after, when_left))
        task.add_done_callback(lambda _: over())

    async def _decide(self, said: Said, caller: Caller) -> None:
        agency = self._server.agency
        if said.type == "approve":
            arguments = said.get("arguments")
            written = None if arguments is None else json.dumps(arguments)
            await agency.approve(said.get("approval"), arguments=written, limits=said.limits, caller=caller)
        elif said.type == "deny":
            await agency.deny(said.get("approval"), said.get("reason", ""), caller=caller)
        elif said.type in ("cancel", "steer", "leave"):
            handle = await agency.handle(said.get("run"), caller=caller)
            if said.type == "cancel":
                await handle.cancel(said.get("reason", "cancelled by the caller"))
            elif said.type == "leave":
                await self._leave(handle.id)
            else:
                await agency.steer(handle.conversation, said.get("input"), agent=handle.agent, caller=caller)

    # -- being told ----------------------------------------------------------------------------------------------------

    def _when_left(self, said: Said) -> OnDisconnect:
        wish = said.get("on_disconnect", self._server.on_disconnect)
        if wish not in ("continue", "cancel"):
            raise refuse(400, "invalid_field", f"on_disconnect is continue or cancel, not {wish:.40}", "on_disconnect")
        return cast("OnDisconnect", wish)

    def _check_room(self) -> None:
        if len(self._watching) >= MOST_RUNS:
            message = f"a connection is told of up to {MOST_RUNS} runs at once: leave one, or open another connection"
            raise refuse(429, "too_many_runs", message)

    async def _leave(self, run: str) -> None:
        task = self._watching.pop(run, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self, handle: RunHandle, after: str, when_left: OnDisconnect) -> None:
        """Tell what happens in a run."""
        told_of = {handle.id}
        unsubscribe = self._server.agency.subscribe(partial(self._heard, told_of), root=handle.id)
        try:
            async with aclosing(watched(self._server, handle, after, when_left)) as items:
                async for item in items:
                    told = of_item(item, handle.id)
                    if isinstance(item, RunRecord):
                        told_of.add(item.run)
                    if isinstance(item, RunRecord) and item.type == "ended" and item.data["error"] is not None:
                        failure = await error_of_end(handle)
                        if isinstance(failure, AgencyClosed):
                            raise failure
                        told["problem"] = None if failure is None else of_problem(problem_of(failure, handle.id))
                    await self._send(told)
        except AgencyClosed as error:
            await self._end(problem_of(error, handle.id), Closed(_STOPPING, _AGAIN))
        except (WebSocketDisconnect, TimeoutError):  # it takes nothing any more
            self._close(Closed(_FAILED, "what was sent was not taken"))
        except Exception as error:
            problem = problem_of(error, handle.id)
            if problem.code == "internal_error":
                logger.error("telling of a run of %s failed", handle.agent, exc_info=error)
            await self._end(problem, None)
        finally:
            unsubscribe()
            if self._watching.get(handle.id) is asyncio.current_task():
                del self._watching[handle.id]

    async def _end(self, problem: Problem, closed: Closed | None) -> None:
        with suppress(WebSocketDisconnect, TimeoutError):
            await self._send(of_problem(problem))
        if closed is not None:
            self._close(closed)

    def _heard(self, told_of: Set[str], event: RunEvent) -> None:
        """What agents ask a person to which a run has delegated work is in no record of it."""
        if isinstance(event, ApprovalRequested) and event.run not in told_of:
            self._waiting.append(event)
            if self._telling is None or self._telling.done():
                self._telling = asyncio.ensure_future(self._tell_approvals())

    async def _tell_approvals(self) -> None:
        with suppress(WebSocketDisconnect, TimeoutError):
            while self._waiting:
                await self._send({"type": "approval", **of_approval(self._waiting.popleft())})

    async def _send(self, message: Mapping[str, Any], id: Any = None) -> None:
        """Send a message; whoever is slow to take it is waited for.

        Raises:
            TimeoutError: it was not taken.
            WebSocketDisconnect: the connection is closed.
        """
        if id is not None:
            message = {**message, "id": id}
        text = json.dumps(message, separators=(",", ":"))
        async with self._sending, asyncio.timeout(SEND_TIMEOUT):
            try:
                await self._websocket.send_text(text)
            except RuntimeError:  # the server has closed it, for what the client sent
                raise WebSocketDisconnect(1006) from None

    def _close(self, closed: Closed) -> None:
        if not self._closing.done():
            self._closing.set_result(closed)


def _nothing() -> None:
    pass
