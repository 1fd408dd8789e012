"""Budgets: what may be spent by whom, on what, and in which time. Pure, but for the wall clock that it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ....actors.core.base.errors import SpecError
from ... import checks
from ...errors import BudgetSpent, UnpricedModel
from ...messages import Usage
from .cost import Price
from .periods import PERIODS, Period, Spending
from .stats import BudgetStats

BudgetScope: TypeAlias = Literal["pool", "provider", "model", "agent", "key", "user", "tenant"]
_NO_USAGE = Usage()
_ROUNDING = 1.0 + 1e-9
_NO_DOLLARS = 1e-12
"""What adding and taking off may leave of nothing."""
_MANY = ("user", "tenant")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on spending.

    Args:
        scope: what is limited: the whole pool, one provider (endpoint), model, agent, key, user or tenant.
        name: which one; empty for ``pool``. A model has the name under which its endpoint knows it, aliases resolved; a
            user who belongs to a tenant is ``tenant/user``; in the names themselves ``/`` is ``%2F`` and ``%`` is
            ``%25``, and somebody called ``*`` is ``%2A``. ``*`` stands for each one that has no budget of its own.
        dollars: US dollars; nothing is sent that would take more than what is left, with what is promised to requests
            in flight taken off.
        period: the hour, day or month, by the calendar in UTC, that the dollars are for; None: for ever.
        unpriced: what to count for models whose price nobody knows. With None they are refused; `FREE` lets them pass.

    Raises:
        ValueError: something of it is wrong.
    """

    scope: BudgetScope
    name: str
    dollars: float
    period: Period | None = None
    unpriced: Price | None = None

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

    @property
    def account(self) -> str:
        """What it limits, as in `PoolStats.spent`: ``agent:planner``."""
        return f"{self.scope}:{self.name}"


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
            raise SpecError(f"there are two of {_named(account, budget)}: which of them counts?")
        seen.add((account, budget.period))
        if budget.scope in ("provider", "key") and budget.name != "*" and account not in known:
            start = f"{budget.scope}:"
            there = ", ".join(sorted(each.removeprefix(start) for each in known if each.startswith(start))) or "none"
            raise SpecError(f"{_named(account, budget)} limits nothing: in this pool there are {there}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call is expected to take.

    Args:
        model, provider: which, and where, for errors.
        dollars: US dollars; None where nobody knows the price.
        usage: tokens.
    """

    model: str = ""
    provider: str = ""
    dollars: float | None = 0.0
    usage: Usage = _NO_USAGE


_NOTHING = Estimate()


class Reservation:
    """What a request in flight is expected to cost, by account. Ends exactly once, in `Budgets.release`."""

    __slots__ = ("amounts", "ended")

    def __init__(self, amounts: dict[str, float]) -> None:
        self.amounts = amounts
        self.ended = False


class Budgets:
    """Books what was spent by account (``agent:planner``) and refuses what would go over a budget.

    Where accounts are asked for, they come with the share of the price that each pays: 1 unless several share a call.

    Args:
        budgets: the limits; accounts without one are only booked.
        clock: seconds since 1970.
    """

    def __init__(self, budgets: Iterable[Budget] = (), clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.spending = Spending(self.lasts)
        self.unsaved: dict[str, float] = {}
        """What was booked here and is not kept anywhere yet, by account; see `keeping`."""
        self.kept = False
        """Whether it is kept at all."""
        self.sending: dict[str, Any] | None = None
        """The event with what was booked before, while it is not known to be kept."""
        self.on_change: Callable[[], None] | None = None
        """Called when something was booked, or a budget was asked."""
        self.version = 0
        """Grows with all that leaves less: what was allowed is still, while it has not."""
        self._limits: dict[str, dict[Period | None, Budget]] = {}
        self._stars = False
        self._reserved: dict[str, float] = {}
        for budget in budgets:
            self.set(budget)

    def set(self, budget: Budget) -> float:
        """Set a budget, or replace that of the same account and period. Return what was spent of it so far."""
        self._limits.setdefault(budget.account, {})[budget.period] = budget
        self._stars |= budget.name == "*"
        self.version += 1
        return self.spending.within(budget.account, budget.period, self.clock())

    @property
    def limited(self) -> bool:
        """Whether there is any budget at all."""
        return bool(self._limits)

    @property
    def spent(self) -> Mapping[str, float]:
        """US dollars by account."""
        return self.spending.total

    def stats(self) -> tuple[BudgetStats, ...]:
        """Return how each budget stands, by account and period."""
        now = self.clock()
        own = {account for account in self._limits if not account.endswith(":*")}
        spent = self.spent.keys() if self._stars else ()
        stats = []
        for account in sorted(own.union(spent, self._reserved)):
            promised = self._reserved.get(account, 0.0)
            for period, budget in self._on(account).items():
                dollars = self.spending.within(account, period, now)
                left = max(0.0, budget.dollars - dollars - promised)
                stats.append(BudgetStats(account, period, budget.dollars, dollars, promised, left))
        return tuple(stats)

    def lasts(self, account: str) -> bool:
        """Return whether what an account has spent counts for longer than a month. That of users and tenants, whose
        number grows, only does where they have a budget of their own, or each has one for ever."""
        scope = account.partition(":")[0]
        return scope not in _MANY or account in self._limits or None in self._limits.get(f"{scope}:*", _NONE)

    def check(self, accounts: Mapping[str, float], estimate: Estimate = _NOTHING) -> None:
        """Raise if a budget of the accounts has nothing left, or less than is expected to be taken.

        Raises:
            BudgetSpent: with the account, what it had and what it spent.
            UnpricedModel: nobody knows what it takes, and a budget does not say what then.
        """
        if self.on_change is not None:
            self.on_change()
        now = self.clock()
        for account, share in accounts.items():
            limits = self._on(account)
            if not limits:
                continue
            promised = self._reserved.get(account, 0.0)
            amount = share * _amount(limits, estimate.dollars, estimate.usage)
            for budget in limits.values():
                if estimate.dollars is None and budget.unpriced is None:
                    raise UnpricedModel(
                        f"nobody knows the price of model {estimate.model!r} of {estimate.provider}, "
                        f"so {_named(account, budget)} cannot be held: "
                        "give the pool or the endpoint a price, or the budget one for unpriced models (unpriced=FREE "
                        "lets them pass)"
                    )
                spent = self.spending.within(account, budget.period, now)
                if spent + promised >= budget.dollars or spent + promised + amount > budget.dollars * _ROUNDING:
                    raise BudgetSpent(_refused(account, budget, spent, promised, amount))

    def reserve(self, accounts: Mapping[str, float], estimate: Estimate) -> Reservation:
        """Promise what a call is expected to take, so that many at once cannot go over together."""
        dollars = estimate.dollars
        amounts = {
            account: share * (_amount(self._on(account), None, estimate.usage) if dollars is None else dollars)
            for account, share in accounts.items()
        }
        self.version += 1
        for account, amount in amounts.items():
            self._reserved[account] = self._reserved.get(account, 0.0) + amount
        return Reservation(amounts)

    def release(self, reservation: Reservation) -> None:
        """End a promise. What was really spent is booked separately, by `book`."""
        if reservation.ended:
            return
        reservation.ended = True
        for account, amount in reservation.amounts.items():
            left = self._reserved.get(account, 0.0) - amount
            if left > _NO_DOLLARS:
                self._reserved[account] = left
            else:
                self._reserved.pop(account, None)

    def book(self, accounts: Mapping[str, float], dollars: float | None, usage: Usage) -> None:
        """Count what a call took as spent.

        Args:
            accounts: whose.
            dollars: US dollars; None where nobody knows: then each budget counts what it says.
            usage: its tokens.
        """
        if dollars == 0.0:
            return
        if dollars is None:
            amounts = {account: share * _amount(self._on(account), None, usage) for account, share in accounts.items()}
            amounts = {account: amount for account, amount in amounts.items() if amount}
        else:
            amounts = {account: share * dollars for account, share in accounts.items()}
        self.version += 1
        self.spending.add(amounts, self.clock())
        if self.kept:
            for account, amount in amounts.items():
                self.unsaved[account] = self.unsaved.get(account, 0.0) + amount
        if self.on_change is not None:
            self.on_change()

    def _on(self, account: str) -> Mapping[Period | None, Budget]:
        limits = self._limits.get(account)
        if limits is None:
            limits = self._limits.get(f"{account.partition(':')[0]}:*", _NONE) if self._stars else _NONE
        return limits


_NONE: dict[Period | None, Budget] = {}


def _amount(limits: Mapping[Period | None, Budget], dollars: float | None, usage: Usage) -> float:
    if dollars is not None:
        return dollars
    return max((each.unpriced.of(usage) for each in limits.values() if each.unpriced is not None), default=0.0)


def _named(account: str, budget: Budget) -> str:
    scope, _, name = account.partition(":")
    within = f" for {'an' if budget.period == 'hour' else 'a'} {budget.period}" if budget.period else ""
    return f"the budget of {f'{scope} {name}'.strip()}{within}"


def _refused(account: str, budget: Budget, spent: float, promised: float, amount: float) -> str:
    what = _named(account, budget)
    if spent + promised >= budget.dollars:
        what += f" is spent: ${spent:.4f} of ${budget.dollars:.4f}"
    else:
        what += (
            f" is too small for this request, which may take ${amount:.4f}: ${spent:.4f} of ${budget.dollars:.4f} spent"
        )
    return f"{what} (${promised:.4f} promised to requests in flight)"
