"""Several models at once: asked directly, and as one whom an agent hands a task to. Offline as it stands."""

import asyncio

from callboard import (
    Agency,
    Agent,
    ChildSpec,
    Completion,
    Endpoint,
    FanOut,
    FanOutTarget,
    Message,
    Pool,
    Provider,
    ProviderSpec,
    Request,
    handoff,
)


class Voice(Provider):
    """A model that says one thing; yours are `Endpoint.of(spec)`."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(ProviderSpec(name, "offline"))
        self.says = says

    async def complete(self, request: Request) -> Completion:
        return Completion(Message("assistant", self.says), "stop")


def voice(name: str, says: str) -> Endpoint:
    return Endpoint(name, ChildSpec(Voice, (name, says)), models=("judge",))


def longest(outcomes: dict[str, Completion | Exception]) -> Completion:
    return max((one for one in outcomes.values() if isinstance(one, Completion)), key=lambda one: len(one.message.text))


async def main() -> None:
    offline = Endpoint.of(ProviderSpec("offline", "offline", default_model="offline"), models=("offline",))
    pool = Pool.spec([offline, voice("a", "tea"), voice("b", "coffee"), voice("c", "tea")])
    panel = FanOutTarget("Panel", model="judge", description="Says what is to be drunk.")
    lead = Agent("Lead", "Delegate everything.", model="offline", handoffs=[handoff(panel)])
    async with Agency(lead, pool=pool) as team:
        assert team.pool is not None
        question = Request((Message("user", "Tea or coffee?"),), "judge")
        agreed = await team.pool.ask(FanOut(question, combine="majority"))
        print(agreed.message.text, agreed.notes[-1])
        print((await team.pool.ask(FanOut(question, combine=longest, concurrency=2))).message.text)
        everything = await team.pool.ask(FanOut(question, ("b", "c"), combine="all"))
        print({name: said.message.text for name, said in everything.items()})
        answer = await team.run("What do we drink, tea or coffee?")
        print(answer.text, answer.handoffs[0])


asyncio.run(main())
