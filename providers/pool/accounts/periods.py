"""What was spent by account: in all, and in the hour, day and month that it is. Pure.

Periods are those of the calendar in UTC, as on the vendors' bills.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

Period: TypeAlias = Literal["hour", "day", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)
_FORMS: Mapping[Period, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}


class Spending:
    """US dollars by account."""

    def __init__(self) -> None:
        self.total: dict[str, float] = {}
        self._hour = -1
        self._now: dict[Period, str] = {}
        self._kept: dict[Period, tuple[str, dict[str, float]]] = {period: ("", {}) for period in PERIODS}

    def add(self, account: str, dollars: float, at: float) -> None:
        """Count dollars that were spent.

        Args:
            account: whose.
            dollars: how many.
            at: when, in seconds since 1970. What is older than the latest hour, day or month counts there no more.
        """
        self.total[account] = self.total.get(account, 0.0) + dollars
        for period, name in self._names(at).items():
            current, amounts = self._kept[period]
            if name > current:  # texts of ISO 8601 sort by time
                self._kept[period] = (name, {account: dollars})
            elif name == current:
                amounts[account] = amounts.get(account, 0.0) + dollars

    def within(self, account: str, period: Period | None, at: float) -> float:
        """Return what was spent in the hour, day or month of a time; in all with None."""
        if period is None:
            return self.total.get(account, 0.0)
        name, amounts = self._kept[period]
        return amounts.get(account, 0.0) if name == self._names(at)[period] else 0.0

    def _names(self, at: float) -> dict[Period, str]:
        hour = int(at // 3600)
        if hour != self._hour:  # a name is made once an hour, not once a call
            self._hour = hour
            then = time.gmtime(at)
            self._now = {period: time.strftime(form, then) for period, form in _FORMS.items()}
        return self._now

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        kept: dict[str, Any] = {period: [name, dict(amounts)] for period, (name, amounts) in self._kept.items()}
        return {"total": dict(self.total), **kept}

    def replace(self, plain: Mapping[str, Any]) -> None:
        """Take what `plain` made plain data of in place of all there is."""
        self.total = dict(plain["total"])
        self._kept = {period: (plain[period][0], dict(plain[period][1])) for period in PERIODS}
