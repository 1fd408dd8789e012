"""Event sourcing: an account keeps what happened to it, and is made of that again after a crash, or elsewhere."""

import asyncio
from dataclasses import dataclass

from callboard import ChildSpec, EventSourcedActor, MemoryJournal, Returns, System, handles


@dataclass(frozen=True)
class Deposited:  # events: what has happened
    amount: int


@dataclass(frozen=True)
class Withdrawn:
    amount: int


@dataclass(frozen=True)
class Deposit(Returns[int]):  # messages: what is asked for
    amount: int


@dataclass(frozen=True)
class Withdraw(Returns[int]):
    amount: int


class Account(EventSourcedActor[Deposited | Withdrawn, Deposit | Withdraw]):
    balance = 0
    snapshot_every = 2  # events, so that few are read again; 100 unless told

    def apply(self, event: Deposited | Withdrawn) -> None:
        self.balance += event.amount if isinstance(event, Deposited) else -event.amount

    @handles(Deposit)
    async def deposit(self, message: Deposit) -> int:
        await self.persist(Deposited(message.amount))
        return self.balance

    @handles(Withdraw)
    async def withdraw(self, message: Withdraw) -> int:
        if message.amount > self.balance:
            raise ValueError(f"only {self.balance} left")
        await self.persist(Withdrawn(message.amount))
        return self.balance

    def snapshot(self) -> int:
        return self.balance

    def restore(self, snapshot: int) -> None:
        self.balance = snapshot


async def main() -> None:
    journal = MemoryJournal()
    async with System() as system:
        account = system.supervise(ChildSpec(Account, args=(journal, "account/7"), name="account-7"))
        print(await account.ask(Deposit(100)))
        print(await account.ask(Withdraw(30)))
        try:
            await account.ask(Withdraw(500))
        except ValueError as error:
            print(error)
        account.kill()  # its supervisor starts it again, and it reads
        print(await account.ask(Deposit(5)))
    async with System() as elsewhere:
        account = elsewhere.supervise(ChildSpec(Account, args=(journal, "account/7"), name="account-7"))
        print(await account.ask(Withdraw(75)))
    for record in journal.read("account/7"):
        print(record.version, record.event)


if __name__ == "__main__":
    asyncio.run(main())
