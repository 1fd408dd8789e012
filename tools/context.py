"""What a tool may know of the call that it is run for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Annotated, Any, Protocol, Self, TypeAlias, get_origin

from .calls.invocation import Invocation
from .errors import ToolDefinitionError
from .result import ToolResult
from .secrets import Secrets

OnProgress: TypeAlias = "Callable[[CallContext, str, float | None], object]"
OnCall: TypeAlias = "Callable[[CallContext, Any, str], Awaitable[ToolResult]]"


class Callee(Protocol):
    """What can be called within a call: a `Tool`."""

    name: str

    async def run(self, arguments: str | Mapping[str, Any] = ..., *, context: CallContext | None = ...) -> ToolResult:
        """Call it."""


class CallContext:
    """The call that a tool is run for.

    A function whose first parameter is annotated with this class, or with one that is made from it, is handed the
    context of its call there; so is the ``run`` of a `BaseTool`. The model sees nothing of it.

    Args:
        call_id: the call's id, as the model gave it.
        tool: the name under which the tool was called.
        on_progress: called with the context, and what `progress` was told.
        on_call: makes a call within this one: given the context of that call, the tool, and its arguments as JSON text.
        began_at: when the call began, in seconds since 1970; the same where it was begun again after a crash and had
            made calls. 0 where nobody said.

    Attributes:
        secrets: what the tool was given that nobody may see; it is blotted out of results, logs and progress.
        invocation: the running call, once it has begun.
        outer: the context of the call that this one is made within, if it is.
    """

    __slots__ = (
        "_made",
        "_on_call",
        "_on_progress",
        "began_at",
        "call_id",
        "invocation",
        "outer",
        "secrets",
        "tool",
    )

    def __init__(
        self,
        call_id: str = "",
        tool: str = "",
        *,
        on_progress: OnProgress | None = None,
        on_call: OnCall | None = None,
        began_at: float = 0.0,
    ) -> None:
        self.secrets: Secrets | None = None
        self.invocation: Invocation | None = None
        self.outer: CallContext | None = None
        self.call_id = call_id
        self.tool = tool
        self.began_at = began_at
        self._made = 0
        self._on_progress = on_progress
        self._on_call = on_call

    def __repr__(self) -> str:
        """Which call's, never what is in it."""
        return f"<{type(self).__name__} of {self.tool!r}, call {self.call_id!r}>"

    def progress(self, text: str = "", *, fraction: float | None = None) -> None:
        """Say how far the tool is; from any thread. Where nobody listens nothing happens.

        Args:
            text: what it is at, for people.
            fraction: how much is done, from 0 to 1; None where that is not known.

        Raises:
            ToolDefinitionError: the fraction is none.
        """
        if fraction is not None and not (isinstance(fraction, int | float) and 0 <= fraction <= 1):
            raise ToolDefinitionError(f"progress of {self.tool!r}: fraction is from 0 to 1, not {fraction!r:.80}")
        if self._on_progress is not None:
            text = self.secrets.blot(text) if self.secrets else text
            self._on_progress(self, text, None if fraction is None else float(fraction))

    async def call(self, tool: Callee, arguments: str | Mapping[str, Any] = "{}", *, name: str = "") -> ToolResult:
        """Call a tool within this call.

        In an agency it is treated as a call of the model: a person is asked where the rules say so, for which no time
        passes here; events tell of it; and its result is recorded. Where the call within which it is made is begun
        again after a crash (`Tool(resumable=True)`), it is answered from that record: so the same calls are to be made
        in the same order, with the same arguments. Its id is ``{call_id}/{n}``, counted from 1.

        Args:
            tool: what is called. It need not be among the agent's tools.
            arguments: JSON text, or a mapping of plain data.
            name: under which it is called; by default its own.

        Returns:
            the result; a failure of any kind, a person's refusal included, is one with ``is_error``.

        Raises:
            ToolDefinitionError: it is no tool.
            CallChanged: the call was begun again, and has made another call than the one that was recorded.
        """
        if not isinstance(getattr(tool, "name", None), str):
            raise ToolDefinitionError(f"what is called is a tool, not {tool!r:.80}: make it one by @tool")
        self._made += 1
        inner = self.within(f"{self.call_id}/{self._made}", name or tool.name)
        if self._on_call is None:
            return await tool.run(arguments, context=inner)
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return await self._on_call(inner, tool, text)

    def within(self, call_id: str, tool: str) -> Self:
        """The context of a call that is made within this one."""
        inner = copy(self)
        inner.call_id = call_id
        inner.tool = tool
        inner.outer = self
        inner.invocation = None
        inner._made = 0
        return inner


def context_type(hint: Any) -> type[CallContext] | None:
    """The class of the context that an annotation asks for; None where it asks for something else."""
    if get_origin(hint) is Annotated:
        hint = hint.__origin__
    hint = get_origin(hint) or hint
    return hint if isinstance(hint, type) and issubclass(hint, CallContext) else None
