"""HTTP routes, as data: what a server that serves an agent offers for its skills."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from inspect import isasyncgenfunction
from typing import Any, Final

from ....providers.checks import FUNCTION, NAME, several
from ....tools.scopes import ALL, Scopes, as_scopes
from ..errors import DefinitionError
from ..wishes import define

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_STEP: Final = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*(:path)?\}")
_NAMES: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A function that answers requests at a path. It is data: nothing listens before a server is given the agent.

    Args:
        path: below the agent's own: ``/orders/{number}``. What stands in braces is given to the function by that name;
            ``{rest:path}`` at the end takes all that follows.
        function: what answers; it may be async. Its docstring says what for.
        methods: of HTTP, in capitals.
        scope: who may ask, as one scope or several, of which one suffices; see `Agent`.
        price: US dollars of an answer; see `pricing`.

    Raises:
        DefinitionError: the path, a method or the scope is none, or the function cannot be called.
    """

    path: str
    function: Callable[..., Any]
    methods: Sequence[str] = ("GET",)
    scope: Scopes = ALL
    price: Decimal | None = None

    def __post_init__(self) -> None:
        define("a route", path=(self.path, NAME))
        whose = f"route {self.path:.80}"
        define(whose, function=(self.function, FUNCTION), methods=(self.methods, several(NAME)))
        steps = self.path.split("/")
        if steps[0] or (self.path != "/" and not all(map(_STEP.fullmatch, steps[1:]))):
            raise DefinitionError(f"{whose}: a path is written as in /orders/{{number}}, of letters, digits, . _ ~ -")
        if any(step.endswith(":path}") for step in steps[:-1]):
            raise DefinitionError(f"{whose}: what takes all that follows stands at the end")
        if self.price is not None and isasyncgenfunction(self.function):
            raise DefinitionError(f"{whose}: a stream has no price: nobody could take it back")
        names = _NAMES.findall(self.path)
        if len(set(names)) < len(names):
            raise DefinitionError(f"{whose}: two of its parts have one name")
        wrong = [method for method in self.methods if method not in METHODS]
        if wrong or not self.methods:
            raise DefinitionError(f"{whose}: methods are some of {', '.join(METHODS)}, not {list(self.methods)!r:.80}")
        object.__setattr__(self, "methods", tuple(dict.fromkeys(self.methods)))
        object.__setattr__(self, "scope", as_scopes(self.scope, whose, DefinitionError))

    @property
    def description(self) -> str:
        """What it is for: the first line of the function's docstring."""
        return (getattr(self.function, "__doc__", None) or "").strip().partition("\n")[0]


def http(path: str, *methods: str, scope: Scopes = ALL) -> Callable[[Callable[..., Any]], HttpRoute]:
    """Make a function an `HttpRoute`: ``@http("/orders/{number}")``, ``@http("/orders", "POST")``.

    Args:
        path, scope: see `HttpRoute`.
        methods: of HTTP; ``GET`` where none is said.

    Raises:
        DefinitionError: as `HttpRoute`.
    """
    return lambda function: HttpRoute(path, function, methods or ("GET",), scope)
