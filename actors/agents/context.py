"""The request context: what a tool, a hook or another actor may know of the run it works for.

It travels in the baggage of the actor core's send context, so it crosses mailboxes: an actor that a tool asks sees the
same context as the tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...providers.messages import Usage
from ..core.base.send_context import active
from ..core.refs.ref import ActorRef
from .caller import Caller

KEY = "callboard.request"
MODEL = "callboard.model"
"""Under this key of the baggage stands the actor that answers the agency's requests."""


class UsageRecord(NamedTuple):
    """What one completion used."""

    agent: str
    model: str
    provider: str
    usage: Usage
    cost: float | None


class RequestContext(NamedTuple):
    """Who is asking for what.

    Args:
        request: the id of the run the caller started.
        run: the id of the run this is part of.
        agent: the agent at work.
        conversation: its conversation's id.
        chain: the agents from the first asked to this one.
        caller: who asks.
        metadata: what else the caller passed along.
        usage: a record of each completion of this run so far.
    """

    request: str
    run: str
    agent: str
    conversation: str
    chain: tuple[str, ...]
    caller: Caller
    metadata: Mapping[str, Any]
    usage: list[UsageRecord]

    @property
    def user(self) -> str:
        """Whom the request is for, as the caller said."""
        return self.caller.user


def request_context() -> RequestContext | None:
    """The context of the run that this code works for, or None outside of one."""
    sent = active.get()
    context = sent.baggage.get(KEY) if sent is not None else None
    return context if isinstance(context, RequestContext) else None


def model_at_work() -> ActorRef[Any] | None:
    """The actor that answers requests in the agency that this code works for, or None outside of one."""
    sent = active.get()
    return sent.baggage.get(MODEL) if sent is not None else None
