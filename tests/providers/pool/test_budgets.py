"""Budgets: checked before anything is sent, of whom and of which time, under the model that is really served."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from callboard.actors import ChildSpec, SpecError
from callboard.actors.testing import virtual_time
from callboard.providers.errors import BudgetSpent, InvalidRequest, StreamCut, UnpricedModel
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.pool import (
    FREE,
    AddEndpoint,
    Budget,
    Endpoint,
    GetStats,
    Hedge,
    Pool,
    PoolStats,
    Price,
    Quota,
    Requester,
    SetBudget,
    Submit,
)
from callboard.providers.provider import Provider
from callboard.providers.spec import ProviderSpec

from .scripted import Script, endpoint, fails, pool_of, request

DOLLAR = Price(1.0, 1.0)
"""A dollar for a million tokens of either kind."""
MILLION = 1_000_000


async def stats_of(pool: Any) -> PoolStats:
    stats: PoolStats = await pool.ask(GetStats())
    return stats


def an_answer(dollars: float, name: str = "a", **options: Any) -> Script:
    """Answers that cost so many dollars, at `DOLLAR`."""
    return Script(name, usage=Usage(int(dollars * MILLION), 0), **options)


# -- before it is sent -------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_request_that_may_take_more_than_is_left_is_not_sent() -> None:
    script = Script("a")
    async with pool_of(endpoint(script, price=DOLLAR), budgets=[Budget("pool", "", 0.01)]) as pool:
        with pytest.raises(BudgetSpent, match=r"budget of pool is too small for this request, .* take \$100\.0"):
            await pool.ask(request(max_tokens=100 * MILLION))
        assert script.seen == []
        assert isinstance(await pool.ask(request(max_tokens=100)), Completion), "a small one fits"


@virtual_time
async def test_what_is_too_expensive_at_one_endpoint_goes_to_a_cheaper_one() -> None:
    dear, cheap = Script("dear"), Script("cheap")
    endpoints = [endpoint(dear, price=DOLLAR), endpoint(cheap, price=Price(0.001, 0.001), priority=1)]
    async with pool_of(*endpoints, budgets=[Budget("agent", "planner", 0.5)]) as pool:
        answer = await pool.ask(Submit(request(max_tokens=MILLION), Requester(agent="planner")))
    assert (answer.provider, dear.seen) == ("cheap", [])


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (Price(1.0, 2.0, cache_read=0.1, cache_write=1.25), 5.0 + 0.3 + 2.5 + 2.0),
        (Price(1.0, 2.0), 5.0 + 3.0 + 2.0 + 2.0),
    ],
)
@virtual_time
async def test_what_a_cache_read_or_wrote_has_a_price_of_its_own_or_that_of_input(price: Price, cost: float) -> None:
    script = Script("a", usage=Usage(10 * MILLION, MILLION, 3 * MILLION, 2 * MILLION))
    async with pool_of(endpoint(script, price=price)) as pool:
        assert (await pool.ask(request())).cost == pytest.approx(cost)


@virtual_time
async def test_a_model_whose_price_nobody_knows_is_refused_by_name_under_a_budget() -> None:
    script = Script("a")
    async with pool_of(endpoint(script, price=None), budgets=[Budget("agent", "planner", 5.0)]) as pool:
        with pytest.raises(UnpricedModel, match=r"price of model 'house-model' of a, so the budget of agent planner"):
            await pool.ask(Submit(request(model="house-model"), Requester(agent="planner")))
        assert script.seen == []
        await pool.ask(Submit(request(model="house-model"), Requester(agent="other")))


@virtual_time
async def test_a_budget_may_say_what_unpriced_models_cost_or_let_them_pass() -> None:
    script = an_answer(1.0)
    async with pool_of(endpoint(script, price=None)) as pool:
        asked = Submit(request(model="house-model", max_tokens=100), Requester(agent="planner"))
        await pool.ask(SetBudget(Budget("agent", "planner", 2.5, unpriced=DOLLAR)))
        for _ in range(3):
            assert (await pool.ask(asked)).cost is None
        with pytest.raises(BudgetSpent, match=r"agent planner is spent: \$3\.0000 of \$2\.5000"):
            await pool.ask(asked)
        free = Submit(request(model="house-model"), Requester(agent="tester"))
        await pool.ask(SetBudget(Budget("agent", "tester", 2.5, unpriced=FREE)))
        for _ in range(5):
            await pool.ask(free)
        assert "agent:tester" not in (await stats_of(pool)).spent


@virtual_time
async def test_a_budget_that_was_spent_while_a_request_waited_refuses_it_and_leaves_the_way_free() -> None:
    script = an_answer(2.0, latency=1.0)
    one = endpoint(script, price=DOLLAR, limits=Quota(concurrency=1))
    async with pool_of(one, budgets=[Budget("agent", "planner", 1.0)]) as pool:
        planner = Requester(agent="planner")
        asks = [pool.ask(Submit(request(str(n)), planner)) for n in range(3)] + [pool.ask(request("anybody"))]
        results = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(result) for result in results] == [Completion, BudgetSpent, BudgetSpent, Completion]
    assert len(script.seen) == 2


@virtual_time
async def test_a_hedge_is_not_sent_on_money_that_is_not_there() -> None:
    slow, spare = Script("slow", latency=10.0), Script("spare")
    endpoints = [endpoint(slow, price=DOLLAR, priority=-1), endpoint(spare, price=DOLLAR)]
    async with pool_of(*endpoints, hedge=Hedge(maximum=1.0), budgets=[Budget("pool", "", 1.5)]) as pool:
        assert (await pool.ask(request(max_tokens=MILLION))).provider == "slow"
    assert spare.seen == []


@virtual_time
async def test_hedges_at_one_moment_are_not_sent_on_the_same_money() -> None:
    scripts = [Script(name, latency=5.0) for name in "ab"]
    endpoints = [endpoint(script, price=DOLLAR) for script in scripts]
    hedge = Hedge(maximum=1.0, budget=1.0)
    async with pool_of(*endpoints, hedge=hedge, budgets=[Budget("pool", "", 4.5)]) as pool:
        asks = [pool.ask(request(str(number), max_tokens=MILLION)) for number in range(3)]
        await asyncio.sleep(1.5)
        assert sum(len(script.seen) for script in scripts) == 4, "three calls, and one hedge that is affordable"
        await asyncio.gather(*asks)
        stats = await stats_of(pool)
    assert (stats.pool.hedges, stats.budgets[0].reserved) == (1, 0.0)


# -- what is booked ----------------------------------------------------------------------------------------------------


@virtual_time
async def test_money_is_booked_under_the_model_that_was_served_not_under_its_alias() -> None:
    script = an_answer(1.0)
    one = endpoint(script, price=DOLLAR, models=("gpt-4o",), aliases={"large": "gpt-4o"})
    async with pool_of(one, budgets=[Budget("model", "gpt-4o", 1.5)]) as pool:
        await pool.ask(request(model="large"))
        await pool.ask(request(model="a:gpt-4o"))
        stats = await stats_of(pool)
        assert {name: spent for name, spent in stats.spent.items() if name.startswith("model:")} == {
            "model:gpt-4o": 2.0
        }
        for name in ("large", "gpt-4o", "a:large"):
            with pytest.raises(BudgetSpent, match="model gpt-4o"):
                await pool.ask(request(model=name))


@pytest.mark.parametrize("name", ["large", "a:m", "a/m", "a:large", "m"])
@pytest.mark.parametrize("later", [False, True], ids=["at the start", "set later"])
@virtual_time
async def test_a_budget_of_a_model_holds_by_whichever_name_it_is_called(name: str, later: bool) -> None:
    budget = Budget("model", name, 0.0)
    one = endpoint(an_answer(1.0), price=DOLLAR, models=("m",), aliases={"large": "m"})
    async with pool_of(one, budgets=[] if later else [budget]) as pool:
        if later:
            await pool.ask(SetBudget(budget))
        for model in ("large", "m", "a:m"):
            with pytest.raises(BudgetSpent, match="the budget of model m is spent"):
                await pool.ask(request(model=model))
        assert [each.account for each in (await stats_of(pool)).budgets] == ["model:m"]


@virtual_time
async def test_a_budget_of_a_model_that_nobody_serves_or_of_several_is_refused() -> None:
    one = endpoint(Script("a"), models=("m",), aliases={"large": "m"})
    other = endpoint(Script("b"), models=("n",), aliases={"large": "n"})
    async with pool_of(one, other) as pool:
        with pytest.raises(SpecError, match="the budget of model nope limits nothing: no endpoint serves it"):
            await pool.ask(SetBudget(Budget("model", "nope", 1.0)))
        with pytest.raises(SpecError, match="the budget of model large stands for several: m, n; set one for each"):
            await pool.ask(SetBudget(Budget("model", "large", 1.0)))


@virtual_time
async def test_a_model_whose_budget_is_spent_gives_way_to_its_fallback() -> None:
    script = an_answer(1.0)
    one = endpoint(script, price=DOLLAR, models=("large",))
    two = endpoint(an_answer(1.0, "b"), price=DOLLAR, models=("small",))
    async with pool_of(one, two, fallbacks={"large": ("small",)}, budgets=[Budget("model", "large", 1.0)]) as pool:
        answers = [await pool.ask(request(model="large")) for _ in range(3)]
    assert [answer.model for answer in answers] == ["large", "small", "small"]
    assert "degraded to model small" in answers[1].notes


@virtual_time
async def test_a_price_is_found_by_the_name_asked_for_where_the_vendor_answers_with_another() -> None:
    script = Script("a", usage=Usage(MILLION, 0), model="house-model-2026-11-01")
    async with pool_of(endpoint(script, price=None), prices={"house-model": DOLLAR}) as pool:
        assert (await pool.ask(request(model="house-model"))).cost == 1.0


@virtual_time
async def test_a_price_of_ones_own_stands_above_the_list_whatever_name_the_vendor_answers_with() -> None:
    script = Script("a", usage=Usage(MILLION, 0), model="gpt-4o-2024-08-06")  # which the list knows
    async with pool_of(endpoint(script, price=None, vendor="openai"), prices={"gpt-4o": DOLLAR}) as pool:
        assert (await pool.ask(request(model="gpt-4o"))).cost == 1.0


@virtual_time
async def test_of_two_prices_of_ones_own_that_of_the_name_the_vendor_answers_with_counts() -> None:
    script = Script("a", usage=Usage(MILLION, 0), model="gpt-4o-2024-08-06")
    prices = {"gpt-4o": DOLLAR, "gpt-4o-2024-08-06": Price(3.0, 3.0)}
    async with pool_of(endpoint(script, price=None, vendor="openai"), prices=prices) as pool:
        assert (await pool.ask(request(model="gpt-4o"))).cost == 3.0


@virtual_time
async def test_a_stream_that_breaks_off_costs_its_asker_what_had_come() -> None:
    script = Script("a", cut_after=2)
    async with pool_of(endpoint(script, price=Price(0.0, MILLION)), budgets=[Budget("agent", "planner", 9e9)]) as pool:
        with pytest.raises(StreamCut):
            async for _ in pool.stream(Submit(request(max_tokens=500), Requester(agent="planner"))):
                pass
        # "0" and "1" had come: two bytes, estimated as one token, which costs a dollar here.
        assert (await stats_of(pool)).spent["agent:planner"] == 1.0


# -- whose, and when ---------------------------------------------------------------------------------------------------


@virtual_time
async def test_users_and_tenants_have_budgets_and_the_rest_goes_on() -> None:
    script = an_answer(1.0)
    budgets = [Budget("tenant", "acme", 2.0), Budget("user", "ada", 1.0)]
    async with pool_of(endpoint(script, price=DOLLAR), budgets=budgets) as pool:

        async def ask(user: str, tenant: str = "") -> None:
            await pool.ask(Submit(request(max_tokens=1), Requester(user=user, tenant=tenant)))

        await ask("ada")
        with pytest.raises(BudgetSpent, match="user ada"):
            await ask("ada")
        await ask("ada", "acme")  # another ada: acme's
        await ask("bob", "acme")
        for user in ("ada", "bob"):
            with pytest.raises(BudgetSpent, match="tenant acme"):
                await ask(user, "acme")
        await ask("bob")
        spent = (await stats_of(pool)).spent
    assert (spent["tenant:acme"], spent["user:acme/ada"], spent["user:ada"], spent["user:bob"]) == (2.0, 1.0, 1.0, 1.0)


@virtual_time
async def test_a_star_is_a_budget_for_each_that_has_none_of_its_own() -> None:
    budgets = [Budget("user", "*", 1.0), Budget("user", "ada", 3.0)]
    async with pool_of(endpoint(an_answer(1.0), price=DOLLAR), budgets=budgets) as pool:
        for user, times in (("bob", 1), ("eve", 1), ("ada", 3)):
            for _ in range(times):
                await pool.ask(Submit(request(max_tokens=1), Requester(user=user)))
            with pytest.raises(BudgetSpent, match=f"user {user}"):
                await pool.ask(Submit(request(max_tokens=1), Requester(user=user)))


@pytest.mark.parametrize(
    ("period", "before", "after"),
    [
        ("hour", "2026-03-31T22:59:59", "2026-03-31T23:00:00"),
        ("day", "2026-03-31T23:59:59", "2026-04-01T00:00:00"),
        ("month", "2026-03-31T23:59:59", "2026-04-01T00:00:00"),
    ],
)
@virtual_time
async def test_a_budget_for_a_period_is_whole_again_with_the_next_one_of_the_calendar(
    period: Any, before: str, after: str
) -> None:
    now = seconds(before)
    one = endpoint(an_answer(1.0), price=DOLLAR)
    async with pool_of(one, budgets=[Budget("pool", "", 1.0, period)], clock=lambda: now) as pool:
        await pool.ask(request(max_tokens=1))
        with pytest.raises(BudgetSpent, match=f"budget of pool for an? {period} is spent"):
            await pool.ask(request(max_tokens=1))
        now = seconds(after)
        await pool.ask(request(max_tokens=1))
        with pytest.raises(BudgetSpent):
            await pool.ask(request(max_tokens=1))
        assert (await stats_of(pool)).cost == 2.0


@pytest.mark.parametrize("period", ["hour", "day", "month"])
@pytest.mark.parametrize("wrong", ["2026-04-01T00:00:00", "2100-01-01T00:00:00", "2026-02-01T00:00:00"])
@virtual_time
async def test_a_clock_that_is_wrong_for_a_call_gives_no_budget_back(period: Any, wrong: str) -> None:
    right = now = seconds("2026-03-31T22:30:00")
    budgets = [Budget("pool", "", 1.0, period)]
    async with pool_of(endpoint(an_answer(1.0), price=DOLLAR), budgets=budgets, clock=lambda: now) as pool:
        await pool.ask(request(max_tokens=1))
        now = seconds(wrong)
        await pool.ask(request(max_tokens=1))
        now = right
        with pytest.raises(BudgetSpent, match=r"is spent: \$1\.0000 of"):
            await pool.ask(request(max_tokens=1))
        now = seconds(wrong)
        with pytest.raises(BudgetSpent, match=r"is spent: \$1\.0000 of"):  # when that time has come
            await pool.ask(request(max_tokens=1))
        assert (await stats_of(pool)).cost == 2.0


@virtual_time
async def test_one_account_may_have_a_budget_for_each_period() -> None:
    now = seconds("2026-03-30T08:00:00")
    budgets = [Budget("pool", "", 1.0, "hour"), Budget("pool", "", 2.0, "day"), Budget("pool", "", 3.0, "month")]
    async with pool_of(endpoint(an_answer(1.0), price=DOLLAR), budgets=budgets, clock=lambda: now) as pool:
        refused = []
        for when in ("30T08", "30T08", "30T09", "30T10", "31T08", "31T09"):
            now = seconds(f"2026-03-{when}:00:00")
            try:
                await pool.ask(request(max_tokens=1))
            except BudgetSpent as error:
                refused.append((when, str(error).partition(" is spent")[0].rpartition(" ")[2]))
        assert refused == [("30T08", "hour"), ("30T10", "day"), ("31T09", "month")]
        assert await pool.ask(SetBudget(Budget("pool", "", 9.0, "day"))) == 1.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scope": "team", "name": "a", "dollars": 1}, "scope is one of pool"),
        ({"scope": "agent", "name": "", "dollars": 1}, "needs a name"),
        ({"scope": "pool", "name": "a", "dollars": 1}, "has no name"),
        ({"scope": "pool", "name": "", "dollars": -1}, "not below 0"),
        ({"scope": "pool", "name": "", "dollars": 1, "period": "week"}, "one of minute, hour, day, month"),
        ({"scope": "pool", "name": "", "dollars": True}, "not True"),
        ({"scope": "user", "name": 5, "dollars": 1}, "name is a text, not 5"),
        ({"scope": "pool", "name": "", "dollars": 1, "unpriced": "FREE"}, r"unpriced is a Price \(FREE"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Budget(**wrong)


@pytest.mark.parametrize(
    ("budgets", "says"),
    [
        ([("provider", "b", 1.0)], "the budget of provider b limits nothing: in this pool there are a, group"),
        ([("key", "paid", 1.0), ("key", "b", 1.0)], "the budget of key b limits nothing: in this pool there are paid"),
        ([("user", "u", 0.5), ("user", "u", 9.0)], "there are two of the budget of user u"),
        ([("user", "u", 1.0, "day"), ("user", "u", 9.0, "day")], "there are two of the budget of user u for a day"),
    ],
)
@virtual_time
async def test_budgets_that_limit_nothing_or_contradict_each_other_are_refused(budgets: Any, says: str) -> None:
    ends = [endpoint(Script("a"), key="paid", group="group")]
    with pytest.raises(SpecError, match=says):
        Pool(ends, budgets=[Budget(*one) for one in budgets])
    async with pool_of(*ends, budgets=[Budget("provider", "group", 1.0), Budget("provider", "*", 2.0)]) as pool:
        with pytest.raises(SpecError, match="there are a, group"):
            await pool.ask(SetBudget(Budget("provider", "b", 1.0)))
        await pool.ask(AddEndpoint(endpoint(Script("b"))))
        assert await pool.ask(SetBudget(Budget("provider", "b", 1.0))) == 0.0


@virtual_time
async def test_no_name_of_a_user_is_the_account_of_anybody_else() -> None:
    people = [
        Requester(user="acme/ada"),
        Requester(user="ada", tenant="acme"),
        Requester(user="x/ada", tenant="acme"),
        Requester(user="ada", tenant="acme/x"),
        Requester(user="acme%2Fada"),
        Requester(user="*"),
        Requester(user="*", tenant="*"),
    ]
    budgets = [Budget("user", "*", 1.0), Budget("user", "acme%2Fada", 2.0)]
    async with pool_of(endpoint(an_answer(1.0), price=DOLLAR), budgets=budgets) as pool:
        for who in people:
            await pool.ask(Submit(request(max_tokens=1), who))
        await pool.ask(Submit(request(max_tokens=1), people[0]))
        with pytest.raises(BudgetSpent, match="user acme/ada is spent"):
            await pool.ask(Submit(request(max_tokens=1), people[1]))
        stats = await stats_of(pool)
    spent = {account: dollars for account, dollars in stats.spent.items() if account.startswith("user:")}
    assert len(spent) == len(people)
    assert (spent.pop("user:acme%2Fada"), set(spent.values())) == (2.0, {1.0})


@pytest.mark.parametrize("scope", ["user", "tenant"])
@virtual_time
async def test_somebody_who_is_called_by_the_star_has_a_budget_of_their_own(scope: Any) -> None:
    def asks(name: str) -> Submit:
        who: dict[str, Any] = {scope: name}
        return Submit(request(max_tokens=1), Requester(**who))

    budgets = [Budget(scope, "*", 1.0), Budget(scope, "%2A", 2.0)]
    async with pool_of(endpoint(an_answer(1.0), price=DOLLAR), budgets=budgets) as pool:
        for name in ("*", "*", "ada"):
            await pool.ask(asks(name))
        for name in ("*", "ada"):
            with pytest.raises(BudgetSpent):
                await pool.ask(asks(name))
        spent = (await stats_of(pool)).spent
    assert (spent[f"{scope}:%2A"], spent[f"{scope}:ada"]) == (2.0, 1.0)


class Generous(Provider):
    """Answers with as many tokens as it may."""

    async def complete(self, request: Request) -> Completion:
        return Completion(Message("assistant", "x"), "length", Usage(0, request.max_tokens or 1))


@pytest.mark.parametrize(
    "defaults",
    [{"defaults": {"max_tokens": 2 * MILLION}}, {"model_defaults": {"m": {"max_tokens": 2 * MILLION}}}],
    ids=["of the provider", "of the model"],
)
@virtual_time
async def test_tokens_that_a_provider_adds_to_a_request_are_counted(defaults: Any) -> None:
    spec = ProviderSpec("a", "openai", models=("m",), **defaults)
    one = Endpoint.of(spec, ChildSpec(Generous, (spec,)), price=DOLLAR)
    async with pool_of(one, budgets=[Budget("user", "*", 1.0)]) as pool:
        with pytest.raises(BudgetSpent, match=r"may take \$2\.0"):
            await pool.ask(Submit(request(model="m"), Requester(user="ada")))
        answer = await pool.ask(Submit(request(model="m", max_tokens=MILLION // 2), Requester(user="ada")))
        assert answer.cost == 0.5


@pytest.mark.parametrize("tokens", [0, -1, -(10**12)])
@pytest.mark.parametrize("budgets", [[], [Budget("pool", "", 0.01)]], ids=["unlimited", "limited"])
@virtual_time
async def test_a_request_for_no_tokens_or_less_is_not_sent(tokens: int, budgets: Any) -> None:
    script = Script("a")
    async with pool_of(endpoint(script, price=DOLLAR), budgets=budgets) as pool:
        with pytest.raises(InvalidRequest, match="max_tokens"):
            await pool.ask(request("a text of some length", max_tokens=tokens))
    assert not script.seen


@virtual_time
async def test_what_was_promised_is_free_again_for_all_who_paid() -> None:
    script = Script("a", failure=fails(lambda: InvalidRequest("no", status=400)))
    budgets = [Budget("user", "*", 1.0), Budget("tenant", "*", 1.0), Budget("model", "m", 1.0)]
    async with pool_of(endpoint(script, price=DOLLAR), budgets=budgets) as pool:
        who = Requester(user="ada", tenant="acme")
        for _ in range(5):
            with pytest.raises(InvalidRequest):
                await pool.ask(Submit(request(model="m", max_tokens=900_000), who))


def test_no_usage_costs_less_than_nothing() -> None:
    cached = Price(10.0, 1.0, cache_read=1.0)
    assert cached.of(Usage(0, 0, cache_read_tokens=MILLION)) == 1.0, "a vendor that leaves the cached tokens out"


def seconds(when: str) -> float:
    """A moment of UTC in seconds since 1970."""
    return datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
