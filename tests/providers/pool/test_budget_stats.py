"""What the statistics say of budgets, and which accounts the books forget."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import virtual_time
from callboard.providers.messages import Usage
from callboard.providers.pool import Budget, BudgetStats, GetStats, Price, Requester, SetBudget, Submit
from callboard.providers.pool.accounts import stream

from .scripted import Script, endpoint, pool_of, request

DOLLAR = Price(1.0, 1.0)
MILLION = 1_000_000


def of_user(name: str, **options: Any) -> Submit:
    return Submit(request(max_tokens=1, **options), Requester(user=name))


def month(number: int) -> float:
    return datetime(2030 + number // 12, 1 + number % 12, 15, tzinfo=UTC).timestamp()


def dollar_answers(**options: Any) -> Script:
    return Script("a", usage=Usage(MILLION, 0), **options)


@virtual_time
async def test_statistics_say_what_is_left_of_each_budget_by_account_and_period() -> None:
    at = month(0)
    budgets = [Budget("user", "*", 5.0, "day"), Budget("user", "*", 9.0, "month"), Budget("user", "bob", 2.0)]
    one = endpoint(dollar_answers(), price=DOLLAR)
    async with pool_of(one, budgets=[*budgets, Budget("agent", "idle", 1.0)], clock=lambda: at) as pool:
        for name in ("ada", "ada", "bob"):
            await pool.ask(of_user(name))
        at += 86_400
        await pool.ask(of_user("ada"))
        stats = await pool.ask(GetStats())
    assert stats.budgets == (
        BudgetStats("agent:idle", None, limit=1.0, spent=0.0, reserved=0.0, left=1.0),
        BudgetStats("user:ada", "day", limit=5.0, spent=1.0, reserved=0.0, left=4.0),
        BudgetStats("user:ada", "month", limit=9.0, spent=3.0, reserved=0.0, left=6.0),
        BudgetStats("user:bob", None, limit=2.0, spent=1.0, reserved=0.0, left=1.0),
    )


@virtual_time
async def test_what_is_promised_to_requests_in_flight_is_reserved_and_not_left() -> None:
    script = dollar_answers(latency=5.0)
    async with pool_of(endpoint(script, price=DOLLAR), budgets=[Budget("user", "*", 3.0)]) as pool:
        asked = pool.ask(Submit(request("", max_tokens=2 * MILLION), Requester(user="ada")))
        await asyncio.sleep(1.0)
        (during,) = (await pool.ask(GetStats())).budgets
        await asked
        (after,) = (await pool.ask(GetStats())).budgets
    assert (during.account, during.spent) == ("user:ada", 0.0)
    assert 2.0 <= during.reserved < 2.001
    assert during.left == 3.0 - during.reserved
    assert (after.spent, after.reserved, after.left) == (1.0, 0.0, 2.0)


@virtual_time
async def test_nothing_is_left_of_a_budget_that_is_overdrawn() -> None:
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), budgets=[Budget("pool", "", 0.5)]) as pool:
        await pool.ask(request(max_tokens=1))
        (stats,) = (await pool.ask(GetStats())).budgets
    assert (stats.spent, stats.left) == (1.0, 0.0)


@virtual_time
async def test_users_who_spent_nothing_in_three_months_in_which_others_did_are_forgotten() -> None:
    at = month(0)
    budgets = [Budget("user", "*", 5.0, "month")]
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), budgets=budgets, clock=lambda: at) as pool:
        for number in range(6):
            at = month(number)
            for user in range(10):
                await pool.ask(of_user(f"{number}-{user}"))
            await pool.ask(of_user("ada"))
        stats = await pool.ask(GetStats())
    users = {account for account in stats.spent if account.startswith("user:")}
    last = {f"user:{number}-{user}" for number in (3, 4, 5) for user in range(10)}
    assert users == {*last, "user:ada"}
    assert stats.spent["user:ada"] == 6.0
    assert stats.spent["pool:"] == stats.spent["provider:a"] == 66.0, "sums of all are not forgotten"


@pytest.mark.parametrize("budget", [Budget("user", "ada", 5.0, "day"), Budget("user", "*", 9.0)])
@virtual_time
async def test_who_has_a_budget_of_their_own_or_for_ever_is_not_forgotten(budget: Budget) -> None:
    at = month(0)
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), budgets=[budget], clock=lambda: at) as pool:
        await pool.ask(of_user("ada"))
        for number in (3, 6, 7, 9):
            at = month(number)
            await pool.ask(of_user("bob"))
        assert (await pool.ask(GetStats())).spent["user:ada"] == 1.0
        assert await pool.ask(SetBudget(Budget("user", "ada", 2.0))) == 1.0


@virtual_time
async def test_a_journal_is_begun_anew_without_the_users_that_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(stream, "LONGEST", 2)
    at = month(0)
    journal = MemoryJournal()
    async with pool_of(endpoint(dollar_answers(), price=DOLLAR), journal=journal, clock=lambda: at) as pool:
        for number in range(8):
            at = month(number)
            await pool.ask(of_user(f"user {number}"))
            await asyncio.sleep(2.0)
    (header,) = journal.headers(prefix="callboard.budgets.")
    totals = journal.read(header.name)[0].event["totals"]["total"]
    assert len([account for account in totals if account.startswith("user:")]) <= 3
    assert totals["pool:"] >= 6.0
