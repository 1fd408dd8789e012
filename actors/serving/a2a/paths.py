"""What the endpoint and what it hands requests to have in common. Needs no package."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..problems import Problem

CALLER: Final = "callboard.caller"
"""Where in a request's scope stands who asks."""

TOLD: Final = "callboard.a2a.told"
"""Where in it stands the `Told` of its answer."""

CARD: Final = "/.well-known/agent-card.json"
OLD_CARD: Final = "/.well-known/agent.json"
"""Where clients of before 0.3 look."""


@dataclass(slots=True)
class Told:
    """What an answer is by HTTP, where the SDK does not know that; and what was asked, where it leaves out what it does
    not know.

    Args:
        asked: the body of the request.
        problem: what it is in place of an answer.
        headers: that it has besides.
        ids: of the events of a stream that are still to be sent, in their order; empty for one that has none.
    """

    asked: Mapping[str, Any]
    problem: Problem | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ids: deque[str] = field(default_factory=deque)
