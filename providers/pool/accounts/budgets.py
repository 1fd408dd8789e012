"""Budgets: what may be spent by whom, on what, and in which time: money, tokens, requests. Pure, but for the wall clock
that it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ....actors.core.base.errors import SpecError
from ...errors import BudgetSpent, UnpricedModel
from ...messages import Usage
from .limits import COUNTED, Budget, Exhausted, account_of, counted_as, is_count, named_budget, refused, spent_up
from .periods import Period, Spending, end_of
from .stats import BudgetStats, Measure

_NO_USAGE = Usage()
_ROUNDING = 1.0 + 1e-9
_NO_DOLLARS = 1e-12
"""What adding and taking off may leave of nothing."""
_MANY = ("user", "tenant", "caller_key")


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
        self.unsaved: dict[float, dict[str, float]] = {}
        """What was booked here and is not kept anywhere yet, by the minute (seconds since 1970 at which it began) and
        by account; see `keeping`."""
        self.kept = False
        """Whether it is kept at all."""
        self.sending: list[dict[str, Any]] = []
        """The events with what was booked before, while they are not known to be kept."""
        self.on_change: Callable[[], None] | None = None
        """Called when something was booked, or a budget was asked."""
        self.version = 0
        """Grows with all that leaves less: what was allowed is still, while it has not."""
        self._limits: dict[str, dict[Period | None, Budget]] = {}
        self._stars = False
        self.counting = False
        """Whether a budget limits tokens or requests."""
        self._reserved: dict[str, float] = {}
        for budget in budgets:
            self.set(budget)

    def set(self, budget: Budget) -> float:
        """Set a budget, or replace that of the same account and period. Return what was spent of it so far."""
        self._limits.setdefault(budget.account, {})[budget.period] = budget
        self._stars |= budget.name == "*"
        self.counting |= any(getattr(budget, measure) is not None for measure in COUNTED)
        self.version += 1
        return self.spending.within(budget.account, budget.period, self.clock())

    def raised(self, account: str, period: Period | None, measure: Measure, limit: float) -> float:
        """Raise a limit of an account's budget. Return what was spent of it so far.

        Raises:
            SpecError: the account has no such budget, or the limit is no more than it was.
        """
        there = self._on(account)
        budget = there.get(period)
        now = None if budget is None else budget.limits.get(measure)
        if budget is None or now is None:
            known = ", ".join(f"{one.account} ({one.period or 'for ever'}, {one.measure})" for one in self.stats())
            raise SpecError(
                f"there is no budget of {measure} of {account!r:.80} for {period}; there are: {known or 'none'}"
            )
        if not limit > now:
            raise SpecError(f"{named_budget(account, budget)} is {now:.15g} {measure}: it is raised to more than that")
        if measure != "dollars" and limit != int(limit):
            raise SpecError(f"{named_budget(account, budget)} is of whole {measure}, not of {limit:.15g}")
        name = account.partition(":")[2]
        for own in list(there.values()):  # also where it is one for each: this account has its own from now on
            more: dict[str, Any] = {}
            if own is budget:
                more[measure] = limit if measure == "dollars" else int(limit)
            self.set(replace(own, name=name, **more))
        return self.spending.within(counted_as(measure, account), period, self.clock())

    @property
    def limited(self) -> bool:
        """Whether there is any budget at all."""
        return bool(self._limits)

    @property
    def spent(self) -> Mapping[str, float]:
        """US dollars by account."""
        total = self.spending.total
        return {account: dollars for account, dollars in total.items() if not is_count(account)}

    def stats(self) -> tuple[BudgetStats, ...]:
        """Return how each budget stands, by account and period."""
        now = self.clock()
        own = {account for account in self._limits if not account.endswith(":*")}
        used = (*(self.spending.total if self._stars else ()), *self._reserved)
        stats = []
        for account in sorted(own.union(account_of(name) for name in used)):
            for period, budget in self._on(account).items():
                for measure, limit in budget.limits.items():
                    name = counted_as(measure, account)
                    promised = self._reserved.get(name, 0.0)
                    spent_of_it = self.spending.within(name, period, now)
                    left = max(0.0, limit - spent_of_it - promised)
                    stats.append(BudgetStats(account, period, limit, spent_of_it, promised, left, measure))
        return tuple(stats)

    def lasts(self, account: str) -> bool:
        """Return whether what an account has spent counts for longer than a month. That of users and tenants, whose
        number grows, only does where they have a budget of their own, or each has one for ever."""
        account = account_of(account)
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
            amount = share * _amount(limits, estimate.dollars, estimate.usage)
            for budget in limits.values():
                if estimate.dollars is None and budget.unpriced is None and "dollars" in budget.limits:
                    raise UnpricedModel(
                        f"nobody knows the price of model {estimate.model!r} of {estimate.provider}, "
                        f"so {named_budget(account, budget)} cannot be held: "
                        "give the pool or the endpoint a price, or the budget one for unpriced models (unpriced=FREE "
                        "lets them pass)"
                    )
                self._check_one(account, budget, "dollars", amount, now)
            if self.counting:
                takes: dict[Measure, float] = {"tokens": share * estimate.usage.total_tokens, "requests": share}
                for budget in limits.values():
                    for measure in COUNTED:
                        self._check_one(account, budget, measure, takes[measure], now)

    def _check_one(self, account: str, budget: Budget, measure: Measure, amount: float, now: float) -> None:
        limit: float | None = getattr(budget, measure)
        if limit is None:
            return
        name = counted_as(measure, account)
        promised, spent = self._reserved.get(name, 0.0), self.spending.within(name, budget.period, now)
        if spent + promised >= limit or spent + promised + amount > limit * _ROUNDING:
            raise BudgetSpent(refused(account, budget, measure, spent, promised, amount))

    def exhausted(self, accounts: Iterable[str]) -> Exhausted | None:
        """Return why accounts get nothing any more, if one of their budgets is spent; what is promised aside."""
        if self.on_change is not None:
            self.on_change()
        now = self.clock()
        spent: list[str] = []
        ends: list[float] = []
        for account in accounts:
            for period, budget in self._on(account).items():
                for measure, limit in budget.limits.items():
                    amount = self.spending.within(counted_as(measure, account), period, now)
                    if amount >= limit:
                        spent.append(spent_up(account, budget, measure, amount))
                        ends.append(math.inf if period is None else end_of(period, now))
        if not spent:
            return None
        until = max(ends)
        return Exhausted("; ".join(spent), *((None, None) if until == math.inf else (until, until - now)))

    def reserve(self, accounts: Mapping[str, float], estimate: Estimate) -> Reservation:
        """Promise what a call is expected to take, so that many at once cannot go over together."""
        dollars = estimate.dollars
        amounts = {
            account: share * (_amount(self._on(account), None, estimate.usage) if dollars is None else dollars)
            for account, share in accounts.items()
        }
        if self.counting:
            amounts.update(self._counts(accounts, estimate.usage))
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
        """Count what a call took as spent, and the call itself.

        Args:
            accounts: whose.
            dollars: US dollars; None where nobody knows: then each budget counts what it says.
            usage: its tokens.
        """
        if dollars == 0.0 and not self.counting:
            return
        if dollars is None:
            amounts = {account: share * _amount(self._on(account), None, usage) for account, share in accounts.items()}
            amounts = {account: amount for account, amount in amounts.items() if amount}
        else:
            amounts = {account: share * dollars for account, share in accounts.items()} if dollars else {}
        if self.counting:
            amounts.update(self._counts(accounts, usage))
        self.version += 1
        now = self.clock()
        self.spending.add(amounts, now, now)
        if self.kept and amounts:
            self.save(amounts, now)
        if self.on_change is not None:
            self.on_change()

    def save(self, amounts: Mapping[str, float], at: float) -> None:
        """Have what was spent at a time kept."""
        unsaved = self.unsaved.setdefault(at // 60 * 60.0, {})
        for account, amount in amounts.items():
            unsaved[account] = unsaved.get(account, 0.0) + amount

    def _counts(self, accounts: Mapping[str, float], usage: Usage) -> dict[str, float]:
        """Tokens and requests of a call, of the accounts that have a budget of them."""
        counts: dict[str, float] = {}
        for account, share in accounts.items():
            for budget in self._on(account).values():
                if budget.tokens is not None:
                    counts[counted_as("tokens", account)] = share * usage.total_tokens
                if budget.requests is not None:
                    counts[counted_as("requests", account)] = share
        return counts

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
