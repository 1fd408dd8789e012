"""The extension ``io.modelcontextprotocol/tasks`` (since 2026-07-28): a call that a client need not wait for.

A task is a run: its id is the run's, so any worker finds it, also after a restart, and only its caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

from ...agents.caller import Caller
from ...agents.errors import AgencyClosed, AgentError, DefinitionError, RunCancelled
from ...agents.runs.handle import RunHandle
from ...agents.runs.reading.progress import RunRecord
from ..problems import Refused, problem_of
from ..runs import headers_of
from ..server import Server
from ..waiting import waiting_for
from .approvals import decide, requests_of
from .jsonrpc import error_of
from .results import of_answer, of_problem, progress_of

Context = ServerRequestContext[Any, Any]

TASKS: Final = "io.modelcontextprotocol/tasks"
POLL: Final = 1_000
"""Milliseconds after which a client should look again."""

MISSING_CAPABILITY: Final = -32021


class GetTask(types.RequestParams):
    """Of ``tasks/get``."""

    task_id: str


class CancelTask(types.RequestParams):
    """Of ``tasks/cancel``."""

    task_id: str


class UpdateTask(types.RequestParams):
    """Of ``tasks/update``."""

    task_id: str
    input_responses: dict[str, Any] | None = None


def has_tasks(context: Context) -> bool:
    """Whether the client knows tasks."""
    capabilities = context.session.client_capabilities
    extensions = None if capabilities is None else capabilities.extensions
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS and extensions is not None and TASKS in extensions


class Tasks:
    """Answers what is asked of tasks.

    Args:
        server: whose runs.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def check(self, context: Context) -> None:
        """Look whether the client may speak of tasks.

        Raises:
            MCPError: it does not know them.
        """
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", context.method)
        if not has_tasks(context):
            needed: dict[str, Any] = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
            raise MCPError(MISSING_CAPABILITY, f"{context.method} is for clients that know {TASKS}", needed)

    @staticmethod
    def check_name(context: Context, task: str) -> None:
        """Look whether the header that names the task, by which requests are routed, says the same as the body.

        Raises:
            MCPError: it says another.
        """
        named = None if context.request is None else context.request.headers.get(MCP_NAME_HEADER)
        if named is not None and decode_header_value(named) != task:
            raise MCPError(types.HEADER_MISMATCH, f"{MCP_NAME_HEADER} names another task than the request does")

    async def get(self, params: GetTask, caller: Caller) -> dict[str, Any]:
        """How far a task is, and its result."""
        return await task_of(self._server, await self._found(params.task_id, caller), caller)

    async def update(self, params: UpdateTask, caller: Caller) -> dict[str, Any]:
        """Take answers to what a task asks."""
        handle = await self._found(params.task_id, caller)
        try:
            await decide(self._server.agency, handle, params.input_responses, caller)
        except AgentError as error:
            raise as_error(error) from error
        return {}

    async def cancel(self, params: CancelTask, caller: Caller) -> dict[str, Any]:
        """Have a task end. One that has ended stays as it is."""
        await (await self._found(params.task_id, caller)).cancel("cancelled by the client")
        return {}

    async def _found(self, task: str, caller: Caller) -> RunHandle:
        try:
            return await self._server.agency.handle(task, caller=caller)
        except AgencyClosed as error:
            raise as_error(error) from error
        except (AgentError, DefinitionError):
            raise MCPError(types.INVALID_PARAMS, f"there is no task {task!r:.100}, or it is another's") from None


async def created(handle: RunHandle) -> dict[str, Any]:
    """The task that a call has led to, in place of its result."""
    return {**_head(await handle.records(), handle), "resultType": "task"}


async def task_of(server: Server, handle: RunHandle, caller: Caller) -> dict[str, Any]:
    """A run as a task."""
    records = await handle.records()
    status = await handle.status()
    told = _head(records, handle)
    if status in ("ended", "failed"):
        told |= await _end_of(server, handle)
    elif status == "waiting":
        asked = await waiting_for(server.agency, handle, caller)
        if asked:
            plain = {key: _dumped(request) for key, request in requests_of(asked).items()}
            told |= {"status": "input_required", "inputRequests": plain}
        else:
            told["statusMessage"] = "waits for a person who may decide"
    elif records and progress_of(records[-1]):
        told["statusMessage"] = progress_of(records[-1])
    return told


def _head(records: Sequence[RunRecord], handle: RunHandle) -> dict[str, Any]:
    now = datetime.now(UTC).timestamp()
    return {
        "taskId": handle.id,
        "status": "working",
        "createdAt": _time(records[0].at if records else now),
        "lastUpdatedAt": _time(records[-1].at if records else now),
        "ttlMs": None,
        "pollIntervalMs": POLL,
    }


async def _end_of(server: Server, handle: RunHandle) -> dict[str, Any]:
    """A run that has failed is a task that is complete: its result says that it failed, as that of a call does."""
    agent = server.agency.agents.get(handle.agent)
    try:
        answer = await handle.answer()
        headers = await headers_of(server, handle)
    except RunCancelled as error:
        return {"status": "cancelled", "statusMessage": str(error)}
    except AgencyClosed as error:
        raise as_error(error) from error
    except (AgentError, Refused) as error:
        return {"status": "completed", "result": _dumped(of_problem(problem_of(error, handle.id)))}
    typed = agent is not None and agent.output is not None
    return {"status": "completed", "result": _dumped(of_answer(answer, headers, typed=typed))}


def _dumped(made: BaseModel) -> dict[str, Any]:
    return made.model_dump(by_alias=True, mode="json", exclude_none=True)


def as_error(error: Exception) -> MCPError:
    """What went wrong, in place of a result."""
    about = error_of(problem_of(error))
    return MCPError(about["code"], about["message"], about["data"])


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
