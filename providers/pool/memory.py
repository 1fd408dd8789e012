"""What the pool must not forget while it is restarted, because vendors and callers do not. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .accounts.budgets import Budgets
from .accounts.ledger import Ledger
from .accounts.stats import EndpointCounts, PoolCounts
from .admission.limiter import Limiter, Quota, Rule
from .control import SwitchProvider
from .dispatch.endpoint import Endpoint, vendor_account
from .sharing.participant import Participant


@dataclass(slots=True)
class ModelMemory:
    """What vendors go on counting for one model."""

    limiter: Limiter
    counts: EndpointCounts = field(default_factory=EndpointCounts)


@dataclass(slots=True)
class Memory:
    """What vendors go on counting, and callers to rely on, while the pool is restarted. It lies in its child spec."""

    endpoints: tuple[Endpoint, ...] | None = None
    """Those that there are, with what was changed since the pool began; None before."""
    drained: set[str] = field(default_factory=set)
    """The endpoints to which nothing is sent until they are resumed."""
    accounts: dict[str, tuple[object, ...]] = field(default_factory=dict, repr=False)  # it may hold keys
    """The account with its vendor that an endpoint's calls go to."""
    limiters: dict[str, Limiter] = field(default_factory=dict)
    models: dict[str, dict[str, ModelMemory]] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=Budgets)
    ledger: Ledger = field(default_factory=Ledger)
    counts: PoolCounts = field(default_factory=PoolCounts)
    switches: dict[str, SwitchProvider] = field(default_factory=dict)
    forgotten: dict[str, EndpointCounts] = field(default_factory=dict)
    """What was counted for models of which nothing is remembered any more, by endpoint."""

    participant: Participant = field(default_factory=Participant)
    """Its part in limits that other processes have, too."""
    on_limits: Callable[[], None] | None = None
    """Called when there are other limits; where it is None, they are not shared."""
    on_learned: Callable[[], None] | None = None
    """Called when a limit was learned that nobody configured, where limits are shared."""

    def meet(self, endpoint: Endpoint) -> None:
        """Calls go out as an endpoint says from now on: what its vendor has stated of another account is forgotten."""
        name, account = endpoint.name, vendor_account(endpoint)
        if self.accounts.setdefault(name, account) != account:
            self.accounts[name] = account
            models = [each.limiter for each in self.models.get(name, {}).values()]
            for limiter in (*models, *([self.limiters[name]] if name in self.limiters else [])):
                limiter.forget()

    def limiter(self, endpoint: str, limits: Quota, rule: Rule, now: float, own_places: bool = False) -> Limiter:
        """Return what all models of an endpoint share; where its limits have changed, with what was sent before."""
        found = self.limiters.get(endpoint)
        if found is None:
            found = self.limiters[endpoint] = Limiter(limits, rule)
        elif not found.change(limits, rule, now) and own_places == found.own_places:
            return found
        found.own_places = own_places
        self._share(found)
        return found

    def model(self, endpoint: str, model: str, limits: Quota, rule: Rule, now: float) -> ModelMemory:
        """Return what is remembered of a model; its limiter as that of an endpoint."""
        models = self.models.setdefault(endpoint, {})
        found = models.get(model)
        if found is None:
            found = models[model] = ModelMemory(Limiter(limits, rule))
        elif not found.limiter.change(limits, rule, now):
            return found
        self._share(found.limiter)
        return found

    def _share(self, limiter: Limiter) -> None:
        limiter.on_learned = self.on_learned
        if self.on_limits is not None:
            if limiter.shared():
                limiter.close()
            self.on_limits()

    def forget(self, endpoint: str, model: str) -> None:
        """Remember nothing more of a model but its counts."""
        found = self.models[endpoint].pop(model, None)
        if found is not None:
            self.forgotten[endpoint] = self.forgotten.get(endpoint, EndpointCounts()) + found.counts

    def counted(self, endpoint: str) -> EndpointCounts:
        """Return the counts of an endpoint, all its models together."""
        models = self.models.get(endpoint, {}).values()
        return sum((each.counts for each in models), self.forgotten.get(endpoint, EndpointCounts()))
