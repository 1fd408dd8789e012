"""The tools an agent has, by name, and who may use which."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..providers.checks import LIST, require
from ..providers.messages import ToolSpec
from .errors import ToolDefinitionError, UnknownTool
from .function_tool import as_tool
from .scopes import ADMIN, ALL, Scopes, as_scopes, may_use
from .tool import Risk, Tool


class ToolRegistry:
    """Tools by name, in the order they were added.

    Args:
        tools: the first ones; see `add`.

    Raises:
        ToolDefinitionError: two have the same name.
    """

    def __init__(self, tools: Iterable[Tool | type | Callable[..., Any]] = ()) -> None:
        require(ToolDefinitionError, "a ToolRegistry", tools=(tools, LIST))
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self.add(tool)

    def add(self, declared: Tool | type | Callable[..., Any]) -> None:
        """Add a tool: a `Tool`, a `BaseTool` class, or a function with type hints.

        Raises:
            ToolDefinitionError: there is another one of that name, or it is no tool.
        """
        tool = as_tool(declared)
        if self._tools.setdefault(tool.name, tool) is not tool:
            raise ToolDefinitionError(f"there are two tools named {tool.name!r}; give one of them another name")

    def remove(self, name: str) -> None:
        """Remove a tool.

        Raises:
            UnknownTool: there is none of that name.
        """
        del self._tools[self.get(name, ADMIN).name]

    def get(self, name: str, scope: Scopes = ALL) -> Tool:
        """Return the tool that a caller who holds ``scope`` may use under that name.

        Raises:
            ToolDefinitionError: it is no scope.
            UnknownTool: none; the text lists those there are, and the closest match. A tool outside the scope is
                treated as if it did not exist.
        """
        found = self._tools.get(name)
        if found is not None and may_use(_held(scope), found.scope):
            return found
        names = [tool.name for tool in self.available(scope)]
        lower = {known.lower(): known for known in names}
        close = difflib.get_close_matches(name.lower(), lower, n=1)
        hint = f"; did you mean {lower[close[0]]!r}?" if close else "."
        raise UnknownTool(f"there is no tool named {name!r}{hint} Available: {', '.join(names) or 'none'}")

    def available(self, scope: Scopes = ALL) -> list[Tool]:
        """The tools that a caller who holds ``scope``, or several of them, may use."""
        held = _held(scope)
        return [tool for tool in self._tools.values() if may_use(held, tool.scope)]

    def specs(self, scope: Scopes = ALL) -> tuple[ToolSpec, ...]:
        """What a model that acts for a caller who holds ``scope`` is told."""
        return tuple(tool.spec for tool in self.available(scope))

    def risk(self, name: str) -> Risk:
        """The risk of calling ``name``. A tool that is not known here counts as risky."""
        found = self._tools.get(name)
        return "risky" if found is None else found.risk

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools


def _held(scope: Scopes) -> frozenset[str]:
    return as_scopes(scope, "a caller", ToolDefinitionError)
