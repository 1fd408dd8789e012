"""Looking at a running system: an interceptor is told of each message, a meter counts and times them."""

import asyncio
from collections.abc import Callable

from callboard import Actor, Delivery, Handled, System


class Checkout(Actor[float]):
    async def on_receive(self, message: float) -> float:
        await asyncio.sleep(0.001)
        if message < 0:
            raise ValueError("a negative price")
        return round(message * 1.19, 2)


def log(delivery: Delivery) -> Callable[[Handled], None]:
    """Called as a handler begins; what it returns is called as that handler ends."""

    def ended(handled: Handled) -> None:
        error = handled.error
        print(delivery.actor, "took", error if error is None else type(error).__name__)

    return ended


async def main() -> None:
    async with System() as system:
        checkout = system.spawn(Checkout, name="checkout")
        end = system.intercept(log)
        with system.measure() as meter:
            await asyncio.gather(*(checkout.ask(price) for price in (10, -1, 20)), return_exceptions=True)
        end()
        for name, figures in meter.read().classes.items():
            print(f"{name}: {figures.processed} processed, {figures.failed} failed, {figures.mailbox_depth} waiting")
            print("half of them took at most 0.01 s:", figures.processing_time.quantile(0.5) <= 0.01)


asyncio.run(main())
