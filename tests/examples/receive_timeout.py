"""Receive timeout: a session that nobody has written to for a while says so and ends itself."""

import asyncio

from callboard import Actor, ReceiveTimeout, System


class Session(Actor[str]):
    def on_start(self) -> None:
        self.set_receive_timeout(0.05)  # seconds without a message; each message begins them anew

    def on_receive(self, message: str | ReceiveTimeout) -> None:
        if isinstance(message, ReceiveTimeout):
            print(f"nothing for {message.seconds} s, goodbye")
            self.stop()
        else:
            print(message)

    def on_stop(self) -> None:
        print("closed")


async def main() -> None:
    async with System() as system:
        session = system.spawn(Session)
        session.tell("hello")
        session.tell("are you there?")
        await session.terminated()


if __name__ == "__main__":
    asyncio.run(main())
