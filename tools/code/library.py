"""The functions that a program may call, by the names under which it does; and the stubs that say so."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

from ..errors import ToolDefinitionError
from ..registry import ToolRegistry
from ..tool import Tool
from .beyond import MODULES
from .hints import NAMES, Hints, docstring, hides, is_name, without

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
        self.namespaces: dict[str, None] = {}
        """The namespaces, in the order in which they came."""
        for tool in ToolRegistry(tools):
            self.add(tool)
        for space, members in (namespaces or {}).items():
            self._open(space)
            for tool in ToolRegistry(members):
                self.add(tool, space)

    def add(self, tool: Tool, namespace: str = "") -> str:
        """Add a function.

        Returns:
            The name by which a program calls it.

        Raises:
            ToolDefinitionError: as for the class.
        """
        own = tool.name.replace("-", "_")
        if not namespace:
            _check(own, "function")
            if own in self.namespaces:
                raise ToolDefinitionError(f"a namespace and a function are called {own!r}; give one another name")
        else:
            self._open(namespace)
            if not is_name(own) or own.startswith("_") or own in NAMES:
                raise ToolDefinitionError(
                    f"{tool.name!r} cannot be called in Python: use letters, digits and _, a letter first"
                )
        name = f"{namespace}.{own}" if namespace else own
        if self._tools.setdefault(name, tool) is not tool:
            raise ToolDefinitionError(f"there are two functions called {name!r}; give one of them another name")
        return name

    def _open(self, namespace: str) -> None:
        if namespace not in self.namespaces:
            _check(namespace, "namespace")
            if namespace in self._tools:
                raise ToolDefinitionError(f"a namespace and a function are called {namespace!r}; give one another name")
            self.namespaces[namespace] = None

    def only(self, usable: Callable[[Tool], bool]) -> Library:
        """The functions that are usable, and the namespaces that have one; itself if all are."""
        if all(map(usable, self._tools.values())):
            return self
        made = Library()
        made._tools = {name: tool for name, tool in self._tools.items() if usable(tool)}
        spaces = {name.partition(".")[0] for name in made._tools if "." in name}
        made.namespaces = {space: None for space in self.namespaces if space in spaces}
        return made

    @property
    def tools(self) -> Collection[Tool]:
        """The functions."""
        return self._tools.values()

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    @cached_property
    def stubs(self) -> Stubs:
        """What a program is checked against, and is told of its functions. It is kept by what that is made of: a prompt
        function makes a library of the same functions in each step.

        Raises:
            ToolDefinitionError: a function's parameter has no schema.
        """
        functions = []
        for name, tool in self._tools.items():
            spec = tool.spec
            functions.append(_Function(name, spec.description, spec.parameters, tool.returned.schema))
        return _stubs(tuple(functions), tuple(self.namespaces))


class _Function:
    """What stubs say of a function. What has the same schemas is the same: to compare all that is in them takes long.

    Args:
        name: by which it is called.
        description: what it does.
        parameters, result: JSON schemas.
    """

    __slots__ = ("_key", "description", "name", "parameters", "result")

    def __init__(self, name: str, description: str, parameters: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        self.name = name
        self.description = description
        self.parameters = parameters
        self.result = result
        self._key = (name, description, id(parameters), id(result))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Function) and self._key == other._key


@lru_cache(maxsize=128)
def _stubs(told: tuple[_Function, ...], namespaces: tuple[str, ...]) -> Stubs:
    hints = Hints({part for function in told for part in function.name.split(".")})
    parameters: dict[str, tuple[str, ...] | None] = {}
    functions: list[str] = []
    for _ in range(2):  # what may be given to a function is known once it is known what all of them return
        functions = []
        for function in told:
            if "." not in function.name:
                functions += _function(function, hints, parameters)
        for space in namespaces:
            functions += _namespace(space, told, hints, parameters)
    imports = f"from collections.abc import {', '.join(n for n in NAMES if n in ('Mapping', 'Sequence'))}\n"
    imports += f"from typing import {', '.join(n for n in NAMES if n not in ('Mapping', 'Sequence'))}"
    text = "\n".join((imports, *hints.definitions(), *functions))
    return Stubs(text, parameters, hints.classes)


def _namespace(
    space: str, told: tuple[_Function, ...], hints: Hints, parameters: dict[str, tuple[str, ...] | None]
) -> list[str]:
    """The lines of a class whose methods are the functions: a program has its one instance without an import."""
    own = {one.name.partition(".")[2]: one for one in told if one.name.startswith(f"{space}.")}
    # Within the class, a function called `list` is what the hints of the others would mean.
    hidden = sorted(name for name in own if hides(name))
    lines = [f"_{name}_ = {name}" for name in hidden]
    lines.append(f"class _{space}:")
    for called, function in own.items():
        lines += _function(function, hints, parameters, called, hidden)
    if not own:
        lines.append("    ...")
    return [*lines, f"{space}: _{space}"]


def _check(name: str, what: str) -> None:
    if not isinstance(name, str) or not is_name(name) or name.startswith("_"):
        raise ToolDefinitionError(f"a {what} cannot be called {name!r} in Python: use letters, digits and _")
    if name in NAMES or name in dir(builtins):
        raise ToolDefinitionError(f"{name!r} is Python's own; give the {what} another name")
    if name in MODULES:
        raise ToolDefinitionError(f"{name!r} is a module that programs may import; give the {what} another name")


def _function(
    function: _Function,
    hints: Hints,
    parameters: dict[str, tuple[str, ...] | None],
    method: str = "",
    hidden: Sequence[str] = (),
) -> list[str]:
    """The lines of one function; notes the order of its parameters.

    Args:
        function: it.
        hints: of all functions.
        parameters: of all functions.
        method: its name in the class of its namespace, if it has one.
        hidden: names that mean something else in that class.
    """
    name, schema = function.name, function.parameters
    fields: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", ())
    names = sorted(fields, key=lambda field: field not in required)
    title = name.replace(".", "_")
    told = ["self"] if method else []
    if all(is_name(field) and not field.startswith("__") and field != "self" for field in names):
        parameters[name] = tuple(names)
        for field in names:
            hint = without(hints.parameter(fields[field], f"{title}_{field}", schema), hidden)
            told.append(f"{field}: {hint}" + ("" if field in required else f" = {_default(fields[field])}"))
        if schema.get("additionalProperties"):
            told.append("**more: Any")
    else:
        parameters[name] = None
        told += [f"{_ONE}: {hints.hint(schema, f'{title}_arguments')}", "/"]
    result = without(hints.hint(function.result, f"{title}_result"), hidden)
    indent = "    " if method else ""
    line = f"{indent}async def {method or name}({', '.join(told)}) -> {result}:"
    about = docstring(_about(function.description, fields), f"{indent}    ")
    return [line, *about] if about else [f"{line} ..."]


def _about(description: str, fields: Mapping[str, Any]) -> str:
    """What a function does, and what it takes, as far as that is said."""
    told = [(name, field.get("description")) for name, field in fields.items() if isinstance(field, Mapping)]
    lines = [f"{name}: {' '.join(str(about).split())}" for name, about in told if about]
    return "\n".join([description, *lines])


def _default(field: Any) -> str:
    given = field.get("default", ...) if isinstance(field, Mapping) else ...
    return ascii(given) if given is None or isinstance(given, bool | int | str) else "..."
