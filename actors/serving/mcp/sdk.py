"""The SDK's server, answered by an agency. This file and those it imports need the package ``mcp``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server as McpServer
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from ....tools.registry import ToolRegistry
from ...agents.caller import Caller
from ..server import Server
from .calls import Calls
from .jsonrpc import CALLER
from .listing import listed, schema_of
from .tasks import TASKS, CancelTask, GetTask, Tasks, UpdateTask

Context: TypeAlias = ServerRequestContext[Any, Any]
Who: TypeAlias = Callable[[Context], Caller]

INSTRUCTIONS = (
    "Each tool ask_<agent> gives an agent something to do and returns its answer. To go on with what was said, give "
    "the conversation that the answer names."
)


def session_manager(server: Server, tools: ToolRegistry) -> StreamableHTTPSessionManager:
    """What answers requests over HTTP."""

    def who(context: Context) -> Caller:
        assert context.request is not None
        found: Caller = context.request.scope[CALLER]
        return found

    sdk = made(server, tools, who)
    return StreamableHTTPSessionManager(sdk, stateless=True, max_request_body_size=server.body_limit)


def made(server: Server, tools: ToolRegistry, who: Who) -> McpServer[Any]:
    """The SDK's server.

    Args:
        server: whose agents.
        tools: those that are offered beside them.
        who: says who asks.
    """
    calls = Calls(server, tools)
    tasks = Tasks(server)

    async def list_tools(context: Context, params: Any) -> types.ListToolsResult:
        if params is not None and params.cursor:
            raise MCPError(types.INVALID_PARAMS, "cursor: there is one page, and none behind it")
        return types.ListToolsResult(tools=listed(server, tools, who(context)))

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> Any:
        return await calls.call(context, params, who(context))

    async def cancelled(context: Context, params: types.CancelledNotificationParams) -> None:
        await calls.cancel(context, params.request_id, who(context))

    sdk: McpServer[Any] = McpServer(
        "callboard",
        version=_version(),
        instructions=INSTRUCTIONS,
        cache_hints={"tools/list": CacheHint(), "server/discover": CacheHint()},
        get_tool_input_schema=partial(schema_of, tools),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    sdk.add_notification_handler("notifications/cancelled", types.CancelledNotificationParams, cancelled)
    sdk.extensions[TASKS] = {}

    def serves(method: str, params_type: type[Any], answer: Callable[..., Any]) -> None:
        async def answered(context: Context, params: Any) -> Any:
            tasks.check(context)
            tasks.check_name(context, params.task_id)
            return await answer(params, who(context))

        sdk.add_request_handler(method, params_type, answered)

    serves("tasks/get", GetTask, tasks.get)
    serves("tasks/update", UpdateTask, tasks.update)
    serves("tasks/cancel", CancelTask, tasks.cancel)
    return sdk


def _version() -> str:
    try:
        return version("callboard")
    except PackageNotFoundError:  # run from the source tree
        return "0"
