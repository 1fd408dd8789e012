"""Bugs of services around language models, each beside its fix, in the form of `gallery`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from callboard import EventSourcedActor, JsonCodec, PostgresJournal
from callboard.actors import Actor, ActorCrashed, ActorRef, AskTimeout, ChildSpec, Outcome, System
from callboard.actors.testing import Crash, DelayReply, Restart, Simulation, Slow, Timing

from .gallery import Bug, Operations, Scenario, together

# -- 1. a hedge booked twice -------------------------------------------------------------------------------------------


class Provider(Actor):
    """Answers after so many seconds, and is paid for each answer."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def on_receive(self, request: Any) -> Any:
        return self.reply_with(self.answer(request))

    async def answer(self, request: Any) -> Any:
        await asyncio.sleep(self.seconds)
        return f"answer to {request}"


class Hedger(Actor):
    """Asks a second provider where the first has not answered in time; books what the request has cost."""

    def __init__(self, providers: Sequence[ActorRef[Provider]], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.providers, self.fixed, self.sim = providers, fixed, sim

    def on_receive(self, request: tuple[int, float]) -> Any:
        return self.reply_with(self.hedged(*request))

    async def hedged(self, request: int, patience: float) -> Any:
        first, second = (self.attempt(provider, request) for provider in self.providers)
        tasks = [asyncio.ensure_future(first)]
        done, _ = await asyncio.wait(tasks, timeout=patience)
        if not done:
            tasks.append(asyncio.ensure_future(second))
        else:
            second.close()
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()  # what it answers is not wanted; one that has answered this moment has booked
        if self.fixed:
            self.sim.mark("booked", request=request)
        return done.pop().result()

    async def attempt(self, provider: ActorRef[Provider], request: int) -> Any:
        answer = await provider.ask(request)
        if not self.fixed:
            self.sim.mark("booked", request=request)
        return answer


def hedge_booked_twice(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        providers = [sim.system.spawn(Provider, seconds, name=f"provider{seconds}") for seconds in (1.0, 0.5)]
        hedger = sim.system.spawn(Hedger, providers, fixed, sim, name="hedger")
        await together({f"call{i}": ask(hedger, (i, patience)) for i, patience in enumerate(operations)})
        booked = [fact.request for fact in sim.trace.of("booked")]
        assert sorted(booked) == list(range(len(operations))), f"booked: {booked}"

    return scenario


async def ask(ref: ActorRef[Any], message: Any) -> Any:
    return await ref.ask(message)


# -- 2. an approval after a cancellation -------------------------------------------------------------------------------


class Policy(Actor):
    def on_receive(self, message: Any) -> bool:
        return True


class Gate(Actor):
    """Holds a call until a person has approved it, and a policy has been asked about the person."""

    def __init__(self, policy: ActorRef[Policy], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.policy, self.fixed, self.sim = policy, fixed, sim
        self.state = "waiting"

    def on_receive(self, message: str) -> Any:
        if message == "approve":
            return self.reply_with(self.approve())
        if self.state == "waiting":
            self.state = "cancelled"
            self.sim.mark("cancelled")
        return self.state

    async def approve(self) -> None:
        if self.state != "waiting":
            return
        if await self.policy.ask("may they?") and (not self.fixed or self.state == "waiting"):
            self.state = "carried out"
            self.sim.mark("carried out")


def approval_after_cancel(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        policy = sim.system.spawn(Policy, name="policy")
        gate = sim.system.spawn(Gate, policy, fixed, sim, name="gate")
        await together({f"{what}{i}": ask(gate, what) for i, what in enumerate(operations)})
        happened = [fact.kind for fact in sim.trace.of("cancelled", "carried out")]
        assert happened[:1] in ([], happened), f"first {happened[0]}, then {happened[1:]}"

    return scenario


# -- 3. a result that comes to the wrong turn after a restart ----------------------------------------------------------


class SlowTool(Actor):
    """Tells its result to whoever called, some time later, under the number of the call."""

    def on_receive(self, message: Any) -> None:
        if message[0] == "call":
            self.schedule(1.0, ("done", *message[1:]))
        else:
            _, caller, number, argument = message
            caller.tell(("result", number, f"result of {argument}"))


class Turns(Actor):
    """Answers each question with a tool's result. Calls are numbered, which begins anew with each incarnation."""

    def __init__(self, tool: ActorRef[SlowTool], fixed: bool) -> None:
        super().__init__()
        self.tool, self.fixed = tool, fixed
        self.calls = 0
        self.waiting: dict[Any, asyncio.Future[str]] = {}

    def on_receive(self, message: Any) -> Any:
        if message[0] == "result":
            waiter = self.waiting.pop(message[1], None)
            if waiter is not None and not waiter.done():
                waiter.set_result(message[2])
            return None
        self.calls += 1
        number = (message[1], self.calls) if self.fixed else self.calls
        self.waiting[number] = waiter = asyncio.get_running_loop().create_future()
        self.tool.tell(("call", self.ref, number, message[1]))
        return self.reply_with(self.result(waiter))

    async def result(self, waiter: asyncio.Future[str]) -> str:
        return await waiter


def result_to_the_wrong_turn(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        tool = sim.system.spawn(SlowTool, name="tool")
        turns = sim.system.supervise(ChildSpec(Turns, (tool, fixed), name="turns"))
        for number, pause in enumerate(operations):
            question = f"question {number}"
            try:
                answer = await turns.ask(("ask", question), timeout=30.0)
            except (ActorCrashed, AskTimeout):
                continue
            assert answer == f"result of {question}", f"{question} was answered with the {answer}"
            await asyncio.sleep(pause)
        await asyncio.sleep(5)

    return scenario


# -- 4. a handoff lost in on_stop --------------------------------------------------------------------------------------


class Successor(Actor):
    def __init__(self, sim: Simulation) -> None:
        super().__init__()
        self.sim = sim

    def on_receive(self, task: int) -> None:
        self.sim.mark("worked", task=task)


class Retiring(Actor):
    """Works on one task after another beside its mailbox; what is left when it stops goes to a successor."""

    def __init__(self, successor: ActorRef[Successor], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.successor, self.fixed, self.sim = successor, fixed, sim
        self.tasks: list[int] = []
        self.busy = False

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Outcome):
            self.busy = False
        else:
            self.tasks.append(message)
        if self.tasks and not self.busy:
            self.busy = True
            self.pipe(self.work(self.tasks[0] if self.fixed else self.tasks.pop(0)))

    async def work(self, task: int) -> None:
        await asyncio.sleep(1.0)
        if self.fixed:
            self.tasks.remove(task)
        self.sim.mark("worked", task=task)

    def on_stop(self) -> None:
        for task in self.tasks:  # not the one that is being worked on, unless it is still among them
            self.successor.tell(task)


def handoff_lost_in_on_stop(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters(lambda letter: letter.actor == "agent")  # that its work has ended
        successor = sim.system.spawn(Successor, sim, name="successor")
        agent = sim.system.spawn(Retiring, successor, fixed, sim, name="agent")
        for task, pause in enumerate(operations):
            agent.tell(task)
            await asyncio.sleep(pause)
        await agent.stop()
        await sim.idle()
        done = sorted(fact.task for fact in sim.trace.of("worked"))
        assert done == list(range(len(operations))), f"of {len(operations)} tasks only {done} are done"

    return scenario


# -- 5. overspending by looking first and spending later ---------------------------------------------------------------


class Purse(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def on_receive(self, message: tuple[str, int]) -> Any:
        what, amount = message
        if what == "spend" or (what == "reserve" and self.left >= amount):
            self.left -= amount
            return True
        return what == "left" and self.left >= amount


class Spender(Actor):
    def __init__(self, purse: ActorRef[Purse], fixed: bool) -> None:
        super().__init__()
        self.purse, self.fixed = purse, fixed

    async def on_receive(self, price: int) -> bool:
        if self.fixed:
            return bool(await self.purse.ask(("reserve", price)))
        if not await self.purse.ask(("left", price)):
            return False
        await asyncio.sleep(0.1)  # the model's answer
        await self.purse.ask(("spend", price))
        return True


def overspend(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        purse = sim.system.spawn(Purse, name="purse")
        agents = [sim.system.spawn(Spender, purse, fixed, name=f"agent{i}") for i in range(2)]
        await together({f"run{i}": ask(agents[i % 2], price) for i, price in enumerate(operations)})
        assert not await purse.ask(("left", -1)) or await purse.ask(("left", 0)), "overspent"

    return scenario


# -- 6. a stampede -----------------------------------------------------------------------------------------------------


class CachedModel(Actor):
    """Asks the model only for what is not in the cache: nor, where it is right, on its way there."""

    def __init__(self, model: ActorRef[Provider], fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.model, self.fixed, self.sim = model, fixed, sim
        self.cache: dict[str, Any] = {}
        self.asking: dict[str, asyncio.Future[Any]] = {}

    def on_receive(self, prompt: str) -> Any:
        return self.reply_with(self.answer(prompt))

    async def answer(self, prompt: str) -> Any:
        if prompt in self.cache:
            return self.cache[prompt]
        if not self.fixed:
            self.cache[prompt] = await self.ask_model(prompt)
            return self.cache[prompt]
        if prompt not in self.asking:
            self.asking[prompt] = asyncio.ensure_future(self.ask_model(prompt))
        self.cache[prompt] = await asyncio.shield(self.asking[prompt])
        return self.cache[prompt]

    async def ask_model(self, prompt: str) -> Any:
        self.sim.mark("asked", prompt=prompt)
        return await self.model.ask(prompt)


def stampede(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        model = sim.system.spawn(Provider, 1.0, name="model")
        cached = sim.system.spawn(CachedModel, model, fixed, sim, name="cache")
        await together({f"caller{i}": ask(cached, prompt) for i, prompt in enumerate(operations)})
        asked = [fact.prompt for fact in sim.trace.of("asked")]
        assert len(asked) == len(set(asked)), f"asked the model for {asked}"

    return scenario


# -- 7. a summary that drops what arrives meanwhile --------------------------------------------------------------------


class Summarizer(Actor):
    def on_receive(self, messages: Sequence[str]) -> str:
        return " ".join(messages)


class Memory(Actor):
    def __init__(self, summarizer: ActorRef[Summarizer], fixed: bool) -> None:
        super().__init__()
        self.summarizer, self.fixed = summarizer, fixed
        self.messages: list[str] = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case Outcome():
                summary, count = message.unwrap()
                self.messages = [summary, *(self.messages[count:] if self.fixed else ())]
            case "recall":
                return " ".join(self.messages)
            case _:
                self.messages.append(message)
                if len(self.messages) == 3:
                    self.pipe(self.summarize())
        return None

    async def summarize(self) -> tuple[str, int]:
        messages = tuple(self.messages)
        return await self.summarizer.ask(messages), len(messages)


def summary_drops(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        summarizer = sim.system.spawn(Summarizer, name="summarizer")
        memory = sim.system.spawn(Memory, summarizer, fixed, name="memory")
        for word in operations:
            await memory.ask(word)
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        assert await memory.ask("recall") == " ".join(operations), "something was forgotten"

    return scenario


# -- 8. duplicates known no more after a restart -----------------------------------------------------------------------


class Ledger(Actor):
    """Stands for a database: what is in it outlives everybody. Where a key comes with an amount, it is kept with it."""

    def __init__(self) -> None:
        super().__init__()
        self.amounts: list[int] = []
        self.keys: set[str] = set()

    def on_receive(self, message: Any) -> Any:
        what, key, amount = message
        if what == "book" and key not in self.keys:
            self.amounts.append(amount)
            if key:
                self.keys.add(key)
        return sum(self.amounts)


class Billing(Actor):
    """Books each run once, whoever asks how often: by keys in its own memory, or in the ledger."""

    def __init__(self, ledger: ActorRef[Ledger], fixed: bool) -> None:
        super().__init__()
        self.ledger, self.fixed = ledger, fixed
        self.seen: set[str] = set()

    async def on_receive(self, message: tuple[str, int]) -> None:
        key, amount = message
        if key not in self.seen:
            await self.ledger.ask(("book", key if self.fixed else "", amount))
            self.seen.add(key)


def dedupe_lost(operations: Operations, fixed: bool) -> Scenario:
    async def bill(billing: ActorRef[Billing], key: str, amount: int) -> None:
        for _ in range(5):
            try:
                await billing.ask((key, amount), timeout=30.0)
            except (ActorCrashed, AskTimeout):
                await asyncio.sleep(1)
            else:
                return

    async def scenario(sim: Simulation) -> None:
        ledger = sim.system.spawn(Ledger, name="ledger")
        billing = sim.system.supervise(ChildSpec(Billing, (ledger, fixed), name="billing"))
        for number, amount in enumerate(operations):
            await bill(billing, f"run {number}", amount)
        assert await ledger.ask(("sum", "", 0)) == sum(operations), "booked twice"

    return scenario


# -- 9. two leaders by a lease that is read late -----------------------------------------------------------------------


class Leases(Actor):
    """Grants the lead for five seconds from when it is asked."""

    def __init__(self, sim: Simulation) -> None:
        super().__init__()
        self.sim = sim
        self.owner, self.until = "", 0.0

    def on_receive(self, who: str) -> bool:
        if self.owner not in ("", who) and self.until > self.sim.now:
            return False
        self.owner, self.until = who, self.sim.now + 5.0
        return True


async def candidate(sim: Simulation, leases: ActorRef[Leases], who: str, pauses: Sequence[float], fixed: bool) -> None:
    for pause in pauses:
        asked = sim.now
        granted = await leases.ask(who)
        until = (asked if fixed else sim.now) + 5.0  # an answer may have been on its way for a while
        if granted and until > sim.now:
            sim.mark("leads", who=who, since=sim.now, until=until)
            await asyncio.sleep(until - sim.now)
        await asyncio.sleep(pause)


def two_leaders(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        leases = sim.system.spawn(Leases, sim, name="leases")
        await together(
            {who: candidate(sim, leases, who, operations, fixed) for who in ("east", "west")},
        )
        leads = sorted((fact.since, fact.until, fact.who) for fact in sim.trace.of("leads"))
        for (_, until, who), (since, _, other) in pairwise(leads):
            assert who == other or since >= until, f"{who} leads until {until} s, {other} from {since} s on"

    return scenario


# -- 10. a write to the journal that is torn in two --------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """A run has its answer."""

    run: str


@dataclass(frozen=True)
class Booked:
    """A run was paid for."""

    run: str
    cents: int


class Runs(EventSourcedActor[Any, Any]):
    """Answers each run once, and books what it has cost: with one write to its journal, or with two."""

    def __init__(self, journal: Any, fixed: bool) -> None:
        super().__init__(journal, "runs")
        self.fixed = fixed
        self.answered: set[str] = set()
        self.cents = 0

    def apply(self, event: Any) -> None:
        if isinstance(event, Answered):
            self.answered.add(event.run)
        else:
            self.cents += event.cents

    async def on_receive(self, message: Any) -> int:
        if message is not None and message[0] not in self.answered:
            answered, booked = Answered(message[0]), Booked(*message)
            if self.fixed:
                await self.persist(answered, booked)
            else:
                await self.persist(answered)
                await self.persist(booked)
        return self.cents


def torn_write(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        async def main(system: System) -> int:
            journal = PostgresJournal("postgresql://simulated/runs", JsonCodec(Answered, Booked))
            runs = system.supervise(ChildSpec(Runs, (journal, fixed), name="runs"))
            for number, cents in enumerate(operations):
                await runs.ask((f"run {number}", cents))
            total: int = await runs.ask(None)
            await system.stop()
            journal.close()
            return total

        total = await sim.process("service", main)
        assert total == sum(operations), f"booked {total} of {sum(operations)} cents"

    return scenario


# -- 11. a thread race -------------------------------------------------------------------------------------------------


class Usage:
    """What was used, counted by tools that block, in threads."""

    def __init__(self, fixed: bool) -> None:
        self.lock = threading.Lock() if fixed else contextlib.nullcontext()
        self.tokens = 0

    def count(self, tokens: int) -> None:
        with self.lock:
            before = self.tokens
            self.tokens = before + tokens


class Blocking(Actor):
    def __init__(self, usage: Usage) -> None:
        super().__init__()
        self.usage = usage

    def on_receive(self, tokens: int) -> Any:
        return self.reply_with(asyncio.to_thread(self.usage.count, tokens))


def thread_race(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        usage = Usage(fixed)
        tools = sim.system.spawn(Blocking, usage, name="tools")
        await together({f"call{i}": ask(tools, tokens) for i, tokens in enumerate(operations)})
        assert usage.tokens == sum(operations), f"counted {usage.tokens} of {sum(operations)} tokens"

    return scenario


# -- 12. a deadline that is just missed --------------------------------------------------------------------------------


class Bookings(Actor):
    """Books jobs; where it is right, none whose deadline is over."""

    def __init__(self, fixed: bool, sim: Simulation) -> None:
        super().__init__()
        self.fixed, self.sim = fixed, sim
        self.booked: list[int] = []

    def on_receive(self, message: Any) -> Any:
        what, job, deadline = message
        if what == "book" and not (self.fixed and self.sim.now >= deadline):
            self.booked.append(job)
        return list(self.booked)


class DeadlineWorker(Actor):
    """Works for some seconds, looks at the clock and whether somebody else was faster, and books."""

    def __init__(self, bookings: ActorRef[Bookings], sim: Simulation) -> None:
        super().__init__()
        self.bookings, self.sim = bookings, sim

    async def on_receive(self, message: tuple[int, float, float]) -> None:
        job, seconds, deadline = message
        await asyncio.sleep(seconds)
        if self.sim.now < deadline and job not in await self.bookings.ask(("look", job, deadline)):
            await self.bookings.ask(("book", job, deadline))


def near_miss(operations: Operations, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        bookings = sim.system.spawn(Bookings, fixed, sim, name="bookings")
        worker = sim.system.spawn(DeadlineWorker, bookings, sim, name="worker")
        for job, seconds in enumerate(operations):
            deadline = sim.now + 1.0
            worker.tell((job, seconds, deadline))
            await asyncio.sleep(deadline - sim.now)
            if job not in await bookings.ask(("look", job, deadline)):
                await bookings.ask(("book", job, deadline + 60.0))  # nobody else will, by now
            await asyncio.sleep(3.0)
        booked = await bookings.ask(("look", 0, 0.0))
        assert sorted(booked) == list(range(len(operations))), f"booked: {booked}"

    return scenario


LATE = Slow("summarizer", seconds=10.0, optional=True)
LLM_GALLERY = (
    Bug("hedge booked twice", hedge_booked_twice, (0.5, 2.0)),
    Bug("approval after cancel", approval_after_cancel, ("approve", "cancel")),
    Bug("result to the wrong turn after a restart", result_to_the_wrong_turn, (0.0, 2.0), (Crash("turns"),)),
    Bug("handoff lost in on_stop", handoff_lost_in_on_stop, (0.0, 0.5, 3.0)),
    Bug("overspend by check-then-act", overspend, (1, 2)),
    Bug("stampede", stampede, ("a", "b", "c")),
    Bug(
        "summary that drops what arrives",
        summary_drops,
        ("red", "green"),
        (LATE,),
    ),
    Bug("dedupe lost in a restart", dedupe_lost, (1, 2), (Crash("billing"),)),
    Bug("torn journal write", torn_write, (1, 2), (Restart("service"),)),
    Bug("thread race", thread_race, (1, 2)),
    Bug("near-miss deadline", near_miss, (0.5, 0.99), timing=Timing(step=0.05)),
    Bug("two leaders by a late-read lease", two_leaders, (1.0, 3.0), (DelayReply("leases", seconds=2.0),)),
)
