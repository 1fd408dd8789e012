"""Calls of clients: an agent is asked, or a published tool is called."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ....tools.context import CallContext
from ....tools.errors import InvalidResult, UnknownTool
from ....tools.registry import ToolRegistry
from ....tools.threads import call_in_loop
from ....tools.tool import Tool
from ...agents.caller import Caller
from ...agents.errors import AgencyClosed, AgentError, DefinitionError, UnknownRun
from ...agents.runs.handle import RunHandle
from ...journal.errors import JournalError
from ..problems import Refused, problem_of, refuse
from ..runs import Asked, begin, cancel_soon, headers_of, leaving
from ..server import OnDisconnect, Server
from ..waiting import until_asked
from .approvals import decide, requests_of
from .jsonrpc import SESSION
from .listing import held, output_schema
from .paying import with_payment
from .published import ASK
from .results import of_answer, of_problem, of_tool, progress_of
from .tasks import as_error, created, has_tasks

Context = ServerRequestContext[Any, Any]

_LOOKS: Final = (0.1, 0.4, 1.5)
"""Seconds between looks for a run that is to be ended."""

logger = logging.getLogger("callboard")


class Calls:
    """Makes calls for clients.

    Args:
        server: whose agents.
        tools: those that are offered beside them.
    """

    def __init__(self, server: Server, tools: ToolRegistry) -> None:
        self._server = server
        self._tools = tools
        self._under_way: dict[str, asyncio.Task[Any]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def call(self, context: Context, params: types.CallToolRequestParams, caller: Caller) -> Any:
        """Make a call. What is wrong with it, or comes of it, is a result that a model can read.

        Raises:
            MCPError: there is no such tool for the caller, or the server cannot answer.
        """
        arguments = params.arguments or {}
        try:
            agent = params.name.removeprefix(ASK)
            if agent != params.name and agent in self._server.agency.open_to(caller):
                return await self._ask(context, agent, arguments, params, caller)
            return await self._run(context, self._tools.get(params.name, held(caller)), arguments, caller)
        except UnknownTool:
            names = [ASK + name for name in self._server.agency.open_to(caller)]
            names += [tool.name for tool in self._tools.available(held(caller))]
            known = ", ".join(names)
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name!r:.100}; there are {known}") from None
        except AgencyClosed as error:
            raise as_error(error) from error
        except (AgentError, DefinitionError, Refused) as error:
            return of_problem(problem_of(error))
        except MCPError:
            raise
        except Exception as error:
            logger.error("MCP call of %.100r failed", params.name, exc_info=error)
            raise as_error(error) from error

    async def cancel(self, context: Context, request_id: Any, caller: Caller) -> None:
        """End what a request of the same session has begun, in whichever process that is. One that has ended stays."""
        name = _name_of(context, request_id, caller)
        if not name:
            return  # there is one connection, and the SDK has cancelled what was asked over it
        running = self._under_way.get(name)
        if running is not None:
            running.cancel()
            return
        # The SDK stops what is done about a notification once it is accepted, which may be before the journal was read.
        ending = asyncio.get_running_loop().create_task(self._end(name, caller), name="cancel")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _end(self, run: str, caller: Caller) -> None:
        for pause in _LOOKS:
            with suppress(AgentError, JournalError):
                try:
                    await (await self._server.agency.handle(run, caller=caller)).cancel("cancelled by the client")
                except UnknownRun:  # it may be about to begin, in whichever process
                    await asyncio.sleep(pause)
                    continue
            return

    # -- agents --------------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        context: Context,
        agent: str,
        arguments: Mapping[str, Any],
        params: types.CallToolRequestParams,
        caller: Caller,
    ) -> Any:
        agency = self._server.agency
        when_left = self._when_left(context)
        if params.request_state is not None:
            handle = await self._resumed(params.request_state, agent, caller)
            await decide(agency, handle, params.input_responses, caller)
        else:
            asked = _asked(agent, arguments, caller, _name_of(context, context.request_id, caller))
            handle = await self._begun(asked._replace(connection=with_payment(context.request, context.meta)))
        if has_tasks(context):
            return await created(handle)
        try:
            return await self._answered(context, handle, caller)
        except asyncio.CancelledError:
            if when_left == "cancel":
                cancel_soon(self._server, handle)
            raise
        except AgencyClosed:
            raise
        except (AgentError, DefinitionError, Refused) as error:
            return of_problem(problem_of(error, handle.id))

    async def _begun(self, asked: Asked) -> RunHandle:
        try:
            return await begin(self._server, asked)
        except Refused as error:
            if error.problem.code != "idempotency_key_reused":
                raise
            message = "another call of this session had this id, or was made with this payment: give each its own"
            raise MCPError(types.INVALID_REQUEST, message) from None

    def _when_left(self, context: Context) -> OnDisconnect:
        """Since 2026-07-28 closing the stream is how a client cancels; before, it says so."""
        if context.request is None:
            return "cancel"
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return leaving(self._server, context.request, "cancel")
        return leaving(self._server, context.request)

    async def _resumed(self, state: str, agent: str, caller: Caller) -> RunHandle:
        try:
            handle = await self._server.agency.handle(state, caller=caller)
        except AgencyClosed:
            raise
        except (AgentError, DefinitionError):
            handle = None
        if handle is None or handle.agent != agent:
            raise MCPError(types.INVALID_PARAMS, "requestState: give it as it came, with the same call")
        return handle

    async def _answered(self, context: Context, handle: RunHandle, caller: Caller) -> Any:
        """The answer; or what a person is to be asked, where the client can do that."""
        typed = self._server.agency.agents[handle.agent].output is not None
        telling = None
        if _wants_progress(context):
            telling = asyncio.ensure_future(_tell(context, handle))
        answering: asyncio.Future[Any] = asyncio.ensure_future(handle.answer())
        try:
            if _can_ask(context):
                asked = await until_asked(self._server.agency, handle, caller, answering)
                if asked:
                    return types.InputRequiredResult(input_requests=requests_of(asked), request_state=handle.id)
            answer = await answering
            headers = await headers_of(self._server, handle)
            if telling is not None:
                await telling
            return of_answer(answer, headers, typed=typed)
        finally:
            for task in (answering, telling):
                if task is not None:
                    task.cancel()

    # -- tools ---------------------------------------------------------------------------------------------------------

    async def _run(self, context: Context, tool: Tool, arguments: Mapping[str, Any], caller: Caller) -> Any:
        telling = _Telling(context)
        name = _name_of(context, context.request_id, caller)
        made = await self._server.agency.tool_context(
            tool.name, caller=caller, call_id=name or uuid.uuid4().hex, on_progress=telling.told
        )
        running = asyncio.ensure_future(tool.run(arguments, context=made))
        if name:
            self._under_way[name] = running
        try:
            result = await running
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or current.cancelling() or not running.cancelled():
                running.cancel()
                raise
            raise refuse(409, "cancelled", "cancelled by the client") from None
        finally:
            self._under_way.pop(name, None)
        await telling.over()
        structured = output_schema(tool) is not None
        if structured and not result.is_error:
            try:
                tool.returned.checked(result.value)
            except InvalidResult as error:
                raise refuse(502, "invalid_result", str(error)) from None
        return of_tool(result, structured=structured)


def _asked(agent: str, arguments: Mapping[str, Any], caller: Caller, run: str) -> Asked:
    for name in arguments:
        if name not in ("message", "conversation"):
            raise refuse(400, "unknown_field", f"{name!r:.80} is no argument; there are message and conversation", name)
    message, conversation = arguments.get("message"), arguments.get("conversation")
    if not isinstance(message, str) or not message.strip():
        raise refuse(400, "invalid_field", "message is a text that says what the agent is to do", "message")
    if conversation is not None and not isinstance(conversation, str):
        raise refuse(400, "invalid_field", "conversation is a text, as an answer named it", "conversation")
    options: dict[str, Any] = {"conversation": conversation or None}
    if run:
        options["run_id"] = run
    return Asked(agent, caller, message, arguments, options=options)


def _name_of(context: Context, request_id: Any, caller: Caller) -> str:
    """What a request of a session is called, in every process; empty where it is of none."""
    session = "" if context.request is None else context.request.headers.get(SESSION, "")
    if not session or request_id is None:
        return ""
    whose = json.dumps([caller.tenant, caller.user, session, request_id])
    return f"mcp-{hashlib.sha256(whose.encode()).hexdigest()[:32]}"


def _wants_progress(context: Context) -> bool:
    return context.meta is not None and context.meta.get("progress_token") is not None


def _can_ask(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    return (
        context.protocol_version in MODERN_PROTOCOL_VERSIONS
        and capabilities is not None
        and capabilities.elicitation is not None
    )


async def _tell(context: Context, handle: RunHandle) -> None:
    """Say how far the run is, until its end."""
    told = 0
    with suppress(AgentError):
        async with aclosing(handle.events()) as records:
            async for record in records:
                text = progress_of(record)
                if text:
                    told += 1
                    await context.session.report_progress(told, message=text)


class _Telling:
    """Sends on what a tool says of how far it is; from any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._at = 0.0
        self._step = 1.0
        self._sent: list[asyncio.Task[None]] = []

    def told(self, context: CallContext, text: str, fraction: float | None) -> None:
        call_in_loop(self._loop, lambda: self._tell(text, fraction))

    def _tell(self, text: str, fraction: float | None) -> None:
        if fraction is not None:
            self._step = 1e-6  # from here on it is of 1
        at = self._at + self._step if fraction is None or (self._sent and fraction <= self._at) else fraction
        self._at = at
        total = 1.0 if self._step < 1 else None
        self._sent.append(self._loop.create_task(self._send(at, total, text, self._sent[-1] if self._sent else None)))

    async def _send(self, at: float, total: float | None, text: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        await self._context.session.report_progress(at, total, text or None)

    async def over(self) -> None:
        """Wait until all is sent."""
        await asyncio.sleep(0)  # what a thread said last is in the loop's queue
        if self._sent:
            await asyncio.wait(self._sent)
