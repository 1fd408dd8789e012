"""What a call may take, what it took, and who is told: the money of calls to providers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from ...embeddings import Answered, EmbeddingRequest
from ...errors import BudgetSpent
from ...messages import Usage
from ...provider import ESTIMATED
from ..accounts.budgets import Budgets, Estimate
from ..accounts.cost import Prices
from ..accounts.estimate import OutputEstimate, input_tokens
from ..accounts.ledger import Item, Ledger
from ..admission.gate import Gate, Grant
from .endpoint import Member
from .job import Job, Requester
from .usage import CallRecord, OnUsage, tell


class Quote:
    """What a call may take.

    Args:
        gate: where it would be made.
        accounts: of whom, with the share of each.
        estimate: how much.
        payers: who share it; empty where that is somebody else's business.
    """

    __slots__ = ("accounts", "allowed", "estimate", "gate", "payers")

    def __init__(
        self, gate: Gate, accounts: dict[str, float], estimate: Estimate, payers: tuple[Requester, ...] = ()
    ) -> None:
        self.gate = gate
        self.accounts = accounts
        self.estimate = estimate
        self.payers = payers
        self.allowed = -1
        """The version of the budgets that allowed it last."""


class Charges:
    """Asks budgets before calls, and books what calls took.

    Args:
        loop: its time counts.
        prices: what answers cost.
        budgets: what may be spent.
        ledger: what was bought.
        on_usage: told of each call as it ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        prices: Prices,
        budgets: Budgets,
        ledger: Ledger,
        on_usage: OnUsage | None,
    ) -> None:
        self.budgets = budgets
        self._loop = loop
        self._prices = prices
        self._ledger = ledger
        self._on_usage = on_usage

    def check(
        self, job: Job, joining: Requester | None = None, share: float = 1.0, at: Gate | None = None
    ) -> tuple[dict[str, float], Estimate]:
        """Raise if none of the endpoints that could answer may be paid for.

        Args:
            job: the request.
            joining: who shares it besides: then it is only asked whether they can pay their part.
            share: of the price of a call by itself.
            at: the one endpoint's model that is asked about; None for all that could answer.

        Returns:
            what the first that may be paid for would take, and of whom.

        Raises:
            BudgetSpent: a budget has too little left.
        """
        refused: BudgetSpent | None = None
        for gates in job.plan.gates if at is None else ((at,),):
            for gate in gates:
                if joining is None and share == 1.0:
                    quote = self._quote(job, gate)
                else:
                    estimate = self._estimate(job, gate, share)
                    quote = Quote(gate, _accounts(job, gate) if joining is None else job.part(joining), estimate)
                try:
                    self.budgets.check(quote.accounts, quote.estimate)
                except BudgetSpent as error:
                    refused = refused or error
                else:
                    quote.allowed = self.budgets.version
                    return quote.accounts, quote.estimate
        assert refused is not None, "a plan has an endpoint"
        raise refused

    def settle_payers(self, job: Job) -> bool:
        """See that a request may be paid for somewhere. Of those who share it, who cannot pay is refused alone, and
        the others go on; what is said to one is of their own budgets, or of those that concern all.

        Returns:
            whether anybody was refused.

        Raises:
            BudgetSpent: nobody is left who can pay.
        """
        fewer = False
        while True:
            try:
                self.check(job)
            except BudgetSpent:
                if job.refuse is None or len(job.requesters) == 1:
                    raise
                job.refuse(*self._unable(job))
                fewer = True
            else:
                return fewer

    def _unable(self, job: Job) -> tuple[int, BudgetSpent]:
        """Return one of those who share a request and cannot pay their part, the last who came, and why.

        Raises:
            BudgetSpent: what is spent concerns all of them.
        """
        common: BudgetSpent | None = None
        own = {account for requester in job.requesters for account in requester.accounts()}
        for gate in (gate for gates in job.plan.gates for gate in gates):
            shares, estimate = _accounts(job, gate), self._estimate(job, gate)
            try:
                self.budgets.check({each: share for each, share in shares.items() if each not in own}, estimate)
            except BudgetSpent as error:
                common = common or error
                continue
            for index in reversed(range(len(job.requesters))):
                accounts = job.requesters[index].accounts()
                try:
                    self.budgets.check({each: shares[each] for each in accounts}, estimate)
                except BudgetSpent as error:
                    return index, error
        assert common is not None, "somebody cannot pay"
        raise common

    def reserve(self, job: Job) -> None:
        """Promise what a request may take, until it is sent.

        Raises:
            BudgetSpent: a budget has too little left.
        """
        job.promised.append(self.budgets.reserve(*self.check(job)))

    def withdraw(self, jobs: Sequence[Job]) -> None:
        """End what was promised to requests that are not sent."""
        for job in jobs:
            while job.promised:
                self.budgets.release(job.promised.pop())

    def afford(self, job: Job, grant: Grant) -> None:
        """Raise if a request may not be paid for where it was granted.

        Raises:
            BudgetSpent: a budget has too little left.
        """
        self.withdraw((job,))  # or what is promised to it already would be asked for twice
        quote = self._quote(job, grant.gate)
        if quote.allowed != self.budgets.version:  # something was spent or promised since it was asked
            self.budgets.check(quote.accounts, quote.estimate)

    def promise(self, job: Job, grant: Grant) -> None:
        """Promise what a call that is now made may take, until `release`."""
        quote = self._quote(job, grant.gate)
        grant.reservation = self.budgets.reserve(quote.accounts, quote.estimate)

    def release(self, grant: Grant) -> None:
        """The call has ended, and what it took is booked by itself."""
        if grant.reservation is not None:
            self.budgets.release(grant.reservation)

    def _quote(self, job: Job, gate: Gate) -> Quote:
        """Return what a call to an endpoint's model may take, and of whom."""
        quote: Quote | None = job.quote
        payers = tuple(job.requesters)  # not how many: one may have joined since, and another have left
        if quote is None or quote.gate is not gate or quote.payers != payers:
            quote = job.quote = Quote(gate, _accounts(job, gate), self._estimate(job, gate), payers)
        return quote

    def _estimate(self, job: Job, gate: Gate, share: float = 1.0) -> Estimate:
        usage = Usage(job.input_tokens, _most_tokens(job, gate))
        return Estimate(gate.model, gate.name, self._priced(gate.member, gate.model, "", usage, share), usage)

    def answered(
        self, job: Job, grant: Grant, completion: Answered, notes: tuple[str, ...], share: float = 1.0
    ) -> float | None:
        """Book an answer. Return what it cost in US dollars; None where no price is known.

        Args:
            job, grant, completion: the call.
            notes: all that its caller is told.
            share: of the price of a call by itself.
        """
        cost = completion.cost
        member: Member = grant.gate.member
        model = grant.gate.model
        if cost is None:
            cost = self._priced(member, model, completion.model, completion.usage, share)
        grant.gate.counts.cost += cost or 0.0
        quote: Quote | None = job.quote
        if quote is not None and quote.gate is grant.gate and quote.payers == tuple(job.requesters) and model:
            accounts = quote.accounts
        else:
            accounts = _accounts(job, grant.gate, completion.model)
        if cost != 0.0 or self.budgets.counting:
            self.budgets.book(accounts, cost, completion.usage)
        item: Item = "hedged" if grant.overtaken else _item(completion)
        self._ledger.add(item, completion.usage, cost or 0.0)
        if self._on_usage is not None:
            self._tell(job, grant, item, completion.usage, cost, completion.model or model, notes)
        return cost

    def failed(
        self,
        job: Job,
        grant: Grant,
        error: BaseException,
        item: Item | None,
        came: int | None,
        share: float = 1.0,
    ) -> None:
        """Book a call without an answer.

        Args:
            job, grant: the call.
            error: how it ended.
            item: what it is booked as; None if the vendor charges nothing.
            came: output tokens that had come, of a stream.
            share: of the price of a call by itself.
        """
        usage, cost = (Usage(), 0.0) if item is None else self._lost(job, grant, item, came, share)
        if self._on_usage is not None:
            model = grant.gate.model
            self._tell(job, grant, item or "refused", usage, cost, model, error=type(error).__name__)

    def _lost(self, job: Job, grant: Grant, item: Item, came: int | None, share: float) -> tuple[Usage, float | None]:
        """Book a call of which nobody knows what the vendor charges for it. Return what was booked."""
        request = job.request
        read = job.input_tokens or input_tokens(request)
        seen = grant.gate.outputs
        most = _most_tokens(job, grant.gate)
        if item == "interrupted":
            written = most  # the vendor may have gone on to the end, and a budget must hold then, too
        elif came is not None:
            written = came  # with the connection closed, vendors stop
        else:
            written = most if seen is None else min(most, seen.seen)
        usage = Usage(read, written)
        member: Member = grant.gate.member
        model = grant.gate.model
        cost = self._priced(member, model, "", usage, share)
        self.budgets.book(_accounts(job, grant.gate), cost, usage)
        self._ledger.add(item, usage, cost or 0.0)
        return usage, cost

    def _tell(
        self,
        job: Job,
        grant: Grant,
        outcome: Item | Literal["refused"],
        usage: Usage,
        cost: float | None,
        served: str,
        notes: tuple[str, ...] = (),
        error: str = "",
    ) -> None:
        assert self._on_usage is not None
        record = CallRecord(
            tuple(job.requesters),
            job.request.model,
            served,
            grant.gate.name,
            outcome,
            usage,
            cost,
            self._loop.time() - grant.at,
            job.attempts,
            notes,
            error,
        )
        tell(self._on_usage, record)

    def _priced(self, member: Member, model: str, answered: str, usage: Usage, share: float) -> float | None:
        endpoint = member.endpoint
        if endpoint.price is not None:
            return endpoint.price.of(usage) * share
        now, prices = self._loop.time(), self._prices
        if model != answered and prices.has(model) and not prices.has(answered):
            answered = ""  # what is said of prices here stands above the list, whatever name the vendor answers with
        cost = prices.cost(endpoint.vendor, answered, usage, now) if answered else None
        if cost is None and model:  # a vendor may name a dated or a gateway's own model, which no list knows
            cost = prices.cost(endpoint.vendor, model, usage, now)
        return None if cost is None else cost * share


def _most_tokens(job: Job, gate: Gate) -> int:
    """Return the output tokens that a call may take: what is sent as ``max_tokens``, or what answers usually take."""
    member: Member = gate.member
    request = job.request
    if isinstance(request, EmbeddingRequest):
        return 0
    if request.max_tokens is None and (default := member.default_tokens(gate.model)) is not None:
        return default
    return int(job.tokens) - job.input_tokens if job.tokens else (gate.outputs or OutputEstimate()).tokens(request)


def _accounts(job: Job, gate: Gate, answered: str = "") -> dict[str, float]:
    accounts = job.accounts()
    for account in gate.member.accounts:
        accounts[account] = 1.0
    model = gate.model or answered
    if model:
        accounts[f"model:{model}"] = 1.0
    return accounts


def _item(completion: Answered) -> Item:
    for note in completion.notes:
        if note.startswith(ESTIMATED):
            return "unreported"
    return "answered"
