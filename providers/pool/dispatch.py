"""One request's way through the pool: admitted, sent, judged, sent again. The shell around the pure policies.

Every coroutine here runs beside the pool actor's mailbox, all on its loop. Whatever ends a request, its grant is ended
exactly once: released with the true usage, or cancelled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from ...actors.core.scope import current_scope
from ..errors import NoProvider, ProviderTimeout, StreamCut
from ..messages import Completion, Delta, Request, Usage
from .admission import Admission, Grant, Ticket
from .control import BatchAnswer, BatchRequest
from .cost import Budgets, Prices
from .endpoint import Member
from .estimate import OutputEstimate, input_tokens
from .hedge import Hedge
from .job import ANYONE, Job, Who
from .plan import Plan, adapt, make_plan, needs
from .retry import Blame, Verdict, judge
from .routing import Routing
from .stats import PoolCounts


class Dispatcher:
    """Sends requests through the pool's endpoints.

    Args:
        loop: the loop whose time counts.
        routing, hedge, fallbacks, patience: see `Pool`.
        prices: what answers cost.
        budgets: what may be spent.
        rng: all randomness.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        routing: Routing,
        hedge: Hedge | None,
        fallbacks: Mapping[str, Sequence[str]],
        patience: float,
        prices: Prices,
        budgets: Budgets,
        rng: random.Random,
    ) -> None:
        self.loop = loop
        self.admission = Admission(routing, rng)
        self.counts = PoolCounts()
        self.members: dict[str, Member] = {}
        self.prices = prices
        self.budgets = budgets
        self.pins: dict[str, str] = {}
        self._hedge = hedge
        self._hedges = None if hedge is None else hedge.allowance()
        self._fallbacks = fallbacks
        self._patience = patience
        self._rng = rng
        self._by_gate: dict[Any, Member] = {}
        self._plans: dict[tuple[str, frozenset[str], str], Plan] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # -- endpoints ---------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Endpoints were added, removed, replaced, or came back: plans are made anew and the queue is looked at."""
        # Endpoints that were replaced stay known: their last requests are still in flight.
        self._by_gate = {gate: member for gate, member in self._by_gate.items() if member.active}
        self._by_gate.update((member.gate, member) for member in self.members.values())
        self._plans.clear()
        self.pump()

    def close(self) -> None:
        """Stop the queue's timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the queue ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Let go who can go, and come back when time alone lets the next one go."""
        admission = self.admission
        if not admission.waiting:
            return
        now = self.loop.time()
        admission.pump(now)
        self._arm(now)

    def _arm(self, now: float) -> None:
        at = self.admission.next_time(now)
        timer = self._timer
        if at is None:
            return
        if timer is not None:
            if self._timer_at == at:
                return
            timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self.pump()

    async def _grant(self, job: Job) -> Grant:
        """Return the right to send the job's request somewhere, waiting in line for it.

        Raises:
            NoProvider: none came free before the job's time limit.
        """
        now = self.loop.time()
        ticket = Ticket(job.plan.gates, job.tokens, job.key, job.avoid)
        grant = self.admission.submit(ticket, now)
        if grant is not None:
            return grant
        if job.plan.hopeless():
            self.admission.cancel(ticket)
            raise self._no_provider(job, "every provider refuses until its key or configuration is changed")
        granted: asyncio.Future[None] = self.loop.create_future()
        timer: asyncio.TimerHandle
        ticket.on_grant = lambda _: _wake(granted)
        self._arm(now)

        def over() -> None:
            nonlocal timer
            if self.loop.time() < job.limit:  # others have joined that can wait longer
                timer = self.loop.call_at(job.limit, over)
            else:
                _wake(granted)

        timer = self.loop.call_at(job.limit, over)
        try:
            await granted
        except BaseException:
            self._give_back(ticket)
            raise
        finally:
            timer.cancel()
        if ticket.grant is None:
            self.admission.cancel(ticket)
            raise self._no_provider(job, f"none came free within {job.limit - job.began:.3g} s")
        # Granted and woken in different steps of the loop: the wait is not part of the call.
        ticket.grant.at = self.loop.time()
        return ticket.grant

    def _give_back(self, ticket: Ticket) -> None:
        grant = self.admission.cancel(ticket)
        if grant is not None:
            grant.refund()
        self.pump()

    # -- requests ----------------------------------------------------------------------------------------------------

    def open(self, request: Request, who: Who) -> Job:
        """Accept a request.

        Raises:
            UnknownModel: no endpoint serves its model.
            NoProvider: those that do cannot do what it needs.
            BudgetSpent: who asks, or the model, has nothing left.
        """
        now = self.loop.time()
        only = who.endpoint or self.pins.get(who.conversation, "")
        wanted = needs(request)
        plan = self._plans.get((request.model, wanted, only))
        if plan is None:
            plan = make_plan(tuple(self.members.values()), request.model, wanted, self._fallbacks, only=only)
            self._plans[request.model, wanted, only] = plan
        accounts = who.accounts(request.model)
        self.budgets.check(accounts)
        job = Job(
            request, who, plan, accounts, began=now, limit=self.limit(), key=self.admission.place(now, who.priority)
        )
        job.wanted = wanted
        job.only = only
        if any(member.gate.limiter.counts_tokens for tier in plan.tiers for member in tier.members):
            job.input_tokens = input_tokens(request)
            job.tokens = float(job.input_tokens + self._output_tokens(job))
        return job

    def limit(self) -> float:
        """Return until when a request accepted here and now may wait: its deadline, or else the pool's patience."""
        deadline = current_scope().deadline
        return self.loop.time() + self._patience if deadline is None else deadline

    def serving(self, request: Request) -> tuple[str, ...]:
        """Return the names of the endpoints that serve a request as it is.

        Raises:
            UnknownModel, NoProvider: there is none.
        """
        plan = make_plan(tuple(self.members.values()), request.model, needs(request), {})
        return tuple(member.endpoint.name for member in plan.members())

    def _output_tokens(self, job: Job) -> int:
        if job.request.max_tokens is not None:
            return job.request.max_tokens
        seen = [
            estimate.tokens(job.request)
            for member in job.plan.tiers[0].members
            if (estimate := member.outputs.get(job.request.model)) is not None
        ]
        return max(seen) if seen else OutputEstimate().tokens(job.request)

    async def complete(self, request: Request, who: Who) -> Completion:
        """Return the completion of ``request``, from whichever endpoint gives it.

        Raises:
            ProviderError: `NoProvider` with the causes, or what no other endpoint could do better.
        """
        return await self.run(self.open(request, who))

    async def run(self, job: Job) -> Completion:
        """Return the completion of an accepted request; see `complete`."""
        while True:
            grant = await self._grant(job)
            try:
                if self._hedge is None:
                    return await self._attempt(job, grant)
                return await self._hedged(job, grant, self._hedge)
            except Exception as error:
                delay = self._after(job, grant, error)
                if delay > 0.0:
                    await asyncio.sleep(delay)

    async def _attempt(self, job: Job, grant: Grant) -> Completion:
        """Send the request once; book how it ended."""
        member = self._sent(job, grant)
        request = self._adapted(job, grant, member)
        try:
            completion = await member.ref.ask(request, timeout=member.endpoint.retry.attempt_timeout)
        except BaseException as error:
            self._ended_badly(job, grant, member, error)
            raise
        return self._ended_well(job, grant, member, completion)

    def _sent(self, job: Job, grant: Grant) -> Member:
        member = self._by_gate[grant.gate]
        member.active += 1
        member.counts.sent += 1
        member.counts.probes += grant.trial.probe
        if not job.attempts:
            member.budget.deposit()
            if self._hedges is not None:
                self._hedges.deposit()
        job.attempts += 1
        return member

    @staticmethod
    def _left(member: Member) -> None:
        member.active -= 1
        if not member.active and member.idle is not None and not member.idle.done():
            member.idle.set_result(None)

    async def idle(self, member: Member) -> None:
        """Wait until an endpoint has no request in flight."""
        if member.active:
            member.idle = self.loop.create_future()
            await member.idle

    @staticmethod
    def _adapted(job: Job, grant: Grant, member: Member) -> Request:
        tier = job.plan.tiers[grant.tier]
        return adapt(job.request, tier.models[member.endpoint.name], tier.dropped)

    def _ended_well(self, job: Job, grant: Grant, member: Member, completion: Completion) -> Completion:
        now = self.loop.time()
        self._left(member)
        usage = completion.usage
        grant.gate.limiter.release(grant.permit, usage.total_tokens)
        grant.gate.breaker.record(grant.trial, True, now)
        latency = now - grant.at
        member.latencies.add(latency)
        grant.gate.latency = member.latencies.average
        counts = member.counts
        counts.answered += 1
        counts.input_tokens += usage.input_tokens
        counts.output_tokens += usage.output_tokens
        outputs = member.outputs.get(job.request.model)
        if outputs is None:
            outputs = member.outputs.setdefault(job.request.model, OutputEstimate())
        outputs.add(usage.output_tokens)
        cost = self._cost(job, grant, member, completion, now)
        notes = self._notes(job, grant, member)
        if completion.limits is not None:
            grant.gate.limiter.correct(completion.limits, now)
        if self.admission.waiting:
            self.pump()
        if cost == completion.cost and not notes and completion.provider:
            return completion
        return Completion(
            completion.message,
            completion.finish_reason,
            usage,
            completion.model,
            completion.provider or member.endpoint.name,
            completion.request_id,
            completion.latency or latency,
            cost,
            completion.notes + notes,
            completion.limits,
        )

    def _cost(self, job: Job, grant: Grant, member: Member, completion: Completion, now: float) -> float | None:
        cost = completion.cost
        if cost is None:
            endpoint = member.endpoint
            if endpoint.price is not None:
                cost = endpoint.price.of(completion.usage)
            else:
                model = completion.model or job.plan.tiers[grant.tier].models[endpoint.name] or endpoint.default_model
                cost = self.prices.cost(endpoint.vendor, model, completion.usage, now)
        if cost:
            member.counts.cost += cost
            self.budgets.book((*job.accounts, *member.accounts), cost)
        return cost

    def _notes(self, job: Job, grant: Grant, member: Member) -> tuple[str, ...]:
        notes: tuple[str, ...] = ()
        if job.causes:
            failed = ", ".join(f"{name} ({type(error).__name__})" for name, error in job.causes.items())
            notes = (f"answered by {member.endpoint.name} after failures at {failed}",)
        if grant.tier:
            notes += job.plan.tiers[grant.tier].notes
            self.counts.degraded += 1
        elif job.plan.tiers[0].dropped:
            notes += job.plan.tiers[0].notes
            self.counts.degraded += 1
        return notes

    def _ended_badly(self, job: Job, grant: Grant, member: Member, error: BaseException) -> None:
        now = self.loop.time()
        self._left(member)
        gate, counts = grant.gate, member.counts
        gate.limiter.release(grant.permit)
        if not isinstance(error, Exception):
            # Cancelled. Unless a hedge overtook it, nothing was learned.
            if grant.slow:
                counts.slow += 1
                gate.breaker.record(grant.trial, False, now)
            else:
                counts.cancelled += 1
                gate.breaker.cancel(grant.trial)
        else:
            name = type(error).__name__
            counts.failed += 1
            counts.errors[name] = counts.errors.get(name, 0) + 1
            member.last_error = error
            limits = getattr(error, "limits", None)
            if limits is not None:
                gate.limiter.correct(limits, now)
            self._blame(grant, member, error, judge(error), now)
        if self.admission.waiting:
            self.pump()

    @staticmethod
    def _blame(grant: Grant, member: Member, error: BaseException, verdict: Verdict, now: float) -> None:
        breaker = grant.gate.breaker
        match verdict.blame:
            case Blame.NONE:
                breaker.record(grant.trial, True, now)  # it answered, and told us that the request is wrong
            case Blame.FAILURE:
                breaker.record(grant.trial, False, now)
            case Blame.PAUSE:
                after = getattr(error, "retry_after", None)
                if breaker.cancel(grant.trial) or breaker.state == "open":
                    breaker.trip(now, None if after is None else member.endpoint.retry.pause(after))
            case Blame.DISABLE:
                if breaker.cancel(grant.trial):
                    breaker.disable(str(error))

    def _after(self, job: Job, grant: Grant, error: Exception) -> float:
        """Decide what follows a failed attempt: return seconds until the next, or raise what the caller gets."""
        now = self.loop.time()
        gate = grant.gate
        member = self._by_gate.get(gate)
        verdict = judge(error)
        if not verdict.elsewhere and not verdict.again:
            raise error
        name = gate.name
        job.causes[name] = error
        if not verdict.again or member is None:
            self._exclude(job, gate, error)
        else:
            job.avoid = (*job.avoid, gate)
        policy = (member or next(iter(job.plan.members()))).endpoint.retry
        if job.attempts >= policy.attempts:
            raise self._no_provider(job, f"it was sent {job.attempts} times") from error
        self.counts.retries += 1
        if job.plan.other_than(job.avoid, now):
            self.counts.failovers += 1
            delay = 0.0
        else:
            job.avoid = ()
            job.rounds += 1
            delay = policy.backoff(job.rounds, self._rng)
        if member is not None and gate.breaker.state == "closed":
            # A brown-out: the breaker lets calls through, so the budget is what keeps retries from making it worse.
            delay = max(delay, member.budget.reserve_retry(now))
        if now + delay >= job.limit:
            raise self._no_provider(job, "there is no time left for another attempt") from error
        return delay

    def _exclude(self, job: Job, gate: Any, error: Exception) -> None:
        job.excluded = (*job.excluded, gate)
        try:
            job.plan = make_plan(
                tuple(self.members.values()), job.request.model, job.wanted, self._fallbacks, job.excluded, job.only
            )
        except NoProvider:
            if len(job.causes) == 1:
                raise error from None  # nobody else was asked: the error itself says it best
            raise self._no_provider(job, "none can do it") from error

    def _no_provider(self, job: Job, why: str) -> NoProvider:
        causes = dict(job.causes)
        for member in job.plan.members():
            if member.endpoint.name not in causes and member.last_error is not None:
                causes[member.endpoint.name] = member.last_error
        listed = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in causes.items())
        return NoProvider(
            f"no provider answered for model {job.request.model or 'default'!r}: {why}"
            + (f" ({listed})" if listed else ""),
            causes=causes,
        )

    # -- hedging -----------------------------------------------------------------------------------------------------

    async def _hedged(self, job: Job, grant: Grant, hedge: Hedge) -> Completion:
        """Send the request; if it takes unusually long, a second time elsewhere; return the first answer.

        The usual case costs a timer and no task: only when the timer fires is the second call made in a task, and if
        that one is first, it cancels the ask this coroutine waits for.
        """
        delay = hedge.delay(
            self._by_gate[gate].latencies for gate in job.plan.gates[grant.tier] if gate in self._by_gate
        )
        if delay is None or len(job.plan.gates[grant.tier]) < 2:
            return await self._attempt(job, grant)
        member = self._sent(job, grant)
        ask = member.ref.ask(self._adapted(job, grant, member), timeout=member.endpoint.retry.attempt_timeout)
        second: asyncio.Task[Completion] | None = None
        timer: asyncio.TimerHandle

        def late() -> None:
            nonlocal second, timer
            if ask.done():
                return
            other = self._spare(job, grant)
            if other is None:
                timer = self.loop.call_later(delay, late)  # nobody is free, or hedges are not affordable: look again
                return
            self.counts.hedges += 1
            second = self.loop.create_task(self._attempt(job, other), name=f"hedge of {grant.gate.name}")
            second.add_done_callback(lambda task: over(task, other))

        def over(task: asyncio.Task[Completion], other: Grant) -> None:
            nonlocal second, timer
            other.refund()  # of effect only if the task was cancelled before its first step
            if task.cancelled() or ask.done():
                return
            if task.exception() is None:
                grant.slow = True
                ask.cancel()
            else:
                second = None
                timer = self.loop.call_later(delay, late)

        timer = self.loop.call_later(delay, late)
        try:
            try:
                completion = await ask
            except BaseException as error:
                self._ended_badly(job, grant, member, error)
                gave_up = isinstance(error, asyncio.CancelledError) and (not grant.slow or _is_cancelled())
                if second is None or gave_up:
                    raise
                if not grant.slow:
                    job.causes[grant.gate.name] = error
                answer = await second
                self.counts.hedges_won += 1
                return answer
            return self._ended_well(job, grant, member, cast("Completion", completion))
        finally:
            timer.cancel()
            if second is not None and not second.done():
                second.cancel()

    def _spare(self, job: Job, grant: Grant) -> Grant | None:
        """Return a grant for a hedge: another endpoint that is free now, if nobody waits and hedges are affordable."""
        now = self.loop.time()
        if self.admission.waiting:
            return None
        ready = [
            gate
            for gate in job.plan.gates[grant.tier]
            if gate is not grant.gate and gate.breaker.state == "closed" and gate.ready(job.tokens, now)
        ]
        if not ready or self._hedges is None or not self._hedges.take(now):
            return None
        gate = ready[self.admission.routing.choose(ready, self._rng)]
        return self.admission.take(gate, job.tokens, now, grant.tier)

    # -- past the queue ------------------------------------------------------------------------------------------------

    async def probe(self, name: str, request: Request) -> Completion:
        """Send one request to one endpoint that is ready, and book the outcome as for any other.

        Raises:
            ProviderError: what the endpoint answered.
        """
        job = self.open(request, Who(endpoint=name))
        grant = self.admission.take(self.members[name].gate, job.tokens, self.loop.time())
        return await self._attempt(job, grant)

    async def batch(self, requests: BatchRequest) -> BatchAnswer:
        """Send several requests as one batch, through an endpoint that takes batches.

        Raises:
            ProviderError: none does, or the batch failed as a whole.
        """
        job = self.open(requests.requests[0], ANYONE)
        able = job.plan.members()
        gates = tuple(member.gate for member in able if "batch" in member.endpoint.capabilities)
        if not gates:
            raise NoProvider("no endpoint takes batches")
        job.plan = replace(job.plan, gates=(gates,))
        job.tokens = float(sum(input_tokens(each) + (each.max_tokens or 0) for each in requests.requests))
        grant = await self._grant(job)
        member = self._sent(job, grant)
        served = tuple(
            adapt(each, member.endpoint.serves(each.model) or each.model, _ALL) for each in requests.requests
        )
        try:
            answer: BatchAnswer = await member.ref.ask(BatchRequest(served))
        except BaseException as error:
            self._ended_badly(job, grant, member, error)
            raise
        now = self.loop.time()
        results: list[Completion | Exception] = []
        usage = Usage()
        for result in answer.results:
            if isinstance(result, Completion):
                usage += result.usage
                cost = self._cost(job, grant, member, result, now)
                result = replace(result, cost=cost, provider=result.provider or member.endpoint.name)
            results.append(result)
        self.counts.batched += len(results)
        member.counts.answered += 1
        member.counts.input_tokens += usage.input_tokens
        member.counts.output_tokens += usage.output_tokens
        # Its latency is not counted: a batch says nothing of how fast a single request is.
        self._left(member)
        grant.gate.limiter.release(grant.permit, usage.total_tokens)
        grant.gate.breaker.record(grant.trial, True, now)
        self.pump()
        return BatchAnswer(tuple(results))

    # -- streams -----------------------------------------------------------------------------------------------------

    async def stream(self, request: Request, who: Who) -> AsyncGenerator[Delta, None]:
        """Yield the deltas of a completion; the last one carries it.

        A failure before the first delta is retried elsewhere and not seen. After it the caller has text that another
        model would not continue, so the stream ends with the error.

        Raises:
            StreamCut: the stream broke after its first delta.
            ProviderError: as `complete`.
        """
        job = self.open(request, who)
        while True:
            grant = await self._grant(job)
            member = self._sent(job, grant)
            begun = False
            try:
                async with aclosing(self._deltas(job, grant, member)) as deltas:
                    async for delta in deltas:
                        begun = True
                        yield delta
                return
            except Exception as error:
                if begun:
                    if isinstance(error, StreamCut):
                        raise
                    raise StreamCut(
                        f"{member.endpoint.name}: the stream broke after it had begun: {type(error).__name__}: {error}",
                        provider=member.endpoint.name,
                    ) from error
                delay = self._after(job, grant, error)
                if delay > 0.0:
                    await asyncio.sleep(delay)

    async def _deltas(self, job: Job, grant: Grant, member: Member) -> AsyncGenerator[Delta, None]:
        """Yield one attempt's deltas; book how it ended, exactly once."""
        name = member.endpoint.name
        ended = False
        try:
            async with member.ref.stream(self._adapted(job, grant, member)) as deltas:
                patience = member.endpoint.retry.attempt_timeout
                first = True
                while True:
                    try:
                        async with asyncio.timeout(patience if first else None):
                            delta = await anext(deltas)
                    except StopAsyncIteration:
                        raise StreamCut(f"the stream of {name} ended before its finish reason", provider=name) from None
                    except TimeoutError:
                        raise ProviderTimeout(f"{name} sent nothing within {patience} s", provider=name) from None
                    if delta.completion is not None:
                        ended = True
                        yield replace(delta, completion=self._ended_well(job, grant, member, delta.completion))
                        return
                    if first and delta == _NOTHING:
                        continue  # a role or a ping: failover is still invisible after it
                    first = False
                    yield delta
        except BaseException as error:
            if not ended:
                self._ended_badly(job, grant, member, error)
            raise


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _is_cancelled() -> bool:
    """Whether the running task itself is asked to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_NOTHING = Delta()
_ALL: frozenset[str] = frozenset()
