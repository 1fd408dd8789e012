"""Under load: one conversation and one agent go to another provider, and a key is changed. Nobody notices.
The vendors here are simulated, over real HTTP on loopback; yours need no more than their `ProviderSpec`."""

import asyncio
from collections import Counter

from pydantic import SecretStr

from callboard import (
    Completion,
    Endpoint,
    GetStats,
    Message,
    Pool,
    Price,
    ProviderSpec,
    Request,
    Requester,
    RotateKey,
    Submit,
    SwitchProvider,
    System,
    Usage,
)
from callboard.providers.simulated import SimulatedProvider

CALLS = 10
QUESTION = Request((Message("user", "Good day?"),), "small")


def said(text: str) -> Completion:
    return Completion(Message("assistant", text), "stop", Usage(1, 0))


class Busy:
    """An answer that is long in coming, so that one can see what becomes of calls under way."""

    def __init__(self) -> None:
        self.asked = 0
        self.all_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: Request) -> Completion:
        self.asked += 1
        if self.asked == CALLS:
            self.all_asked.set()
        await self.may_answer.wait()
        return said("tea")


def endpoint(name: str, server: SimulatedProvider, key: str, priority: int) -> Endpoint:
    spec = ProviderSpec(name, "openai", SecretStr(key), server.base_url, models=("small",))
    dollar = Price(1_000_000.0, 0.0)  # for each input token
    return Endpoint.of(spec, priority=priority, key=f"{name}, first key", price=dollar)


async def main() -> None:
    busy = Busy()
    async with SimulatedProvider(busy) as acme, SimulatedProvider(said("coffee")) as other, System("shop") as system:
        pool = system.supervise(Pool.spec([endpoint("acme", acme, "k1", 0), endpoint("other", other, "k3", 1)]))

        def ask(agent: str, conversation: str) -> asyncio.Future[Completion]:
            return asyncio.ensure_future(pool.ask(Submit(QUESTION, Requester(agent=agent, conversation=conversation))))

        before = [ask("Planner", "c1") for _ in range(CALLS)]
        await busy.all_asked.wait()
        await pool.ask(SwitchProvider(conversation="c1", endpoint="other"))
        await pool.ask(SwitchProvider(agent="Tester", endpoint="other"))
        await pool.ask(RotateKey("acme", SecretStr("k2"), label="acme, second key"))
        after = [ask("Planner", "c1"), ask("Planner", "c2"), ask("Tester", "c3"), ask("Tester", "c4")]
        busy.may_answer.set()
        print("before:", dict(Counter([(await one).message.text for one in before])))
        print("after:", *[(await one).message.text for one in after])

        print("was on:", await pool.ask(SwitchProvider(conversation="c1")))  # the pool chooses again
        print("chosen again:", (await ask("Planner", "c1")).message.text)
        stats = await pool.ask(GetStats())
        print({account: dollars for account, dollars in sorted(stats.spent.items()) if account.startswith("key:")})


asyncio.run(main())
