"""How long answers take, as plain data."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds to the first byte: log-normal, as answers of real services are.

    Plain data, looked at where it is used: a simulation's `Timing` refuses numbers that make no sense.

    Args:
        median: half of the answers take less.
        p99: one in a hundred takes more; the median for no spread.
    """

    median: float
    p99: float = 0.0

    def draw(self, rng: random.Random) -> float:
        """One latency, in seconds."""
        if self.p99 <= self.median or self.median <= 0:
            return max(0.0, self.median)
        # 2.3263 is the normal distribution's 99 % quantile.
        return self.median * math.exp(rng.gauss(0.0, math.log(self.p99 / self.median) / 2.3263))
