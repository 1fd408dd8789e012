"""Stash: what comes before the actor is ready waits in its order, without blocking what makes it ready."""

import asyncio
from dataclasses import dataclass
from typing import Any

from callboard import Actor, Outcome, Returns, System


@dataclass(frozen=True)
class Price(Returns[int]):
    item: str


async def load() -> dict[str, int]:
    await asyncio.sleep(0.01)  # stands for a database
    return {"tea": 3, "cake": 5}


class Shop(Actor[Price]):
    def __init__(self) -> None:
        super().__init__()
        self.prices: dict[str, int] | None = None

    def on_start(self) -> None:
        self.pipe(load())  # comes back as an Outcome

    def on_receive(self, message: Price | Outcome[dict[str, int]]) -> Any:
        if isinstance(message, Outcome):
            self.prices = message.unwrap()
            self.unstash_all()
            return None
        if self.prices is None:
            print(f"{message.item}: not open yet")
            return self.stash(message)  # the ask stays unanswered
        return self.prices[message.item]


async def main() -> None:
    async with System() as system:
        shop = system.spawn(Shop)
        tea, cake = shop.ask(Price("tea"), timeout=1.0), shop.ask(Price("cake"), timeout=1.0)
        print(f"tea {await tea}, cake {await cake}")
        print(f"tea {await shop.ask(Price('tea'))}")


if __name__ == "__main__":
    asyncio.run(main())
