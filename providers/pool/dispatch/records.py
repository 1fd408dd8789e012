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
from ..admission.admission import Grant
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
        member.active += 1
        counts = member.counts
        counts.sent += 1
        counts.probes += grant.trial.probe
        if not job.attempts:
            member.budget.deposit()
        job.attempts += 1
        if self.budgets.limited:
            expected = Usage(job.input_tokens, int(job.tokens) - job.input_tokens)
            dollars = self._priced(job, grant, member, "", expected, self.loop.time()) or 0.0
            grant.reservation = self.budgets.reserve((*job.accounts, *member.accounts), dollars)

    def answered(self, job: Job, grant: Grant, member: Member, completion: A) -> A:
        """Close a call that was answered; return the completion as the caller gets it: priced, with notes."""
        now = self.loop.time()
        usage = completion.usage
        self._close(grant, member)
        grant.gate.limiter.release(grant.permit, usage.total_tokens)
        grant.gate.breaker.record(grant.trial, True, now)
        latency = now - grant.at
        member.latencies.add(latency)
        grant.gate.answered_from = max(grant.gate.answered_from, grant.at)
        grant.gate.average = member.latencies.average
        grant.gate.tail = member.latencies.quantile(0.95)
        counts = member.counts
        counts.answered += 1
        member.recent.append(True)
        counts.input_tokens += usage.input_tokens
        counts.output_tokens += usage.output_tokens
        outputs = member.outputs.get(job.request.model)
        if outputs is None:
            outputs = member.outputs.setdefault(job.request.model, OutputEstimate())
        outputs.add(usage.output_tokens)
        if completion.limits is not None:
            grant.gate.limiter.correct(completion.limits, now)
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
        )

    def batch_answered(self, grant: Grant, member: Member, usage: Usage) -> None:
        """Close a batch call. Its latency is not counted: it says nothing of how fast a single request is."""
        self._close(grant, member)
        member.counts.answered += 1
        member.counts.input_tokens += usage.input_tokens
        member.counts.output_tokens += usage.output_tokens
        grant.gate.limiter.release(grant.permit, usage.total_tokens)
        grant.gate.breaker.record(grant.trial, True, self.loop.time())

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
        gate, counts = grant.gate, member.counts
        self._close(grant, member)
        if item is not None:
            self._lost(job, grant, member, item, came, now)
        gate.limiter.release(grant.permit)
        if isinstance(error, Exception):
            name = type(error).__name__
            counts.failed += 1
            member.recent.append(False)
            counts.errors[name] = counts.errors.get(name, 0) + 1
            member.last_error = error
            limits = getattr(error, "limits", None)
            if limits is not None:
                gate.limiter.correct(limits, now)
            self._blame(grant, member, error, judge(error), now)
        elif grant.slow and gate.answered_from < grant.at and now - grant.at > gate.tail:
            # Overtaken or out of time, and nothing sent since has been answered either: it hangs, or has become slow.
            # Being overtaken alone says little: one call in twenty is slower than its 95 % quantile, and after a stall
            # of this process every call is; nor does the deadline of a caller in a hurry.
            counts.slow += 1
            member.recent.append(False)
            gate.breaker.record(grant.trial, False, now)
        else:
            counts.cancelled += 1
            gate.breaker.cancel(grant.trial)

    def cost(self, job: Job, grant: Grant, member: Member, completion: Answered, now: float) -> float | None:
        """Return what a completion cost in US dollars, booked; None where no price is known."""
        cost = completion.cost
        if cost is None:
            cost = self._priced(job, grant, member, completion.model, completion.usage, now)
        if cost:
            member.counts.cost += cost
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
        seen = member.outputs.get(request.model)
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

    def _close(self, grant: Grant, member: Member) -> None:
        grant.gate.flying.pop(grant, None)
        member.active -= 1
        if not member.active and member.on_idle is not None:
            member.on_idle()
        reservation: Reservation | None = grant.reservation
        if reservation is not None:
            self.budgets.release(reservation)

    @staticmethod
    def _blame(grant: Grant, member: Member, error: BaseException, verdict: Verdict, now: float) -> None:
        breaker = grant.gate.breaker
        match verdict.blame:
            case Blame.NONE:
                if getattr(error, "status", None) is None:
                    breaker.cancel(grant.trial)  # refused before it was sent: the vendor was not even asked
                else:
                    breaker.record(grant.trial, True, now)  # it answered, and told us that the request is wrong
            case Blame.FAILURE:
                breaker.record(grant.trial, False, now)
            case Blame.PAUSE:
                after = getattr(error, "retry_after", None)
                if breaker.cancel(grant.trial) or breaker.state == "open":
                    breaker.trip(now, None if after is None else member.endpoint.retry.pause(after))
            case Blame.DISABLE:
                if breaker.cancel(grant.trial):
                    breaker.disable(now, str(error))


def _item(completion: Answered) -> Item:
    for note in completion.notes:
        if note.startswith(ESTIMATED):
            return "unreported"
    return "answered"
