"""What was spent outlives the process, and several processes share one account."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import ActorDead, Future, System
from callboard.actors.journal import EventNotReadable, Journal, JsonCodec, MemoryJournal, Retention
from callboard.actors.journal.postgres import PostgresJournal
from callboard.actors.journal.sqlite import SqliteJournal
from callboard.actors.journal.store import at_hand
from callboard.actors.testing import virtual_time
from callboard.providers.errors import BudgetSpent
from callboard.providers.messages import Usage
from callboard.providers.pool import Budget, GetStats, Pool, Price, Requester, Submit
from callboard.providers.pool.accounts import keeping, stream

from .scripted import Script, endpoint, pool_of, request

DOLLAR = Price(1.0, 1.0)
ADA = Requester(agent="planner", user="ada", tenant="acme")


def dollar_answers(**options: Any) -> Script:
    return Script("a", usage=Usage(1_000_000, 0), **options)


def cheap(who: Requester = ADA) -> Submit:
    return Submit(request(max_tokens=1), who)


@virtual_time
async def test_a_new_process_goes_on_with_what_an_earlier_one_had_spent() -> None:
    journal = MemoryJournal()
    one = endpoint(dollar_answers(), price=DOLLAR)
    budgets = [Budget("user", "acme/ada", 3.0)]
    for count in (2, 1, 0):
        async with pool_of(one, budgets=budgets, journal=journal) as pool:
            for _ in range(count):
                await pool.ask(cheap())
            if not count:
                with pytest.raises(BudgetSpent, match=r"user acme/ada is spent: \$3\.0000"):
                    await pool.ask(cheap())
            spent = (await pool.ask(GetStats())).spent
    assert spent["tenant:acme"] == spent["agent:planner"] == spent["pool:"] == 3.0


@virtual_time
async def test_what_was_spent_in_a_period_is_kept_for_that_period() -> None:
    at = 0.0
    journal = MemoryJournal()
    options: Any = {
        "budgets": [Budget("pool", "", 1.0, "hour")],
        "journal": journal,
        "clock": lambda: at,
    }
    one = endpoint(dollar_answers(), price=DOLLAR)
    for hour in (0, 1):
        at = hour * 3_600.0
        async with pool_of(one, **options) as pool:
            await pool.ask(cheap())
        async with pool_of(one, **options) as pool:
            with pytest.raises(BudgetSpent, match="for an hour"):
                await pool.ask(cheap())


@virtual_time
async def test_a_new_process_in_the_same_minute_goes_on_with_what_was_spent_in_it() -> None:
    at = 30.0
    options: Any = {"budgets": [Budget("pool", "", 1.0, "minute")], "journal": MemoryJournal(), "clock": lambda: at}
    one = endpoint(dollar_answers(), price=DOLLAR)
    async with pool_of(one, **options) as pool:
        await pool.ask(cheap())
    at = 59.0
    async with pool_of(one, **options) as pool:
        with pytest.raises(BudgetSpent, match="for a minute"):
            await pool.ask(cheap())
        at = 60.0
        await pool.ask(cheap())


@virtual_time
async def test_processes_whose_clocks_differ_hold_each_the_budget_of_its_own_month() -> None:
    journal = MemoryJournal()
    month_end = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    script = dollar_answers(latency=0.0)

    def spec(ahead: float) -> Any:
        began = asyncio.get_running_loop().time()
        return Pool.spec(
            [endpoint(script, price=DOLLAR)],
            budgets=[Budget("pool", "", 3.0, "month")],
            journal=journal.as_worker(),
            clock=lambda: month_end - 20.0 + ahead + asyncio.get_running_loop().time() - began,
            seed=1,
        )

    async with System("one") as one, System("two") as two:
        right, ahead = one.supervise(spec(0.0)), two.supervise(spec(20.0))
        for _ in range(3):
            await right.ask(cheap())
        await ahead.ask(cheap())
        await asyncio.sleep(2.0)
        for _ in range(5):  # each has it read what the other has written
            with pytest.raises(BudgetSpent, match=r"\$3\.0000 of \$3\.0000"):
                await right.ask(cheap())
            await asyncio.sleep(2.0)
        await asyncio.sleep(10.0)
        await right.ask(cheap())
        await right.ask(cheap())
        with pytest.raises(BudgetSpent, match=r"\$3\.0000 of \$3\.0000"):  # what was spent ahead of it is of December
            await right.ask(cheap())


@pytest.mark.parametrize("wrong", [["2100-01-01"], ["2100-01-01", "2031-05-05", "2026-01-01", "2050-07-07"]])
@virtual_time
async def test_what_is_kept_of_another_time_gives_no_budget_back(wrong: list[str]) -> None:
    journal = MemoryJournal()
    now = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
    options: Any = {"budgets": [Budget("user", "acme/ada", 2.0, "month")], "journal": journal, "clock": lambda: now}
    one = endpoint(dollar_answers(), price=DOLLAR)
    async with pool_of(one, **options) as pool:
        await pool.ask(cheap())
        await pool.ask(cheap())
        await asyncio.sleep(2.0)
        (name,) = [header.name for header in await at_hand(journal.headers(prefix=keeping.STREAM))]
        for number, day in enumerate(wrong):
            at = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
            event = {"id": str(number), "at": at, "spent": {"user:bob": 0.01}}
            await at_hand(journal.append(name, [event]))
        for _ in range(3):
            with pytest.raises(BudgetSpent, match=r"\$2\.0000 of \$2\.0000"):
                await pool.ask(cheap())
            await asyncio.sleep(2.0)
    async with pool_of(one, **options) as pool:
        with pytest.raises(BudgetSpent, match=r"\$2\.0000 of \$2\.0000"):
            await pool.ask(cheap())


@pytest.mark.parametrize("written", ["2026-03-31T00:00:00", "2100-01-01T00:00:00"])
@virtual_time
async def test_what_was_spent_before_midnight_is_kept_for_that_day_though_it_is_written_later(written: str) -> None:
    spent = now = datetime.fromisoformat("2026-03-30T23:59:59").replace(tzinfo=UTC).timestamp()
    journal = MemoryJournal()
    options: Any = {"budgets": [Budget("pool", "", 1.0, "day")], "journal": journal, "clock": lambda: now}
    one = endpoint(dollar_answers(), price=DOLLAR)
    async with pool_of(one, **options) as pool:
        await pool.ask(cheap())
        now = datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()
        await asyncio.sleep(2.0)
    for at, sent in ((now, 1), (spent, 0)):
        now = at
        async with pool_of(one, **options) as pool:
            for _ in range(sent):
                await pool.ask(cheap())
            with pytest.raises(BudgetSpent, match=r"\$1\.0000 of \$1\.0000"):
                await pool.ask(cheap())


@virtual_time
async def test_sums_that_were_kept_of_one_period_each_are_read() -> None:
    journal = MemoryJournal()
    now = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
    sums = {"user:acme/ada": 2.0}
    totals = {"total": sums, "hour": ["2026-11-25T12", sums], "day": ["2026-11-25", sums], "month": ["2026-11", sums]}
    await at_hand(journal.append(f"{keeping.STREAM}.000000001", [{"totals": totals}]))
    budgets = [Budget("user", "acme/ada", 2.0, "day")]
    one = endpoint(dollar_answers(), price=DOLLAR)
    async with pool_of(one, budgets=budgets, journal=journal, clock=lambda: now) as pool:
        with pytest.raises(BudgetSpent, match=r"\$2\.0000 of \$2\.0000"):
            await pool.ask(cheap())


@virtual_time
async def test_what_is_booked_is_written_a_second_later_and_together() -> None:
    journal = MemoryJournal()
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), journal=journal) as pool:
        for _ in range(10):
            await pool.ask(cheap())
        before = len(journal.read("callboard.budgets.000000001"))
        await asyncio.sleep(1.0)
        events = [record.event for record in journal.read("callboard.budgets.000000001")]
    assert before == 1, "there were only the sums"
    assert len(events) == 2
    assert events[1]["spent"]["pool:"] == 10.0


@virtual_time
async def test_processes_that_share_a_journal_share_their_budgets() -> None:
    journal = MemoryJournal()
    script = dollar_answers()
    async with System("one") as one, System("two") as two:
        pools = [
            system.supervise(
                Pool.spec([endpoint(script, price=DOLLAR)], budgets=[Budget("tenant", "*", 10.0)], journal=each, seed=1)
            )
            for system, each in ((one, journal), (two, journal.as_worker()))
        ]
        passed = 0
        for turn in range(40):
            try:
                await pools[turn % 2].ask(cheap())
                passed += 1
            except BudgetSpent:
                pass
            await asyncio.sleep(2.5)
        stats = [await pool.ask(GetStats()) for pool in pools]
    # A process learns what others have spent a second after its own next request, which may so be one too many.
    assert passed in (10, 11)
    assert [each.spent["tenant:acme"] for each in stats] == [passed, passed]


@pytest.mark.parametrize("together", [True, False])
@virtual_time
async def test_what_two_processes_book_at_the_same_moment_is_all_kept(together: bool) -> None:
    journal = MemoryJournal()
    one = endpoint(dollar_answers(latency=0.1), price=DOLLAR)
    async with System("one") as first, System("two") as second:
        pools = [
            system.supervise(Pool.spec([one], journal=each, seed=1))
            for system, each in ((first, journal), (second, journal.as_worker() if together else journal))
        ]
        for _ in range(50):
            await asyncio.gather(*(pool.ask(cheap()) for pool in pools))
            await asyncio.sleep(0.2)
        await asyncio.sleep(5)
        await asyncio.gather(*(pool.ask(cheap()) for pool in pools))
        await asyncio.sleep(5)
        totals = [(await pool.ask(GetStats())).cost for pool in pools]
    async with pool_of(one, journal=journal.as_worker()) as pool:
        assert (await pool.ask(GetStats())).cost == 102.0
    assert all(101.0 <= total <= 102.0 for total in totals)


@virtual_time
async def test_a_long_stream_gives_way_to_one_that_begins_with_its_sums() -> None:
    journal = MemoryJournal()
    one = endpoint(dollar_answers(latency=0.0), price=DOLLAR)
    async with pool_of(one, journal=journal) as pool:
        for _ in range(1_100):
            await pool.ask(cheap())
            await asyncio.sleep(1.5)
        assert (await pool.ask(GetStats())).cost == 1_100.0
    names = [header.name for header in journal.headers(prefix="callboard.budgets")]
    assert names == ["callboard.budgets.000000002"]
    assert len(journal.read(names[0])) < 150
    async with pool_of(one, journal=journal) as pool:
        assert (await pool.ask(GetStats())).spent["user:acme/ada"] == 1_100.0


@virtual_time
async def test_another_process_follows_when_the_stream_gives_way() -> None:
    journal = MemoryJournal()
    script = dollar_answers(latency=0.0)
    async with System("one") as first, System("two") as second:
        busy, idle = (
            system.supervise(Pool.spec([endpoint(script, price=DOLLAR)], journal=each, seed=1))
            for system, each in ((first, journal), (second, journal.as_worker()))
        )
        for turn in range(1_100):
            await busy.ask(cheap())
            if turn % 100 == 0:
                await idle.ask(cheap())
            await asyncio.sleep(1.5)
        await idle.ask(cheap())
        await asyncio.sleep(5)
        assert (await idle.ask(GetStats())).cost == 1_112.0


@pytest.mark.parametrize("after", [0.1, 0.9, 1.001, 3.0])
@virtual_time
async def test_a_crash_of_the_pool_counts_nothing_twice_and_forgets_nothing(after: float) -> None:
    journal = MemoryJournal()
    one = endpoint(dollar_answers(), price=DOLLAR)
    async with pool_of(one, journal=journal) as pool:
        await pool.ask(cheap())
        await asyncio.sleep(after)
        pool.kill()
        await pool.ask(cheap())
        assert (await pool.ask(GetStats())).cost == 2.0
    async with pool_of(one, journal=journal) as pool:
        assert (await pool.ask(GetStats())).cost == 2.0


class Unanswering(MemoryJournal):
    """Keeps what was spent, and never says so."""

    def append(self, stream: str, events: Sequence[Any], *, expected: int | None = None) -> Future[int] | int:
        done = super().append(stream, events, expected=expected)
        return Future() if "spent" in events[0] else done


@virtual_time
async def test_what_was_kept_when_the_pool_crashed_before_it_heard_of_it_is_not_kept_again() -> None:
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), journal=Unanswering()) as pool:
        await pool.ask(cheap())
        await asyncio.sleep(1.5)
        pool.kill()
        assert (await pool.ask(GetStats())).spent["pool:"] == 1.0


async def test_retention_does_not_prune_what_was_spent(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    one = endpoint(dollar_answers(latency=0.0), price=DOLLAR)
    for spent in (0.0, 1.0):
        journal = SqliteJournal(path, JsonCodec())
        async with pool_of(one, journal=journal) as pool:
            assert (await pool.ask(GetStats())).cost == spent
            await pool.ask(cheap())
        pruned = journal.prune(Retention(finished=0.0))
        assert await pruned == 0 if not isinstance(pruned, int) else pruned == 0
        journal.close()


PROGRAM = """
import asyncio, sys
from callboard.actors.journal import JsonCodec
from callboard.actors.journal.sqlite import SqliteJournal
from tests.providers.pool.test_kept_budgets import cheap, dollar_answers, DOLLAR
from tests.providers.pool.scripted import endpoint, pool_of

async def main():
    async with pool_of(
        endpoint(dollar_answers(latency=0.01), price=DOLLAR), journal=SqliteJournal(sys.argv[1], JsonCodec())
    ) as pool:
        for spent in range(1, 1_000_000):
            await pool.ask(cheap())
            print(spent, flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_has_kept_what_it_had_written_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    told: list[int] = []

    def spend_until_it_is_written_twice() -> None:
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, encoding="utf-8"
        ) as process:
            assert process.stdout is not None
            while not told or _written(path) < 3:
                told.append(int(process.stdout.readline()))
            process.kill()
            told.extend(int(line) for line in process.stdout.read().split())

    await asyncio.to_thread(spend_until_it_is_written_twice)
    journal = SqliteJournal(path, JsonCodec())
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), journal=journal) as pool:
        kept = (await pool.ask(GetStats())).cost
    journal.close()
    assert 0 < kept <= told[-1] + 1, "more was kept than was spent"


def _written(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
        except sqlite3.OperationalError:  # it is being made
            return 0


@virtual_time
async def test_a_pool_whose_books_cannot_be_read_does_not_start() -> None:
    class Damaged(MemoryJournal):
        def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Any:
            raise EventNotReadable(f"{stream} is damaged", stream)

    async with System("test") as system:
        spec = Pool.spec([endpoint(dollar_answers())], journal=Damaged(), seed=1)
        pool = system.spawn(replace(spec, restart="temporary"))
        with pytest.raises(ActorDead, match="damaged"):
            await pool.started()


@virtual_time
async def test_a_journal_that_is_closed_first_is_named_once_and_the_pool_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = MemoryJournal()
    with caplog.at_level(logging.WARNING, "callboard.pool"):
        async with pool_of(endpoint(dollar_answers(), price=DOLLAR), journal=journal) as pool:
            await pool.ask(cheap())
            journal.close()
            for _ in range(5):
                await asyncio.sleep(2)
                await pool.ask(cheap())
            assert (await pool.ask(GetStats())).cost == 6.0
    assert ["JournalClosed" in record.message for record in caplog.records] == [True]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def journal_of_a_process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """Makes journals on one store, each as another process would."""
    if request.param == "postgres":
        address, schema = request.getfixturevalue("postgres").url, request.getfixturevalue("schema")
        make: Callable[[], Journal] = lambda: PostgresJournal(address, JsonCodec(), schema=schema)  # noqa: E731
    elif request.param == "sqlite":
        make = lambda: SqliteJournal(tmp_path / "team.db", JsonCodec())  # noqa: E731
    else:
        make = MemoryJournal().as_worker
    made: list[Journal] = []

    def journal() -> Journal:
        made.append(make())
        return made[-1]

    yield journal
    for each in made:
        each.close()


async def test_every_store_keeps_what_two_processes_spend_at_once(
    journal_of_a_process: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LONGEST", 3)  # so that the stream gives way within a few rounds
    one = endpoint(dollar_answers(latency=0.0), price=DOLLAR)
    for round_ in range(5):
        async with pool_of(one, journal=journal_of_a_process()) as first:
            async with pool_of(one, journal=journal_of_a_process()) as second:
                await asyncio.gather(*(pool.ask(cheap()) for pool in (first, second) for _ in range(3)))
            assert (await first.ask(GetStats())).cost >= 6 * round_ + 3
    async with pool_of(one, journal=journal_of_a_process()) as pool:
        assert (await pool.ask(GetStats())).spent["user:acme/ada"] == 30.0
    reader = journal_of_a_process()
    (header,) = await at_hand(reader.headers(prefix=keeping.STREAM))
    assert header.version <= 4
    assert not header.name.endswith(".000000001")


async def test_a_process_that_died_as_it_began_a_new_stream_is_no_obstacle(
    journal_of_a_process: Callable[[], Journal],
) -> None:
    one = endpoint(dollar_answers(latency=0.0), price=DOLLAR)
    for number, spent in ((1, 0.0), (2, 1.0), (2, 2.0)):
        journal = journal_of_a_process()
        await at_hand(journal.open(f"{keeping.STREAM}.{number:09}"))
        await asyncio.to_thread(journal.close)
        async with pool_of(one, journal=journal_of_a_process()) as pool:
            assert (await pool.ask(GetStats())).cost == spent
            await pool.ask(cheap())


async def test_two_pools_of_one_process_may_share_a_journal(journal_of_a_process: Callable[[], Journal]) -> None:
    journal = journal_of_a_process()
    one = endpoint(dollar_answers(latency=0.0), price=DOLLAR)
    async with pool_of(one, journal=journal) as first, pool_of(one, journal=journal) as second:
        await asyncio.gather(*(pool.ask(cheap()) for pool in (first, second) for _ in range(3)))
    async with pool_of(one, journal=journal) as pool:
        assert (await pool.ask(GetStats())).cost == 6.0


@pytest.mark.parametrize("wrong", [math.nan, -50.0, math.inf, None, "5"])
@virtual_time
async def test_a_kept_amount_that_is_none_switches_no_budget_off(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    journal = MemoryJournal()
    one = endpoint(dollar_answers(), price=DOLLAR)
    budgets = [Budget("user", "acme/ada", 2.0)]
    async with pool_of(one, budgets=budgets, journal=journal) as pool:
        await pool.ask(cheap())
    (name,) = [header.name for header in await at_hand(journal.headers(prefix=keeping.STREAM))]
    records = await at_hand(journal.read(name))
    event = {"id": "x", "at": 0.0, "spent": {"user:acme/ada": wrong}}
    await at_hand(journal.append(name, [event], expected=records[-1].version))
    for sent in (1, 0):
        async with pool_of(one, budgets=budgets, journal=journal) as pool:
            for _ in range(sent):
                await pool.ask(cheap())
            with pytest.raises(BudgetSpent, match=r"user acme/ada is spent: \$2\.0000"):
                await pool.ask(cheap())
    assert "left out, of user:acme/ada" in caplog.text


@pytest.mark.parametrize("at", [math.nan, math.inf, -1.0, 1e15, None, "yesterday"])
@virtual_time
async def test_an_event_of_no_time_keeps_no_pool_from_starting(at: Any) -> None:
    journal = MemoryJournal()
    one = endpoint(dollar_answers(), price=DOLLAR)
    budgets = [Budget("user", "acme/ada", 2.0, "day")]
    async with pool_of(one, budgets=budgets, journal=journal) as pool:
        await pool.ask(cheap())
    (name,) = [header.name for header in await at_hand(journal.headers(prefix=keeping.STREAM))]
    records = await at_hand(journal.read(name))
    event = {"id": "x", "at": at, "spent": {"user:acme/ada": 50.0}}
    await at_hand(journal.append(name, [event], expected=records[-1].version))
    async with pool_of(one, budgets=budgets, journal=journal) as pool:
        assert (await pool.ask(GetStats())).spent["user:acme/ada"] == 1.0
        await pool.ask(cheap())
        with pytest.raises(BudgetSpent, match=r"user acme/ada for a day is spent: \$2\.0000"):
            await pool.ask(cheap())
