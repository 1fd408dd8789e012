"""Whom a command is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.base.errors import CallboardError

if TYPE_CHECKING:
    from ...agents.caller import Caller


class TenantWithoutUser(CallboardError):
    """A tenant is named, and nobody who belongs to it."""


def caller_of(user: str | None, tenant: str) -> Caller | None:
    """Whom a command is for; None for nobody named.

    Raises:
        TenantWithoutUser: only a tenant is named.
    """
    from ...agents.caller import Caller

    if user is None and tenant:
        raise TenantWithoutUser("--tenant says whose --user it is; give both")
    return None if user is None else Caller(user, tenant)
