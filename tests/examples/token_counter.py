"""A counter of one's own says how many tokens a model's texts have."""

import asyncio

from callboard import ChildSpec, Completion, CountTokens, Message, Provider, ProviderSpec, Request, System, Usage


class Words:
    """Counts words; `TiktokenCounter` counts as OpenAI's models do."""

    def count(self, text: str) -> int:
        return len(text.split())


class Quiet(Provider):
    """Stands for a server that tells no usage."""

    async def complete(self, request: Request) -> Completion:
        return Completion(Message("assistant", "one two three"), "stop", Usage())


async def main() -> None:
    spec = ProviderSpec("local", default_model="wordy", token_counters={"wordy": Words()})
    request = Request((Message("user", "count to three please"),))
    async with System() as system:
        provider = system.supervise(ChildSpec(Quiet, (spec,), name="local"))
        print(await provider.ask(CountTokens(request)), "tokens to send")  # four of them for the message itself
        print((await provider.ask(request)).usage.output_tokens, "tokens came back")


if __name__ == "__main__":
    asyncio.run(main())
