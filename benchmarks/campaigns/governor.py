"""Half a core: a governor that watches its own process's CPU time and spaces out arrivals."""

from __future__ import annotations

import asyncio
import random
import time


class Governor:
    """Makes each client wait between two runs so that the process uses ``share`` of a core.

    Args:
        share: of one core, 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.pause = 0.2
        """Seconds between two runs of one client."""
        self._began = time.monotonic(), time.process_time()
        self._seen = self._began
        self._used = share

    @property
    def used(self) -> float:
        """The share of a core used since the start."""
        return (time.process_time() - self._began[1]) / max(1e-9, time.monotonic() - self._began[0])

    async def run(self, every: float = 0.25) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(every)
            now = time.monotonic(), time.process_time()
            recent = (now[1] - self._seen[1]) / max(1e-9, now[0] - self._seen[0])
            self._seen = now
            # The recent value jumps; the whole run's must come out right in the end.
            self._used += 0.3 * (recent - self._used)
            over = self._used > self.share or self.used > self.share
            self.pause = min(5.0, self.pause * 1.08 + 0.002) if over else max(0.002, self.pause * 0.94)

    def draw(self, rng: random.Random) -> float:
        """Seconds for a client to wait now."""
        return self.pause * rng.uniform(0.5, 1.5)
