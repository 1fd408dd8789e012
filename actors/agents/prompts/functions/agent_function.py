"""Sub-agents as functions that programs of a model call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .....tools.errors import ToolDefinitionError
from .....tools.signatures.returned import Returned
from .....tools.signatures.schema import OpenSignature
from .....tools.tool import Tool
from ..subagents import SubAgent

_TEXT: Final = {"type": "string"}


class AgentFunction(Tool):
    """A sub-agent as a function: what the model reads of it, and what is decided about a call. Whoever carries calls
    out has the agent make a run of each.

    Args:
        sub: it.
    """

    def __init__(self, sub: SubAgent) -> None:
        spec = sub.spec
        signature = OpenSignature(self._not_here, spec.parameters, spec.description)
        # An interrupted run is found again, so the call can be made again.
        super().__init__(signature, name=sub.name, risk="safe", resumable=True, timeout=None)
        self.sub = sub

    @property
    def response_schema(self) -> Mapping[str, Any]:
        """The JSON schema of the answer."""
        return _TEXT if self.sub.output is None else self.sub.output.schema

    def _returned(self) -> Returned:
        return Returned(str if self.sub.output is None else self.sub.response_schema, self.response_schema)

    def check(self, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments, checked, without calling.

        Raises:
            InvalidArguments: they do not fit the input.
        """
        self.sub.read(arguments)
        return super().check(arguments)

    async def _not_here(self, arguments: dict[str, Any]) -> None:
        raise ToolDefinitionError(f"{self.name!r} is an agent: it is called by programs of an agency's agents")
