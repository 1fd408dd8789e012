"""The paths of the agency's own endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from ..server import Server
from ..webhooks import Deliveries
from .agency_health import agency_health
from .approvals import approve, deny, list_approvals
from .conversations import (
    delete_conversation,
    fork_conversation,
    get_conversation,
    list_conversations,
    rewind_conversation,
    steer_conversation,
)
from .events import append_events, follow_events, read_events
from .health import healthz, readyz
from .metrics import metrics
from .runs import cancel_run, get_run, list_runs, run_events, start_run

Operation: TypeAlias = tuple[str, Callable[[Server, Request], Awaitable[Response]], str]
"""A path, what answers there, and the method."""

_STREAM = "/agency/events/{stream:path}"
_RUN = "/agency/runs/{run}"
_APPROVAL = "/agency/approvals/{approval}"
_CONVERSATION = "/agency/conversations/{agent}/{conversation}"


def operations(deliveries: Deliveries | None) -> list[Operation]:
    """The endpoints that watch over an agency, and those for its runs, approvals and conversations.

    Args:
        deliveries: tells webhooks of the end of runs; None where there are none.
    """
    return [
        ("/healthz", healthz, "GET"),
        ("/readyz", readyz, "GET"),
        ("/metrics", metrics, "GET"),
        ("/agency/health", agency_health, "GET"),
        ("/agency/runs", partial(start_run, deliveries=deliveries), "POST"),
        ("/agency/runs", list_runs, "GET"),
        (_RUN, get_run, "GET"),
        (f"{_RUN}/events", run_events, "GET"),
        (f"{_RUN}/cancel", cancel_run, "POST"),
        ("/agency/approvals", list_approvals, "GET"),
        (f"{_APPROVAL}/approve", approve, "POST"),
        (f"{_APPROVAL}/deny", deny, "POST"),
        ("/agency/conversations", list_conversations, "GET"),
        ("/agency/events", follow_events, "GET"),
        (_STREAM, read_events, "GET"),
        (_STREAM, append_events, "POST"),
        (_CONVERSATION, get_conversation, "GET"),
        (_CONVERSATION, delete_conversation, "DELETE"),
        (f"{_CONVERSATION}/fork", fork_conversation, "POST"),
        (f"{_CONVERSATION}/rewind", rewind_conversation, "POST"),
        (f"{_CONVERSATION}/steer", steer_conversation, "POST"),
    ]
