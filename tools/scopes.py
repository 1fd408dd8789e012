"""Who may use what: the scopes that things carry and callers hold, and the one rule that compares them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

Scopes: TypeAlias = str | Collection[str]
"""A scope, or several of which any one suffices, as they are given."""

ALL: Final = "all"
"""Of what everybody may use."""

OWNER: Final = "owner"
"""Held by an agent's owner, besides those who are given it."""

ADMIN: Final = "admin"
"""Who holds it may use everything."""

EVERYBODY: Final = frozenset({ALL})


def as_scopes(given: object, whose: str, error: type[ValueError]) -> frozenset[str]:
    """One scope or several as a set.

    Args:
        given: a text, or a collection of texts.
        whose: for the error.
        error: what is raised where they are something else: no texts, empty ones, or none at all.
    """
    if given == ALL or given is EVERYBODY:
        return EVERYBODY  # one for all things
    scopes = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (None,)
    if not scopes or not all(isinstance(scope, str) and scope.strip() for scope in scopes):
        raise error(f"{whose}: scope is a text, or several of which one suffices ('all' for everybody), not {given!r}")
    return frozenset(scopes)


def may_use(held: Collection[str], scopes: frozenset[str]) -> bool:
    """Whether one who holds some scopes may use what carries others.

    Args:
        held: the caller's, with `OWNER` where the caller owns the agent that has the thing.
        scopes: the thing's.
    """
    return ALL in scopes or ADMIN in held or not scopes.isdisjoint(held)
