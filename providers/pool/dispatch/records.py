"""What a call's end means for its endpoint: limits settled, the breaker told, latency, tokens and cost booked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ...embeddings import Embeddings
from ...errors import BudgetSpent
from ...messages import Completion, RateLimits, Usage
from ..accounts.cost import BATCH_SHARE
from ..accounts.estimate import OutputEstimate
from ..accounts.ledger import Item, became_of
from ..accounts.stats import PoolCounts
from ..admission.gate import Grant
from ..admission.retry import Blame, Verdict, judge
from .charges import Charges
from .endpoint import Member
from .job import Job
from .spans import tell_attempt

A = TypeVar("A", Completion, Embeddings)


def item_of(member: Member, error: BaseException, *, begun: bool = False, overtaken: bool = False) -> Item | None:
    """Return what an endpoint's call that was not answered is booked as; see `became_of`."""
    item = became_of(error, begun=begun, overtaken=overtaken)
    if item == "cancelled" and not member.is_alive():
        item = "interrupted"  # its actor was stopped, and the pool with it
    return item


class AttemptRecords:
    """Opens and closes the account of each call. A call is opened by `sent` and closed by exactly one other method.

    Args:
        loop: its time counts.
        charges: their money.
        counts: of requests.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, charges: Charges, counts: PoolCounts) -> None:
        self.loop = loop
        self.charges = charges
        self.counts = counts

    def sent(self, job: Job, grant: Grant) -> None:
        """Count a call that is now made."""
        gate = grant.gate
        gate.counts.sent += 1
        gate.counts.probes += grant.probe
        if not job.attempts:
            gate.budget.deposit()
        job.attempts += 1
        if self.charges.budgets.limited and grant.reservation is None:
            self.charges.promise(job, grant)

    def payable(self, job: Job, grant: Grant) -> bool:
        """Return whether the budgets allow a call besides the one that is out; if not, its grant goes back.

        What it may take is promised at once, since others may be asked about before it is sent.
        """
        if self.charges.budgets.limited:
            try:
                self.charges.afford(job, grant)
            except BudgetSpent:
                grant.refund(self.loop.time())
                return False
            self.charges.promise(job, grant)
        return True

    def unsent(self, grant: Grant) -> None:
        """Give back what a call was granted that was called off, if it was before it was sent."""
        grant.refund(self.loop.time())
        self.charges.release(grant)

    def answered(self, job: Job, grant: Grant, member: Member, completion: A) -> A:
        """Close a call that was answered; return the completion as the caller gets it: priced, with notes."""
        now = self.loop.time()
        usage = completion.usage
        gate = grant.gate
        self._close(grant, now, usage, completion.limits)
        grant.record(now, True, True)
        latency = now - grant.at
        gate.took(latency, now)
        gate.answered_from = max(gate.answered_from, grant.at)
        gate.recent.append(True)
        self._count(grant, usage)
        if gate.outputs is None:
            gate.outputs = OutputEstimate()
        gate.outputs.add(usage.output_tokens)
        if job.place is not None:
            tell_attempt(job.place, job, grant, latency, usage=usage)
        notes = self._notes(job, grant, member)
        cost = self.charges.answered(job, grant, completion, completion.notes + notes)
        if cost == completion.cost and not notes and completion.provider:
            return completion
        provider, took = completion.provider or member.endpoint.name, completion.latency or latency
        if isinstance(completion, Embeddings):
            return replace(completion, provider=provider, latency=took, cost=cost, notes=completion.notes + notes)
        # Written out: dataclasses.replace costs three times as much.
        return Completion(
            completion.message,
            completion.finish_reason,
            usage,
            completion.model,
            provider,
            completion.request_id,
            took,
            cost,
            completion.notes + notes,
            completion.limits,
            completion.extra,
        )

    def batch_sent(self, jobs: Sequence[Job], grant: Grant) -> None:
        """Count a batch that is now sent as one call of all its requests, whose price is promised already."""
        grant.gate.counts.sent += 1
        grant.gate.budget.deposit()
        for job in jobs:
            job.attempts += 1

    def batch_answered(
        self, jobs: Sequence[Job], grant: Grant, member: Member, results: Sequence[Completion | Exception]
    ) -> list[Completion | Exception]:
        """Close a batch, each request's account at a batch's price. Return the results as the callers get them.

        Its latency is not counted: it says nothing of how fast a single request is.
        """
        usage = Usage()
        priced: list[Completion | Exception] = []
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Completion):
                usage += result.usage
                notes = (*result.notes, "batched")
                cost = self.charges.answered(job, grant, result, notes, BATCH_SHARE)
                result = replace(result, cost=cost, provider=result.provider or member.endpoint.name, notes=notes)
            else:
                self.charges.failed(job, grant, result, None, None)
            priced.append(result)
        now = self.loop.time()
        for job, result in zip(jobs, priced, strict=True):
            if job.place is not None:
                failed = result if isinstance(result, Exception) else None
                tell_attempt(job.place, job, grant, now - grant.at, "answered" if failed is None else "refused", failed)
        self._close(grant, now, usage)
        grant.record(now, True, True)
        self._count(grant, usage)
        return priced

    def batch_failed(self, jobs: Sequence[Job], grant: Grant, member: Member, error: BaseException) -> None:
        """Close a batch that failed as a whole, or was called off."""
        item = item_of(member, error)
        for job in jobs:
            self.charges.failed(job, grant, error, item, None, BATCH_SHARE)
            if job.place is not None:
                tell_attempt(job.place, job, grant, self.loop.time() - grant.at, item or "refused", error)
        self._close_failed(grant, member, error)

    def failed(
        self,
        job: Job,
        grant: Grant,
        member: Member,
        error: BaseException,
        item: Item | None = None,
        came: int | None = None,
    ) -> None:
        """Close a call that raised or was cancelled. A cancelled one teaches nothing, unless a hedge overtook it.

        Args:
            job, grant, member: the call.
            error: how it ended.
            item: what it is booked as, where the vendor charges for it, or may.
            came: output tokens that had come, of a stream.
        """
        self.charges.failed(job, grant, error, item, came)
        if job.place is not None:
            tell_attempt(job.place, job, grant, self.loop.time() - grant.at, item or "refused", error)
        self._close_failed(grant, member, error, job.ping)

    def _close_failed(self, grant: Grant, member: Member, error: BaseException, ping: bool = False) -> None:
        now = self.loop.time()
        gate = grant.gate
        counts = gate.counts
        self._close(grant, now, limits=getattr(error, "limits", None))
        if isinstance(error, Exception):
            name = type(error).__name__
            counts.failed += 1
            gate.recent.append(False)
            counts.errors[name] = counts.errors.get(name, 0) + 1
            verdict = judge(error)
            if ping and verdict.blame is Blame.DISABLE and verdict.concerns == "model" and not gate.breaker.disabled:
                # Some models refuse what a probe asks and do what they are for, so this says nothing of them.
                gate.last_error = error
                grant.record(now, None, getattr(error, "status", None) is not None or None)
            else:
                self._blame(grant, member, error, verdict, now)
        elif grant.slow and gate.answered_from < grant.at and now - grant.at > gate.tail:
            # Overtaken or out of time, and nothing sent since has been answered either: it hangs, or has become slow.
            # Being overtaken alone says little: one call in twenty is slower than its 95 % quantile, and after a stall
            # of this process every call is; nor does the deadline of a caller in a hurry.
            counts.slow += 1
            gate.recent.append(False)
            grant.record(now, False, None)
        else:
            counts.cancelled += 1
            grant.record(now, None, None)

    def _notes(self, job: Job, grant: Grant, member: Member) -> tuple[str, ...]:
        notes: tuple[str, ...] = ()
        if job.causes:
            failed = ", ".join(f"{name} ({type(error).__name__})" for name, error in job.causes.items())
            notes = (f"answered by {member.endpoint.name} after failures at {failed}",)
        changed = job.plan.tiers[grant.tier].notes
        if changed:
            self.counts.degraded += 1
        return notes + changed

    def _close(self, grant: Grant, now: float, usage: Usage | None = None, limits: RateLimits | None = None) -> None:
        grant.close(now, usage, limits)
        self.charges.release(grant)

    @staticmethod
    def _count(grant: Grant, usage: Usage) -> None:
        counts = grant.gate.counts
        counts.answered += 1
        counts.input_tokens += usage.input_tokens
        counts.output_tokens += usage.output_tokens

    @staticmethod
    def _blame(grant: Grant, member: Member, error: BaseException, verdict: Verdict, now: float) -> None:
        """Tell the breaker of what is at fault. The other one learns at most that the endpoint can be reached."""
        gate = grant.gate
        # With a status, the vendor answered; otherwise it was perhaps not even asked.
        reached = True if getattr(error, "status", None) is not None else None
        if verdict.blame is Blame.NONE:
            gate.last_error = error
            grant.record(now, reached, reached)
            return
        if verdict.concerns == "model":
            gate.last_error = error
            breaker, trial = gate.breaker, grant.trial
            rest: tuple[bool | None, bool | None] = (None, reached)
        else:
            member.last_error = error
            breaker, trial = gate.endpoint.breaker, grant.endpoint_trial
            rest = (None, None)
        if verdict.blame is Blame.FAILURE:
            breaker.record(trial, False, now)
        else:
            current = breaker.cancel(trial)
            if verdict.blame is Blame.DISABLE:
                if current:
                    breaker.disable(now, str(error))
            elif current or breaker.state == "open":
                after = getattr(error, "retry_after", None)
                breaker.trip(now, None if after is None else member.endpoint.retry.pause(after))
        grant.record(now, *rest)  # what has ended above does not end again
