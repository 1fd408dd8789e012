"""The books: what the providers served, what the pool booked, what the runs reported; each difference by its item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from callboard.providers.pool import PoolStats
from callboard.providers.simulated import ServerStats

from .ledger import Totals

EXACT = ("answered", "unreported")
"""Items of the pool's books that stand for answers; the others are estimates of what was lost."""
TOLERANCE = 0.001
A_FEW = 500
"""Tokens of some three completions, which in a short campaign are more than a thousandth."""


class Account:
    """Tokens, of which a million cost a dollar.

    Args:
        totals: of the ledger, all runs folded.
        stats: of the pool at the end; its books survive its kills.
        servers: the providers' own counters.
    """

    def __init__(self, totals: Totals, stats: PoolStats, servers: Sequence[ServerStats]) -> None:
        self.totals = totals
        self.served = sum(totals.served.values())
        self.sent_whole = sum(server.tokens for server in servers)
        self.received = totals.received
        self.bought = stats.bought
        self.booked = round(sum(entry.cost for item, entry in stats.bought.items() if item in EXACT) * 1e6)
        self.counted = sum(counts.input_tokens + counts.output_tokens for counts in stats.endpoints.values())
        self.calls: Counter[str] = Counter()
        for counts in stats.endpoints.values():
            for name in ("sent", "answered", "failed", "cancelled", "slow", "probes"):
                self.calls[name] += getattr(counts, name)
        for name in ("hedges", "hedges_won", "retries", "failovers"):
            self.calls[name] += getattr(stats.pool, name)
        self.reported = totals.served[""]
        self.told = totals.told + totals.untold

    def _items(self, *endings: str) -> int:
        return sum(tokens for item, tokens in self.totals.served.items() if item.endswith(endings))

    @property
    def rests(self) -> dict[str, float]:
        """Differences that no item explains, as shares of what was served."""
        lost = self.served - self.received
        given_up = self._items("given up on the way", "bodies", "given up")
        # What has been received and not reported may or may not have been booked: a call cancelled in that moment.
        between = self.received - self.booked
        unreported = self._items("received")
        unexplained = sum(tokens for item, tokens in self.totals.served.items() if item.startswith("unexplained"))
        rests = {
            "served, and neither received nor itemised": lost - given_up,
            "received, not booked by the pool, and not itemised": max(0, between - unreported, -between),
            "booked, not reported by runs, and not itemised": max(
                0, self.booked - self.reported - unreported, self.reported - self.booked
            ),
            "reported one by one, and not in the runs' accounts": self.totals.misreported,
            "without an explanation": unexplained,
        }
        return {name: rest / max(1, self.served) for name, rest in rests.items()}

    @property
    def broken(self) -> list[str]:
        """The rests above a thousandth."""
        most = max(TOLERANCE, A_FEW / max(1, self.served))
        return [f"{name}: {rest:.3%}" for name, rest in self.rests.items() if abs(rest) > most]

    def rows(self) -> list[tuple[str, str, str]]:
        """The table: what, tokens, share of what was served."""
        found = [
            ("served by the providers", self.served),
            ("  of it sent whole, by their own counters", self.sent_whole),
        ]
        for item, tokens in sorted(self.totals.served.items()):
            if item:
                found.append((f"  {item} ({self.totals.completions[item]} completions)", tokens))
        found += [
            ("received by the providers' actors", self.received),
            ("booked by the pool as answered (its money)", self.booked),
            ("counted by the pool, endpoint by endpoint (its tokens)", self.counted),
            *(
                (f"  booked besides, as {item} ({entry.calls} calls, estimated)", round(entry.cost * 1e6))
                for item, entry in sorted(self.bought.items())
                if item not in EXACT
            ),
            ("reported by runs, completion by completion", self.reported),
            ("  in the accounts of answers and errors", self.totals.told),
            ("  of runs that gave no account (cancelled)", self.totals.untold),
        ]
        rows = [(name, f"{tokens:,}", f"{tokens / max(1, self.served):.3%}") for name, tokens in found]
        return rows + [(f"rest: {name}", "", f"{rest:.3%}") for name, rest in self.rests.items()]
