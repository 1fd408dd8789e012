"""The functions that a program may call, by the names under which it does; and the stubs that say so."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from ..errors import ToolDefinitionError
from ..function_tool import FunctionTool
from ..registry import ToolRegistry
from ..schema import hints_of
from ..tool import Tool
from .hints import NAMES, Hints, docstring, hides, is_name

_ONE: Final = "arguments"
"""The parameter in which a function gets all its arguments, where one of them has a name that no parameter can have."""


class Stubs(NamedTuple):
    """What is known of functions before a program runs.

    Args:
        text: Python: what the check goes by, and what the model reads.
        parameters: by function the names of its parameters, in order; none where all come in one dictionary.
        classes: the names of the kinds of dictionaries that the program may make by calling them.
    """

    text: str
    parameters: Mapping[str, tuple[str, ...] | None]
    classes: frozenset[str]


class Library:
    """The functions of a program: ``name`` or ``namespace.name``.

    Args:
        tools: those that are called by their own name; a ``-`` in it is a ``_`` in the program.
        namespaces: those that are called as ``namespace.name``.

    Raises:
        ToolDefinitionError: a name is none of Python's, is taken by Python itself, or is there twice.
    """

    def __init__(
        self,
        tools: Iterable[Tool | type | Callable[..., Any]] = (),
        namespaces: Mapping[str, Iterable[Tool | type | Callable[..., Any]]] | None = None,
    ) -> None:
        self._tools: dict[str, Tool] = {}
        self.namespaces: tuple[str, ...] = tuple(namespaces or ())
        for tool in ToolRegistry(tools):
            self._add(_name(tool.name), tool)
        for space in self.namespaces:
            _check(space, "namespace")
            if space in self._tools:
                raise ToolDefinitionError(f"a namespace and a function are called {space!r}; give one another name")
            for tool in ToolRegistry((namespaces or {})[space]):
                self._add(f"{space}.{_name(tool.name)}", tool)

    def _add(self, name: str, tool: Tool) -> None:
        if "." not in name:
            _check(name, "function")
        elif not is_name(name.partition(".")[2]) or "._" in name:
            raise ToolDefinitionError(f"{name!r} cannot be called in Python: use letters, digits and _, a letter first")
        if self._tools.setdefault(name, tool) is not tool:
            raise ToolDefinitionError(f"there are two functions called {name!r}; give one of them another name")

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def tools(self) -> Iterable[Tool]:
        """The functions as tools."""
        return self._tools.values()

    @cached_property
    def stubs(self) -> Stubs:
        """What a program is checked against, and is told of its functions.

        Raises:
            ToolDefinitionError: a function's parameter has no schema.
        """
        names = {part for name in self._tools for part in name.split(".")}
        hints = Hints(names)
        parameters: dict[str, tuple[str, ...] | None] = {}
        functions: list[str] = []
        for name, tool in self._tools.items():
            if "." not in name:
                functions += _function(name, tool, hints, parameters, "")
        for space in self.namespaces:
            functions += self._namespace(space, hints, parameters)
        imports = f"from collections.abc import {', '.join(n for n in NAMES if n in ('Mapping', 'Sequence'))}\n"
        imports += f"from typing import {', '.join(n for n in NAMES if n not in ('Mapping', 'Sequence'))}"
        text = "\n".join((imports, *hints.definitions(), *functions))
        return Stubs(text, parameters, hints.classes)

    def _namespace(self, space: str, hints: Hints, parameters: dict[str, tuple[str, ...] | None]) -> list[str]:
        before: list[str] = []
        lines = [f"class _{space}:"]  # not a module: a program has it without importing it
        for name, tool in self._tools.items():
            if not name.startswith(f"{space}."):
                continue
            own = name.partition(".")[2]
            if hides(own):  # within the class it would be what the hints of the others mean
                before += _function(name, tool, hints, parameters, "", f"_{space}_{own}")
                lines.append(f"    {own} = staticmethod(_{space}_{own})")
            else:
                lines.append("    @staticmethod")
                lines += _function(name, tool, hints, parameters, "    ", own)
        if len(lines) == 1:
            lines.append("    ...")
        return [*before, *lines, f"{space}: _{space}"]


def _name(tool: str) -> str:
    return tool.replace("-", "_")


def _check(name: str, what: str) -> None:
    if not is_name(name) or name.startswith("_"):
        raise ToolDefinitionError(f"a {what} cannot be called {name!r} in Python: use letters, digits and _")
    if name in NAMES or name in dir(builtins):
        raise ToolDefinitionError(f"{name!r} is Python's own; give the {what} another name")


def _function(
    name: str,
    tool: Tool,
    hints: Hints,
    parameters: dict[str, tuple[str, ...] | None],
    indent: str,
    own: str = "",
) -> list[str]:
    """The lines of one function; notes the order of its parameters."""
    schema = tool.spec.parameters
    fields: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", ())
    names = sorted(fields, key=lambda field: field not in required)
    title = name.replace(".", "_")
    if all(is_name(field) and not field.startswith("__") for field in names):
        parameters[name] = tuple(names)
        told = [
            f"{field}: {hints.parameter(fields[field], f'{title}_{field}', schema)}"
            + ("" if field in required else f" = {_default(fields[field])}")
            for field in names
        ]
        if schema.get("additionalProperties"):
            told.append("**more: Any")
    else:
        parameters[name] = None
        told = [f"{_ONE}: {hints.hint(schema, f'{title}_arguments')}", "/"]
    result = hints.hint(_result(tool), f"{title}_result")
    lines = [f"{indent}async def {own or name}({', '.join(told)}) -> {result}:"]
    about = docstring(_about(tool.spec.description, fields), f"{indent}    ")
    if not about:
        return [f"{lines[0]} ..."]
    return [*lines, *about]


def _about(description: str, fields: Mapping[str, Any]) -> str:
    """What a function does, and what it takes, as far as that is said."""
    told = [(name, field.get("description")) for name, field in fields.items() if isinstance(field, Mapping)]
    lines = [f"{name}: {' '.join(str(about).split())}" for name, about in told if about]
    return "\n".join([description, *lines])


def _default(field: Any) -> str:
    given = field.get("default", ...) if isinstance(field, Mapping) else ...
    return ascii(given) if given is None or isinstance(given, bool | int | str) else "..."


def _result(tool: Tool) -> Any:
    """The schema of what a call of the function gives to the program: what was declared, or else what is annotated."""
    declared = tool.response_schema
    if declared is not None or not isinstance(tool, FunctionTool):
        return declared if declared is not None else {}
    from pydantic import PydanticUserError, TypeAdapter

    try:
        hint = hints_of(tool.function).get("return", Any)
        return TypeAdapter(hint).json_schema(mode="serialization")
    except (ToolDefinitionError, PydanticUserError, TypeError, ValueError, AttributeError):
        return {}  # an annotation that nobody needs for the call itself
