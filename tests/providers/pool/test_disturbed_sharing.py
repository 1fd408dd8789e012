"""Limits that processes share, while keys, ledgers, clocks and journals are disturbed: never more than there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from callboard import JsonCodec, PostgresJournal
from callboard.actors import System
from callboard.actors.journal.errors import JournalError
from callboard.actors.testing import Simulation, simulate
from callboard.providers.pool import AddEndpoint, Pool, Quota, RotateKey

from .scripted import Script, endpoint, request
from .test_shared_limits import ADDRESS, asking, client, most_in, pools, use_of


@pytest.mark.parametrize(
    "claim",
    [
        ["a", "*", "requests_per_minute", [30, "many", 0, 0, 0, 60.0, []]],
        ["a", "*", "requests_per_minute", [None, 1, 0, 0, 0, 60.0, []]],
        ["a", "*", "requests_per_minute", [30, 1, 0, 0, 0, "long", []]],
        ["a", "*", "requests_per_minute", [30, 1, 0, 0, 0, 60.0, [["soon", 1]]]],
        ["a", "*", "requests_per_minute", [30, -900, 0, 0, 0, 60.0, []]],
        ["a", "*", "requests_per_minute", [30, 1, 0, 0, 0, 60.0]],
        ["a", "*", "requests_per_minute", [30, 1, 0, True, 0, 60.0, []]],
        [["a"], "*", "requests_per_minute", [30, 1, 0, 0, 0, 60.0, []]],
    ],
)
def test_a_row_with_what_is_no_amount_is_left_out(claim: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sim: Simulation) -> None:
        journal = PostgresJournal(ADDRESS, JsonCodec())
        row = {"process": "x", "row": {"number": 1, "left": False, "claims": [claim]}}
        await journal.append("callboard.limits.000000001", [row])
        journal.close()
        script = Script()
        assert await sim.process("a", asking(script, 50.0)) == len(script.times) == 30

    assert simulate(scenario, seeds=1).ok
    assert "is left out" in caplog.text


def test_keys_that_are_rotated_and_endpoints_that_are_replaced_use_no_share_twice() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.5)
        one, two = [await ready for ready in pools(sim, endpoint(script, limits=Quota(requests_per_minute=30)))]
        clients = [asyncio.ensure_future(client(pool)) for pool in (one, two) for _ in range(4)]
        for number in range(12):
            await asyncio.sleep(15.0)
            await one.ask(RotateKey("a", SecretStr(f"key-{number}"), "api_key"))
            await two.ask(AddEndpoint(endpoint(script, limits=Quota(requests_per_minute=30))))
        assert most_in(script.times, 60.0) <= 30
        assert len(script.times) >= 0.9 * 90
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)

    assert simulate(scenario, seeds=2, max_steps=60_000).ok


def test_two_pools_of_one_process_share_as_two_processes_do() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.2)

        async def main(system: System) -> None:
            journal = PostgresJournal(ADDRESS, JsonCodec())
            one = endpoint(script, limits=Quota(requests_per_minute=30))
            both = [
                system.supervise(Pool.spec([one], name=name, journal=journal, queue_timeout=600.0)) for name in "xy"
            ]
            clients = [asyncio.ensure_future(client(pool)) for pool in both for _ in range(4)]
            await asyncio.sleep(200.0)
            for each in clients:
                each.cancel()
            await asyncio.wait(clients)
            await system.stop()
            journal.close()

        await sim.process("p", main)
        assert most_in(script.times, 60.0) <= 30
        assert len(script.times) >= 90

    assert simulate(scenario, seeds=2).ok


def test_one_request_a_minute_goes_from_one_process_to_the_other() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.5)
        limits = Quota(requests_per_minute=1)
        answered = [await each for each in [sim.process(name, asking(script, 720.0, 2, limits)) for name in "abc"]]
        assert most_in(script.times, 60.0) == 1
        assert len(script.times) >= 10
        assert min(answered) >= 2, answered

    assert simulate(scenario, seeds=2, max_steps=60_000).ok


def test_processes_that_have_different_limits_keep_the_smallest_and_share_what_only_one_has() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.2)
        quotas = [Quota(requests_per_minute=60), Quota(requests_per_minute=20, requests_per_day=1_000)]
        for each in [
            sim.process(name, asking(script, 300.0, 4, quota)) for name, quota in zip("ab", quotas, strict=True)
        ]:
            await each
        later = [at for at in script.times if at - script.times[0] > 100.0]
        assert 18 <= most_in(later, 60.0) <= 20

    assert simulate(scenario, seeds=2).ok


def test_processes_that_stop_at_once_all_give_their_shares_back() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script()
        over = asyncio.Event()

        async def main(system: System) -> None:
            journal = PostgresJournal(ADDRESS, JsonCodec())
            one = endpoint(script, limits=Quota(requests_per_minute=60))
            pool = system.supervise(Pool.spec([one], journal=journal))
            await pool.ask(request())
            await over.wait()
            await system.stop()
            journal.close()

        processes = [sim.process(name, main) for name in "abc"]
        await asyncio.sleep(10.0)
        over.set()
        for process in processes:
            await process
        (last,) = [await ready for ready in pools(sim, endpoint(script, limits=Quota(requests_per_minute=60)), count=1)]
        await asyncio.gather(*(last.ask(request()) for _ in range(57)))
        assert (await use_of(last)).share == 57

    assert simulate(scenario, seeds=5).ok


class Refusing(PostgresJournal):
    """A journal in which nothing can be written for a while."""

    away = False

    def append(self, *arguments: Any, **options: Any) -> Any:
        if self.away:
            raise JournalError("no more room")
        return super().append(*arguments, **options)


def test_that_shares_cannot_be_told_is_said_once_and_again_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sim: Simulation) -> None:
        caplog.clear()
        made, loaded = list[Refusing](), asyncio.Event()

        def journal() -> Refusing:
            made.append(Refusing(ADDRESS, JsonCodec()))
            loaded.set()
            return made[0]

        script = Script()
        process = sim.process("a", asking(script, 350.0, journal=journal))
        await loaded.wait()
        for away in (20.0, 30.0, 80.0):
            made[0].away = True
            await asyncio.sleep(away)
            made[0].away = False
            await asyncio.sleep(50.0)
        await process
        assert most_in(script.times, 60.0) <= 30
        assert len(script.times) >= 100, "it goes on once it can tell again"
        assert caplog.text.count("limits cannot be shared") == 3

    assert simulate(scenario, seeds=1).ok


def test_departures_are_spaced_by_the_share() -> None:
    async def scenario(sim: Simulation) -> None:
        limits = Quota(requests_per_minute=180)
        scripts = [Script(latency=0.1) for _ in range(3)]
        processes = [
            sim.process(name, asking(one, 250.0, 20, limits)) for name, one in zip("abc", scripts, strict=True)
        ]
        for process in processes:
            await process
        for script in scripts:
            later = [at for at in script.times if at - script.times[0] > 125.0]
            assert len(later) >= 100
            assert most_in(later, 10.0) <= 26, "ten seconds' worth, and what came meanwhile"

    assert simulate(scenario, seeds=1, max_steps=200_000).ok
