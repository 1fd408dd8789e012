"""Providers and budgets on a dashboard: what is done with them, and what the audit log has of it."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import Agency, Agent, RequestLimit, RunFailed
from callboard.actors.serving.dashboard.figures.money import BudgetKey
from callboard.providers.messages import Usage
from callboard.providers.pool import Budget, GetHealth, GetStats, Pool, Price
from tests.dashboard.boards import as_, board_of, get, log_of, post, refused, who
from tests.providers.pool.scripted import Script, endpoint
from tests.serving.support import served, speaker

DOLLAR = Price(1.0, 1.0)


def agency_of(*scripts: Script, **options: Any) -> Agency:
    endpoints = [endpoint(script, price=DOLLAR) for script in scripts]
    return Agency(Agent("A"), model=Pool.spec(endpoints, seed=1, name="pool", **options))


async def states(agency: Agency) -> dict[str, str]:
    assert agency.pool is not None
    return {one.name: one.state for one in (await agency.pool.ask(GetHealth())).endpoints}


async def test_a_provider_is_drained_resumed_probed_and_removed() -> None:
    a, b = Script("a"), Script("b")
    async with agency_of(a, b) as agency, board_of(agency) as client:
        given = {"pool": "pool", "endpoint": "a"}
        assert await post(client, "providers/drain", **given) == {**given, "action": "drain"}
        assert await states(agency) == {"a": "drained", "b": "closed"}
        for _ in range(3):
            await agency.run("go")
        assert (len(a.seen), len(b.seen)) == (0, 3)
        await post(client, "providers/resume", **given, reason="it is well")
        assert await states(agency) == {"a": "closed", "b": "closed"}
        await post(client, "providers/probe", **given)
        assert len(a.seen) == 1
        await post(client, "providers/remove", **given)
        assert await states(agency) == {"b": "closed"}
        assert await log_of(client) == [
            ("root", f"{action} provider", "pool/a", "done") for action in ("drain", "resume", "probe", "remove")
        ]


@pytest.mark.parametrize(
    ("action", "body", "status", "code", "where"),
    [
        ("drain", {}, 400, "missing_field", "pool"),
        ("drain", {"pool": "pool"}, 400, "missing_field", "endpoint"),
        ("drain", {"pool": "none", "endpoint": "a"}, 404, "unknown_pool", "pool"),
        ("drain", {"pool": "agency", "endpoint": "a"}, 404, "unknown_pool", "pool"),
        ("drain", {"pool": "pool", "endpoint": "none"}, 404, "unknown_endpoint", "endpoint"),
        ("drain", {"pool": "pool", "endpoint": ""}, 404, "unknown_endpoint", "endpoint"),
        ("drain", {"pool": "pool", "endpoint": "a", "x": 1}, 400, "unknown_field", "x"),
        ("rotate", {"pool": "pool", "endpoint": "a"}, 404, "unknown_action", ""),
    ],
)
async def test_what_is_not_there_is_refused_by_name(action: str, body: Any, status: int, code: str, where: str) -> None:
    async with agency_of(Script("a")) as agency, board_of(agency) as client:
        assert await refused(client, "POST", f"providers/{action}", body) == (status, code, where)
        assert await log_of(client) == []


async def test_whoever_names_something_that_is_not_there_is_told_what_is() -> None:
    async def told(client: Any, **given: Any) -> str:
        text: str = (await client.post("/api/providers/drain", json=given)).json()["detail"]
        return text

    async with agency_of(Script("a"), Script("b")) as agency, board_of(agency) as client:
        assert (await told(client, pool="x", endpoint="a")).endswith("no pool 'x'; there are pool")
        assert (await told(client, pool="pool", endpoint="c")).endswith("no endpoint 'c'; there are a, b")
        for name in ("a", "b"):
            await post(client, "providers/remove", pool="pool", endpoint=name)
        assert (await told(client, pool="pool", endpoint="a")).endswith("no endpoint 'a'; there are none")
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        assert (await told(client, pool="pool", endpoint="a")).endswith("no pool 'pool'; there are none")


async def test_a_budget_is_raised_and_what_was_refused_goes_on() -> None:
    script = Script("a", usage=Usage(1_000_000, 0))
    budgets = [Budget("agent", "*", 1.0, "day")]
    async with agency_of(script, budgets=budgets) as agency, board_of(agency) as client:
        await agency.run("go")
        with pytest.raises(RunFailed):
            await agency.run("go")
        id = BudgetKey("pool", "agent:A", "day", "dollars").id
        assert await post(client, f"budgets/{id}", limit=10) == {"budget": id, "limit": 10, "spent": 1.0}
        await agency.run("go")
        assert agency.pool is not None
        (stats,) = [one for one in (await agency.pool.ask(GetStats())).budgets if one.account == "agent:A"]
        assert (stats.limit, stats.spent) == (10.0, 2.0)
        (entry,) = (await get(client, "audit"))["entries"]
        assert (entry["action"], entry["target"], entry["outcome"]) == (
            "raise budget",
            "dollars of agent:A a day",
            "done",
        )
        assert entry["details"] == {"limit": 10, "pool": "pool"}


@pytest.mark.parametrize(
    ("key", "body", "status", "code", "where"),
    [
        (BudgetKey("pool", "agent:A", "day", "dollars"), {}, 400, "missing_field", "limit"),
        (BudgetKey("pool", "agent:A", "day", "dollars"), {"limit": 0.5}, 400, "invalid_field", "limit"),
        (BudgetKey("pool", "agent:A", "day", "dollars"), {"limit": -1}, 400, "invalid_field", "limit"),
        (BudgetKey("pool", "agent:A", "day", "dollars"), {"limit": "9"}, 400, "invalid_field", "limit"),
        (BudgetKey("pool", "agent:A", "day", "dollars"), {"limit": True}, 400, "invalid_field", "limit"),
        (BudgetKey("pool", "agent:A", "day", "hours"), {"limit": 9}, 400, "invalid_field", "limit"),
        (BudgetKey("pool", "user:ada", "day", "dollars"), {"limit": 9}, 400, "invalid_field", "limit"),
        (BudgetKey("none", "agent:A", "day", "dollars"), {"limit": 9}, 404, "unknown_pool", ""),
        ("x", {"limit": 9}, 404, "unknown_budget", ""),
        ("é", {"limit": 9}, 404, "unknown_budget", ""),
        ("WzEsMiwzLDRd", {"limit": 9}, 404, "unknown_budget", ""),
    ],
)
async def test_what_is_no_budget_or_no_more_than_it_was_is_refused(
    key: Any, body: Any, status: int, code: str, where: str
) -> None:
    async with agency_of(Script("a"), budgets=[Budget("agent", "A", 1.0, "day")]) as agency, board_of(agency) as client:
        id = key if isinstance(key, str) else key.id
        assert await refused(client, "POST", f"budgets/{id}", body) == (status, code, where)
        assert agency.pool is not None
        assert [one.limit for one in (await agency.pool.ask(GetStats())).budgets] == [1.0]


async def test_a_limit_on_requests_is_raised_too() -> None:
    limits = [RequestLimit("user", "ada", requests=2, period="month")]
    async with (
        agency_of(Script("a"), budgets=[Budget("agent", "A", 1.0)]) as agency,
        served(agency, authenticate=who, limits=limits, dashboard=True) as it,
        it.client(headers=as_("ada")) as ada,
        it.client(headers=as_("root+admin")) as client,
    ):
        client.base_url = f"{it.url}/dashboard"
        models = [(await ada.get("/v1/models")).status_code for _ in range(3)]
        assert models == [200, 200, 429]
        told = (await get(client, "budgets"))["budgets"]
        assert [(one["pool"], one["name"], one["measure"]) for one in told][:2] == [
            ("pool", "agent:A", "dollars"),
            ("", "user:ada", "requests"),
        ]
        ours = told[1]
        assert (ours["spent"], ours["limit"], ours["window"]) == (2, 2, "month")
        assert (await post(client, f"budgets/{ours['id']}", limit=3))["spent"] == 2
        models = [(await ada.get("/v1/models")).status_code for _ in range(2)]
        assert models == [200, 429]
        for wrong in (BudgetKey("", "user:ada", "month", "dollars"), BudgetKey("", "user:bob", "day", "requests")):
            refusal = await refused(client, "POST", f"budgets/{wrong.id}", {"limit": 9})
            assert refusal == (400, "invalid_field", "limit")


@pytest.mark.parametrize("path", ["providers/drain", "budgets/x"])
async def test_only_who_administers_all_of_it_may(path: str) -> None:
    async with agency_of(Script("a")) as agency, board_of(agency, "ada+metrics") as client:
        assert (await refused(client, "POST", path, {}))[:2] == (403, "not_allowed")
        client.headers["authorization"] = "Bearer ada@acme+admin"
        assert (await refused(client, "POST", path, {}))[:2] == (403, "not_allowed")
