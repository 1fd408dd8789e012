"""What a tool may know of the call that it is run for."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Annotated, Any, Self, TypeAlias, get_origin

from .errors import ToolDefinitionError
from .secrets import Secrets

OnProgress: TypeAlias = "Callable[[CallContext, str, float | None], object]"


class CallContext:
    """The call that a tool is run for.

    A function whose first parameter is annotated with this class, or with one that is made from it, is handed the
    context of its call there; so is the ``run`` of a `BaseTool`. The model sees nothing of it.

    Args:
        call_id: the call's id, as the model gave it.
        tool: the name under which the tool was called.
        on_progress: called with the context, and what `progress` was told.

    Attributes:
        secrets: what the tool was given that nobody may see; it is blotted out of results, logs and progress.
    """

    __slots__ = ("_on_progress", "call_id", "secrets", "tool")

    def __init__(self, call_id: str = "", tool: str = "", *, on_progress: OnProgress | None = None) -> None:
        self.secrets: Secrets | None = None
        self.call_id = call_id
        self.tool = tool
        self._on_progress = on_progress

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

    def within(self, call_id: str, tool: str) -> Self:
        """The context of a call that is made within this one."""
        inner = copy(self)
        inner.call_id = call_id
        inner.tool = tool
        return inner


def context_type(hint: Any) -> type[CallContext] | None:
    """The class of the context that an annotation asks for; None where it asks for something else."""
    if get_origin(hint) is Annotated:
        hint = hint.__origin__
    hint = get_origin(hint) or hint
    return hint if isinstance(hint, type) and issubclass(hint, CallContext) else None
