"""start() and aclose(): a system in a framework that calls one function at the beginning and another at the end."""

import asyncio

from callboard import Actor, ActorRef, System


class Counter(Actor[int]):
    total = 0

    def on_receive(self, message: int) -> int:
        self.total += message
        return self.total


class Application:
    """Stands for a web framework's application."""

    counter: ActorRef[Counter]

    def __init__(self) -> None:
        self.system = System("application")

    async def startup(self) -> None:
        self.system.start()  # on the loop that runs now
        self.counter = self.system.spawn(Counter)

    async def request(self, number: int) -> str:
        return f"total {await self.counter.ask(number, timeout=1.0)}"

    async def shutdown(self) -> None:
        await self.system.aclose(timeout=5.0)  # raises what the system had failed of, if it had


async def main() -> None:
    application = Application()
    await application.startup()
    try:
        print(await application.request(2))
        print(await application.request(3))
    finally:
        await application.shutdown()
    print(application.system)


if __name__ == "__main__":
    asyncio.run(main())
