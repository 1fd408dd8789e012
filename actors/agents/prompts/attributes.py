"""What is told of an attribute that a prompt, or what an effect is given, does not have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final

from ..errors import PromptError
from .templates.near import meant

_BUILT_IN: Final = {
    "task_list": "TaskList",
    "task_graph": "TaskGraph",
    "function": "Functions",
    "function_bounds": "Functions",
}
"""Methods of the library's own plugins, whose modules a program may not have imported."""

_OURS: Final = frozenset({"close", "changed"})
"""What those who render call."""


class NoAttribute(PromptError, AttributeError):
    """There is no such attribute; says what may have been meant. `hasattr` goes by it."""


def no_attribute(owner: object, name: str, where: str = "", plugin: type[Any] | None = None) -> AttributeError:
    """The error of an attribute that is not there.

    Args:
        owner: what does not have it.
        name: the attribute's.
        where: the prompt function's name, for the error.
        plugin: the class of all plugins, where one may have it.
    """
    kind = type(owner)
    if name.startswith("_"):  # as interpreters and libraries ask for: a sentence would be lost on them
        return AttributeError(f"{kind.__name__!r} object has no attribute {name!r}", name=name, obj=owner)
    told = f"{where}: " if where else ""
    told += f"{kind.__name__} has no {name!r}: "
    own = [each for each in dir(kind) if not each.startswith("_") and each not in _OURS]
    if plugin is None:
        return NoAttribute(told + meant(name, own))
    has = _BUILT_IN.get(name) or next((one.__name__ for one in _below(plugin) if name in vars(one)), "")
    if has:
        return NoAttribute(f"{told}give plugins={has}")
    if not difflib.get_close_matches(name, own, 1) and (near := difflib.get_close_matches(name, _BUILT_IN, 1)):
        return NoAttribute(f"{told}did you mean {near[0]!r}? give plugins={_BUILT_IN[near[0]]}")
    return NoAttribute(told + meant(name, own))


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)
