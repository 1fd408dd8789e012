"""Who asks: the value that a run carries, and that approvals, budgets and conversations keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a run.

    Args:
        user: the person, or the service; empty where nobody is named.
        tenant: the customer the user belongs to.
        scopes: what the user may do, as names of the application's own.

    Raises:
        DefinitionError: something is no text.
    """

    user: str = ""
    tenant: str = ""
    scopes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.user, str) or not isinstance(self.tenant, str):
            raise DefinitionError(
                f"a caller's user and tenant are texts, not {self.user!r:.80} and {self.tenant!r:.80}"
            )
        scopes: object = self.scopes
        given = tuple(scopes) if isinstance(scopes, Iterable) and not isinstance(scopes, str) else (None,)
        if not all(isinstance(scope, str) for scope in given):
            raise DefinitionError(f"a caller's scopes are a set of texts, not {scopes!r:.80}")
        if type(scopes) is not frozenset:
            object.__setattr__(self, "scopes", frozenset(given))

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope."""
        return scope in self.scopes


NOBODY = Caller()
