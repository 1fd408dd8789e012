"""Two nodes of a cluster in one process, with a network in memory in Ray's place: a conversation lives on one of them,
whichever is asked, and goes on on the other when that one leaves. An actor of one node is asked from the other."""

import asyncio

from callboard import (
    Actor,
    Agent,
    ChildSpec,
    Cluster,
    ClusterAgency,
    MemoryJournal,
    Network,
    Request,
    Terminated,
    handles,
)
from callboard.testing import FunctionModel


class Shelf(Actor):
    left = 10

    def on_receive(self, message: int) -> int:
        self.left -= message
        return self.left


class Buyer(Actor):
    def __init__(self, agency: ClusterAgency, told: asyncio.Future[str]) -> None:
        super().__init__()
        self.shelf = agency.ref("two", "shelf")
        self.told = told

    def on_start(self) -> None:
        self.watch(self.shelf)

    @handles(Terminated)
    def ended(self, message: Terminated) -> None:
        self.told.set_result(message.reason)


def node(name: str, network: Network, journal: MemoryJournal) -> ClusterAgency:
    async def answer(request: Request) -> str:
        return f"{name}, after {len(request.messages)}"

    cluster = Cluster(None, transport=network.transport(), journal=journal.as_worker(), node=name)
    return cluster.agency(Agent("Helper"), model=ChildSpec(FunctionModel, (answer,)))


async def main() -> None:
    network, journal = Network(), MemoryJournal()
    one, two = node("one", network, journal), node("two", network, journal)
    async with two, one:  # whoever comes sees who is there
        print([each.name for each in one.nodes], one.scaling().wanted)

        number = 0
        while (first := await one.run("Hello!", conversation=f"c{number}")).text != "two, after 1":
            number += 1  # until there is one that lives on the other node
        second = await two.run("And you?", conversation=first.conversation)
        third = await one.run("Well?", conversation=first.conversation)
        print(first.text, "|", second.text, "|", third.text)

        assert two.system is not None
        assert one.system is not None
        two.system.spawn(Shelf, name="shelf")
        shelf = one.ref("two", "shelf")
        print("left:", await shelf.ask(3), await shelf.ask(2, timeout=5.0))
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        one.system.spawn(Buyer, one, told)
        await shelf.ask(1)

        await two.stop()
        await told
        print("the shelf is gone:", not shelf.is_alive())
        print((await one.run("Still there?", conversation=first.conversation)).text)


asyncio.run(main())
