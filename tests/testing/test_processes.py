"""Processes inside a run: killed as they write, and started again on their journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pykka
import pytest

from callboard import (
    Actor,
    ActorCrashed,
    Agency,
    Agent,
    AskTimeout,
    ChildSpec,
    EventSourcedActor,
    JsonCodec,
    PostgresJournal,
    Request,
    SqliteJournal,
    StreamFenced,
    StreamOwned,
    System,
    tool,
)
from callboard.actors.journal.store import at_hand
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.testing import (
    Crash,
    Deadlock,
    Fault,
    FaultRefused,
    FaultStruckNothing,
    Pause,
    Restart,
    Simulation,
    SimulationError,
    SimulationFailed,
    StoreFault,
    simulate,
)
from tests.pages.page import Page


@dataclass(frozen=True)
class Deposited:
    """Money came in."""

    key: str
    amount: int


class Account(EventSourcedActor[Deposited, Any]):
    """Counts each deposit once, by its key."""

    def __init__(self, journal: Any, stream: str) -> None:
        super().__init__(journal, stream)
        self.amounts: dict[str, int] = {}

    def apply(self, event: Deposited) -> None:
        self.amounts[event.key] = event.amount

    async def on_receive(self, message: Any) -> Any:
        if message == "amounts":
            return dict(self.amounts)
        key, amount = message
        if key not in self.amounts:
            await self.persist(Deposited(key, amount))
        return self.amounts[key]


def sqlite(sim: Simulation) -> Any:
    return SqliteJournal(sim.folder / "j.db", JsonCodec(Deposited))


def postgres(sim: Simulation) -> Any:
    return PostgresJournal("postgresql://simulated/accounts", JsonCodec(Deposited))


STORES = [sqlite, postgres]


def teller(sim: Simulation, store: Callable[[Simulation], Any], count: int = 3) -> Any:
    async def main(system: System) -> dict[str, int]:
        journal = store(sim)
        account = system.supervise(ChildSpec(Account, args=(journal, "account/7"), name="account"))
        for number in range(count):
            answer = await account.ask((f"deposit {number}", number))
            sim.mark("answered", number=number, amount=answer)
        amounts: dict[str, int] = await account.ask("amounts")
        await system.stop()
        journal.close()
        return amounts

    return main


@pytest.mark.parametrize("store", STORES)
def test_a_process_runs_on_its_journal_inside_the_simulation(store: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        process = sim.process("teller", teller(sim, store))
        assert await process == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        assert process.starts == 1

    assert simulate(scenario, seeds=5).ok


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("store", STORES)
def test_a_process_that_is_killed_at_a_write_goes_on_where_its_journal_says(store: Any, nth: int, when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        process = sim.process("teller", teller(sim, store))
        assert await process == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        assert process.starts == 2

    assert simulate(scenario, seeds=3, faults=[Restart("teller", nth, when)]).ok


@pytest.mark.parametrize("looks", range(1, 6))
@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_no_task_of_a_killed_process_takes_another_step(looks: int, order: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        steps = 0

        async def work(begin: asyncio.Event) -> None:
            nonlocal steps
            steps += 1
            await begin.wait()
            steps += 1

        async def main(system: System) -> None:
            begin = asyncio.Event()
            tasks = [asyncio.ensure_future(work(begin)) for _ in range(4)]
            await asyncio.sleep(0)
            begin.set()
            await asyncio.gather(*tasks)
            await asyncio.Event().wait()

        process = sim.process("worker", main)
        for _ in range(looks):
            await asyncio.sleep(0)
        process.kill()
        taken = steps
        await asyncio.sleep(1.0)
        assert steps == taken

    assert simulate(scenario, seeds=20, order=order).ok


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_an_actor_of_a_killed_process_that_was_suspended_goes_on_no_more(order: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        taken = list[int]()

        class Counter(Actor[int]):
            async def on_receive(self, message: int) -> None:
                taken.append(message)

        async def main(system: System) -> None:
            counter = system.spawn(Counter, name="counter")
            for number in range(3):
                await asyncio.sleep(1.0)
                counter.tell(number)
            await asyncio.Event().wait()

        process = sim.process("worker", main)
        await asyncio.sleep(5.0)
        process.kill()
        before = list(taken)
        await asyncio.sleep(100.0)
        assert taken == before

    assert simulate(scenario, seeds=5, order=order, faults=[Pause("counter", 2, seconds=50.0)]).ok


def test_a_torn_write_leaves_half_of_it_in_the_file_and_nothing_of_it_counts() -> None:
    async def scenario(sim: Simulation) -> None:
        process = sim.process("teller", teller(sim, sqlite))
        assert await process == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        assert process.starts == 2

    for nth in range(1, 6):
        assert simulate(scenario, seeds=3, faults=[Restart("teller", nth, "torn")]).ok


def test_of_a_torn_write_a_part_is_in_the_log_when_the_process_starts_again() -> None:
    async def scenario(sim: Simulation) -> None:
        log, sizes, again = sim.folder / "j.db-wal", list[int](), list[int]()

        async def main(system: System) -> None:
            if sizes:
                again.append(log.stat().st_size)
                return
            journal = sqlite(sim)
            for number in range(3):
                await at_hand(journal.append("s", [Deposited("x" * 10_000, number)]))
                sizes.append(log.stat().st_size)

        await sim.process("teller", main)
        assert len(sizes) == 2
        step = sizes[1] - sizes[0]
        assert sizes[1] < again[0] < sizes[1] + step

    assert simulate(scenario, seeds=0, faults=[Restart("teller", 3, "torn")]).ok


def test_a_restart_without_a_number_is_placed_at_any_write_before_and_after_it() -> None:
    struck: set[tuple[int, str]] = set()

    async def scenario(sim: Simulation) -> None:
        assert await sim.process("teller", teller(sim, postgres)) == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        struck.update((fact.nth, fact.when) for fact in sim.trace.of("fault"))

    assert simulate(scenario, seeds=100, faults=[Restart("teller")]).ok
    assert {when for _, when in struck} == {"before", "after"}
    assert {nth for nth, _ in struck} >= {1, 2, 3, 4}


def test_a_restart_is_never_placed_in_a_handler_though_an_actor_of_that_name_waits_in_its_own() -> None:
    async def main(system: System) -> None:
        with SqliteJournal(folder[0] / "j.db", JsonCodec(Deposited)) as journal:
            account = system.supervise(ChildSpec(Account, args=(journal, "account/7"), name="teller"))
            for number in range(3):
                with suppress(ActorCrashed):
                    await account.ask((f"deposit {number}", number))

    folder: list[Path] = []

    async def scenario(sim: Simulation) -> None:
        folder[:] = [sim.folder]
        await sim.process("teller", main)

    # The crash has the search look where handlers wait.
    run = simulate(scenario, seeds=60, faults=[Restart("teller"), Crash("teller", optional=True)])
    assert run.coverage.struck[Restart("teller")]


def test_a_process_that_is_killed_says_nothing_to_anybody() -> None:
    said: list[str] = []

    class Loud(Actor):
        def on_stop(self) -> None:
            said.append("on_stop")

        async def on_receive(self, message: Any) -> None:
            try:
                await asyncio.sleep(2)
                said.append("went on")
            finally:
                said.append("finally")

    async def main(system: System) -> None:
        loud = system.spawn(Loud, name="loud")
        loud.tell("x")
        asyncio.get_running_loop().call_later(2, said.append, "timer")
        try:
            await asyncio.sleep(2)
            said.append("main went on")
        finally:
            said.append("main's finally")

    async def scenario(sim: Simulation) -> None:
        said.clear()
        process = sim.process("loud", main)
        await asyncio.sleep(1)
        process.kill()
        assert not process.running
        await asyncio.sleep(10)
        assert said == []
        process.start()
        await process
        assert process.starts == 2
        assert "on_stop" in said

    assert simulate(scenario, seeds=20).ok


def taking(refs: list[Any], taken: list[str]) -> Callable[[System], Awaitable[None]]:
    """Return the program of a process that has an actor, kept in ``refs``, of which ``taken`` says what it took up."""

    class Taker(Actor):
        def on_receive(self, message: str) -> None:
            taken.append(message)

    async def main(system: System) -> None:
        refs.append(system.spawn(Taker, name="taker"))
        await asyncio.Event().wait()

    return main


def test_a_message_to_an_actor_of_a_killed_process_goes_nowhere() -> None:
    refs: list[Any] = []
    taken: list[str] = []
    main = taking(refs, taken)

    async def scenario(sim: Simulation) -> None:
        refs.clear()
        taken.clear()
        process = sim.process("worker", main)
        await asyncio.sleep(1)
        refs[0].tell("before")
        await asyncio.sleep(1)
        refs[0].tell("as it is killed")
        process.kill()
        refs[0].tell("after")
        with pytest.raises(AskTimeout):
            await refs[0].ask("is anybody there?", timeout=1)
        assert taken == ["before"]

    assert simulate(scenario, seeds=20).ok


def test_an_idle_actor_of_a_killed_process_takes_up_nothing() -> None:
    refs: list[Any] = []
    taken: list[str] = []
    main = taking(refs, taken)

    async def scenario(sim: Simulation) -> None:
        refs.clear()
        taken.clear()
        process = sim.process("worker", main)
        await asyncio.sleep(1)
        process.kill()
        refs[0].tell("after")
        await asyncio.sleep(1)
        assert taken == []

    assert simulate(scenario, seeds=5).ok


def test_a_process_that_still_runs_at_the_end_is_cancelled_as_by_a_signal() -> None:
    said: list[str] = []

    async def main(system: System) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("goodbye")

    async def scenario(sim: Simulation) -> None:
        said.clear()
        sim.process("server", main)
        await asyncio.sleep(1)

    assert simulate(scenario, seeds=3).ok
    assert said == ["goodbye"]


def test_what_a_process_raises_is_raised_where_it_is_awaited_or_at_the_end() -> None:
    async def main(system: System) -> None:
        raise ValueError("no such file")

    async def awaited(sim: Simulation) -> None:
        with pytest.raises(ValueError, match="no such file"):
            await sim.process("worker", main)

    async def forgotten(sim: Simulation) -> None:
        sim.process("worker", main)
        await asyncio.sleep(1)

    assert simulate(awaited, seeds=3).ok
    with pytest.raises(SimulationFailed, match="no such file"):
        simulate(forgotten, seeds=3)


# -- stores that fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize(
    ("store", "what"),
    [
        (sqlite, "full"),
        (sqlite, "locked"),
        (sqlite, "unreachable"),
        (postgres, "full"),
        (postgres, "locked"),
        (postgres, "unreachable"),
        (postgres, "lost"),
    ],
)
def test_a_store_that_fails_for_a_while_is_waited_out_and_nothing_counts_twice(store: Any, what: Any, nth: int) -> None:
    async def scenario(sim: Simulation) -> None:
        process = sim.process("teller", teller(sim, store))
        assert await process == {"deposit 0": 0, "deposit 1": 1, "deposit 2": 2}
        assert process.starts == 1
        assert what == "lost" or sim.now >= 5

    assert simulate(scenario, seeds=3, faults=[StoreFault("teller", nth, what, seconds=5)]).ok


def test_of_two_faults_at_one_write_the_first_strikes_and_the_other_says_so() -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.process("teller", teller(sim, postgres))

    with pytest.raises(FaultStruckNothing, match=r"restart teller, write 2 .*with another fault: store fault teller"):
        simulate(scenario, seeds=1, faults=[StoreFault("teller", 2), Restart("teller", 2, "before")])


def test_a_write_whose_answer_is_lost_is_not_taken_for_the_same_write_a_second_time() -> None:
    async def main(system: System) -> None:
        with PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited)) as journal:
            for _ in range(2):
                await journal.append("s", [Deposited("a", 1)])
                await journal.delete("s")
            assert await journal.read("s") == []

    async def scenario(sim: Simulation) -> None:
        await sim.process("worker", main)

    assert simulate(scenario, seeds=3, faults=[StoreFault("worker", 2, "lost")]).ok


def test_a_worker_that_does_not_reach_its_store_for_longer_than_its_lease_is_fenced_off() -> None:
    """Two workers want one stream; the first holds it, and cannot renew its lease."""
    fenced: list[str] = []

    async def first(system: System) -> None:
        journal = PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited))
        stream = await journal.open("s")
        await at_hand(stream.append([Deposited("a", 1)]))
        await asyncio.sleep(1)
        try:
            await at_hand(stream.append([Deposited("b", 2)]))
        except StreamFenced:
            fenced.append("first")
        journal.close()

    async def second(system: System) -> None:
        journal = PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited))
        await asyncio.sleep(2)
        while True:
            try:
                stream = await journal.open("s")
                break
            except StreamOwned:
                await asyncio.sleep(1)
        await at_hand(stream.append([Deposited("c", 3)]))
        assert [event.key for event in stream.events] == ["a"]
        journal.close()

    async def scenario(sim: Simulation) -> None:
        fenced.clear()
        processes = sim.process("first", first), sim.process("second", second)
        for process in processes:
            await process
        assert fenced == ["first"]

    assert simulate(scenario, seeds=20, faults=[StoreFault("first", 3, "unreachable", seconds=30)]).ok


def test_the_lease_of_a_killed_process_goes_on_until_its_time_is_up() -> None:
    async def holder(system: System) -> None:
        journal = PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited))
        await journal.open("s")
        await asyncio.Event().wait()

    async def scenario(sim: Simulation) -> None:
        process = sim.process("holder", holder)
        await asyncio.sleep(1)
        process.kill()
        killed = sim.now
        journal = PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited))
        while True:
            try:
                await journal.open("s")
                break
            except StreamOwned:
                await asyncio.sleep(0.5)
        assert 5 <= sim.now - killed <= 11
        journal.close()

    assert simulate(scenario, seeds=5).ok


def test_a_process_that_ends_and_leaves_its_journal_open_renews_no_lease_any_more() -> None:
    async def holder(system: System) -> None:
        journal = PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited))
        await journal.open("s")

    async def scenario(sim: Simulation) -> None:
        await sim.process("holder", holder)
        ended = sim.now
        journal = PostgresJournal("postgresql://simulated/one", JsonCodec(Deposited))
        while True:
            try:
                await journal.open("s")
                break
            except StreamOwned:
                await asyncio.sleep(0.5)
        assert 5 <= sim.now - ended <= 11
        journal.close()

    assert simulate(scenario, seeds=5).ok


def test_a_journal_that_is_idle_does_not_hide_a_deadlock() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = sqlite(sim)
        await journal.open("s")
        await asyncio.Event().wait()

    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, seeds=0)
    assert isinstance(caught.value.run.error, Deadlock)


def test_a_journal_of_the_scenario_itself_runs_inside_and_need_not_be_closed() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = sqlite(sim)
        stream = await journal.open("s")
        await stream.append([Deposited("a", 1)])
        assert [record.event for record in await journal.read("s")] == [Deposited("a", 1)]

    assert simulate(scenario, seeds=5).ok


# -- what makes no sense -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "fault", "says"),
    [
        (postgres, Restart("teller", 2, "torn"), "only a file is torn"),
        (sqlite, StoreFault("teller", 2, "lost"), "SQLite always answers"),
    ],
)
def test_a_fault_that_this_store_cannot_have_is_refused(store: Any, fault: Fault, says: str) -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.process("teller", teller(sim, store))

    with pytest.raises(FaultRefused, match=says):
        simulate(scenario, seeds=1, faults=[fault])


def test_a_refusal_is_not_forgotten_over_a_later_fault_that_makes_sense() -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.process("teller", teller(sim, sqlite))

    with pytest.raises(FaultRefused, match="SQLite always answers"):
        simulate(scenario, seeds=1, faults=[StoreFault("teller", 2, "lost"), Restart("teller", 3, "before")])


def test_the_scenario_itself_cannot_be_restarted() -> None:
    async def scenario(sim: Simulation) -> None:
        await sqlite(sim).open("s")

    with pytest.raises(FaultRefused, match=r"sim\.process"):
        simulate(scenario, seeds=1, faults=[Restart("client", 1)])


def test_a_process_that_is_not_there_or_does_not_write_so_often_is_named() -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.process("teller", teller(sim, postgres))

    with pytest.raises(FaultStruckNothing, match=r"no process with a journal 'tellr'. Did you mean 'teller'\?"):
        simulate(scenario, seeds=1, faults=[Restart("tellr", 1)])
    with pytest.raises(FaultStruckNothing, match=r"writes to its journal there: \d"):
        simulate(scenario, seeds=1, faults=[StoreFault("teller", 99)])


def test_a_process_whose_program_is_not_async_is_named() -> None:
    def program(system: System) -> Any:
        return 5

    async def scenario(sim: Simulation) -> None:
        await sim.process("worker", program)

    with pytest.raises(
        SimulationFailed, match=r"a process's program is async def .*program is not async, it returned 5"
    ):
        simulate(scenario, seeds=0)


def test_two_processes_of_one_name_are_refused() -> None:
    async def main(system: System) -> None:
        return None

    async def scenario(sim: Simulation) -> None:
        first = sim.process("worker", main)
        with pytest.raises(SimulationError, match="worker"):
            sim.process("worker", main)
        with pytest.raises(SimulationError, match="runs already"):
            first.start()
        for wrong in (("", main), ("x", None), (None, main)):
            with pytest.raises(TypeError, match="a process has a name"):
                sim.process(*wrong)
        await first
        with pytest.raises(SimulationError, match="does not run"):
            first.kill()
        with pytest.raises(SimulationError, match="has ended"):
            first.start()

    assert simulate(scenario, seeds=1).ok


@pytest.mark.parametrize(
    "make",
    [
        lambda: Restart(""),
        lambda: Restart("a", 0),
        lambda: Restart("a", 1, "in"),  # type: ignore[arg-type]
        lambda: Restart("a", seconds=0),
        lambda: StoreFault("a", 1, "slow"),  # type: ignore[arg-type]
        lambda: StoreFault("a", 1, "full", seconds=-1),
    ],
)
def test_a_fault_of_a_process_that_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(FaultRefused):
        make()


# -- replay ------------------------------------------------------------------------------------------------------------


def forgets_what_it_answered(sim: Simulation) -> Any:
    async def main(system: System) -> None:
        journal = sqlite(sim)
        stream = await journal.open("s")
        if not stream.events:
            sim.mark("charged")  # before it is kept
            await stream.append([Deposited("charge", 1)])
        journal.close()

    return main


async def charges(sim: Simulation) -> None:
    await sim.process("till", forgets_what_it_answered(sim))
    assert len(sim.trace.of("charged")) == 1, "charged twice"


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_a_restart_that_breaks_something_is_found_and_its_token_replays_it(order: Any) -> None:
    faults = [Restart("till")]
    with pytest.raises(SimulationFailed, match="charged twice") as caught:
        simulate(charges, seeds=40, faults=faults, order=order)
    assert "restart till, write" in str(caught.value)
    with pytest.raises(SimulationFailed, match="charged twice") as again:
        simulate(charges, faults=faults, replay=caught.value.token)
    assert again.value.run.trace.digest() == caught.value.run.trace.digest()


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = Page("actors/testing/processes/README.md")


@pytest.mark.parametrize("address", ["postgresql://simulated/page", None])
def test_the_example_of_the_page_holds(address: str | None) -> None:
    charged: list[str] = []

    @tool
    async def charge() -> str:
        charged.append("ann")
        return "charged"

    def model(request: Request) -> Any:
        return "done" if request.messages[-1].role == "tool" else call("charge", "c1")

    program, _, search = PAGE.block("python").partition("simulate(")
    names: dict[str, Any] = {
        "Agency": Agency,
        "Agent": Agent,
        "charge": charge,
        "model": ChildSpec(FunctionModel, (model,), name="model"),
        "charged": charged,
    }
    exec(compile(program, PAGE.path, "exec"), names)

    async def scenario(sim: Simulation) -> None:
        charged.clear()
        names["address"] = address or sim.folder / "page.db"
        sim.expect_dead_letters()
        await names["scenario"](sim)

    assert search == 'scenario, faults=[Restart("worker")])\n'
    simulate(scenario, faults=[Restart("worker")])


class Kept(Actor):
    async def on_receive(self, message: Any) -> None: ...


def test_actors_of_a_process_that_was_killed_are_not_in_pykkas_registry_after_the_run() -> None:
    async def scenario(sim: Simulation) -> None:
        async def main(system: System) -> str:
            system.spawn(Kept, name="kept")
            await asyncio.sleep(3)
            return "done"

        process = sim.process("shop", main)
        await asyncio.sleep(1)
        process.restart()
        assert await process == "done"

    before = pykka.ActorRegistry.get_all()
    simulate(scenario, seeds=2)
    assert pykka.ActorRegistry.get_all() == before


def test_actors_of_a_run_that_never_ended_are_not_in_pykkas_registry_after_it() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Kept, name="kept")
        await asyncio.get_running_loop().create_future()

    before = pykka.ActorRegistry.get_all()
    with pytest.raises(SimulationFailed):
        simulate(scenario, seeds=1)
    assert pykka.ActorRegistry.get_all() == before
