"""What was spent by account: in all, and in each minute, hour, day and month that still matters. Pure.

Periods are those of the calendar in UTC, as on the vendors' bills.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

Period: TypeAlias = Literal["minute", "hour", "day", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)
KEPT = 3
"""Minutes, hours, days and months that are kept: the one that it is, and those in which something was booked last. A
clock that is wrong for a moment, or that of another process, names another one: what was spent in the one that it is
must stay."""

_FORMS: Mapping[Period, str] = {"minute": "%Y-%m-%dT%H:%M", "hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}


_SECONDS: Mapping[Period, int] = {"minute": 60, "hour": 3600, "day": 86_400}


def end_of(period: Period, at: float) -> float:
    """When the minute, hour, day or month of a time ends; both in seconds since 1970."""
    if period == "month":
        then = time.gmtime(at)
        year, month = (then.tm_year + 1, 1) if then.tm_mon == 12 else (then.tm_year, then.tm_mon + 1)
        return float(timegm((year, month, 1, 0, 0, 0)))
    length = _SECONDS[period]
    return float((at // length + 1) * length)


class Spending:
    """US dollars by account; and tokens and requests, each under names of their own.

    What is spent counts in the minute, hour, day and month in which it was, whichever of them is the latest: clocks go
    wrong, and those of several processes differ. Accounts of which nothing was spent in a month that is kept are
    forgotten, unless they last.

    Args:
        lasts: whether an account does.
    """

    def __init__(self, lasts: Callable[[str], bool]) -> None:
        self._lasts = lasts
        self.total: dict[str, float] = {}
        self._kept: dict[Period, dict[str, dict[str, float]]] = {period: {} for period in PERIODS}
        """The amounts by the name of each minute, hour, day and month, the one that was booked to last at the end."""
        self._minute = -1
        self._counting: list[dict[str, float]] = []
        """Where what is spent in that minute counts."""
        self._asked_minute = -1
        self._asked: dict[Period, dict[str, float]] = {}
        """What is asked for in that minute."""

    def add(self, amounts: Mapping[str, float], at: float, now: float) -> None:
        """Count what was spent.

        Args:
            amounts: how many, by account.
            at: when, in seconds since 1970.
            now: the time: what was spent in its minute, hour, day and month is kept in any case.
        """
        if int(at // 60) != self._minute:
            self._turn(at, now)
        for kept in (self.total, *self._counting):
            for account, dollars in amounts.items():
                kept[account] = kept.get(account, 0.0) + dollars

    def within(self, account: str, period: Period | None, at: float) -> float:
        """Return what was spent in the minute, hour, day or month of a time; in all with None."""
        if period is None:
            return self.total.get(account, 0.0)
        if int(at // 60) != self._asked_minute:
            names = _names(at)
            self._asked = {each: self._kept[each].get(name, {}) for each, name in names.items()}
            self._asked_minute = int(at // 60)
        return self._asked[period].get(account, 0.0)

    def _turn(self, at: float, now: float) -> None:
        """Find where a time counts, once a minute and not once a call."""
        self._minute, self._asked_minute = int(at // 60), -1
        self._counting = []
        current = _names(now)
        for period, name in _names(at).items():
            kept = self._kept[period]
            amounts = kept[name] = kept.pop(name, {})
            self._counting.append(amounts)
            if len(kept) > KEPT:
                del kept[next(each for each in kept if each not in (name, current[period]))]
                if period == "month":
                    self._forget()

    def _forget(self) -> None:
        months = self._kept["month"].values()
        self.total = {
            one: dollars
            for one, dollars in self.total.items()
            if self._lasts(one) or any(one in amounts for amounts in months)
        }

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        kept: dict[str, Any] = {
            period: {name: dict(amounts) for name, amounts in self._kept[period].items()} for period in PERIODS
        }
        return {"total": dict(self.total), **kept}

    def replace(self, plain: Mapping[str, Any]) -> None:
        """Take what `plain` made plain data of in place of all there is."""
        self.total = dict(plain["total"])
        self._kept = {period: {name: dict(sums) for name, sums in plain[period].items()} for period in PERIODS}
        self._minute = self._asked_minute = -1


def _names(at: float) -> dict[Period, str]:
    """Return the names of the minute, hour, day and month of a time."""
    then = time.gmtime(at)
    return {period: time.strftime(form, then) for period, form in _FORMS.items()}
