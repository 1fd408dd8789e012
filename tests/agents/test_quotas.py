"""What users and tenants may use in a period: the pool's budgets, asked before a run is accepted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Budget, Caller, ChildSpec, Pool, QuotaExceeded, RunFinished
from callboard.actors import System
from callboard.actors.testing import virtual_time
from callboard.providers.messages import Request, Usage
from callboard.providers.pool import Price
from tests.providers.pool.scripted import Script, endpoint

from .support import function

ADA, BOB = Caller("ada", "acme", key="laptop"), Caller("bob", "acme")
NOON = datetime(2030, 3, 1, 12, tzinfo=UTC).timestamp()
MIDNIGHT = NOON + 43_200


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def pool(script: Script, *budgets: Budget, clock: Clock | None = None, **options: Any) -> ChildSpec:
    return Pool.spec([endpoint(script, price=Price(1.0, 1.0))], budgets=budgets, clock=clock or Clock(), **options)


def agent(**options: Any) -> Agent:
    return Agent("Planner", settings={"max_tokens": 1}, **options)


@virtual_time
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"dollars": 1.0}, r"\$1\.0000 of \$1\.0000"),
        ({"tokens": 1_000_000}, "1,000,000 of 1,000,000 tokens"),
        ({"requests": 1}, "1 of 1 requests"),
    ],
)
@pytest.mark.parametrize(
    "account",
    [("user", "acme/ada"), ("user", "*"), ("tenant", "acme"), ("tenant", "*"), ("caller_key", "laptop")],
)
async def test_who_has_nothing_left_is_told_when_to_come_back_and_nothing_is_begun(
    account: tuple[Any, str], limits: dict[str, Any], said: str
) -> None:
    script, clock = Script(usage=Usage(1_000_000, 0)), Clock()
    of_each = pool(script, Budget(*account, period="day", **limits), clock=clock)
    async with Agency(agent(), pool=of_each) as agency:
        await agency.run("hello", caller=ADA, conversation="c")
        before = await agency.conversations()
        for ask in (agency.run, agency.start_run):
            with pytest.raises(QuotaExceeded, match=said) as refused:
                await ask("more", caller=ADA, conversation="c")
            assert (refused.value.retry_at, refused.value.retry_after) == (MIDNIGHT, 43_200.0)
            assert "come back in 43200 seconds" in str(refused.value)
        with pytest.raises(QuotaExceeded):
            await agency.run("more", caller=ADA, conversation="d", run_id="r")
        stream = agency.run_streaming("more", caller=ADA)
        assert type(await anext(stream)) is RunFinished
        with pytest.raises(QuotaExceeded):
            await anext(stream)
        assert await agency.conversations() == before
        assert not agency._runtime.register._entries
        assert len(script.seen) == 1

        other = Caller("ada", "other")
        await agency.run("hello", caller=other)  # another tenant's user of that name
        clock.now = MIDNIGHT
        await agency.run("more", caller=ADA, conversation="d", run_id="r")
    assert len(script.seen) == 3


@virtual_time
async def test_a_colleague_goes_on_where_only_the_user_has_nothing_left() -> None:
    script = Script()
    async with Agency(agent(), pool=pool(script, Budget("user", "*", requests=1))) as agency:
        await agency.run("hello", caller=ADA)
        with pytest.raises(QuotaExceeded) as refused:
            await agency.run("hello", caller=ADA)
        assert (refused.value.retry_at, refused.value.retry_after) == (None, None)
        assert "come back" not in str(refused.value)
        await agency.run("hello", caller=BOB)
        await agency.run("hello")  # nobody's


@virtual_time
async def test_of_several_budgets_that_are_spent_the_last_to_be_refilled_counts() -> None:
    budgets = [Budget("user", "*", period=period, requests=1) for period in ("hour", "month", "day")]
    async with Agency(agent(), pool=pool(Script(), *budgets)) as agency:
        await agency.run("hello", caller=ADA)
        with pytest.raises(QuotaExceeded) as refused:
            await agency.run("hello", caller=ADA)
    assert refused.value.retry_at == datetime(2030, 4, 1, tzinfo=UTC).timestamp()


async def test_a_run_that_was_made_already_is_answered_whatever_is_left(tmp_path: Path) -> None:
    script, path = Script(), tmp_path / "runs.db"
    for _ in range(2):
        async with Agency(agent(), pool=pool(script, Budget("user", "*", requests=1)), journal=path) as agency:
            assert (await agency.run("hello", caller=ADA, run_id="r")).text == "a: hello"
            handle = await agency.start_run("hello", caller=ADA, run_id="r")
            assert (await handle).text == "a: hello"
            with pytest.raises(QuotaExceeded):  # what was used outlives the process
                await agency.run("hello", caller=ADA)
    assert len(script.seen) == 1


@virtual_time
async def test_a_pool_of_ones_own_or_of_one_agent_is_asked_too() -> None:
    async with System() as system:
        shared = system.spawn(pool(Script(), Budget("user", "*", requests=1)))
        async with Agency(agent(), system=system, pool=shared) as agency:
            await agency.run("hello", caller=ADA)
        async with Agency(agent(model=shared), system=system) as agency:
            with pytest.raises(QuotaExceeded):
                await agency.run("hello", caller=ADA)


async def test_a_model_that_is_no_pool_is_asked_nothing_but_its_requests() -> None:
    seen: list[Any] = []

    def model(request: Request) -> str:
        seen.append(request)
        return "hello"

    async with Agency(agent(), model=function(model)) as agency:
        await agency.run("hello", caller=ADA)
        assert agency._runtime.pools == ()
    assert len(seen) == 1
