"""Waiting in line for an endpoint: the futures and the timer around `Admission`, which decides who goes."""

from __future__ import annotations

import asyncio

from ...errors import BudgetSpent
from ..admission.admission import Admission, Ticket
from ..admission.gate import Grant
from .charges import Charges
from .job import Job
from .planner import Planner, no_provider


class Queue:
    """Lets requests go when it is their turn.

    Args:
        loop: the loop whose time counts.
        admission: decides who goes where.
        planner: makes plans anew when the endpoints have changed.
        charges: say what may be paid for.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, admission: Admission, planner: Planner, charges: Charges
    ) -> None:
        self._loop = loop
        self._admission = admission
        self._planner = planner
        self._charges = charges
        self._waiters: dict[asyncio.Future[None], float] = {}  # and since when their requests wait
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.bound_until = float("-inf")
        """Until when limits are kept back for what processes have used that ended. Whoever waits without a deadline of
        their own does so until then, and only then for as long as they would."""

    async def grant(self, job: Job) -> Grant:
        """Return the right to send the job's request somewhere, waiting in line for it.

        Raises:
            NoProvider: none came free before the job's time limit, or none ever will.
            BudgetSpent: it may not be sent any more.
        """
        while True:
            if job.epoch != self._planner.epoch:
                self._planner.renew(job)
            now = self._loop.time()
            ticket = Ticket(job.plan.gates, job.need, job.key, job.avoid)
            grant = self._admission.submit(ticket, now) or await self._waited(job, ticket, now)
            if grant is None:
                continue  # the endpoints have changed
            if job.paid or not self._charges.budgets.limited or self._affordable(job, grant):
                return grant

    def pump(self) -> None:
        """Let go who can go, and come back when time alone lets the next one go."""
        admission = self._admission
        if admission.waiting:
            now = self._loop.time()
            admission.pump(now)
            self._arm(now)

    def changed(self) -> None:
        """Endpoints were added, removed, replaced or lost, or refuse until somebody changes something."""
        self._planner.changed()
        # Those who wait plan anew, in their old places: what they waited for may be gone, or something better there.
        for waiter in list(self._waiters):
            _wake(waiter)
        self.pump()

    @property
    def oldest(self) -> float:
        """Seconds for which the request has waited that has waited longest; 0 where none waits."""
        return max(0.0, self._loop.time() - min(self._waiters.values())) if self._waiters else 0.0

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, now: float) -> None:
        at = self._admission.next_time(now)
        if at is None:
            return
        if self._timer is not None:
            if self._timer_at == at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self.pump()

    async def _waited(self, job: Job, ticket: Ticket, now: float) -> Grant | None:
        if job.plan.hopeless():
            self._admission.cancel(ticket)
            raise no_provider(job, "every provider refuses until its key or configuration is changed")
        granted: asyncio.Future[None] = self._loop.create_future()
        timer: asyncio.TimerHandle

        def over() -> None:
            nonlocal timer
            now, limit = self._loop.time(), job.limit
            if job.patience is not None and now < self.bound_until:
                limit = max(limit, self.bound_until + job.patience)
            if now < limit:  # or others have joined that can wait longer
                timer = self._loop.call_at(limit, over)
            else:
                _wake(granted)

        ticket.on_grant = lambda _: _wake(granted)
        timer = self._loop.call_at(job.limit, over)
        if self._admission.leads(ticket):
            self._arm(now)
        self._waiters[granted] = job.began
        try:
            await granted
        except BaseException:
            # Cancelled; perhaps in the same step of the loop in which it was granted: then the grant goes to the next.
            grant = self._admission.cancel(ticket)
            if grant is not None:
                grant.refund(self._loop.time())
            self.pump()
            raise
        finally:
            timer.cancel()
            del self._waiters[granted]
        if ticket.grant is None:
            self._admission.cancel(ticket)
            if job.epoch != self._planner.epoch:
                return None
            self.pump()
            now = self._loop.time()
            raise no_provider(job, f"none came free within {now - job.began:.3g} s", now)
        ticket.grant.at = self._loop.time()  # granted and woken in different steps: the wait is not part of the call
        return ticket.grant

    def _affordable(self, job: Job, grant: Grant) -> bool:
        """Check the budgets again now that the request would be sent; False if another endpoint must be found."""
        try:
            self._charges.afford(job, grant)
        except BudgetSpent as error:
            grant.refund(self._loop.time())
            self.pump()
            if self._charges.settle_payers(job):
                return False
            told = error
            if len(job.requesters) > 1:
                told = BudgetSpent("a budget of those who share this call has too little left for it")
            job.failed(grant, told)
            self._planner.exclude(job, grant.gate, told)
            return False
        return True


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
