"""The paths of what can be done."""

from __future__ import annotations

from typing import Final

from ..board import Endpoint
from .actors import act_on_actor
from .log import audit
from .pools import act_on_provider, list_budgets, raise_budget
from .runs import cancel_run, drain_process

ACTING: Final[list[tuple[str, Endpoint, str]]] = [
    ("/api/audit", audit, "GET"),
    ("/api/actors/{action}", act_on_actor, "POST"),
    ("/api/runs/{run}/cancel", cancel_run, "POST"),
    ("/api/drain", drain_process, "POST"),
    ("/api/providers/{action}", act_on_provider, "POST"),
    ("/api/budgets", list_budgets, "GET"),
    ("/api/budgets/{budget}", raise_budget, "POST"),
]
"""Each path, what answers there, and the method."""
