"""What a budget is: a limit on money, tokens or requests of somebody, in some time; and what is said of one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, get_args

from ....actors.core.base.errors import SpecError
from ... import checks
from .cost import Price
from .periods import PERIODS, Period
from .stats import Measure

BudgetScope: TypeAlias = Literal["pool", "provider", "model", "agent", "key", "user", "tenant", "caller_key"]
COUNTED: tuple[Literal["tokens", "requests"], ...] = ("tokens", "requests")
"""What is counted besides dollars, where a budget limits it; under ``tokens:`` before the account's name."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on spending.

    Args:
        scope: what is limited: the whole pool, one provider (endpoint), model, agent, key of a provider, user, tenant,
            or key by which users ask (``caller_key``).
        name: which one; empty for ``pool``. A model has the name under which its endpoint knows it, aliases resolved; a
            user who belongs to a tenant is ``tenant/user``; in the names themselves ``/`` is ``%2F`` and ``%`` is
            ``%25``, and somebody called ``*`` is ``%2A``. ``*`` stands for each one that has no budget of its own.
        dollars: US dollars; nothing is sent that would take more than what is left, with what is promised to requests
            in flight taken off. Infinite by default.
        period: the minute, hour, day or month, by the calendar in UTC, that it is for; None: for ever.
        unpriced: what to count for models whose price nobody knows. With None they are refused where dollars are
            limited; `FREE` lets them pass.
        tokens: input and output tokens, likewise; None for any number. They are counted while there is such a budget.
        requests: calls to providers that were answered, or charged for, likewise.

    Raises:
        ValueError: something of it is wrong.
    """

    scope: BudgetScope
    name: str = ""
    dollars: float = math.inf
    period: Period | None = None
    unpriced: Price | None = None
    tokens: int | None = field(default=None, kw_only=True)
    requests: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"a budget's name is a text, not {self.name!r}")
        if self.scope not in get_args(BudgetScope):
            raise ValueError(f"a budget's scope is one of {', '.join(get_args(BudgetScope))}, not {self.scope!r}")
        if bool(self.name) == (self.scope == "pool"):
            wish = "is the whole pool's, and has no name" if self.name else "needs a name, or '*' for each"
            raise ValueError(f"the budget {self.scope}:{self.name} {wish}")
        if self.period is not None and self.period not in PERIODS:
            raise ValueError(f"a budget's period is one of {', '.join(PERIODS)}, or None, not {self.period!r}")
        if not checks.AMOUNT.fits(self.dollars) and self.dollars != math.inf:
            raise ValueError(f"a budget's dollars are a number, not below 0, not {self.dollars!r}")
        if self.unpriced is not None and not isinstance(self.unpriced, Price):
            raise ValueError(f"a budget's unpriced is a Price (FREE lets them pass) or None, not {self.unpriced!r}")
        for measure in COUNTED:
            count = getattr(self, measure)
            if count is not None and not (checks.is_whole(count) and count >= 0):
                raise ValueError(f"a budget's {measure} are a whole number, not below 0, or None, not {count!r}")

    @property
    def account(self) -> str:
        """What it limits, as in `PoolStats.spent`: ``agent:planner``."""
        return f"{self.scope}:{self.name}"

    @property
    def limits(self) -> Mapping[Measure, float]:
        """What it limits to how much."""
        counts: dict[Measure, float] = {
            measure: count for measure in COUNTED if (count := getattr(self, measure)) is not None
        }
        return counts if counts and self.dollars == math.inf else {"dollars": self.dollars, **counts}


def check_budgets(budgets: Sequence[Budget], accounts: Iterable[str]) -> None:
    """Look whether each budget limits something, and no other budget the same.

    Args:
        budgets: they.
        accounts: of the endpoints that there are, and of their keys.

    Raises:
        SpecError: one is of a provider or a key that no endpoint has, or two are of one account and period.
    """
    known = set(accounts)
    seen: set[tuple[str, Period | None]] = set()
    for budget in budgets:
        account = budget.account
        if (account, budget.period) in seen:
            raise SpecError(f"there are two of {named_budget(account, budget)}: which of them counts?")
        seen.add((account, budget.period))
        if budget.scope in ("provider", "key") and budget.name != "*" and account not in known:
            start = f"{budget.scope}:"
            there = ", ".join(sorted(each.removeprefix(start) for each in known if each.startswith(start))) or "none"
            raise SpecError(f"{named_budget(account, budget)} limits nothing: in this pool there are {there}")


class Exhausted(NamedTuple):
    """Why nothing more is to be had, and until when.

    Args:
        why: which budget is spent.
        retry_at: when there is more, in seconds since 1970; None for never.
        retry_after: seconds until then; None for never.
    """

    why: str
    retry_at: float | None
    retry_after: float | None


def named_budget(account: str, budget: Budget) -> str:
    scope, _, name = account.partition(":")
    within = f" for {'an' if budget.period == 'hour' else 'a'} {budget.period}" if budget.period else ""
    return f"the budget of {f'{scope} {name}'.strip()}{within}"


def counted_as(measure: Measure, account: str) -> str:
    return account if measure == "dollars" else f"{measure}:{account}"


def is_count(name: str) -> bool:
    """Whether a name is one under which tokens or requests are counted; no budget's scope is called so."""
    return name.startswith(("tokens:", "requests:"))


def account_of(name: str) -> str:
    """The account under whose name, or names, something is counted."""
    return name.partition(":")[2] if is_count(name) else name


def spent_up(account: str, budget: Budget, measure: Measure, spent: float) -> str:
    """What is said of a budget that has nothing left."""
    return f"{named_budget(account, budget)} is spent: {_of(spent, budget, measure)}"


def refused(account: str, budget: Budget, measure: Measure, spent: float, promised: float, amount: float) -> str:
    """What is said of a budget that a request is refused for."""
    if spent + promised >= budget.limits[measure]:
        what = spent_up(account, budget, measure, spent)
    else:
        what = (
            f"{named_budget(account, budget)} is too small for this request, which may take {_said(amount, measure)}: "
            f"{_of(spent, budget, measure)} spent"
        )
    return f"{what} ({_said(promised, measure)} promised to requests in flight)"


def _of(spent: float, budget: Budget, measure: Measure) -> str:
    limit = _said(budget.limits[measure], measure)
    return f"{_number(spent)} of {limit}" if measure != "dollars" else f"{_said(spent, measure)} of {limit}"


def _said(amount: float, measure: Measure) -> str:
    return f"${amount:.4f}" if measure == "dollars" else f"{_number(amount)} {measure}"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.1f}"  # several may share one
