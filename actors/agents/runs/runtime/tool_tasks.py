"""The tasks of tool calls: they are nobody's children, so an actor's death alone ends none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .....tools import Tool, ToolResult
from .....tools.context import CallContext


class ToolTasks:
    """The tool calls of an agency that are under way."""

    def __init__(self) -> None:
        self._calls: dict[int, Any] = {}
        self._count = 0
        self._none_left: asyncio.Event | None = None

    def start(
        self, tool: Tool, arguments: str, on_end: Callable[[ToolResult], object], context: CallContext | None = None
    ) -> Any:
        """Start a tool call; return its handle. ``on_end`` is called with the result, whatever happens."""
        self._count = number = self._count + 1

        def ended(result: ToolResult) -> None:
            self._calls.pop(number, None)
            if self._none_left is not None and not self._calls:
                self._none_left.set()
            on_end(result)

        started = tool.start(arguments, ended, context)
        self._calls[number] = started
        return started

    def cancel(self) -> None:
        """Cancel the tool calls that are left."""
        for call in list(self._calls.values()):
            call.cancel()

    async def ended(self) -> None:
        """Wait until no tool call is under way; bounded, once they are cancelled, by the grace period of each."""
        if self._calls:
            self._none_left = asyncio.Event()
            await self._none_left.wait()
