"""Who asks: the value that a run carries, and that approvals, budgets and conversations keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ...tools.scopes import ADMIN, OWNER
from .errors import DefinitionError

CONVERSATIONS: Final = "conversations"
"""The scope of a caller who may go on with conversations that others of the same tenant began."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a run.

    Args:
        user: the person, or the service; empty where nobody is named.
        tenant: the customer the user belongs to.
        scopes: what the user may do: names of the application's own, and ``admin`` for everything. ``owner`` makes
            the caller an owner of every agent.
        key: the name of the key by which the user asks, for budgets of it; never the key itself. It says nothing of who
            asks: one user is the same by whichever key (`is_same`).

    Raises:
        DefinitionError: something is no text.
    """

    user: str = ""
    tenant: str = ""
    scopes: frozenset[str] = frozenset()
    key: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.user, str) or not isinstance(self.tenant, str):
            raise DefinitionError(
                f"a caller's user and tenant are texts, not {self.user!r:.80} and {self.tenant!r:.80}"
            )
        if not isinstance(self.key, str):
            raise DefinitionError(f"the name of a caller's key is a text, not {type(self.key).__name__}")
        scopes: object = self.scopes
        given = tuple(scopes) if isinstance(scopes, Iterable) and not isinstance(scopes, str) else (None,)
        if not all(isinstance(scope, str) for scope in given):
            raise DefinitionError(f"a caller's scopes are a set of texts, not {scopes!r:.80}")
        if type(scopes) is not frozenset:
            object.__setattr__(self, "scopes", frozenset(given))

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope."""
        return scope in self.scopes

    def is_same(self, other: Caller) -> bool:
        """Whether both are one user: of the same name in the same tenant. Nobody is the same as nobody."""
        return self.user != "" and self.user == other.user and self.tenant == other.tenant

    def holds(self, owner: Caller | None) -> frozenset[str]:
        """The scopes that count for the things of an agent: those given, and ``owner`` where the agent is the caller's.

        Args:
            owner: the agent's.
        """
        return self.scopes if owner is None or not self.is_same(owner) else self.scopes | {OWNER}

    def may_go_on_with(self, owner: Caller) -> bool:
        """Whether the caller may go on with a conversation, or learn the outcome of a run.

        Args:
            owner: who began it. What belongs to a tenant and no user is open to all of the tenant, and what belongs to
                nobody to everybody; another tenant's is to nobody.
        """
        if self.tenant != owner.tenant:
            return not owner.tenant and not owner.user
        return not owner.user or self.user == owner.user or self.may(CONVERSATIONS) or self.may(ADMIN)


NOBODY = Caller()


def as_owner(given: object, agent: str) -> Caller | None:
    """The owner of an agent, given as a caller, a user's name, or a mapping with ``user`` and ``tenant``.

    Raises:
        DefinitionError: it is something else, or names no user.
    """
    if given is None:
        return None
    owner: object = given
    if isinstance(given, str):
        owner = Caller(given)
    elif isinstance(given, Mapping) and given.keys() <= {"user", "tenant"}:  # as a file has it
        owner = Caller(**given)
    if not isinstance(owner, Caller) or not owner.user:
        raise DefinitionError(f"agent {agent}: the owner is a user's name, or a Caller with one, not {given!r:.80}")
    return owner
