"""What the endpoint and what it hands requests to have in common. Needs no package."""

from __future__ import annotations

from typing import Final

CALLER: Final = "callboard.caller"
"""Where in a request's scope stands who asks."""

CARD: Final = "/.well-known/agent-card.json"
OLD_CARD: Final = "/.well-known/agent.json"
"""Where clients of before 0.3 look."""
