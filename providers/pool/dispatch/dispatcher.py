"""One request's way through the pool, streamed or not: planned, let go, sent, and if that fails judged and sent again.

`planner` says where it may go, `queue` when it goes and where, `attempts` makes the call and books its end. Here is
decided what follows from a failure. Every coroutine runs beside the pool actor's mailbox, all on its loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from ....actors.core.base.send_context import current_send_context
from ....actors.observe.spans import PLACE
from ...embeddings import Asked, EmbeddingLimit, EmbeddingRequest, Embeddings
from ...errors import CAUSES, BudgetSpent, InvalidRequest
from ...messages import Completion, Delta, Request
from ...registry.resolve import Registry
from ..accounts.budgets import Budgets
from ..accounts.cost import Prices
from ..accounts.estimate import OutputEstimate, input_tokens
from ..accounts.ledger import Ledger
from ..accounts.stats import PoolCounts
from ..admission.admission import Admission
from ..admission.gate import Gate, Grant
from ..admission.hedge import Hedge
from ..admission.retry import RetryPolicy, judge
from ..admission.routing import Routing
from .attempts import Attempts
from .charges import Charges
from .endpoint import Member
from .hedging import Hedger
from .job import Job, Requester
from .planner import Planner, no_provider
from .queue import Queue
from .records import AttemptRecords
from .usage import OnUsage

T = TypeVar("T")

_LAST_WORDS = 0.05
"""Seconds before a caller's deadline at which waiting ends; at most a tenth of its time."""


class Dispatcher:
    """Sends requests through the pool's endpoints.

    Args:
        loop: the loop whose time counts.
        routing, hedge, fallbacks, registry, queue_timeout: see `Pool`.
        prices: what answers cost.
        budgets: what may be spent.
        ledger: what was bought.
        counts: of requests.
        on_usage: told of each call as it ends.
        rng: all randomness.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        routing: Routing,
        hedge: Hedge | None,
        fallbacks: Mapping[str, Sequence[str]],
        registry: Registry | None,
        queue_timeout: float,
        prices: Prices,
        budgets: Budgets,
        ledger: Ledger,
        counts: PoolCounts,
        on_usage: OnUsage | None,
        rng: random.Random,
    ) -> None:
        self.loop = loop
        self.counts = counts
        self.admission = Admission(routing, rng)
        self.planner = Planner(fallbacks, registry)
        self.charges = Charges(loop, prices, budgets, ledger, on_usage)
        self.queue = Queue(loop, self.admission, self.planner, self.charges)
        records = AttemptRecords(loop, self.charges, counts)
        hedger = None if hedge is None else Hedger(hedge, self.admission)
        self.attempts = Attempts(loop, self.queue, records, hedger)
        self._queue_timeout = queue_timeout
        self._rng = rng

    async def complete(self, request: Request, requester: Requester) -> Completion:
        """Return the completion of ``request``, from whichever endpoint gives it.

        Raises:
            ProviderError: `NoProvider` with the causes, or what no other endpoint could do better.
        """
        return await self.run(self.open(request, requester))

    def open_all(self, parts: Sequence[EmbeddingRequest], requester: Requester) -> list[Job]:
        """Accept the parts of one request, or none of them: what each may take is promised until it is sent, and so
        taken off what the next may. Who calls has `Charges.withdraw` end what is still promised. Raises as `open`.

        Args:
            parts: each no larger than `embedding_limit`.
            requester: on whose behalf.
        """
        jobs: list[Job] = []
        try:
            for part in parts:
                jobs.append(self.open(part, requester))
                if len(parts) > 1 and self.charges.budgets.limited:
                    self.charges.reserve(jobs[-1])
        except BudgetSpent as error:
            self.charges.withdraw(jobs)
            if not jobs:
                raise
            whole = f"of {len(parts)} parts that it is divided into, {len(jobs)} could be paid for: nothing is sent"
            raise type(error)(f"the request is too large for a budget: {whole}. {error}") from None
        return jobs

    def embed(self, job: Job) -> Coroutine[Any, Any, Embeddings]:
        """Return the vectors of an accepted request. Raises as `complete`."""
        return self._sent(job, self.attempts.embed)

    def embedding_limit(self, request: EmbeddingRequest, requester: Requester) -> EmbeddingLimit:
        """Return how much each of the endpoints that may serve a request takes in one call. Raises as `open`."""
        plan, _ = self.planner.plan(request, requester)
        limits = [member.endpoint.embedding_limit for member in plan.members()]
        return EmbeddingLimit(min(one.texts for one in limits), min(one.tokens for one in limits))

    async def stream(self, request: Request, requester: Requester) -> AsyncGenerator[Delta, None]:
        """Yield the deltas of a completion; the last one carries it.

        A failure before the first text is followed by another attempt, as `complete` does. If pieces of reasoning or of
        tool calls had come, a delta with ``restart`` says that they are void. After text the stream ends in the error:
        another model would not go on from there, so the caller decides.

        Raises:
            StreamCut: the stream broke after its first text.
            ProviderError: as `complete`.
        """
        job = self.open(request, requester)
        void = False
        while True:
            grant = await self.queue.grant(job)
            began, text = void, False
            try:
                async with aclosing(self.attempts.stream(job, grant)) as deltas:
                    async for delta in deltas:
                        if void:
                            void = False
                            yield Delta(restart=True)
                        began, text = True, text or bool(delta.text)
                        yield delta
                return
            except Exception as error:
                if text:
                    raise
                delay = self._after(job, grant, error)
            void = began
            if delay > 0.0:
                await asyncio.sleep(delay)

    def open(self, request: Asked, requester: Requester) -> Job:
        """Accept a request.

        Raises:
            InvalidRequest: it allows no token.
            UnknownModel: no endpoint serves its model.
            NoProvider: those that do cannot do what it needs.
            BudgetSpent: who asks, or every model and endpoint that could answer, has too little left.
        """
        if isinstance(request, Request) and request.max_tokens is not None and request.max_tokens < 1:
            # It would make up for the input, and pass any budget; some vendors take 0 for as much as there is.
            raise InvalidRequest(f"max_tokens is {request.max_tokens}; expected at least 1, or None")
        now = self.loop.time()
        plan, wanted = self.planner.plan(request, requester)
        key = self.admission.place(now, requester.priority)
        job = Job(request, plan, requester, began=now, limit=now, key=key)
        sent = current_send_context()
        job.deadline = sent.deadline
        job.place = sent.baggage.get(PLACE)
        job.causes = sent.baggage.get(CAUSES, job.causes)
        self.prolong(job)
        job.epoch = self.planner.epoch
        job.wanted = wanted
        limited = self.charges.budgets.limited
        if limited or plan.counts_tokens():
            job.input_tokens = input_tokens(request)
            job.tokens = float(job.input_tokens + _output_tokens(job))
        if limited:
            self.charges.check(job)
        return job

    def prolong(self, job: Job) -> None:
        """Let a request wait for as long as who asks here and now can: until the deadline, or else ``queue_timeout``
        for each attempt.

        It ends a little before the deadline, at which the caller stops listening: so it hears why nobody answered.
        """
        now = self.loop.time()
        deadline = current_send_context().deadline
        if deadline is None:
            job.patience = self._queue_timeout
            until = now + self._queue_timeout
        else:
            until = deadline - min(_LAST_WORDS, 0.1 * (deadline - now))
        job.limit = max(job.limit, until)

    def run(self, job: Job) -> Coroutine[Any, Any, Completion]:
        """Return the completion of an accepted request; see `complete`."""
        return self._sent(job, self.attempts.complete)

    async def _sent(self, job: Job, attempt: Callable[[Job, Grant], Awaitable[T]]) -> T:
        """Return what the first attempt that does not fail returns."""
        while True:
            grant = await self.queue.grant(job)
            try:
                return await attempt(job, grant)
            except Exception as error:  # any failure of a provider is judged, none may end the pool
                delay = self._after(job, grant, error)
            if delay > 0.0:
                await asyncio.sleep(delay)

    def _after(self, job: Job, grant: Grant, error: Exception) -> float:
        """Decide what follows a failed attempt: return seconds until the next, or raise what the caller gets."""
        now = self.loop.time()
        gate = grant.gate
        verdict = judge(error)
        if not verdict.elsewhere and not verdict.again:
            raise error
        job.failed(grant, error)
        if verdict.again and gate.present:
            job.avoid = (*job.avoid, gate)
        else:
            self.planner.exclude(job, gate, error)
        policy: RetryPolicy = gate.member.endpoint.retry
        if job.attempts >= job.allowed(policy):
            raise no_provider(job, f"it was sent {job.attempts} times") from error
        if job.patience is not None:
            # How long the attempt took is not the request's fault: a vendor that hangs must leave time for another.
            job.began, job.limit = now, max(job.limit, now + job.patience)
        self.counts.retries += 1
        if job.plan.other_than(job.avoid, now):
            self.counts.failovers += 1
            delay = 0.0
        else:
            job.avoid = ()
            job.rounds += 1
            delay = policy.backoff(job.rounds, self._rng)
        if gate.state == "closed" and verdict.again:
            # A brown-out: the breaker lets calls through, so the budget is what keeps retries from making it worse.
            delay = max(delay, gate.budget.reserve_retry(now))
        if now + delay >= job.limit:
            raise no_provider(job, "there is no time left for another attempt") from error
        return delay


def _output_tokens(job: Job) -> int:
    if isinstance(job.request, EmbeddingRequest):
        return 0
    most = job.request.max_tokens
    if most is not None:
        return most
    expected = [each for gate in job.plan.gates[0] if (each := _usual_tokens(gate)) is not None]
    return max(expected) if expected else OutputEstimate().seen


def _usual_tokens(gate: Gate) -> int | None:
    """Return what an answer takes of which the request says nothing; None where nothing is known."""
    member: Member = gate.member
    most = member.default_tokens(gate.model)
    return most if most is not None or gate.outputs is None else gate.outputs.seen
