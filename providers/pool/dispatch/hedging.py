"""When and where a call is sent a second time: the state of `Hedge` in a pool. `attempts` makes the calls."""

from __future__ import annotations

from collections.abc import Collection

from ..accounts.stats import Latencies
from ..admission.admission import Admission
from ..admission.gate import Grant
from ..admission.hedge import Hedge
from .job import Job


class Hedger:
    """Says when a call takes unusually long, and grants a second one.

    Args:
        policy: how long is unusual, and how many second calls are allowed.
        admission: lets calls go.
    """

    def __init__(self, policy: Hedge, admission: Admission) -> None:
        self._policy = policy
        self._admission = admission
        self._allowance = policy.allowance()

    def delay(self, latencies: Collection[Latencies]) -> float | None:
        """Return seconds after which a call that is now made is sent a second time, or None for never.

        Args:
            latencies: of the endpoints that could answer.
        """
        self._allowance.deposit()
        return self._policy.delay(latencies) if len(latencies) > 1 else None

    def spare(self, job: Job, grant: Grant, now: float) -> Grant | None:
        """Return a grant for a second call: another endpoint that is free, if nobody waits and it is affordable."""
        if self._admission.waiting:
            return None
        ready = [
            gate
            for gate in job.plan.gates[grant.tier]
            if gate is not grant.gate and gate.state == "closed" and gate.ready(job.need, now)
        ]
        if not ready or not self._allowance.take(now):
            return None
        return Grant(self._admission.choose(ready, now), job.need, now, grant.tier)
