"""A bounded mailbox that drops the oldest: a slow display shows the latest prices, and what it missed is counted."""

import asyncio

from callboard import Actor, Mailbox, System


class Display(Actor[int]):
    async def on_receive(self, price: int) -> None:
        await asyncio.sleep(0)  # slower than the prices come
        print(f"price {price}")


async def main() -> None:
    async with System() as system:
        display = system.spawn(Display, mailbox=Mailbox(capacity=2, overflow="drop_oldest"))
        for price in range(100, 110):
            display.tell(price)  # never raises MailboxFull
        await display.stop()  # a stop is never dropped
        print(f"{system.dead_letters.count} missed")


if __name__ == "__main__":
    asyncio.run(main())
