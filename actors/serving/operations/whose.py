"""Lists: whose things a caller sees, and how many at once."""

from __future__ import annotations

from typing import Final

from ....tools.scopes import ADMIN
from ...agents.caller import CONVERSATIONS, Caller
from ..problems import refuse
from .problem_json import Fields

PAGE: Final = 100
MOST: Final = 1_000
"""Things of one answer."""


def sees_all(caller: Caller) -> bool:
    """Whether a caller sees all of the tenant."""
    return caller.may(CONVERSATIONS) or caller.may(ADMIN)


def page_size(query: Fields) -> int:
    """How many a query asks for.

    Raises:
        Refused: too many, or none.
    """
    limit: int = query.number("limit", PAGE)
    if not 1 <= limit <= MOST:
        raise refuse(400, "invalid_field", f"limit is a number from 1 to {MOST}, not {limit}", "limit")
    return limit
