"""Several keys of one provider: endpoints of one group, whose name addresses all of them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from callboard.actors import SpecError
from callboard.actors.testing import virtual_time
from callboard.providers.errors import BudgetSpent, ProviderOverloaded, UnknownModel
from callboard.providers.pool import (
    AddEndpoint,
    Budget,
    Endpoint,
    FanOut,
    GetStats,
    LeastLoaded,
    Pool,
    Price,
    Probe,
    Requester,
    RotateKey,
    Submit,
    SwitchProvider,
)

from .scripted import Script, endpoint, fails, pool_of, request


def three(price: Price | None = None) -> tuple[tuple[Script, ...], tuple[Endpoint, ...]]:
    """Another provider, and one with two keys."""
    scripts = Script("other"), Script("acme-1"), Script("acme-2")
    cost = {} if price is None else {"price": price}
    return scripts, (
        endpoint(scripts[0], priority=-1, **cost),
        endpoint(scripts[1], group="acme", **cost),
        endpoint(scripts[2], group="acme", **cost),
    )


@pytest.mark.parametrize("mark", [":", "/"])
@virtual_time
async def test_a_model_with_the_groups_name_before_it_is_that_of_all_its_keys(mark: str) -> None:
    (other, one, two), ends = three()
    async with pool_of(*ends, routing=LeastLoaded()) as pool:
        for _ in range(6):
            answer = await pool.ask(request(model=f"acme{mark}large"))
            assert answer.model == "large"
        assert (await pool.ask(request(model=f"acme-2{mark}large"))).provider == "acme-2"
    assert other.seen == []
    assert min(len(one.seen), len(two.seen)) > 0, "both keys share the load"


@virtual_time
async def test_a_request_for_the_group_goes_to_the_other_key_while_one_fails_and_to_nobody_else() -> None:
    (other, one, two), ends = three()
    one.failure = fails(lambda: ProviderOverloaded("503", status=503))
    async with pool_of(*ends, routing=LeastLoaded()) as pool:
        answers = [await pool.ask(Submit(request(), Requester(endpoint="acme"))) for _ in range(5)]
    assert {answer.provider for answer in answers} == {"acme-2"}
    assert other.seen == []
    assert len(two.seen) == 5


@virtual_time
async def test_an_agent_is_switched_to_the_group() -> None:
    (other, *_), ends = three()
    async with pool_of(*ends) as pool:
        assert await pool.ask(SwitchProvider(agent="planner", endpoint="acme")) == ""
        for _ in range(3):
            answer = await pool.ask(Submit(request(), Requester(agent="planner")))
            assert answer.provider.startswith("acme-")
        assert await pool.ask(SwitchProvider(agent="planner", endpoint="other")) == "acme"
        with pytest.raises(SpecError, match="acmee"):
            await pool.ask(SwitchProvider(agent="planner", endpoint="acmee"))
    assert other.seen == []


@virtual_time
async def test_a_budget_of_the_group_counts_all_its_keys_and_one_of_a_key_that_key() -> None:
    _, ends = three(Price(100_000.0, 0.0))  # a dollar a call
    budgets = [Budget("provider", "acme", 3.0, unpriced=None), Budget("provider", "acme-1", 1.0)]
    async with pool_of(*ends, budgets=budgets, routing=LeastLoaded()) as pool:
        answers = [await pool.ask(request("a", model="acme:large", max_tokens=1)) for _ in range(3)]
        with pytest.raises(BudgetSpent, match="acme"):
            await pool.ask(request("a", model="acme:large", max_tokens=1))
        spent = (await pool.ask(GetStats())).spent
    assert [answer.provider for answer in answers].count("acme-1") == 1
    assert (spent["provider:acme"], spent["provider:acme-1"], spent["provider:acme-2"]) == (3.0, 1.0, 2.0)


@virtual_time
async def test_a_fan_out_asks_a_group_once_and_a_probe_all_its_keys() -> None:
    (_, one, two), ends = three()
    async with pool_of(*ends) as pool:
        outcomes = await pool.ask(FanOut(request(), combine="all"))
        assert sorted(outcomes) == ["acme", "other"]
        assert len(one.seen) + len(two.seen) == 1
        await pool.ask(Probe("acme"))
    assert len(one.seen) + len(two.seen) == 3


@virtual_time
async def test_what_the_group_does_not_serve_is_refused_by_its_name() -> None:
    ends = [endpoint(Script(f"acme-{number}"), group="acme", models=("small",)) for number in (1, 2)]
    async with pool_of(*ends) as pool:
        with pytest.raises(UnknownModel, match="acme does not serve model 'large'"):
            await pool.ask(request(model="acme:large"))


@virtual_time
async def test_a_group_and_an_endpoint_of_one_name_are_refused_and_so_is_one_key_for_all() -> None:
    _, ends = three()
    with pytest.raises(SpecError, match="'acme' is a group"):
        Pool((*ends, endpoint(Script("acme"))))
    async with pool_of(*ends) as pool:
        with pytest.raises(SpecError, match="'acme' is a group"):
            await pool.ask(AddEndpoint(endpoint(Script("acme"))))
        with pytest.raises(SpecError, match="acme-1, acme-2"):
            await pool.ask(RotateKey("acme", SecretStr("second")))
        assert (await pool.ask(request(model="acme:large"))).model == "large"
