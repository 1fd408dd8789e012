"""Processes that use one journal share the limits of their providers: all together they send no more than there is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from callboard import JsonCodec, PostgresJournal, SqliteJournal
from callboard.actors import ActorCrashed, ActorDead, System
from callboard.actors.testing import Fault, Restart, Simulation, StoreFault, simulate
from callboard.providers.errors import NoProvider, ProviderError
from callboard.providers.messages import RateLimits
from callboard.providers.pool import AddEndpoint, GetHealth, Pool, Probe, Quota
from callboard.providers.pool.accounts import stream
from callboard.providers.simulated import ServerQuota, SimulatedProvider

from .scripted import Script, endpoint, request
from .sharing_program import LIMIT

SCHEDULES = int(os.environ.get("CALLBOARD_SCHEDULES", "100")) // 20
ADDRESS = "postgresql://simulated/limits"


def most_in(times: Sequence[float], period: float) -> int:
    """The most that came within any period."""
    first = most = 0
    for number, at in enumerate(times):
        while times[first] <= at - period:
            first += 1
        most = max(most, number - first + 1)
    return most


class Counting(Script):
    """A vendor that says with each answer what remains of a limit a minute."""

    def __init__(self, *, latency: float, limit: int) -> None:
        super().__init__(latency=latency)
        self.limit = limit

    def headers(self) -> RateLimits:
        """What it says now."""
        now = asyncio.get_running_loop().time()
        sent = sum(at > now - 60.0 for at in self.times)
        return RateLimits(requests_limit=self.limit, requests_remaining=max(0, self.limit - sent), requests_reset=60.0)


def asking(script: Script, seconds: float, clients: int = 5, limits: Quota | None = None, journal: Any = None) -> Any:
    """A process whose clients ask one after the other, for so long."""

    async def main(system: System) -> int:
        kept = PostgresJournal(ADDRESS, JsonCodec()) if journal is None else journal()
        one = endpoint(script, limits=limits or Quota(requests_per_minute=30))
        pool = system.supervise(Pool.spec([one], journal=kept, queue_timeout=600.0, seed=1))
        loop = asyncio.get_running_loop()
        until, answered = loop.time() + seconds, 0

        async def client() -> None:
            nonlocal answered
            while loop.time() < until:
                with suppress(TimeoutError, ProviderError):
                    async with asyncio.timeout_at(until):
                        await pool.ask(request())
                        answered += 1

        await asyncio.gather(*(client() for _ in range(clients)))
        await system.stop()
        kept.close()
        return answered

    return main


def test_one_process_is_answered_at_once_as_without_a_journal() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script()
        assert await sim.process("a", asking(script, 50.0)) == len(script.times) == 30
        assert script.times[9] - script.times[0] <= 0.5, "ten go at once"

    assert simulate(scenario, seeds=1).ok


@pytest.mark.parametrize("store", ["postgres", "sqlite"])
def test_three_processes_send_together_what_one_might_and_nearly_all_of_it(store: str) -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.2)
        journal = None if store == "postgres" else lambda: SqliteJournal(sim.folder / "j.db", JsonCodec())
        processes = [sim.process(name, asking(script, 400.0, journal=journal)) for name in "abc"]
        answered = [await process for process in processes]
        assert most_in(script.times, 60.0) <= 30
        steady = [at for at in script.times if at - script.times[0] > 96.0]
        assert len(steady) >= 0.95 * 150
        assert min(answered) >= 0.8 * max(answered)

    assert simulate(scenario, seeds=2).ok


def faulty(*, restarts: Sequence[str]) -> Any:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.2)
        processes = [sim.process(name, asking(script, 200.0)) for name in "abc"]
        for process in processes:
            await process
        assert most_in(script.times, 60.0) <= 30
        assert sum(process.starts for process in processes) == 3 + len(restarts)

    return scenario


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [2, 3, 5, 9])
def test_a_process_that_is_killed_as_it_tells_its_share_causes_no_more_to_be_sent(nth: int, when: Any) -> None:
    assert simulate(faulty(restarts="a"), seeds=max(1, SCHEDULES // 4), faults=[Restart("a", nth, when, 5.0)]).ok


@pytest.mark.parametrize("what", ["unreachable", "lost"])
@pytest.mark.parametrize("seconds", [5.0, 80.0])
def test_a_journal_that_is_away_for_a_process_causes_no_more_to_be_sent(what: Any, seconds: float) -> None:
    fault = StoreFault("b", 4, what, seconds)
    assert simulate(faulty(restarts=""), seeds=max(1, SCHEDULES // 4), faults=[fault]).ok


def test_whatever_strikes_no_more_is_sent() -> None:
    faults: list[Fault] = [
        Restart("a", optional=True),
        StoreFault("b", optional=True),
        Restart("c", when="after", optional=True),
    ]

    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.2)
        for process in [sim.process(name, asking(script, 200.0)) for name in "abc"]:
            await process
        assert most_in(script.times, 60.0) <= 30

    assert simulate(scenario, seeds=SCHEDULES, faults=faults).ok


def pools(sim: Simulation, *endpoints: Any, count: int = 2) -> list[Any]:
    """Pools in processes of their own, for as long as the scenario goes on."""
    made: list[asyncio.Future[Any]] = []
    for number in range(count):
        ready = asyncio.get_running_loop().create_future()
        made.append(ready)

        async def main(system: System, ready: Any = ready) -> None:
            journal = PostgresJournal(ADDRESS, JsonCodec())
            ready.set_result(system.supervise(Pool.spec(endpoints, journal=journal, queue_timeout=600.0, seed=1)))
            await asyncio.Event().wait()

        sim.process(f"p{number}", main)
    return made


async def client(pool: Any) -> None:
    """Asks one thing after the other."""
    while True:
        try:
            await pool.ask(request())
        except (NoProvider, ActorDead, ActorCrashed):
            await asyncio.sleep(0.5)


async def use_of(pool: Any, kind: str = "requests_per_minute") -> Any:
    """How much of a limit is used, and what share of it there is."""
    (one,) = (await pool.ask(GetHealth())).endpoints
    return next(use for use in one.limits if use.kind == kind)


def test_health_says_what_the_limit_is_and_what_of_it_one_s_share_is() -> None:
    async def scenario(sim: Simulation) -> None:
        one, two = [await ready for ready in pools(sim, endpoint(Script(), limits=Quota(requests_per_minute=60)))]
        assert (await one.ask(GetHealth())).available, "nobody has asked for anything yet, and may"
        await one.ask(request())
        use = await use_of(one)
        assert (use.used, use.limit) == (1, 60)
        assert 30 <= use.share <= 40, "half of what nobody wants is nobody's"
        await two.ask(request())
        await asyncio.sleep(5.0)
        shares = [(await use_of(pool)).share for pool in (one, two)]
        assert 40 <= sum(shares) <= 60
        assert min(shares) >= 10

    assert simulate(scenario, seeds=2).ok


def test_who_asks_for_nothing_has_given_all_of_it_back_and_writes_nothing() -> None:
    async def scenario(sim: Simulation) -> None:
        one, two = [await ready for ready in pools(sim, endpoint(Script(), limits=Quota(requests_per_minute=60)))]
        journal = PostgresJournal(ADDRESS, JsonCodec())
        await asyncio.sleep(100.0)
        assert not await journal.headers(prefix="callboard.limits"), "nobody has asked for anything"
        await one.ask(request())
        await asyncio.sleep(130.0)
        (header,) = await journal.headers(prefix="callboard.limits")
        await asyncio.sleep(1_000.0)
        (later,) = await journal.headers(prefix="callboard.limits")
        assert later.version == header.version
        journal.close()
        await asyncio.gather(*(two.ask(request()) for _ in range(60)))
        assert (await use_of(two)).share == 60

    assert simulate(scenario, seeds=2).ok


def test_whose_turn_it_is_by_priority_goes_first_also_after_a_pause() -> None:
    async def scenario(sim: Simulation) -> None:
        limited, free = Script("limited"), Script("free")
        limits = Quota(requests_per_minute=60)
        (pool,) = [
            await ready
            for ready in pools(sim, endpoint(limited, limits=limits, priority=0), endpoint(free, priority=1), count=1)
        ]
        for _ in range(3):
            await pool.ask(request())
            await asyncio.sleep(200.0)
        assert (len(limited.seen), len(free.seen)) == (3, 0)
        await pool.ask(Probe("limited"))
        assert len(limited.seen) == 4

    assert simulate(scenario, seeds=2).ok


def test_who_has_much_to_send_is_not_spaced_by_an_even_share_while_others_need_less() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.1)
        one, two = [await ready for ready in pools(sim, endpoint(script, limits=Quota(requests_per_minute=600)))]
        await two.ask(request())
        clients = [asyncio.ensure_future(client(one)) for _ in range(5)]
        for _ in range(7):
            await asyncio.sleep(8.0)
            await two.ask(request())
        assert len(script.times) >= 0.9 * 600
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)

    assert simulate(scenario, seeds=2).ok


def test_a_limit_of_requests_at_once_is_shared() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=2.0)
        limits = Quota(concurrency=6)
        processes = [sim.process(name, asking(script, 100.0, 8, limits)) for name in "abc"]
        await asyncio.sleep(95.0)  # then all give up at once, and who has ended may be told of it later
        assert script.most <= 6
        answered = [await process for process in processes]
        assert sum(answered) >= 0.9 * 6 * 50
        assert min(answered) >= 0.7 * max(answered)

    assert simulate(scenario, seeds=3).ok


def test_a_limit_below_the_number_of_processes_goes_from_one_to_the_other() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.5)
        processes = [sim.process(name, asking(script, 120.0, 3, Quota(concurrency=1))) for name in "abc"]
        answered = [await process for process in processes]
        assert script.most == 1
        assert min(answered) >= 10, answered

    assert simulate(scenario, seeds=2).ok


def test_a_model_s_own_limit_is_shared_too_and_one_of_a_day_goes_to_who_needs_it() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.01)
        limits = {"large": Quota(requests_per_day=40)}
        one, two = [await ready for ready in pools(sim, endpoint(script, models=("large",), model_limits=limits))]
        for _ in range(5):
            await one.ask(request(model="large"))
        asked = [asyncio.ensure_future(two.ask(request(model="large"))) for _ in range(60)]
        await asyncio.sleep(300.0)
        assert 36 <= len(script.times) <= 40
        for each in asked:
            each.cancel()
        await asyncio.wait(asked)

    assert simulate(scenario, seeds=2).ok


def test_limits_that_are_changed_while_processes_share_them_hold_from_then_on() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.1)
        one, two = [await ready for ready in pools(sim, endpoint(script, limits=Quota(requests_per_minute=60)))]
        clients = [asyncio.ensure_future(client(pool)) for pool in (one, two) for _ in range(5)]
        await asyncio.sleep(150.0)
        await one.ask(AddEndpoint(endpoint(script, limits=Quota(requests_per_minute=20))))  # and the other not yet
        await asyncio.sleep(100.0)
        script.seen.clear()
        await asyncio.sleep(150.0)
        assert 18 <= most_in(script.times, 60.0) <= 20
        for pool in (one, two):
            await pool.ask(AddEndpoint(endpoint(script, limits=Quota(requests_per_minute=120))))
        await asyncio.sleep(130.0)
        script.seen.clear()
        await asyncio.sleep(130.0)
        assert 110 <= most_in(script.times, 60.0) <= 120
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)

    assert simulate(scenario, seeds=2, max_steps=60_000).ok


def test_what_a_vendor_says_remains_of_the_account_is_not_taken_for_a_share() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Counting(latency=0.1, limit=60)
        processes = [sim.process(name, asking(script, 250.0)) for name in "ab"]
        for process in processes:
            await process
        assert most_in(script.times, 60.0) <= 30
        assert len([at for at in script.times if at - script.times[0] > 90.0]) >= 0.9 * 75

    assert simulate(scenario, seeds=2).ok


def test_a_vendor_that_says_its_limit_is_lower_lowers_it_for_all() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Counting(latency=0.1, limit=12)
        processes = [sim.process(name, asking(script, 400.0)) for name in "ab"]
        for process in processes:
            await process
        later = [at for at in script.times if at - script.times[0] > 130.0]
        assert 10 <= most_in(later, 60.0) <= 12

    assert simulate(scenario, seeds=2).ok


def test_a_limit_that_nobody_configured_is_shared_once_it_was_learned() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Counting(latency=0.1, limit=30)
        processes = [sim.process(name, asking(script, 300.0, limits=Quota())) for name in "ab"]
        for process in processes:
            await process
        later = [at for at in script.times if at - script.times[0] > 1.0]
        assert most_in(later, 60.0) <= 30
        assert len(script.times) >= 0.95 * 5 * 30

    assert simulate(scenario, seeds=2).ok


def test_a_vendor_s_bucket_is_shared_and_never_found_empty() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.1)
        quota = Quota(requests_per_minute=60, rule="bucket")
        processes = [sim.process(name, asking(script, 200.0, limits=quota)) for name in "abc"]
        for process in processes:
            await process
        level, before = 60.0, script.times[0]
        for at in script.times:
            level = min(60.0, level + at - before) - 1.0
            before = at
            assert level >= 0.0, f"at {at} s the vendor would refuse it"
        assert len(script.times) >= 0.95 * 200

    assert simulate(scenario, seeds=3).ok


def test_a_restarted_pool_goes_on_with_what_it_had_sent() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.1)
        one, two = [await ready for ready in pools(sim, endpoint(script, limits=Quota(requests_per_minute=30)))]
        clients = [asyncio.ensure_future(client(pool)) for pool in (one, two) for _ in range(5)]
        for _ in range(4):
            await asyncio.sleep(20.0)
            one.kill()
        await asyncio.sleep(120.0)
        assert most_in(script.times, 60.0) <= 30
        assert len(script.times) >= 0.9 * 100
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)

    assert simulate(scenario, seeds=2).ok


def test_a_stream_that_is_begun_anew_loses_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST", 5)

    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.2)
        for process in [sim.process(name, asking(script, 200.0)) for name in "abc"]:
            await process
        assert most_in(script.times, 60.0) <= 30
        assert len(script.times) >= 90
        journal = PostgresJournal(ADDRESS, JsonCodec())
        *_, header = await journal.headers(prefix="callboard.limits")  # a process that was killed may leave another
        assert header.version <= 12
        assert not header.name.endswith(".000000001")
        journal.close()

    faults: list[Fault] = [Restart("a", optional=True), StoreFault("b", optional=True)]
    assert simulate(scenario, seeds=SCHEDULES, faults=faults).ok


def test_what_is_no_share_is_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sim: Simulation) -> None:
        journal = PostgresJournal(ADDRESS, JsonCodec())
        wrong = [{"row": 7}, {"process": "x", "row": {"number": "y", "left": 0, "claims": [["a"]]}}, {"rows": None}]
        await journal.append("callboard.limits.000000001", wrong)
        journal.close()
        script = Script()
        assert await sim.process("a", asking(script, 50.0)) == 30

    assert simulate(scenario, seeds=1).ok
    assert "is left out" in caplog.text


@pytest.mark.parametrize(
    "nth", [7, 8, 9, 10, 12, 15, 20, 30]
)  # before, the budgets are read, without which none starts
def test_while_the_journal_is_away_others_serve_and_the_pool_can_be_stopped(nth: int) -> None:
    async def scenario(sim: Simulation) -> None:
        limited, free = Script("limited"), Script("free")
        limits = Quota(requests_per_minute=60)
        endpoints = endpoint(limited, limits=limits, priority=0), endpoint(free, priority=1)

        async def main(system: System) -> None:
            journal = PostgresJournal(ADDRESS, JsonCodec())
            pool = system.supervise(Pool.spec(endpoints, journal=journal, seed=1))
            loop = asyncio.get_running_loop()
            for pause in (0.0, 30.0, 75.0, 75.0, 75.0):
                await asyncio.sleep(pause)
                at = loop.time()
                await pool.ask(request())
                assert loop.time() - at <= 1.5
            at = loop.time()
            await system.stop()
            assert loop.time() - at <= 10.0

        await sim.process("p0", main)

    assert simulate(scenario, seeds=1, faults=[StoreFault("p0", nth, "unreachable", 400.0, optional=True)]).ok


@pytest.mark.parametrize("store", ["postgres", "sqlite"])
async def test_real_processes_send_a_real_server_all_that_it_takes_and_no_more(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    journal = [str(tmp_path / "team.db")]
    if store == "postgres":
        journal = [request.getfixturevalue("postgres").url, request.getfixturevalue("schema")]
    limits = ServerQuota(requests=LIMIT, window=3_600.0, rule="window")
    async with SimulatedProvider(latency=0.01, limits=limits) as vendor, AsyncExitStack() as stack:
        module = f"{__package__}.sharing_program"

        async def started() -> asyncio.subprocess.Process:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, vendor.base_url, *journal, stdout=subprocess.PIPE
            )
            stack.push_async_callback(ended, process)
            return process

        async def ended(process: asyncio.subprocess.Process) -> None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

        async def answers(process: asyncio.subprocess.Process, counts: list[int], number: int) -> None:
            assert process.stdout is not None
            while await process.stdout.readline():
                counts[number] += 1
                if sum(counts) == LIMIT:
                    enough.set()

        enough, counts = asyncio.Event(), [0, 0, 0]
        processes = [await started() for _ in counts]
        readers = [asyncio.ensure_future(answers(process, counts, at)) for at, process in enumerate(processes)]
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(enough.wait()), *readers], return_when=asyncio.FIRST_COMPLETED
        )
        assert not done.intersection(readers), "a process has ended"
        for process in processes:
            await ended(process)
        await asyncio.wait(readers)
        assert vendor.stats.statuses == {200: LIMIT}
        assert min(counts) > 0, counts


@pytest.mark.parametrize(
    ("limits", "asked", "said"),
    [
        (Quota(requests_per_minute=2), 3, "a: requests_per_minute of 2 is used up"),
        (Quota(concurrency=2), 3, "a: 2 requests are under way of a concurrency of 2"),
    ],
)
def test_who_waits_in_vain_hears_which_limit_it_was(limits: Quota, asked: int, said: str) -> None:
    async def scenario(sim: Simulation) -> None:
        one = endpoint(Script(latency=8.0), limits=limits)
        pool = sim.system.supervise(Pool.spec([one], queue_timeout=5.0, seed=1))
        answers = await asyncio.gather(*(pool.ask(request()) for _ in range(asked)), return_exceptions=True)
        (failed,) = [each for each in answers if isinstance(each, BaseException)]
        assert isinstance(failed, NoProvider)
        assert str(failed) == f"no provider answered for model 'default': none came free within 5 s; {said}"

    assert simulate(scenario, seeds=1).ok


def test_who_waits_in_vain_for_a_share_hears_how_large_it_is() -> None:
    async def scenario(sim: Simulation) -> None:
        limits = Quota(requests_per_minute=4)
        one, two = [await ready for ready in pools(sim, endpoint(Script(latency=1.0), limits=limits))]
        clients = [asyncio.ensure_future(client(pool)) for pool in (one, two) for _ in range(4)]
        await asyncio.sleep(100.0)
        with pytest.raises(NoProvider) as failed:
            await one.ask(request(), timeout=3.0)
        assert "a: requests_per_minute of 4 (2 here) is used up" in str(failed.value)
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)

    assert simulate(scenario, seeds=1, max_steps=60_000).ok
