"""One request's way through the pool: admitted, sent, judged, sent again. The shell around the pure policies.

Every coroutine here runs beside the pool actor's mailbox, all on its loop. However a request ends, its grant is ended
exactly once, in `records`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

from ....actors.core.base.scope import current_scope
from ...errors import BudgetSpent, NoProvider
from ...messages import Completion, Request
from ..accounts.cost import Budgets, Prices
from ..accounts.estimate import OutputEstimate, input_tokens
from ..accounts.ledger import Ledger, became_of
from ..accounts.stats import PoolCounts
from ..admission.admission import Admission, Gate, Grant, Ticket
from ..admission.retry import judge
from ..admission.routing import Routing
from .endpoint import Member
from .hedge import Hedge
from .hedging import Hedger
from .job import Job, Requester
from .plan import Plan, adapt, make_plan, needs
from .records import AttemptRecords

_INSTANT = 1e-3
"""Seconds within which two timers for the same moment fire."""


class Dispatcher:
    """Sends requests through the pool's endpoints.

    Args:
        loop: the loop whose time counts.
        routing, hedge, fallbacks, queue_timeout: see `Pool`.
        prices: what answers cost.
        budgets: what may be spent.
        ledger: what was bought.
        counts: of requests.
        rng: all randomness.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        routing: Routing,
        hedge: Hedge | None,
        fallbacks: Mapping[str, Sequence[str]],
        queue_timeout: float,
        prices: Prices,
        budgets: Budgets,
        ledger: Ledger,
        counts: PoolCounts,
        rng: random.Random,
    ) -> None:
        self.loop = loop
        self.admission = Admission(routing, rng)
        self.records = AttemptRecords(loop, prices, budgets, ledger, counts)
        self.counts = counts
        self.members: dict[str, Member] = {}
        self.pins: dict[str, str] = {}
        """The endpoint each switched conversation is on."""
        self._hedger = None if hedge is None else Hedger(hedge, self.admission)
        self._fallbacks = fallbacks
        self._queue_timeout = queue_timeout
        self._rng = rng
        self._by_gate: dict[Gate, Member] = {}
        self._plans: dict[tuple[str, frozenset[str], str], Plan] = {}
        self._epoch = 0
        self._waiters: dict[asyncio.Future[None], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # -- endpoints ---------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Endpoints were added, removed, replaced, or came back: plans are made anew and the queue is looked at."""
        # Endpoints that were replaced stay known: their last requests are still in flight.
        self._by_gate = {gate: member for gate, member in self._by_gate.items() if member.active}
        self._by_gate.update((member.gate, member) for member in self.members.values())
        self._plans.clear()
        self._epoch += 1
        # Those who wait plan anew, in their old places: what they waited for may be gone, or something better there.
        for waiter in list(self._waiters):
            _wake(waiter)
        self.pump()

    def member(self, gate: Gate) -> Member:
        """Return the endpoint behind a gate."""
        return self._by_gate[gate]

    def close(self) -> None:
        """Stop the queue's timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the queue ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Let go who can go, and come back when time alone lets the next one go."""
        admission = self.admission
        if admission.waiting:
            now = self.loop.time()
            admission.pump(now)
            self._arm(now)

    def _arm(self, now: float) -> None:
        at = self.admission.next_time(now)
        if at is None:
            return
        if self._timer is not None:
            if self._timer_at == at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self.pump()

    async def grant(self, job: Job) -> Grant:
        """Return the right to send the job's request somewhere, waiting in line for it.

        Raises:
            NoProvider: none came free before the job's time limit, or none ever will.
            BudgetSpent: it may not be sent any more.
        """
        while True:
            if job.epoch != self._epoch:
                job.epoch = self._epoch
                job.plan = self._plan(job)
            now = self.loop.time()
            ticket = Ticket(job.plan.gates, job.tokens, job.key, job.avoid)
            grant = self.admission.submit(ticket, now) or await self._waited(job, ticket, now)
            if grant is None:
                continue  # the endpoints have changed
            if not self.records.budgets.limited or self._affordable(job, grant):
                return grant

    async def _waited(self, job: Job, ticket: Ticket, now: float) -> Grant | None:
        if job.plan.hopeless():
            self.admission.cancel(ticket)
            raise self.no_provider(job, "every provider refuses until its key or configuration is changed")
        granted: asyncio.Future[None] = self.loop.create_future()
        timer: asyncio.TimerHandle

        def over() -> None:
            nonlocal timer
            if self.loop.time() < job.limit:  # others have joined that can wait longer
                timer = self.loop.call_at(job.limit, over)
            else:
                _wake(granted)

        ticket.on_grant = lambda _: _wake(granted)
        timer = self.loop.call_at(job.limit, over)
        if self.admission.leads(ticket):
            self._arm(now)
        self._waiters[granted] = None
        try:
            await granted
        except BaseException:
            # Cancelled; perhaps in the same step of the loop in which it was granted: then the grant goes to the next.
            grant = self.admission.cancel(ticket)
            if grant is not None:
                grant.refund()
            self.pump()
            raise
        finally:
            timer.cancel()
            del self._waiters[granted]
        if ticket.grant is None:
            self.admission.cancel(ticket)
            if job.epoch != self._epoch:
                return None
            self.pump()
            raise self.no_provider(job, f"none came free within {job.limit - job.began:.3g} s")
        ticket.grant.at = self.loop.time()  # granted and woken in different steps: the wait is not part of the call
        return ticket.grant

    def _affordable(self, job: Job, grant: Grant) -> bool:
        """Check the budgets again now that the request would be sent; False if another endpoint must be found."""
        budgets, member = self.records.budgets, self.member(grant.gate)
        try:
            budgets.check(job.accounts)
        except BudgetSpent:
            grant.refund()
            self.pump()
            raise
        try:
            budgets.check(member.accounts)
        except BudgetSpent as error:
            grant.refund()
            self.pump()
            job.causes[grant.gate.name] = error
            self._exclude(job, grant.gate, error)
            return False
        return True

    # -- requests ----------------------------------------------------------------------------------------------------

    def limit(self) -> float:
        """Return until when a request accepted here and now may wait: its deadline, or else ``queue_timeout``."""
        deadline = current_scope().deadline
        return self.loop.time() + self._queue_timeout if deadline is None else deadline

    def serving(self, request: Request) -> tuple[str, ...]:
        """Return the names of the endpoints that serve a request as it is.

        Raises:
            UnknownModel, NoProvider: there is none.
        """
        plan = make_plan(tuple(self.members.values()), request.model, needs(request), {})
        return tuple(member.endpoint.name for member in plan.members())

    def open(self, request: Request, requester: Requester) -> Job:
        """Accept a request.

        Raises:
            UnknownModel: no endpoint serves its model.
            NoProvider: those that do cannot do what it needs.
            BudgetSpent: who asks, or the model, has nothing left.
        """
        now = self.loop.time()
        only = requester.endpoint or self.pins.get(requester.conversation, "")
        wanted = needs(request)
        plan = self._plans.get((request.model, wanted, only))
        if plan is None:
            plan = make_plan(tuple(self.members.values()), request.model, wanted, self._fallbacks, only=only)
            self._plans[request.model, wanted, only] = plan
        accounts = requester.accounts(request.model)
        limited = self.records.budgets.limited
        if limited:
            self.records.budgets.check(accounts)
        key = self.admission.place(now, requester.priority)
        job = Job(request, plan, accounts, began=now, limit=self.limit(), key=key)
        job.deadline = current_scope().deadline
        job.epoch = self._epoch
        job.wanted = wanted
        job.only = only
        if limited or plan.counts_tokens():
            job.input_tokens = input_tokens(request)
            job.tokens = float(job.input_tokens + self._output_tokens(job))
        return job

    def _output_tokens(self, job: Job) -> int:
        if job.request.max_tokens is not None:
            return job.request.max_tokens
        seen = [
            estimate.tokens(job.request)
            for member in job.plan.tiers[0].members
            if (estimate := member.outputs.get(job.request.model)) is not None
        ]
        return max(seen) if seen else OutputEstimate().tokens(job.request)

    async def complete(self, request: Request, requester: Requester) -> Completion:
        """Return the completion of ``request``, from whichever endpoint gives it.

        Raises:
            ProviderError: `NoProvider` with the causes, or what no other endpoint could do better.
        """
        return await self.run(self.open(request, requester))

    async def run(self, job: Job) -> Completion:
        """Return the completion of an accepted request; see `complete`."""
        while True:
            grant = await self.grant(job)
            try:
                if self._hedger is None:
                    return await self.attempt(job, grant)
                return await self._hedged(job, grant, self._hedger)
            except Exception as error:  # any failure of a provider is judged, none may end the pool
                delay = self.after(job, grant, error)
            if delay > 0.0:
                await asyncio.sleep(delay)

    async def attempt(self, job: Job, grant: Grant) -> Completion:
        """Send the request once; book how it ended.

        Raises:
            Exception: whatever the provider answered with.
        """
        member = self._by_gate[grant.gate]
        self.records.sent(job, grant, member)
        try:
            ask = member.ref.ask(self.adapted(job, grant), timeout=member.endpoint.retry.attempt_timeout)
            grant.unsent = ask.done()
            completion: Completion = await ask
        except BaseException as error:
            self.failed(job, grant, member, error)
            raise
        return self.answered(job, grant, member, completion)

    async def _hedged(self, job: Job, grant: Grant, hedger: Hedger) -> Completion:
        """Send the request; if it takes unusually long, a second time elsewhere; return the first answer.

        The usual case costs a timer and no task: only when the timer fires is the second call made, in a task, and if
        that one is first, it cancels the ask this coroutine waits for.

        Raises:
            Exception: what the first call failed with, if there was no second; otherwise what the second did.
        """
        loop = self.loop
        delay = hedger.delay([self._by_gate[gate].latencies for gate in job.plan.gates[grant.tier]])
        if delay is None:
            return await self.attempt(job, grant)
        pause = delay
        member = self._by_gate[grant.gate]
        self.records.sent(job, grant, member)
        ask = member.ref.ask(self.adapted(job, grant), timeout=member.endpoint.retry.attempt_timeout)
        grant.unsent = ask.done()
        second: asyncio.Task[Completion] | None = None
        spare: Grant | None = None
        timer: asyncio.TimerHandle
        overtaken = False

        def late() -> None:
            nonlocal second, spare, timer
            if ask.done():
                return
            other = spare = hedger.spare(job, grant, loop.time())
            if other is None:
                timer = loop.call_later(pause, late)  # nobody is free, or hedges are not affordable: look again
                return
            self.counts.hedges += 1
            second = loop.create_task(self.attempt(job, other), name=f"hedge of {grant.gate.name}")
            second.add_done_callback(lambda task: over(task, other))

        def over(task: asyncio.Task[Completion], other: Grant) -> None:
            nonlocal second, timer, overtaken
            other.refund()  # of effect only if the task was cancelled before its first step
            if task.cancelled() or task.exception() is None:
                if not task.cancelled() and not ask.done():
                    grant.slow = grant.overtaken = overtaken = True
                    ask.cancel()
            elif not ask.done():
                second = None
                timer = loop.call_later(pause, late)

        timer = loop.call_later(pause, late)
        try:
            try:
                completion: Completion = await ask
            except BaseException as error:
                self.failed(job, grant, member, error)
                gave_up = isinstance(error, asyncio.CancelledError) and (not overtaken or _is_cancelled())
                if second is None or gave_up:
                    raise
                if not overtaken:
                    job.causes[grant.gate.name] = error
                answer = await second
                self.counts.hedges_won += 1
                return answer
            if second is not None and spare is not None:
                spare.overtaken = True
                second.add_done_callback(self._overtaken)
            return self.answered(job, grant, member, completion)
        finally:
            timer.cancel()
            if second is not None and not second.done():
                second.cancel()

    def answered(self, job: Job, grant: Grant, member: Member, completion: Completion) -> Completion:
        """Book an answer, and let go who waits for the room it leaves."""
        completion = self.records.answered(job, grant, member, completion)
        if self.admission.waiting:
            self.pump()
        return completion

    def _overtaken(self, second: asyncio.Task[Completion]) -> None:
        if not second.cancelled() and second.exception() is None:
            self.records.overtaken(second.result())

    def failed(self, job: Job, grant: Grant, member: Member, error: BaseException, came: int | None = None) -> None:
        """Book a failure, and let go who waits for the room it leaves.

        Args:
            job, grant, member: the call.
            error: how it ended.
            came: output tokens that had come, of a stream; None if nothing had.
        """
        item = None
        if not grant.unsent:
            item = became_of(error, begun=came is not None, overtaken=grant.overtaken)
            if item == "cancelled" and not member.ref.is_alive():
                item = "interrupted"  # its actor was stopped, and the pool with it
        if job.deadline is not None and self.loop.time() >= job.deadline - _INSTANT:
            # The caller's time is over. Whether our cancellation or the provider's ask comes first is chance.
            grant.slow = True
            error = asyncio.CancelledError()
            item = "timeout" if item == "cancelled" else item
        self.records.failed(job, grant, member, error, item, came)
        if grant.gate.breaker.disabled:
            self.changed()
        elif self.admission.waiting:
            self.pump()

    @staticmethod
    def adapted(job: Job, grant: Grant) -> Request:
        """Return the request as the granted endpoint gets it."""
        tier = job.plan.tiers[grant.tier]
        return adapt(job.request, tier.models[grant.gate.name], tier.dropped)

    # -- after a failure ---------------------------------------------------------------------------------------------

    def after(self, job: Job, grant: Grant, error: Exception) -> float:
        """Decide what follows a failed attempt: return seconds until the next, or raise what the caller gets."""
        now = self.loop.time()
        gate = grant.gate
        member = self._by_gate[gate]
        verdict = judge(error)
        if not verdict.elsewhere and not verdict.again:
            raise error
        job.causes[gate.name] = error
        if verdict.again and gate.present:
            job.avoid = (*job.avoid, gate)
        else:
            self._exclude(job, gate, error)
        policy = member.endpoint.retry
        if job.attempts >= policy.attempts:
            raise self.no_provider(job, f"it was sent {job.attempts} times") from error
        self.counts.retries += 1
        if job.plan.other_than(job.avoid, now):
            self.counts.failovers += 1
            delay = 0.0
        else:
            job.avoid = ()
            job.rounds += 1
            delay = policy.backoff(job.rounds, self._rng)
        if gate.breaker.state == "closed" and verdict.again:
            # A brown-out: the breaker lets calls through, so the budget is what keeps retries from making it worse.
            delay = max(delay, member.budget.reserve_retry(now))
        if now + delay >= job.limit:
            raise self.no_provider(job, "there is no time left for another attempt") from error
        return delay

    def _exclude(self, job: Job, gate: Gate, error: Exception) -> None:
        job.excluded = (*job.excluded, gate)
        try:
            job.plan = self._plan(job)
        except NoProvider:
            if len(job.causes) == 1:
                raise error from None  # nobody else was asked: the error itself says it best
            raise self.no_provider(job, "none can do it") from error

    def _plan(self, job: Job) -> Plan:
        members = tuple(self.members.values())
        return make_plan(members, job.request.model, job.wanted, self._fallbacks, job.excluded, job.only)

    def no_provider(self, job: Job, why: str) -> NoProvider:
        """Return the error for a request that nobody answered, with the last error of each endpoint."""
        causes = dict(job.causes)
        for member in job.plan.members():
            if member.endpoint.name not in causes and member.last_error is not None:
                causes[member.endpoint.name] = member.last_error
        listed = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in causes.items())
        model = job.request.model or "default"
        return NoProvider(
            f"no provider answered for model {model!r}: {why}" + (f" ({listed})" if listed else ""), causes=causes
        )


def _is_cancelled() -> bool:
    """Whether the running task itself is asked to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
