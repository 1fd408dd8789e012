"""Calls that cost less or take less time: a batch at half the price, answers that are kept, a slow call sent again.

Offline as it stands; yours are `Endpoint.of(spec)`.
"""

import asyncio
from pathlib import Path

from callboard import (
    Batching,
    ChildSpec,
    Completion,
    Endpoint,
    GetStats,
    Hedge,
    Message,
    Pool,
    Price,
    Provider,
    ProviderError,
    ProviderSpec,
    Request,
    Requester,
    SqliteCache,
    Submit,
    System,
    Usage,
)


class Loud(Provider):
    """A vendor that says everything once more, and is slow where it is asked for water."""

    async def complete(self, request: Request) -> Completion:
        said = request.messages[-1].text
        if said == "water" and self.spec.name == "acme":
            await asyncio.sleep(30)
        return Completion(Message("assistant", said.upper()), "stop", Usage(1, 0))

    async def batch(self, requests: tuple[Request, ...]) -> list[Completion | ProviderError]:
        return [await self.complete(request) for request in requests]


def endpoint(name: str, priority: int) -> Endpoint:
    spec = ProviderSpec(name, "offline", models=("small",), capabilities=frozenset({"stream", "batch"}))
    dollar = Price(1_000_000.0, 0.0)  # for each input token
    return Endpoint.of(spec, ChildSpec(Loud, (spec,)), priority=priority, price=dollar)


def ask(text: str) -> Request:
    return Request((Message("user", text),), "small")


async def main() -> None:
    async with System("shop") as system:
        pool = system.supervise(
            Pool.spec(
                [endpoint("acme", 0), endpoint("other", 1)],
                batching=Batching(size=3),  # three go at once, fewer after their window
                cache=SqliteCache(Path("answers.db"), ttl=3600),  # seconds
                coalesce=True,  # equal requests in flight share one call
                hedge=Hedge(maximum=0.2),  # seconds after which a call is slow, until it is known what is usual
            )
        )
        patient = Requester(agent="Nightly", batch=True)
        answers = await asyncio.gather(*[pool.ask(Submit(ask(text), patient)) for text in ("tea", "coffee", "milk")])
        print("in a batch:", *[f"{answer.message.text} ${answer.cost}" for answer in answers])

        answer = await pool.ask(ask("tea"))
        print("once more:", f"{answer.message.text} ${answer.cost}", *answer.notes)

        answer = await pool.ask(ask("water"))
        print("hedged:", answer.message.text, "by", answer.provider)
        stats = await pool.ask(GetStats())
        print({what: bought.calls for what, bought in stats.bought.items()}, stats.pool.batched, stats.pool.hedges_won)


asyncio.run(main())
