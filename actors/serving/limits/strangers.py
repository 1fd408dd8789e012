"""Counts requests by address, of those who do not say who they are; of so many addresses at most."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

from ....providers.pool.accounts.periods import end_of
from ...agents.errors import QuotaExceeded
from .limit import RequestLimit

MOST: Final = 10_000
"""Addresses that are remembered by each limit; those that came least lately are forgotten."""


class Strangers:
    """Holds request limits of addresses.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limits: list[tuple[RequestLimit, OrderedDict[str, tuple[float, int]]]] = []

    def add(self, limit: RequestLimit) -> None:
        """Hold another limit."""
        self._limits.append((limit, OrderedDict()))

    def enter(self, address: str) -> None:
        """Count a request.

        Raises:
            QuotaExceeded: there were too many.
        """
        if not self._limits:
            return
        now = self._clock()
        named = {limit.period for limit, _ in self._limits if limit.name == address}
        holding = [
            (limit, seen)
            for limit, seen in self._limits
            if limit.name == address or (limit.name == "*" and limit.period not in named)
        ]
        until = max((ends for limit, seen in holding if (ends := self._spent(limit, seen, address, now))), default=0.0)
        if until:
            why = "too many requests came from this address without a key or token that is good"
            raise QuotaExceeded(why, until, until - now)
        for limit, seen in holding:
            ends, count = seen.pop(address, (0.0, 0))
            seen[address] = (end_of(limit.period, now), 1) if not _lasts(limit, ends, now) else (ends, count + 1)
            if len(seen) > MOST:
                seen.popitem(last=False)

    @staticmethod
    def _spent(limit: RequestLimit, seen: OrderedDict[str, tuple[float, int]], address: str, now: float) -> float:
        """When there is more, in seconds since 1970; 0 where there is something left."""
        ends, count = seen.get(address, (0.0, 0))
        most = math.inf if limit.requests is None else limit.requests
        return ends if _lasts(limit, ends, now) and count >= most else 0.0


def _lasts(limit: RequestLimit, ends: float, now: float) -> bool:
    return ends == end_of(limit.period, now)


def network_of(address: str) -> str:
    """An address as it is counted: of version 6 the network of 64 bits, as whoever has one address has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return address
