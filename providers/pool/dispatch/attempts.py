"""The calls: one request sent once to one endpoint, or to two of which the faster counts; and the booking of each end.

However a call ends, its grant is ended exactly once, in `records`, and who waits for the room it leaves is let go.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, cast

from ....actors.core.mail.future import Future
from ...embeddings import Asked, EmbeddingRequest, Embeddings
from ...errors import ProviderTimeout, StreamCut
from ...messages import Completion, Delta, Request
from ...provider import BatchRequest
from ..accounts.estimate import text_bytes
from ..admission.gate import Grant
from .answers import checked, checked_batch, checked_piece
from .endpoint import Member
from .foreign import is_cancelled
from .hedging import Hedger
from .job import Job
from .plan import adapt
from .queue import Queue
from .records import AttemptRecords, item_of

_INSTANT = 1e-3
"""Seconds within which two timers for the same moment fire."""

_NOTHING = Delta()


class Attempts:
    """Makes the calls that were granted.

    Args:
        loop: the loop whose time counts.
        queue: told of the room that a call leaves.
        records: books.
        hedger: says when a call takes unusually long, and where a second one may go; None for never.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: Queue,
        records: AttemptRecords,
        hedger: Hedger | None,
    ) -> None:
        self._loop = loop
        self._queue = queue
        self._records = records
        self._hedger = hedger

    async def complete(self, job: Job, grant: Grant) -> Completion:
        """Send the request, and a second time elsewhere if that is unusually slow; return the first answer.

        Raises:
            Exception: whatever the provider answered with, or the one of the two that answered last.
        """
        if self._hedger is not None:
            gates = job.plan.gates[grant.tier]
            delay = self._hedger.delay([gate.latencies for gate in gates])
            if delay is not None:
                return await self._hedged(job, grant, self._hedger, delay)
        return await self.once(job, grant)

    async def once(self, job: Job, grant: Grant) -> Completion:
        """Send the request to the granted endpoint and nowhere else.

        Raises:
            Exception: whatever the provider answered with.
        """
        member: Member = grant.gate.member
        self._records.sent(job, grant)
        try:
            completion: Completion = checked(await self._asked(job, grant, member), job.request, grant.gate.name)
        except BaseException as error:
            self._failed(job, grant, member, error)
            raise
        return self._answered(job, grant, member, completion)

    async def embed(self, job: Job, grant: Grant) -> Embeddings:
        """As `complete`, of a request for embeddings."""
        grant.gate.embeds = True
        return cast(Embeddings, await self.complete(job, grant))  # a provider answers what it was asked for

    async def batch(self, jobs: Sequence[Job], grant: Grant) -> list[Completion | Exception]:
        """Send several requests as one batch; return what became of each.

        Raises:
            Exception: the batch failed as a whole.
        """
        member: Member = grant.gate.member
        served = tuple(cast(Request, _adapted(job, grant)) for job in jobs)
        self._records.batch_sent(jobs, grant)
        try:
            answer = await member.actor.ask(BatchRequest(served))
            results = checked_batch(answer, len(jobs), grant.gate.name)
        except BaseException as error:
            self._records.batch_failed(jobs, grant, member, error)
            self._queue.pump()
            raise
        priced = self._records.batch_answered(jobs, grant, member, results)
        self._records.counts.batched += len(priced)
        self._queue.pump()
        return priced

    @staticmethod
    def _asked(job: Job, grant: Grant, member: Member) -> Future[Any]:
        ask = member.actor.ask(_adapted(job, grant), timeout=_timeout(job, grant))
        grant.unsent = ask.done()
        return ask

    async def _hedged(self, job: Job, grant: Grant, hedger: Hedger, delay: float) -> Completion:
        """Send the request; if it takes longer than ``delay`` seconds, a second time; return the first answer.

        The usual case costs a timer and no task: only when the timer fires is the second call made, in a task, and if
        that one is first, it cancels the ask this coroutine waits for.

        Raises:
            Exception: what the first call failed with, if there was no second; otherwise what the second did.
        """
        loop, counts = self._loop, self._records.counts
        member: Member = grant.gate.member
        self._records.sent(job, grant)
        ask = self._asked(job, grant, member)
        second: asyncio.Task[Completion] | None = None
        spare: Grant | None = None
        timer: asyncio.TimerHandle
        overtaken = False

        def late() -> None:
            nonlocal second, spare, timer
            if ask.done() or job.attempts >= job.allowed(member.endpoint.retry):
                return
            other = spare = hedger.spare(job, grant, loop.time())
            if other is not None and not self._records.payable(job, other):
                other = spare = None
            if other is None:
                timer = loop.call_later(delay, late)  # nobody is free, or hedges are not affordable: look again
                return
            counts.hedges += 1
            second = loop.create_task(self.once(job, other), name=f"hedge of {grant.gate.name}")
            second.add_done_callback(lambda task: over(task, other))

        def over(task: asyncio.Task[Completion], other: Grant) -> None:
            nonlocal second, timer, overtaken
            if task.cancelled():  # perhaps before its first step: then nothing has given back what it was granted
                self._records.unsent(other)
                self._queue.pump()
            if task.cancelled() or task.exception() is None:
                if not task.cancelled() and not ask.done():
                    grant.slow = grant.overtaken = overtaken = True
                    ask.cancel()
            elif not ask.done():
                second = None
                timer = loop.call_later(delay, late)

        timer = loop.call_later(delay, late)
        try:
            try:
                completion: Completion = checked(await ask, job.request, grant.gate.name)
            except BaseException as error:
                self._failed(job, grant, member, error)
                gave_up = isinstance(error, asyncio.CancelledError) and (not overtaken or is_cancelled())
                if second is None or gave_up:
                    raise
                if not overtaken:
                    job.failed(grant, error)
                answer = await second
                counts.hedges_won += 1
                return answer
            if second is not None and second.done() and not second.cancelled() and second.exception() is None:
                # Both at once, and the second is booked, and told, as the answer.
                grant.overtaken = True
                self._answered(job, grant, member, completion)
                counts.hedges_won += 1
                return second.result()
            if spare is not None:
                spare.overtaken = True
            return self._answered(job, grant, member, completion)
        finally:
            timer.cancel()
            if second is not None and not second.done():
                second.cancel()

    async def stream(self, job: Job, grant: Grant) -> AsyncGenerator[Delta, None]:
        """Send the request as a stream and yield its deltas; book how it ended, exactly once.

        Raises:
            StreamCut: it broke after its first piece.
            Exception: it failed before.
        """
        loop = self._loop
        member: Member = grant.gate.member
        name = member.endpoint.name
        timeout = _timeout(job, grant)
        ended = False
        first = True
        came = 0
        self._records.sent(job, grant)
        try:
            async with member.actor.stream(_adapted(job, grant)) as deltas:
                while True:
                    until = job.deadline
                    if first and timeout is not None:
                        until = min(until or math.inf, loop.time() + timeout)
                    try:
                        if until is None or deltas.ready:  # a timeout costs 5 µs, and most deltas come in heaps
                            piece = await anext(deltas)
                        else:
                            async with asyncio.timeout_at(until):
                                piece = await anext(deltas)
                        delta = checked_piece(piece, name)
                    except StopAsyncIteration:
                        raise StreamCut(f"{name}: the stream ended before its finish reason", provider=name) from None
                    except TimeoutError:
                        raise ProviderTimeout(f"{name} sent nothing in time", provider=name) from None
                    if delta.completion is not None:
                        ended = True
                        yield replace(delta, completion=self._answered(job, grant, member, delta.completion))
                        return
                    if first and delta == _NOTHING:
                        continue  # a role or a ping: failover is still invisible after it
                    first = False
                    came += text_bytes(delta.text + delta.reasoning + delta.tool_arguments)
                    yield delta
        except BaseException as error:
            if not ended:
                self._failed(job, grant, member, error, None if first else -(-came // 4))
            if (first and not ended) or isinstance(error, StreamCut) or not isinstance(error, Exception):
                raise
            raise StreamCut(
                f"{name}: the stream broke after it had begun: {type(error).__name__}: {error}", provider=name
            ) from error

    def _answered(self, job: Job, grant: Grant, member: Member, completion: Completion) -> Completion:
        """Book an answer, and let go who waits for the room it leaves."""
        completion = self._records.answered(job, grant, member, completion)
        self._queue.pump()
        return completion

    def _failed(self, job: Job, grant: Grant, member: Member, error: BaseException, came: int | None = None) -> None:
        """Book a failure, and let go who waits for the room it leaves.

        Args:
            job, grant, member: the call.
            error: how it ended.
            came: output tokens that had come, of a stream; None if nothing had.
        """
        item = None
        if not grant.unsent:
            item = item_of(member, error, begun=came is not None, overtaken=grant.overtaken)
        if job.deadline is not None and self._loop.time() >= job.deadline - _INSTANT:
            # The caller's time is over. Whether our cancellation or the provider's ask comes first is chance.
            grant.slow = True
            error = asyncio.CancelledError()
            item = "timeout" if item == "cancelled" else item
        self._records.failed(job, grant, member, error, item, came)
        if grant.gate.disabled:
            self._queue.changed()
        else:
            self._queue.pump()


def _timeout(job: Job, grant: Grant) -> float | None:
    member: Member = grant.gate.member
    return member.attempt_timeout(job.plan.has_other(grant.gate))


def _adapted(job: Job, grant: Grant) -> Asked:
    """Return the request as the granted endpoint gets it."""
    tier = job.plan.tiers[grant.tier]
    request, model = job.request, tier.models[grant.gate.name]
    if isinstance(request, EmbeddingRequest):
        return request if model == request.model else replace(request, model=model)
    return adapt(request, model, tier.dropped)
