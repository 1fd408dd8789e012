"""Spacing of departures, on aiolimiter's leaky bucket.

The hard guarantee is the sliding window in `limiter`; by itself it would let a whole minute's requests leave in one
herd and then nothing for a minute. The bucket in front of it spreads them. It is asked with the amount 1 only and never
waited on (aiolimiter serves its waiters smallest first; here the pool's FIFO decides who is next). It reads the running
loop's clock, so virtual time works.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from aiolimiter import AsyncLimiter

BURST_SECONDS = 10.0
BURST_MINIMUM = 10
"""Ten seconds' worth of requests may leave at once, and ten requests always: spacing three requests a minute would cost
latency and protect nobody."""


class Pacer:
    """A leaky bucket that spaces requests.

    Args:
        requests_per_minute: the rate departures are spread to once the burst is used up.
    """

    __slots__ = ("_bucket", "unit")

    def __init__(self, requests_per_minute: float) -> None:
        self._bucket = _bucket(requests_per_minute)
        self.unit = 60.0 / requests_per_minute
        """Seconds in which room for one more departure appears."""

    def change(self, requests_per_minute: float) -> None:
        """Spread departures to another rate. What is left of the burst stays, as far as the new one is as large; at a
        rate of 0, at which nothing may leave anyway, nothing changes."""
        if requests_per_minute and not math.isclose(self.unit * requests_per_minute, 60.0):
            before, self._bucket = self._bucket, _bucket(requests_per_minute)
            self.unit = 60.0 / requests_per_minute
            burst = int(self._bucket.max_rate)
            left = bisect_left(range(1, burst + 1), True, key=lambda amount: not before.has_capacity(amount))
            if left < burst:
                self.take(burst - left)

    def ready(self) -> bool:
        """Return whether a request may leave now."""
        return self._bucket.has_capacity()

    def take(self, amount: float = 1) -> None:
        """Count one departure, or several. Call only when `ready`."""
        # acquire() suspends only when there is no room, and nothing can have taken it since ready(): no await between.
        step = self._bucket.acquire(amount)
        try:
            step.send(None)
        except StopIteration:
            return
        step.close()


def _bucket(requests_per_minute: float) -> AsyncLimiter:
    burst = max(float(BURST_MINIMUM), requests_per_minute / 60.0 * BURST_SECONDS)
    return AsyncLimiter(burst, burst / requests_per_minute * 60.0)
