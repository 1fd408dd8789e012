"""Running the calls of one model message: at once, within limits, each answered whatever happens to the others."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from ..providers.messages import Message, ToolCall
from .calls.invocation import Invocation
from .context import CallContext
from .errors import ToolCancelled, UnknownTool
from .registry import ToolRegistry
from .result import ToolResult
from .scopes import ALL, Scopes

logger = logging.getLogger(__name__)


def tool_message(call: ToolCall, result: ToolResult) -> Message:
    """The message that answers ``call`` in the conversation."""
    return Message("tool", result.content, tool_call_id=call.id, name=call.name, is_error=result.is_error)


async def run_calls(
    calls: Sequence[ToolCall],
    tools: ToolRegistry,
    *,
    scope: Scopes = ALL,
    concurrency: int = 10,
    context: CallContext | None = None,
    on_result: Callable[[ToolCall, ToolResult], object] | None = None,
) -> list[ToolResult]:
    """Run several calls at once.

    Args:
        calls: in the model's order; they are started in it.
        tools: where to find them. An unknown tool is an error result like any other.
        scope: what the caller holds for whom the model acts: a scope, or several.
        concurrency: how many run at once, besides each tool's own ``max_concurrency``.
        context: for tools that take one; each call gets one of its own, made from it.
        on_result: called in the loop as each call ends, exactly once per call: also when this coroutine is cancelled,
            with a `ToolCancelled` for those that had not ended. (A task that is cancelled before its first step never
            runs, in asyncio; then nothing was started and nothing is answered.)

    Returns:
        The results, in the order of the calls. A call that fails does not touch the others.

    Raises:
        asyncio.CancelledError: the caller was cancelled; every call has been stopped and answered.
    """
    if not calls:
        return []
    batch = _Batch(calls, tools, scope, max(concurrency, 1), context, on_result)
    try:
        return await asyncio.shield(batch.ended)
    except asyncio.CancelledError:
        batch.cancel()
        # Bounded by the calls' grace period; a second cancel stops only this waiting.
        await asyncio.wait({batch.ended})
        raise


class _Batch:
    def __init__(
        self,
        calls: Sequence[ToolCall],
        tools: ToolRegistry,
        scope: Scopes,
        concurrency: int,
        context: CallContext | None,
        on_result: Callable[[ToolCall, ToolResult], object] | None,
    ) -> None:
        self._calls = calls
        self._tools = tools
        self._scope = scope
        self._concurrency = concurrency
        self._context = context
        self._on_result = on_result
        self._waiting = deque(range(len(calls)))
        self._running: dict[int, Invocation] = {}
        self._results: dict[int, ToolResult] = {}
        self.ended: asyncio.Future[list[ToolResult]] = asyncio.get_running_loop().create_future()
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            index = self._waiting.popleft()
            call = self._calls[index]
            try:
                tool = self._tools.get(call.name, self._scope)
            except UnknownTool as error:
                self._note(index, ToolResult.failure(error))
            else:
                context = self._context.within(call.id, tool.name) if self._context is not None else None
                self._running[index] = tool.start(call.arguments, partial(self._finish, index), context)

    def _finish(self, index: int, result: ToolResult) -> None:
        del self._running[index]
        self._note(index, result)
        self._start()

    def _note(self, index: int, result: ToolResult) -> None:
        self._results[index] = result
        if self._on_result is not None:
            try:
                self._on_result(self._calls[index], result)
            except Exception:  # the other calls must be answered all the same
                logger.exception("on_result raised for tool %s", self._calls[index].name)
        if len(self._results) == len(self._calls) and not self.ended.done():
            self.ended.set_result([self._results[index] for index in range(len(self._calls))])

    def cancel(self) -> None:
        while self._waiting:
            index = self._waiting.popleft()
            name = self._calls[index].name
            self._note(index, ToolResult.failure(ToolCancelled(f"{name!r} was cancelled before it started")))
        for invocation in list(self._running.values()):
            invocation.cancel()
