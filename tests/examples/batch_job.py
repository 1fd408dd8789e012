"""A batch job with a budget: some at once, each once, and it stops by itself when the money is spent. What is done is
done: the next night goes on with the rest. Offline as it stands."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from callboard import (
    Agency,
    Agent,
    Answer,
    Budget,
    BudgetSpent,
    Caller,
    ChildSpec,
    Completion,
    Endpoint,
    Message,
    Pool,
    Price,
    Provider,
    ProviderSpec,
    Quota,
    QuotaExceeded,
    Request,
    Usage,
)

NIGHTLY = Caller("nightly", tenant="acme")
REVIEWS = {f"review-{number}": text for number, text in enumerate(["good tea", "cold tea", "no tea", "good cups"] * 3)}


class Judge(Provider):
    """Stands for a vendor; each answer takes 10 tokens, which cost a dollar."""

    async def complete(self, request: Request) -> Completion:
        mood = "praise" if "good" in request.messages[-1].text else "complaint"
        return Completion(Message("assistant", mood), "stop", Usage(0, 10))


def job(journal: Path, dollars: float) -> Agency:
    spec = ProviderSpec("acme", "offline", models=("small",))
    limits = Quota(requests_per_minute=6_000, concurrency=4)  # what the vendor allows: the pool keeps to it
    vendor = Endpoint.of(spec, ChildSpec(Judge, (spec,)), price=Price(0.0, 100_000.0), limits=limits)
    budgets = [Budget("user", "acme/nightly", dollars)]  # what it has spent is kept in the journal
    clerk = Agent("Clerk", "Is it praise or a complaint?", model="small", settings={"max_tokens": 10})
    return Agency(clerk, pool=Pool.spec([vendor], budgets=budgets), journal=journal)


async def night(journal: Path, dollars: float) -> Counter[str]:
    """Do what there is money for."""
    async with job(journal, dollars) as agency:
        await asyncio.gather(*agency.resumed.values(), return_exceptions=True)  # what a killed night had begun
        done = {run.conversation for run in (await agency.runs(status="ended", limit=1_000)).runs}
        todo = {name: text for name, text in REVIEWS.items() if name not in done}
        runs = [agency.run(text, caller=NIGHTLY, conversation=name) for name, text in todo.items()]
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
    for outcome in outcomes:
        # Nothing was left when it was asked for, or not enough.
        spent = isinstance(outcome, QuotaExceeded) or isinstance(getattr(outcome, "__cause__", None), BudgetSpent)
        if isinstance(outcome, BaseException) and not spent:
            raise outcome
    moods = Counter(outcome.text for outcome in outcomes if isinstance(outcome, Answer))
    print(f"{len(done)} were done, {moods.total()} more are, {len(todo) - moods.total()} are left")
    return moods


with tempfile.TemporaryDirectory() as folder:
    total: Counter[str] = Counter()
    for dollars in (5.0, 5.0, 10.0, 15.0):
        total += asyncio.run(night(Path(folder, "reviews.db"), dollars))
    print(sorted(total.items()))
