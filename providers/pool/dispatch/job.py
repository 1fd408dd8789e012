"""One request while the pool works on it."""

from __future__ import annotations

from dataclasses import dataclass

from ...embeddings import Asked
from ..admission.gate import Gate, Grant
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Requester:
    """On whose behalf a request is made.

    Args:
        agent: an agent's name, for budgets and statistics.
        conversation: an identifier of the conversation, for `SwitchProvider`.
        priority: higher is served earlier; 0 is normal. One step weighs as much as ten seconds of waiting.
        endpoint: the one endpoint to use; empty for any.
    """

    agent: str = ""
    conversation: str = ""
    priority: int = 0
    endpoint: str = ""

    def accounts(self, model: str) -> tuple[str, ...]:
        """Return the budget accounts of a request, not counting those of the endpoint that will answer."""
        accounts = ["pool:"]
        if model:
            accounts.append(f"model:{model}")
        if self.agent:
            accounts.append(f"agent:{self.agent}")
        return tuple(accounts)


ANYONE = Requester()


class Job:
    """A request, how far it is, and what went wrong so far."""

    __slots__ = (
        "accounts",
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
        "plan",
        "request",
        "rounds",
        "tokens",
        "wanted",
    )

    def __init__(
        self,
        request: Asked,
        plan: Plan,
        accounts: tuple[str, ...],
        *,
        began: float,
        limit: float,
        key: tuple[float, int],
    ) -> None:
        self.request = request
        self.plan = plan
        self.accounts = accounts
        self.began = began
        self.limit = limit
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
        self.only = ""

    def failed(self, grant: Grant, error: BaseException) -> None:
        """Note why an attempt came to nothing."""
        self.causes[self.plan.tiers[grant.tier].cause_of(grant.gate)] = error
