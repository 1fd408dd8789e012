"""What is known in one incarnation of the calls that tool calls of its run make."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ......providers.messages import ToolCall
from ......tools import Tool, ToolResult
from ......tools.context import CallContext
from ......tools.errors import ToolCancelled
from ....turns.rules import NOTHING


class InnerAtWork:
    """One inner call of this incarnation.

    Args:
        call: it.
        tool: what is called.
        context: of the call.

    Attributes:
        go: what may be called, or the result that stands for it, once that is decided.
        result: what it came to, once that is recorded.
        waits: whether a person is asked about it.
        recorded: whether it is in the journal that it was made.
    """

    __slots__ = ("call", "context", "go", "recorded", "result", "tool", "waits")

    def __init__(self, call: ToolCall, tool: Tool, context: CallContext) -> None:
        loop = asyncio.get_running_loop()
        self.call = call
        self.tool = tool
        self.context = context
        self.go: asyncio.Future[ToolCall | ToolResult] = loop.create_future()
        self.result: asyncio.Future[ToolResult] = loop.create_future()
        self.waits = False
        self.recorded = False

    @property
    def of_the_model(self) -> str:
        """The id of the call that the model has made, within which this one is."""
        return self._outward()[-1].call_id

    def answer(self, result: ToolResult) -> None:
        """Tell the outer call what this one came to."""
        for future in (self.go, self.result):
            if not future.done():
                future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Raise in the outer call."""
        if not self.go.done():
            self.go.set_exception(error)

    def cancel(self) -> None:
        """The run is over: nothing more comes of it."""
        self.answer(ToolResult.failure(ToolCancelled(f"{self.call.name!r} was cancelled: its run is over")))

    def pause(self) -> None:
        """A person is asked: no time passes for the calls that this one is made within."""
        self.waits = True
        for outer in self._outward():
            if outer.invocation is not None:
                outer.invocation.pause()

    def resume(self, others: Iterable[InnerAtWork]) -> None:
        """The person has decided: time passes again where nothing else waits within a call."""
        self.waits = False
        waiting = {id(outer) for other in others if other.waits for outer in other._outward()}
        for outer in self._outward():
            if outer.invocation is not None and id(outer) not in waiting:
                outer.invocation.resume()

    def _outward(self) -> list[CallContext]:
        found: list[CallContext] = []
        outer = self.context.outer
        while outer is not None:
            found.append(outer)
            outer = outer.outer
        return found


class Within:
    """The inner calls of one incarnation of a run.

    Attributes:
        calls: those that nobody has left yet, by id.
        made: how many calls each call has made.
        told: the ids of those whose result the outer call was told.
    """

    __slots__ = ("calls", "made", "told")

    def __init__(self) -> None:
        self.calls: dict[str, InnerAtWork] = {}
        self.made: dict[str, int] = {}
        self.told = NOTHING
