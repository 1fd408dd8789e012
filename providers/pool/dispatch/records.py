"""What a call's end means for its endpoint: limits settled, the breaker told, latency, tokens and cost booked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TypeVar

from ...embeddings import Answered, Embeddings
from ...messages import Completion, Usage
from ...provider import ESTIMATED
from ..accounts.cost import Budgets, Prices, Reservation
from ..accounts.estimate import OutputEstimate, input_tokens
from ..accounts.ledger import Item, Ledger
from ..accounts.stats import PoolCounts
from ..admission.gate import Grant
from ..admission.retry import Blame, Verdict, judge
from .endpoint import Member
from .job import Job

A = TypeVar("A", Completion, Embeddings)


class AttemptRecords:
    """Opens and closes the account of each call. A call is opened by `sent` and closed by exactly one other method.

    Args:
        loop: its time counts.
        prices: what answers cost.
        budgets: what may be spent.
        ledger: what was bought.
        counts: of requests.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        prices: Prices,
        budgets: Budgets,
        ledger: Ledger,
        counts: PoolCounts,
    ) -> None:
        self.loop = loop
        self.prices = prices
        self.budgets = budgets
        self.ledger = ledger
        self.counts = counts

    def sent(self, job: Job, grant: Grant, member: Member) -> None:
        """Count a call that is now made."""
        gate = grant.gate
        gate.counts.sent += 1
        gate.counts.probes += grant.probe
        if not job.attempts:
            gate.budget.deposit()
        job.attempts += 1
        if self.budgets.limited:
            expected = Usage(job.input_tokens, int(job.tokens) - job.input_tokens)
            dollars = self._priced(job, grant, member, "", expected, self.loop.time()) or 0.0
            grant.reservation = self.budgets.reserve((*job.accounts, *member.accounts), dollars)

    def answered(self, job: Job, grant: Grant, member: Member, completion: A) -> A:
        """Close a call that was answered; return the completion as the caller gets it: priced, with notes."""
        now = self.loop.time()
        usage = completion.usage
        gate = grant.gate
        self._close(grant, usage.total_tokens)
        grant.record(now, True, True)
        latency = now - grant.at
        gate.latencies.add(latency)
        gate.answered_from = max(gate.answered_from, grant.at)
        gate.average = gate.latencies.average
        gate.tail = gate.latencies.quantile(0.95)
        gate.recent.append(True)
        self._count(grant, usage)
        if gate.outputs is None:
            gate.outputs = OutputEstimate()
        gate.outputs.add(usage.output_tokens)
        if completion.limits is not None:
            gate.limiter.correct(completion.limits, now)
        cost = self.cost(job, grant, member, completion, now)
        notes = self._notes(job, grant, member)
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

    def batch_answered(self, grant: Grant, usage: Usage) -> None:
        """Close a batch call. Its latency is not counted: it says nothing of how fast a single request is."""
        self._close(grant, usage.total_tokens)
        grant.record(self.loop.time(), True, True)
        self._count(grant, usage)

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
        now = self.loop.time()
        gate = grant.gate
        counts = gate.counts
        self._close(grant)
        if item is not None:
            self._lost(job, grant, member, item, came, now)
        if isinstance(error, Exception):
            name = type(error).__name__
            counts.failed += 1
            gate.recent.append(False)
            counts.errors[name] = counts.errors.get(name, 0) + 1
            limits = getattr(error, "limits", None)
            if limits is not None:
                gate.limiter.correct(limits, now)
            self._blame(grant, member, error, judge(error), now)
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

    def cost(self, job: Job, grant: Grant, member: Member, completion: Answered, now: float) -> float | None:
        """Return what a completion cost in US dollars, booked; None where no price is known."""
        cost = completion.cost
        if cost is None:
            cost = self._priced(job, grant, member, completion.model, completion.usage, now)
        if cost:
            grant.gate.counts.cost += cost
            self.budgets.book((*job.accounts, *member.accounts), cost)
        self.ledger.add(_item(completion), completion.usage, cost or 0.0)
        return cost

    def overtaken(self, completion: Answered) -> None:
        """An answer that was booked, and that nobody gets: the other call of a hedged pair was faster."""
        self.ledger.move(_item(completion), "hedged", completion.usage, completion.cost or 0.0)

    def _lost(self, job: Job, grant: Grant, member: Member, item: Item, came: int | None, now: float) -> None:
        """Book a call of which nobody knows what the vendor charges for it."""
        request = job.request
        read = job.input_tokens or input_tokens(request)
        seen = grant.gate.outputs
        most = int(job.tokens) - job.input_tokens if job.tokens else (seen or OutputEstimate()).tokens(request)
        if item == "interrupted":
            written = most  # the vendor may have gone on to the end, and a budget must hold then, too
        elif came is not None:
            written = came  # with the connection closed, vendors stop
        else:
            written = most if seen is None else min(most, seen.seen)
        usage = Usage(read, written)
        cost = self._priced(job, grant, member, "", usage, now) or 0.0
        if cost:
            self.budgets.book((*job.accounts, *member.accounts), cost)
        self.ledger.add(item, usage, cost)

    def _priced(self, job: Job, grant: Grant, member: Member, model: str, usage: Usage, now: float) -> float | None:
        endpoint = member.endpoint
        if endpoint.price is not None:
            return endpoint.price.of(usage)
        model = model or job.plan.tiers[grant.tier].models.get(endpoint.name, "") or endpoint.default_model
        return self.prices.cost(endpoint.vendor, model, usage, now)

    def _notes(self, job: Job, grant: Grant, member: Member) -> tuple[str, ...]:
        notes: tuple[str, ...] = ()
        if job.causes:
            failed = ", ".join(f"{name} ({type(error).__name__})" for name, error in job.causes.items())
            notes = (f"answered by {member.endpoint.name} after failures at {failed}",)
        changed = job.plan.tiers[grant.tier].notes
        if changed:
            self.counts.degraded += 1
        return notes + changed

    def _close(self, grant: Grant, tokens: int | None = None) -> None:
        grant.close(tokens)
        reservation: Reservation | None = grant.reservation
        if reservation is not None:
            self.budgets.release(reservation)

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


def _item(completion: Answered) -> Item:
    for note in completion.notes:
        if note.startswith(ESTIMATED):
            return "unreported"
    return "answered"
