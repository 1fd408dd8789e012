"""One request while the pool works on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ....actors.observe.spans import Place
from ... import checks
from ...embeddings import Asked, EmbeddingRequest
from ...errors import BudgetSpent
from ..accounts.budgets import Reservation
from ..admission.gate import Gate, Grant
from ..admission.limiter import ONE_REQUEST, Need, need
from ..admission.retry import RetryPolicy
from .plan import Plan

_STAR = "%2A"
"""Somebody who is called ``*``, which stands for each."""


def _escaped(name: str) -> str:
    """Return a user's or a tenant's name without the slash that stands between them, so that nobody's name is that of
    another tenant's user."""
    return name.replace("%", "%25").replace("/", "%2F") if "/" in name or "%" in name else name


@dataclass(frozen=True, slots=True)
class Requester:
    """On whose behalf a request is made.

    Args:
        agent: an agent's name, for budgets and statistics.
        conversation: an identifier of the conversation, for `SwitchProvider`.
        priority: higher is served earlier; 0 is normal. One step weighs as much as ten seconds of waiting.
        endpoint: the one endpoint, or group, to use; empty for any.
        user, tenant: for whom, for budgets and statistics.
        batch: it may wait for the pool's batch window and go out together with others, at a batch's price.
        caller_key: the name of the key by which the user asked, where there is one; no provider's.
    """

    agent: str = ""
    conversation: str = ""
    priority: int = 0
    endpoint: str = ""
    user: str = ""
    tenant: str = ""
    batch: bool = False
    caller_key: str = ""

    def __post_init__(self) -> None:
        if type(self.priority) is not int:  # one that is no number would break the order of all that wait
            checks.hold(self, priority=checks.WHOLE)

    def accounts(self) -> list[str]:
        """Return the budget accounts of those it is for."""
        accounts = [f"agent:{self.agent}"] if self.agent else []
        tenant, user = self.tenant, self.user
        if tenant:
            accounts.append(f"tenant:{_STAR if tenant == '*' else tenant}")
        if user:
            user = _STAR if user == "*" else _escaped(user)
            accounts.append(f"user:{_escaped(tenant)}/{user}" if tenant else f"user:{user}")
        if self.caller_key:
            accounts.append(f"caller_key:{_STAR if self.caller_key == '*' else self.caller_key}")
        return accounts


ANYONE = Requester()


class Job:
    """A request, how far it is, and what went wrong so far."""

    __slots__ = (
        "attempts",
        "avoid",
        "began",
        "causes",
        "deadline",
        "epoch",
        "excluded",
        "input_tokens",
        "key",
        "limit",
        "only",
        "paid",
        "patience",
        "ping",
        "place",
        "plan",
        "promised",
        "quote",
        "refuse",
        "request",
        "requesters",
        "rounds",
        "tokens",
        "wanted",
    )

    def __init__(
        self,
        request: Asked,
        plan: Plan,
        requester: Requester,
        *,
        began: float,
        limit: float,
        key: tuple[float, int],
    ) -> None:
        self.request = request
        self.plan = plan
        self.requesters = [requester]
        """On whose behalf it is made: several, where equal requests share it."""
        self.began = began
        """Since when it waits: since it came, or since its last attempt ended, where that gives it a fresh wait."""
        self.limit = limit
        self.patience: float | None = None
        """Seconds it may wait for each attempt; None where a deadline bounds all of it."""
        self.key = key
        self.input_tokens = 0
        self.tokens = 0.0
        self.attempts = 0
        self.deadline: float | None = None
        self.epoch = 0
        self.rounds = 0  # retries after which every endpoint had been tried
        self.avoid: tuple[Gate, ...] = ()
        self.excluded: tuple[Gate, ...] = ()
        self.causes: dict[str, BaseException] = {}
        self.wanted: frozenset[str] = frozenset()
        self.only = requester.endpoint
        self.quote: Any = None
        """What a call may take, as it was asked for last; see `charges`."""
        self.promised: list[Reservation] = []
        """What it, or those who joined it, were promised before it is sent; with its call it is promised anew."""
        self.ping = False
        """Whether it is a probe, which the model may refuse for what it asks."""
        self.refuse: Callable[[int, BudgetSpent], None] | None = None
        """Where several may share it: takes one of those on whose behalf it is made off, who hears why."""
        self.place: Place | None = None
        """Where it was asked, if anybody traces that."""
        self.paid = False
        """Whether its price is promised already, so that no budget need be asked before it is sent."""

    def accounts(self) -> dict[str, float]:
        """Return the budget accounts of those who share the call, with the share of its price that each pays."""
        requesters = self.requesters
        shares = {"pool:": 1.0}
        share = 1.0 / len(requesters)
        for requester in requesters:
            for account in requester.accounts():
                shares[account] = shares.get(account, 0.0) + share
        return shares

    def part(self, joining: Requester) -> dict[str, float]:
        """Return the accounts of one more who would share the call, with what they would pay."""
        return dict.fromkeys(joining.accounts(), 1.0 / (len(self.requesters) + 1))

    def allowed(self, policy: RetryPolicy) -> int:
        """Return how often it may be sent: what it says itself, or else an endpoint's policy."""
        retries = None if isinstance(self.request, EmbeddingRequest) else self.request.max_retries
        return policy.attempts if retries is None else retries + 1

    @property
    def need(self) -> Need:
        """What it is expected to take of the limits."""
        return need(self.input_tokens, self.tokens - self.input_tokens) if self.tokens else ONE_REQUEST

    def failed(self, grant: Grant, error: BaseException) -> None:
        """Note why an attempt came to nothing."""
        self.causes[self.plan.tiers[grant.tier].cause_of(grant.gate)] = error
