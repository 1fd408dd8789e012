"""Typed messages: mypy and pyright know what each ask is answered with, and refuse what the actor does not take."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from callboard import Actor, ActorRef, Returns, System, handles


@dataclass(frozen=True)
class Deposit(Returns[int]):
    amount: int


class Balance(Returns[int]):
    pass


class Statement(Returns[AsyncIterator[str]]):
    pass


class Account(Actor[Deposit | Balance | Statement]):
    def __init__(self, owner: str, balance: int = 0) -> None:
        super().__init__()
        self.owner = owner
        self.deposits = [balance]

    @handles(Deposit)
    def deposit(self, message: Deposit) -> int:
        self.deposits.append(message.amount)
        return sum(self.deposits)

    @handles(Balance)
    async def balance(self, message: Balance) -> int:
        return sum(self.deposits)

    @handles(Statement)
    async def statement(self, message: Statement) -> AsyncIterator[str]:
        for amount in self.deposits:
            yield f"{self.owner}: {amount}"

    async def rename(self, owner: str) -> str:
        self.owner, before = owner, self.owner
        return before


async def report(account: ActorRef[Actor[Balance]]) -> str:
    """Takes a ref to any actor that can be asked for its balance."""
    balance = await account.ask(Balance())  # an int
    return f"{balance:,} in all"


async def main() -> None:
    async with System() as system:
        account = system.spawn(Account, "Ada", 1000)  # ActorRef[Account]; Account("Ada", "1000") would be refused
        account.tell(Deposit(500))
        print(await account.ask(Deposit(250), timeout=1.0))
        print(await report(account))
        print(await account.call(Account.rename, "Grace"))  # as a proxy does; name, arguments and result are checked
        async for line in account.stream(Statement()):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
