"""A deployment in Azure beside another vendor, which stands in for it while it is down.

Both are simulated here, over real HTTP on loopback; yours have their own addresses.
"""

import asyncio

from pydantic import SecretStr

from callboard import Azure, Completion, Endpoint, Message, Pool, ProviderSpec, Request, System
from callboard.providers.simulated import SimulatedProvider, error

HELLO = Completion(Message("assistant", "Good day."), "stop")


async def main() -> None:
    async with SimulatedProvider(HELLO) as cloud, SimulatedProvider(HELLO) as direct, System("shop") as system:
        azure = ProviderSpec(
            "azure",
            "azure",
            SecretStr("key-of-the-resource"),
            cloud.url,  # https://my-resource.openai.azure.com
            models=("gpt-5.4",),
            cloud=Azure(api_version="2024-10-21", deployment="our-gpt"),
        )
        openai = ProviderSpec("openai", "openai", SecretStr("key"), direct.base_url, models=("gpt-5.4",))
        endpoints = [Endpoint.of(one, priority=i) for i, one in enumerate((azure, openai))]
        pool = system.supervise(Pool.spec(endpoints))
        question = Request((Message("user", "Good day?"),), "gpt-5.4")
        answer = await pool.ask(question)
        print(answer.provider, answer.message.text)
        print(cloud.log[-1][0])
        cloud.fault = error(503)
        answer = await pool.ask(question)
        print(answer.provider, answer.message.text)


asyncio.run(main())
