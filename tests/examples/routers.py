"""A pool of workers: messages of one user stay in order, at one worker, and the pool grows while it is in use."""

import asyncio
from dataclasses import dataclass

from callboard import Actor, Broadcast, Resize, Router, System, by_key


@dataclass(frozen=True)
class Said:
    user: str
    text: str


class Conversations(Actor):
    """Keeps what the users said whose conversations it has."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, list[str]] = {}

    async def on_receive(self, message: Said | str) -> str:
        if isinstance(message, str):
            return message
        self.said.setdefault(message.user, []).append(message.text)
        await asyncio.sleep(0.01)  # a model's answer
        return ", ".join(self.said[message.user])


async def main() -> None:
    async with System() as system:
        pool = system.supervise(
            Router.spec(Conversations, size=2, routing=by_key(lambda said: said.user), name="conversations")
        )
        for text in ("hello", "how are you"):
            pool.tell(Said("ann", text))
        print("ann:", await pool.ask(Said("ann", "bye"), timeout=5.0))
        print("bob:", await pool.ask(Said("bob", "hi"), timeout=5.0))
        print(await pool.ask(Resize(3)), "workers")
        print(*await pool.ask(Broadcast("ready")), sep=", ")


asyncio.run(main())
