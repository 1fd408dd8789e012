"""Classic actor bugs, each beside its fix: what the simulator must find, and what it must not accuse.

Each bug is a function ``(operations, fixed) -> scenario``; ``operations`` is a workload that Hypothesis draws.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from callboard.actors import Actor, ActorDead, ActorRef, AskTimeout, ChildSpec, Terminated
from callboard.actors.testing import Crash, Delay, Fault, Simulation, Slow, Timing

Operations = Sequence[Any]
Scenario = Callable[[Simulation], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Bug:
    """One entry: how to build its scenario, what its workload is made of, and which faults and timing it needs."""

    name: str
    build: Callable[[Operations, bool], Scenario]
    alphabet: tuple[Any, ...]
    faults: tuple[Fault, ...] = ()
    longest: int = 6
    timing: Timing | None = None


async def together(jobs: dict[str, Coroutine[Any, Any, Any]]) -> None:
    """Run clients side by side, each a task of its own name."""
    async with asyncio.TaskGroup() as group:
        for name, job in jobs.items():
            group.create_task(job, name=name)


# -- 1. lost update at an await ---------------------------------------------------------------------------------------


class Fees(Actor):
    def on_receive(self, message: Any) -> int:
        return 1


class Account(Actor):
    def __init__(self, fees: ActorRef[Fees], fixed: bool) -> None:
        super().__init__()
        self.fees = fees
        self.fixed = fixed
        self.balance = 0

    def on_receive(self, message: Any) -> Any:
        if message == "balance":
            return self.balance
        return self.reply_with(self.deposit(message))

    async def deposit(self, amount: int) -> None:
        before = self.balance
        fee = await self.fees.ask(amount)
        self.balance = (self.balance if self.fixed else before) + amount - fee


def lost_update(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        fees = sim.system.spawn(Fees, name="fees")
        account = sim.system.spawn(Account, fees, fixed, name="account")
        await together({f"deposit{i}": _asking(account, amount) for i, amount in enumerate(operations)})
        assert await account.ask("balance") == sum(amount - 1 for amount in operations), "a deposit is lost"

    return scenario


async def _asking(ref: ActorRef[Any], message: Any) -> Any:
    return await ref.ask(message)


# -- 2. ask cycle -----------------------------------------------------------------------------------------------------


class Orders(Actor):
    stock: ActorRef[Any]

    async def on_receive(self, message: Any) -> Any:
        if message == "open?":
            return 1
        return await self.stock.ask("reserve")


class Stock(Actor):
    def __init__(self, orders: ActorRef[Orders], fixed: bool) -> None:
        super().__init__()
        self.orders = orders
        self.fixed = fixed

    async def on_receive(self, message: Any) -> Any:
        if message == "reserve":
            return True
        if self.fixed:
            return self.reply_with(self.restock())  # beside the mailbox: "reserve" is still answered
        return await self.restock()

    async def restock(self) -> Any:
        return await self.orders.ask("open?")


def ask_cycle(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        orders = sim.system.spawn(Orders, name="orders")
        stock = sim.system.spawn(Stock, orders, fixed, name="stock")
        orders.proxy().stock = stock
        await together(
            {f"{what}{i}": _asking(orders if what == "order" else stock, what) for i, what in enumerate(operations)}
        )

    return scenario


# -- 3. a restart that loses the queue --------------------------------------------------------------------------------


class Sink(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.items: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "items":
            return list(self.items)
        self.items.extend(message)
        return None


class Batcher(Actor):
    def __init__(self, sink: ActorRef[Sink], fixed: bool) -> None:
        super().__init__()
        self.sink = sink
        self.fixed = fixed
        self.batch: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "flush":
            self.sink.tell(self.batch)
            self.batch = []
        elif self.fixed:
            self.sink.tell([message])  # handed on before it is acknowledged
        else:
            self.batch.append(message)  # gone with this incarnation
        return "accepted"


def restart_loses_queue(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        sink = sim.system.spawn(Sink, name="sink")
        batcher = sim.system.supervise(ChildSpec(Batcher, args=(sink, fixed), name="batcher"))
        accepted = []
        for i, what in enumerate(operations):
            try:
                await batcher.ask("flush" if what == "flush" else i)
            except ActorDead:
                continue
            if what != "flush":
                accepted.append(i)
        for _ in range(2):  # the flush itself may be hit
            try:
                await batcher.ask("flush")
                break
            except ActorDead:
                continue
        items = await sink.ask("items")
        assert set(accepted) <= set(items), f"accepted {accepted}, arrived {items}"

    return scenario


# -- 4. a late reply to a later ask -----------------------------------------------------------------------------------


class Prices(Actor):
    def on_receive(self, message: Any) -> None:
        article, number, asker = message
        asker.tell(("price", number, article * 10))


class Quotes(Actor):
    """Asks by hand: a tell there, a tell back, and a timer."""

    def __init__(self, prices: ActorRef[Prices], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.prices = prices
        self.fixed = fixed
        self.sim = sim
        self.queue: deque[int] = deque()
        self.current: int | None = None
        self.number = 0

    def on_receive(self, message: Any) -> None:
        match message:
            case ("quote", article):
                self.queue.append(article)
            case ("price", number, price):
                if self.current is None or (self.fixed and number != self.number):
                    return
                self.sim.mark("quoted", article=self.current, price=price)
                self.current = None
            case ("give up", number):
                if number != self.number:
                    return
                self.current = None
        if self.current is None and self.queue:
            self.current = self.queue.popleft()
            self.number += 1
            self.prices.tell((self.current, self.number, self.ref))
            self.schedule(1.0, ("give up", self.number))


def late_reply(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        prices = sim.system.spawn(Prices, name="prices")
        quotes = sim.system.spawn(Quotes, prices, fixed, sim, name="quotes")
        for article in operations:
            quotes.tell(("quote", article))
        await asyncio.sleep(30)
        for quoted in sim.trace.of("quoted"):
            assert quoted.price == quoted.article * 10, f"article {quoted.article} was quoted at {quoted.price}"

    return scenario


# -- 5. a duplicate effect after a retry ------------------------------------------------------------------------------


class Receipts(Actor):
    def on_receive(self, message: Any) -> str:
        return "receipt"


class Payments(Actor):
    def __init__(self, receipts: ActorRef[Receipts], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.receipts = receipts
        self.fixed = fixed
        self.sim = sim
        self.charged: set[int] = set()

    async def on_receive(self, order: int) -> Any:
        if not self.fixed or order not in self.charged:
            self.charged.add(order)
            self.sim.mark("charged", order=order)
        return await self.receipts.ask(order)


def duplicate_effect(operations: Operations, fixed: bool) -> Scenario:
    async def pay(payments: ActorRef[Payments], order: int) -> None:
        for _ in range(3):
            try:
                await payments.ask(order, timeout=2.0)
            except AskTimeout:
                continue
            return

    async def scenario(sim: Simulation) -> None:
        receipts = sim.system.spawn(Receipts, name="receipts")
        payments = sim.system.spawn(Payments, receipts, fixed, sim, name="payments")
        for i, pause in enumerate(operations):
            await pay(payments, i)
            await asyncio.sleep(pause)
        orders = [charged.order for charged in sim.trace.of("charged")]
        assert len(orders) == len(set(orders)), f"charged twice: {orders}"

    return scenario


# -- 6. stop against restart ------------------------------------------------------------------------------------------


class Fragile(Actor):
    def on_receive(self, message: Any) -> None:
        if message == "poison":
            raise ValueError("poisoned")


class Keeper(Actor):
    """A hand-made supervisor: starts its worker again a while after it died."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.closed = False
        self.worker: ActorRef[Fragile] | None = None

    def on_start(self) -> None:
        self.revive()

    def revive(self) -> None:
        self.worker = self.system.spawn(Fragile)
        self.watch(self.worker)

    def on_receive(self, message: Any) -> Any:
        match message:
            case Terminated():
                self.worker = None
                if not self.closed:
                    self.schedule(0.5, "revive")
            case "revive":
                if not (self.fixed and self.closed):
                    self.revive()
            case "close":
                self.closed = True
                if self.worker is not None:
                    self.worker.stop()
            case "alive?":
                return self.worker is not None and self.worker.is_alive()
            case _:
                if self.worker is not None and self.worker.is_alive():
                    self.worker.tell(message)
        return None


def stop_against_restart(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()  # what was on its way to a poisoned worker
        keeper = sim.system.spawn(Keeper, fixed, name="keeper")
        for what in operations:
            if isinstance(what, float):
                await asyncio.sleep(what)
            else:
                keeper.tell(what)
        keeper.tell("close")
        await asyncio.sleep(5)
        assert not await keeper.ask("alive?"), "a worker was started after the close"

    return scenario


# -- 7. over-admission -------------------------------------------------------------------------------------------------


class Ledger(Actor):
    def on_receive(self, message: Any) -> bool:
        return True


class Limiter(Actor):
    LIMIT = 2

    def __init__(self, ledger: ActorRef[Ledger], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.ledger = ledger
        self.fixed = fixed
        self.sim = sim
        self.used = 0

    def on_receive(self, message: Any) -> Any:
        if message == "release":
            self.used -= 1
            return None
        return self.reply_with(self.admit())

    async def admit(self) -> bool:
        if self.used >= self.LIMIT:
            return False
        if self.fixed:
            self.used += 1
            await self.ledger.ask("allowed?")
        else:
            await self.ledger.ask("allowed?")  # others are admitted meanwhile
            self.used += 1
        self.sim.mark("admitted", used=self.used)
        return True


def over_admission(operations: Operations, fixed: bool) -> Scenario:
    async def call(limiter: ActorRef[Limiter], seconds: float) -> None:
        if await limiter.ask("acquire"):
            await asyncio.sleep(seconds)
            limiter.tell("release")

    async def scenario(sim: Simulation) -> None:
        ledger = sim.system.spawn(Ledger, name="ledger")
        limiter = sim.system.spawn(Limiter, ledger, fixed, sim, name="limiter")
        await together({f"call{i}": call(limiter, seconds) for i, seconds in enumerate(operations)})
        most = max((admitted.used for admitted in sim.trace.of("admitted")), default=0)
        assert most <= Limiter.LIMIT, f"{most} calls admitted at once"

    return scenario


# -- 8. a stale cache fill --------------------------------------------------------------------------------------------


class Store(Actor):
    value = 0
    version = 0

    def on_receive(self, message: Any) -> Any:
        if message[0] == "put":
            self.value = message[1]
            self.version += 1
        return self.value, self.version


class Cache(Actor):
    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.value: int | None = None
        self.version = 0

    def on_receive(self, message: Any) -> Any:
        match message:
            case ("fill", value, version):
                if not self.fixed or version >= self.version:
                    self.value = value
            case ("drop", version):
                self.value = None
                self.version = max(self.version, version)
        return self.value


def stale_cache(operations: Operations, fixed: bool) -> Scenario:
    async def read(store: ActorRef[Store], cache: ActorRef[Cache]) -> None:
        if await cache.ask(("peek",)) is None:
            cache.tell(("fill", *await store.ask(("get",))))

    async def write(store: ActorRef[Store], cache: ActorRef[Cache], value: int) -> None:
        _, version = await store.ask(("put", value))
        await cache.ask(("drop", version))

    async def scenario(sim: Simulation) -> None:
        store = sim.system.spawn(Store, name="store")
        cache = sim.system.spawn(Cache, fixed, name="cache")
        await together(
            {
                f"{what}{i}": read(store, cache) if what == "read" else write(store, cache, i + 1)
                for i, what in enumerate(operations)
            }
        )
        cached, stored = await cache.ask(("peek",)), (await store.ask(("get",)))[0]
        assert cached in (None, stored), f"the cache says {cached}, the store {stored}"

    return scenario


# -- 9. cancelled before the first step -------------------------------------------------------------------------------


class Jobs(Actor):
    def __init__(self, fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.fixed = fixed
        self.sim = sim

    async def on_receive(self, jobs: Sequence[str]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for i, job in enumerate(jobs):
                    task = group.create_task(self.work(i, job), name=f"job{i}")
                    if self.fixed:
                        task.add_done_callback(functools.partial(self.ended, i))
        except ExceptionGroup:
            pass

    def ended(self, number: int, _: object) -> None:
        self.sim.mark("ended", job=number)

    async def work(self, number: int, job: str) -> None:
        try:
            if job == "bad":
                raise ValueError(job)
            await asyncio.sleep(0.1)
        finally:
            if not self.fixed:
                self.sim.mark("ended", job=number)  # not reached by a task that never made a step


def cancelled_before_start(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        jobs = sim.system.spawn(Jobs, fixed, sim, name="jobs")
        await jobs.ask(tuple(operations))
        await sim.idle()
        ended = sorted(fact.job for fact in sim.trace.of("ended"))
        assert ended == list(range(len(operations))), f"of {len(operations)} jobs only {ended} are accounted for"

    return scenario


# -- 10. a permit lost when grant and timeout meet --------------------------------------------------------------------


class Permits(Actor):
    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.free = 1
        self.waiters: deque[asyncio.Future[None]] = deque()

    def on_receive(self, message: Any) -> Any:
        match message:
            case "free":
                return self.free
            case "release":
                self.release()
                return None
        if self.free:
            self.free -= 1
            return True
        return self.reply_with(self.wait())

    def release(self) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the permit is on its way to this one
                return
        self.free += 1

    async def wait(self) -> bool:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if self.fixed and waiter.done() and not waiter.cancelled():
                self.release()  # granted, but nobody is there any more
            raise
        return True


def permit_lost(operations: Operations, fixed: bool) -> Scenario:
    async def use(permits: ActorRef[Permits], seconds: float) -> None:
        try:
            await permits.ask("acquire", timeout=1.0)
        except AskTimeout:
            return
        await asyncio.sleep(seconds)
        permits.tell("release")

    async def scenario(sim: Simulation) -> None:
        permits = sim.system.spawn(Permits, fixed, name="permits")
        await together({f"use{i}": use(permits, seconds) for i, seconds in enumerate(operations)})
        await sim.idle()
        assert await permits.ask("free") == 1, "the permit is lost"

    return scenario


# -- 11. check, then act ----------------------------------------------------------------------------------------------


class Board(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, str] = {}

    def on_receive(self, message: Any) -> Any:
        match message:
            case ("owner", job):
                return self.owners.get(job)
            case ("take", job, who):
                self.owners[job] = who
            case ("claim", job, who):
                return self.owners.setdefault(job, who) == who
        return None


def check_then_act(operations: Operations, fixed: bool) -> Scenario:
    async def work(sim: Simulation, board: ActorRef[Board], who: str, job: str) -> None:
        if fixed:
            mine = await board.ask(("claim", job, who))
        elif mine := await board.ask(("owner", job)) is None:
            await board.ask(("take", job, who))
        if mine:
            sim.mark("worked", job=job)

    async def scenario(sim: Simulation) -> None:
        board = sim.system.spawn(Board, name="board")
        await together({f"worker{i}": work(sim, board, f"worker{i}", job) for i, job in enumerate(operations)})
        done = [fact.job for fact in sim.trace.of("worked")]
        assert len(done) == len(set(done)), f"done twice: {done}"

    return scenario


# -- 12. overtaken on another path ------------------------------------------------------------------------------------


class Index(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.known: set[int] = set()

    def on_receive(self, message: Any) -> bool:
        what, document = message
        if what == "add":
            self.known.add(document)
        return document in self.known


class Reader(Actor):
    def __init__(self, index: ActorRef[Index], sim: Simulation) -> None:
        super().__init__()
        self.index = index
        self.sim = sim

    async def on_receive(self, document: int) -> None:
        self.sim.mark("looked up", document=document, found=await self.index.ask(("has", document)))


class Publisher(Actor):
    def __init__(self, index: ActorRef[Index], reader: ActorRef[Reader], fixed: bool) -> None:
        super().__init__()
        self.index = index
        self.reader = reader
        self.fixed = fixed

    async def on_receive(self, document: int) -> None:
        if self.fixed:
            await self.index.ask(("add", document))  # the reader is told once the index has it
        else:
            self.index.tell(("add", document))
        self.reader.tell(document)


def overtaken(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        index = sim.system.spawn(Index, name="index")
        reader = sim.system.spawn(Reader, index, sim, name="reader")
        publisher = sim.system.spawn(Publisher, index, reader, fixed, name="publisher")
        for document in operations:
            publisher.tell(document)
        await asyncio.sleep(20)
        for fact in sim.trace.of("looked up"):
            assert fact.found, f"document {fact.document} was announced before the index had it"

    return scenario


GALLERY = (
    Bug("lost update at an await", lost_update, (1, 5)),
    Bug("ask cycle", ask_cycle, ("order", "restock")),
    Bug("restart that loses the queue", restart_loses_queue, ("item", "flush"), (Crash("batcher"),)),
    Bug("late reply to a later ask", late_reply, (1, 2, 3), (Slow("prices", seconds=1.5),)),
    Bug("duplicate effect after a retry", duplicate_effect, (0.0, 1.0), (Slow("receipts", seconds=3.0),)),
    Bug("stop against restart", stop_against_restart, ("work", "poison", 0.25, 1.0)),
    Bug("over-admission", over_admission, (0.5, 2.0)),
    Bug("stale cache fill", stale_cache, ("read", "write")),
    Bug("cancelled before the first step", cancelled_before_start, ("good", "bad")),
    Bug("permit lost when grant and timeout meet", permit_lost, (0.5, 1.0)),
    Bug("check, then act", check_then_act, ("a", "b")),
    Bug("overtaken on another path", overtaken, (1, 2), (Delay("index", seconds=0.5),)),
)
