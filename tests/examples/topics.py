"""Publish and subscribe: who places orders does not know who listens."""

import asyncio

from callboard import Actor, Publish, Subscribe, System, Topics


class Listener(Actor):
    def on_receive(self, message: str) -> None:
        print(f"{self.name}: {message}")


async def main() -> None:
    async with System() as system:
        topics = system.supervise(Topics.spec(name="topics"))
        billing = system.spawn(Listener, name="billing")
        europe = system.spawn(Listener, name="europe")
        await topics.ask(Subscribe("orders.**", billing))
        await topics.ask(Subscribe("orders.eu.*", europe))
        print(await topics.ask(Publish("orders.eu.new", "order 1")), "have been told")
        await topics.ask(Publish("orders.us.new", "order 2"))
        await billing.stop()


asyncio.run(main())
