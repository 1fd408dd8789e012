"""Spacing of departures, on aiolimiter's leaky bucket.

The hard guarantee is the sliding window in `limiter`; by itself it would let a whole minute's requests leave in one
herd and then nothing for a minute. The bucket in front of it spreads them. It is asked with the amount 1 only and never
waited on (aiolimiter serves its waiters smallest first; here the pool's FIFO decides who is next). It reads the running
loop's clock, so virtual time works.
"""

from __future__ import annotations

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
        burst = max(float(BURST_MINIMUM), requests_per_minute / 60.0 * BURST_SECONDS)
        self._bucket = AsyncLimiter(burst, burst / requests_per_minute * 60.0)
        self.unit = 60.0 / requests_per_minute
        """Seconds in which room for one more departure appears."""

    def ready(self) -> bool:
        """Return whether a request may leave now."""
        return self._bucket.has_capacity()

    def take(self) -> None:
        """Count one departure. Call only when `ready`."""
        # acquire() suspends only when there is no room, and nothing can have taken it since ready(): no await between.
        step = self._bucket.acquire()
        try:
            step.send(None)
        except StopIteration:
            return
        step.close()
