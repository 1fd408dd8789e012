"""Budgets of tokens and of requests: the same limits as those of money, counted beside it."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import virtual_time
from callboard.providers.errors import BudgetSpent, ProviderOverloaded
from callboard.providers.messages import Usage
from callboard.providers.pool import (
    FREE,
    Budget,
    BudgetStats,
    CheckBudgets,
    Exhausted,
    GetStats,
    Price,
    Requester,
    SetBudget,
    Submit,
)
from callboard.providers.pool.accounts.periods import PERIODS, end_of

from .scripted import Script, endpoint, fails, pool_of, request

ADA, BOB = Requester(user="ada"), Requester(user="bob")
UNPRICED: dict[str, Any] = {"price": None}


def asks(who: Requester, text: str = "hello", **options: Any) -> Submit:
    return Submit(request(text, max_tokens=5, **options), who)


def at(when: str) -> float:
    return datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()


@virtual_time
@pytest.mark.parametrize("price", [FREE, Price(1.0, 1.0), None])
async def test_no_more_requests_are_made_than_a_budget_has_whatever_they_cost(price: Price | None) -> None:
    script = Script()
    now = at("2030-03-01T12:00")
    budgets = [Budget("user", "*", period="day", requests=2)]
    one = endpoint(script, price=price)
    async with pool_of(one, budgets=budgets, clock=lambda: now) as pool:
        await pool.ask(asks(ADA))
        await pool.ask(asks(ADA))
        with pytest.raises(BudgetSpent, match="the budget of user ada for a day is spent: 2 of 2 requests"):
            await pool.ask(asks(ADA))
        await pool.ask(asks(BOB))
        now += 43_200
        await pool.ask(asks(ADA))
    assert len(script.seen) == 4


@virtual_time
async def test_no_more_tokens_are_taken_than_a_budget_has_with_what_is_promised_counted() -> None:
    script = Script(usage=Usage(10, 5), latency=1.0)
    async with pool_of(endpoint(script), budgets=[Budget("user", "ada", tokens=40)]) as pool:
        await pool.ask(asks(ADA))  # 15
        under_way = pool.ask(asks(ADA))
        with pytest.raises(BudgetSpent, match=r"\d+ tokens: 15 of 40 tokens spent \(\d+ tokens promised"):
            await pool.ask(asks(ADA, "hello " * 10))
        await under_way  # 30
        (stats,) = (await pool.ask(GetStats())).budgets
        assert stats == BudgetStats("user:ada", None, 40, 30.0, 0.0, 10.0, "tokens")
        with pytest.raises(BudgetSpent, match="may take"):
            await pool.ask(asks(ADA, "hello " * 10))


@virtual_time
async def test_what_no_vendor_charged_for_is_not_counted() -> None:
    script = Script(failure=fails(lambda: ProviderOverloaded("503", status=503)))
    budgets = [Budget("user", "ada", requests=5, tokens=1000)]
    async with pool_of(endpoint(script), budgets=budgets, queue_timeout=1.0) as pool:
        with pytest.raises(Exception):  # noqa: B017, PT011
            await pool.ask(asks(ADA))
        assert [one.account for one in (await pool.ask(GetStats())).budgets] == ["user:ada"] * 2
        spent = {one.measure: (one.spent, one.reserved) for one in (await pool.ask(GetStats())).budgets}
    assert spent == {"requests": (0.0, 0.0), "tokens": (0.0, 0.0)}


@virtual_time
async def test_statistics_have_an_entry_for_each_measure_and_money_is_counted_apart() -> None:
    one = endpoint(Script(usage=Usage(1_000_000, 0)), price=Price(1.0, 1.0))
    budgets = [Budget("tenant", "acme", 5.0, "month", tokens=9_000_000, requests=7), Budget("user", "ada", 3.0)]
    async with pool_of(one, budgets=budgets) as pool:
        await pool.ask(asks(Requester(user="ada", tenant="acme")))
        stats = await pool.ask(GetStats())
    assert [(one.account, one.measure, one.spent, one.limit) for one in stats.budgets] == [
        ("tenant:acme", "dollars", 1.0, 5.0),
        ("tenant:acme", "tokens", 1_000_000.0, 9_000_000),
        ("tenant:acme", "requests", 1.0, 7),
        ("user:ada", "dollars", 0.0, 3.0),
    ]
    assert set(stats.spent) == {"pool:", "provider:a", "tenant:acme", "user:acme/ada", "model:m"} & set(stats.spent)
    assert set(stats.spent.values()) == {1.0}


@virtual_time
async def test_counts_outlive_the_process_and_are_shared_by_several() -> None:
    journal = MemoryJournal()
    budgets = [Budget("user", "*", requests=3)]
    one = endpoint(Script())
    async with pool_of(one, budgets=budgets, journal=journal) as pool:
        await pool.ask(asks(ADA))
    async with (
        pool_of(one, budgets=budgets, journal=journal) as first,
        pool_of(one, budgets=budgets, journal=journal.as_worker()) as second,
    ):
        await first.ask(asks(ADA))
        await second.ask(CheckBudgets(ADA))
        await asyncio.sleep(3.0)
        await second.ask(CheckBudgets(ADA))
        await asyncio.sleep(3.0)
        await second.ask(asks(ADA))
        with pytest.raises(BudgetSpent, match="3 of 3 requests"):
            await second.ask(asks(ADA))
        assert not any(name.startswith(("requests", "tokens")) for name in (await second.ask(GetStats())).spent)


@virtual_time
async def test_a_pool_says_before_anything_is_asked_whether_there_is_anything_left_and_until_when() -> None:
    now = at("2030-12-31T23:00")
    budgets = [Budget("user", "*", period="day", requests=1), Budget("tenant", "t", 9.0)]
    one = endpoint(Script(usage=Usage(1_000_000, 0)), price=Price(1.0, 1.0))
    async with pool_of(one, budgets=budgets, clock=lambda: now) as pool:
        assert await pool.ask(CheckBudgets(ADA)) is None
        await pool.ask(asks(ADA))
        assert await pool.ask(CheckBudgets(ADA)) == Exhausted(
            "the budget of user ada for a day is spent: 1 of 1 requests", at("2031-01-01T00:00"), 3600.0
        )
        assert await pool.ask(CheckBudgets(BOB)) is None
        await pool.ask(SetBudget(Budget("user", "ada", 1.0)))  # one of ada's own, in place of those of each
        assert await pool.ask(CheckBudgets(ADA)) == Exhausted(
            "the budget of user ada is spent: $1.0000 of $1.0000", None, None
        )


@virtual_time
async def test_a_key_by_which_users_ask_has_budgets_of_its_own_for_a_minute_too() -> None:
    now = at("2030-03-01T12:00:50")
    laptop, phone = Requester(user="ada", caller_key="laptop"), Requester(user="ada", caller_key="phone")
    budgets = [Budget("caller_key", "*", period="minute", tokens=15)]
    async with pool_of(endpoint(Script(usage=Usage(10, 5))), budgets=budgets, clock=lambda: now) as pool:
        await pool.ask(asks(laptop))
        why = "the budget of caller_key laptop for a minute is spent: 15 of 15 tokens"
        assert await pool.ask(CheckBudgets(laptop)) == Exhausted(why, at("2030-03-01T12:01"), 10.0)
        with pytest.raises(BudgetSpent, match=why):
            await pool.ask(asks(laptop))
        await pool.ask(asks(phone))
        now += 10
        await pool.ask(asks(laptop))


@virtual_time
async def test_a_price_that_nobody_knows_matters_only_where_money_is_limited() -> None:
    one = endpoint(Script(), **UNPRICED)
    async with pool_of(one, budgets=[Budget("user", "ada", tokens=100)]) as pool:
        await pool.ask(asks(ADA))
        (stats,) = (await pool.ask(GetStats())).budgets
    assert (stats.measure, stats.spent) == ("tokens", 15.0)


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, math.inf])
@pytest.mark.parametrize("measure", ["tokens", "requests"])
def test_counts_that_are_none_are_refused(measure: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"a budget's {measure} are a whole number"):
        Budget("user", "*", **{measure: value})


@given(st.integers(0, 4_000_000_000), st.sampled_from(PERIODS))
def test_a_period_ends_where_the_next_one_begins(when: int, period: Any) -> None:
    end = end_of(period, when)
    last, first = (datetime.fromtimestamp(moment, UTC) for moment in (end - 1, end))
    assert end > when
    assert first.second == 0
    if period != "minute":
        assert first.minute == 0
    if period in ("day", "month"):
        assert first.hour == 0
    if period == "month":
        assert first.day == 1
    now = datetime.fromtimestamp(when, UTC)
    fields = ("year", "month", "day", "hour", "minute")
    same = fields[: {"month": 2, "day": 3, "hour": 4, "minute": 5}[period]]
    assert all(getattr(now, name) == getattr(last, name) for name in same)
    assert first - last == timedelta(seconds=1)
