"""The plugin by which a model writes programs that call functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, overload

from .....tools.code.library import Library
from .....tools.code.program import Bounds
from .....tools.code.tool import CodeTool
from .....tools.errors import ToolDefinitionError
from .....tools.function_tool import FunctionOptions, as_tool, made_tool
from .....tools.tool import Tool
from ...errors import PromptError, said
from ..parts import Parts
from ..prompt import Prompt, prompt_of
from ..references import ToolReference
from ..subagents import SubAgent
from .agent_function import AgentFunction

if TYPE_CHECKING:
    from typing_extensions import Unpack

PROGRAM: Final = "RunPython"
"""The tool that runs the programs."""


class Functions(Prompt):
    """A prompt whose model writes Python programs that call functions, in a sandbox."""

    __slots__ = ()

    @overload
    def function(
        self,
        declared: Tool | type | SubAgent | Callable[..., Any],
        /,
        *,
        namespace: str = "",
        **options: Unpack[FunctionOptions],
    ) -> ToolReference: ...
    @overload
    def function(
        self, /, *, namespace: str = "", **options: Unpack[FunctionOptions]
    ) -> Callable[[Callable[..., Any]], ToolReference]: ...
    def function(self, declared: Any = None, /, *, namespace: str = "", **options: Any) -> Any:
        """Let programs call a function in this step: a function, a `Tool` or a `BaseTool`; as a decorator too.

        The model is offered the tool ``RunPython``, which is told the functions as typed stubs. A call that a program
        makes is treated as one of the model's own: a person is asked about it where one would be.

        A `SubAgent` is a function whose calls are runs of an agent. It takes the fields of its input, and returns its
        answer: what fits its ``response_schema``, or the text. An answer that does not fit is raised in the program.

        Args:
            declared: it.
            namespace: programs call it as ``namespace.name``; by default as ``name``.
            options: those of `callboard.tool`, for a function.

        Returns:
            The reference; as a text it is the name by which programs call it.

        Raises:
            PromptError: it is no function, an option is wrong, Python has no such names, or there is one of that name.
        """
        frame = sys._getframe(1)
        if declared is None:
            return lambda function: self._add(function, namespace, options, frame)
        return self._add(declared, namespace, options, frame)

    def function_bounds(self, *, timeout: float = 10.0, max_memory: int = 100_000_000, max_calls: int = 100) -> None:
        """Say what one program may use, in this step.

        Args:
            timeout: seconds its own code may run; what it calls, and persons that are asked, do not count.
            max_memory: bytes it may hold.
            max_calls: how many calls of functions it may make.

        Raises:
            PromptError: one of them is no such number.
        """
        parts = self._parts or self._over("function_bounds")
        try:
            _program(parts).bounds = Bounds(timeout, max_memory, max_calls)
        except ToolDefinitionError as error:
            raise PromptError(f"{parts.name}: function_bounds: {said(error)}") from error

    def _add(self, declared: Any, namespace: str, options: dict[str, Any], frame: Any) -> ToolReference:
        parts = self._parts or self._over("function")
        try:
            if isinstance(declared, type | Tool | SubAgent):
                if options:
                    whose = getattr(declared, "name", declared)
                    raise ToolDefinitionError(
                        f"{', '.join(options)} of {whose!r:.80}: what is made already has its own options; give them "
                        "where it is made"
                    )
                made = _of_agent(parts, declared) if isinstance(declared, SubAgent) else as_tool(declared)
            else:
                made = made_tool(declared, options, frame)
            return ToolReference(_program(parts).library.add(made, namespace))
        except ToolDefinitionError as error:
            raise PromptError(f"{parts.name}: {said(error)}") from error


def _of_agent(parts: Parts, sub: SubAgent) -> Tool:
    prompt_of(sub)
    parts.functions.append(sub)
    return AgentFunction(sub)


def _program(parts: Parts) -> CodeTool:
    """The tool that runs the programs of a step."""
    found = parts.tools.get(PROGRAM)
    if found is None:
        found = CodeTool(Library(), Bounds(), name=PROGRAM, risk="safe")
        parts.offer(found)
    if not isinstance(found, CodeTool):
        raise PromptError(f"{parts.name}: the tool {PROGRAM!r} is that of the functions: give yours another name")
    return found
