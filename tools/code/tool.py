"""The tool that runs programs: what a model is told of it, and how one call of it runs one program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from copy import copy
from typing import Any

from ...providers.messages import ToolSpec
from ..context import CallContext
from ..function_tool import tool
from ..result import NOTHING, ToolResult
from ..signatures.schema import OpenSignature
from ..tool import CallingTool, Tool
from .library import Library
from .program import SLEEP, Bounds, run_program

_PARAMETERS = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "the program"}},
    "required": ["code"],
    "additionalProperties": False,
}


@tool(risk="safe", idempotent=True, timeout=None)
async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


class CodeTool(CallingTool):
    """A tool that runs programs in a sandbox.

    Args:
        library: what they may call. Each such call is one of its own: it is checked, a person is asked about it where
            one would be asked if the model made it, and it is recorded.
        bounds: what one program may use.
        name: the tool's.
        options: as for `Tool`.
    """

    def __init__(self, library: Library, bounds: Bounds, *, name: str, **options: Any) -> None:
        super().__init__(self._as_signature(), name=name, resumable=True, timeout=None, **options)
        self.library = library
        self.bounds = bounds
        self._told: ToolSpec | None = None

    @property
    def spec(self) -> ToolSpec:
        """What the model is told: the functions are part of it, as their stubs."""
        if self._told is None:
            self._told = ToolSpec(self.name, _description(self.library, self.bounds), _PARAMETERS)
        return self._told

    @property
    def callees(self) -> Collection[Tool]:
        """The functions."""
        return self.library.tools

    def narrowed(self, usable: Callable[[Tool], bool]) -> Tool:
        """The tool with the functions that are usable."""
        library = self.library.only(usable)
        if library is self.library:
            return self
        made = copy(self)
        made._signature = made._as_signature()
        made.library = library
        made._told = None
        return made

    def _as_signature(self) -> OpenSignature:
        return OpenSignature(self._run_program, _PARAMETERS, "", lambda: CallContext)

    async def _run_program(self, context: CallContext, arguments: dict[str, Any]) -> str:
        async def call(name: str, given: str) -> ToolResult:
            return await context.call(_sleep if name == SLEEP else self.library[name], given, name=name)

        now = context.began_at or time.time()
        ran = await run_program(str(arguments["code"]), self.library, call, self.bounds, seed=context.call_id, now=now)
        if ran.value is None:
            return ran.printed or NOTHING
        return f"{ran.printed}{ran.value if isinstance(ran.value, str) else repr(ran.value)}"


def _description(library: Library, bounds: Bounds) -> str:
    about = (
        "Run Python code in a sandbox and return what it prints and the value of its last expression.\n\n"
        "The code is type-checked first. There are no files, no network and only parts of the standard library "
        f"(math, json, re, datetime, asyncio and the like). It may run {bounds.timeout:g} seconds; its clock stands "
        "still. Nothing is kept between calls."
    )
    if not len(library):
        return about
    return (
        f"{about}\n\nThese functions are there without an import. Await each; `await asyncio.gather(…)` makes several "
        f"calls at once. A call that fails raises RuntimeError.\n\n{library.stubs.text}"
    )
