"""What was spent by account: in all, and in the hour, day and month that it is. Pure.

Periods are those of the calendar in UTC, as on the vendors' bills.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

Period: TypeAlias = Literal["hour", "day", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)
_FORMS: Mapping[Period, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}


def end_of(period: Period, at: float) -> float:
    """When the hour, day or month of a time ends; both in seconds since 1970."""
    if period == "month":
        then = time.gmtime(at)
        year, month = (then.tm_year + 1, 1) if then.tm_mon == 12 else (then.tm_year, then.tm_mon + 1)
        return float(timegm((year, month, 1, 0, 0, 0)))
    length = 3600 if period == "hour" else 86_400
    return float((at // length + 1) * length)


class Spending:
    """US dollars by account; and tokens and requests, each under names of their own.

    At the turn of a month, accounts of which nothing was spent in the month that ends are forgotten, unless they last.

    Args:
        lasts: whether an account does.
    """

    def __init__(self, lasts: Callable[[str], bool]) -> None:
        self._lasts = lasts
        self.total: dict[str, float] = {}
        self._kept: dict[Period, tuple[str, dict[str, float]]] = {period: ("", {}) for period in PERIODS}
        self._hour = -1
        self._names: dict[Period, str] = {}
        self._counting: list[dict[str, float]] = []
        """Where what is spent in that hour counts."""

    def add(self, amounts: Mapping[str, float], at: float) -> None:
        """Count what was spent.

        Args:
            amounts: how many, by account.
            at: when, in seconds since 1970. What is older than the latest hour, day or month counts there no more.
        """
        if int(at // 3600) != self._hour:
            self._turn(at)
        for kept in (self.total, *self._counting):
            for account, dollars in amounts.items():
                kept[account] = kept.get(account, 0.0) + dollars

    def within(self, account: str, period: Period | None, at: float) -> float:
        """Return what was spent in the hour, day or month of a time; in all with None."""
        if period is None:
            return self.total.get(account, 0.0)
        if int(at // 3600) != self._hour:
            self._turn(at)
        name, amounts = self._kept[period]
        return amounts.get(account, 0.0) if name == self._names[period] else 0.0

    def _turn(self, at: float) -> None:
        """Find where a time counts, once an hour and not once a call; begin what is newer than all before."""
        self._hour = int(at // 3600)
        self._counting = []
        then = time.gmtime(at)
        for period, (current, amounts) in self._kept.items():
            name = self._names[period] = time.strftime(_FORMS[period], then)
            if name > current:  # texts of ISO 8601 sort by time
                if period == "month" and current:
                    self.total = {
                        one: dollars for one, dollars in self.total.items() if one in amounts or self._lasts(one)
                    }
                amounts = {}
                self._kept[period] = (name, amounts)
            if name >= current:
                self._counting.append(amounts)

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        kept: dict[str, Any] = {period: [name, dict(amounts)] for period, (name, amounts) in self._kept.items()}
        return {"total": dict(self.total), **kept}

    def replace(self, plain: Mapping[str, Any]) -> None:
        """Take what `plain` made plain data of in place of all there is."""
        self.total = dict(plain["total"])
        self._kept = {period: (plain[period][0], dict(plain[period][1])) for period in PERIODS}
        self._hour = -1
