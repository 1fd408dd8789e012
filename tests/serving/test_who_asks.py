"""Who asks over HTTP: several who say it in turn, and that the caller reaches all that looks at callers."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import HTTPConnection

from callboard import (
    Agency,
    Agent,
    ApiKeys,
    Budget,
    Caller,
    MemoryJournal,
    NotAllowed,
    Pool,
    ToolCall,
    ToolContext,
    hook,
    request_context,
    serve,
    tool,
)
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.serving.problems import refuse
from callboard.providers.messages import Usage
from tests.providers.pool.scripted import Script, endpoint

from .support import served, speaker
from .test_keys import ASKED, asks, bearer, helper

CALLS = ((ToolCall("1", "who", "{}"),), ("done",))


def named(name: str) -> Any:
    """Knows one user, who says their own name."""

    async def known(connection: HTTPConnection) -> Caller | None:
        return Caller(name) if connection.headers.get("x-user") == name else None

    return known


async def test_those_who_say_who_asks_are_asked_in_turn_and_the_first_who_knows_decides() -> None:
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada")
    reached = []

    def last(connection: HTTPConnection) -> Caller | None:
        reached.append(connection.headers.get("x-user"))
        if reached[-1] == "banned":
            raise refuse(403, "banned", "you may not come back")
        return None

    async with served(helper(), authenticate=[keys, named("bob"), last]) as at:
        assert await asks(at, bearer(key)) == 200
        assert await asks(at, {"x-user": "bob"}) == 200
        assert reached == []
        assert await asks(at, {"x-user": "eve"}) == 401
        assert await asks(at, {"x-user": "banned"}) == 403
        assert await asks(at, {**bearer(key), "x-user": "banned"}) == 200
        assert reached == ["eve", "banned"]


@pytest.mark.parametrize("wrong", [True, "ada", {"user": "ada"}, object()])
async def test_whoever_says_something_else_than_a_caller_lets_nobody_in(wrong: Any) -> None:
    async with served(helper(), authenticate=lambda connection: wrong) as at:
        assert await asks(at, {}) == 500


@pytest.mark.parametrize("wrong", [[], (), 5, "key", [5], ApiKeys, [ApiKeys]])
def test_who_says_who_asks_is_one_function_or_several(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="authenticate"):
        serve(helper(), authenticate=wrong)


async def test_the_body_of_whoever_has_not_said_who_they_are_is_not_read() -> None:
    keys = ApiKeys(MemoryJournal())
    app = serve(helper(), authenticate=keys)
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/v1/chat/completions", "/Helper/chat/completions"):
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [],
            "query_string": b"",
            "root_path": "",
        }
        await app({**scope, "raw_path": path.encode(), "http_version": "1.1", "scheme": "http"}, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [401, 401]


async def test_no_more_than_so_many_wait_to_hear_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from callboard.actors.serving import server

    monkeypatch.setattr(server, "MOST_ASKING", 2)
    gate, both = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def slow(connection: HTTPConnection) -> Caller | None:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await gate.wait()
        return Caller("ada")

    async with served(helper(), authenticate=slow) as at:
        first = [asyncio.ensure_future(asks(at, {})) for _ in range(2)]
        await both.wait()
        assert await asks(at, {}) == 503
        gate.set()
        assert await asyncio.gather(*first) == [200, 200]
        assert await asks(at, {}) == 200


async def test_the_caller_reaches_tools_hooks_and_scopes() -> None:
    seen: list[Any] = []
    ran: list[Any] = []

    @tool(scope="sales", risk="safe")
    async def who(context: ToolContext) -> str:
        """Say who asks."""
        ran.append(context.caller)
        return "you"

    @hook("toolcall")
    async def looks(context: Any) -> None:
        about = request_context()
        assert about is not None
        seen.append(about.caller)

    keys = ApiKeys(MemoryJournal())
    sales = await keys.add(user="ada", tenant="acme", scopes=["sales"], name="sales")
    plain = await keys.add(user="ada", tenant="acme", name="plain")
    owner = await keys.add(user="olga", name="owner")
    shop = Agent("Shop", tools=[who], hooks=[looks])
    hidden = Agent("Hidden", scope="owner", owner="olga")
    async with (
        served(Agency(shop, hidden, model=speaker(CALLS)), authenticate=keys) as at,
        at.client() as client,
    ):

        async def status(key: str, agent: str) -> int:
            answer = await client.post("/v1/chat/completions", json={**ASKED, "model": agent}, headers=bearer(key))
            return answer.status_code

        assert await status(sales, "Shop") == 200
        assert seen
        assert ran
        assert {*seen, *ran} == {Caller("ada", "acme", frozenset({"sales"}), "sales")}
        assert {caller.key for caller in (*seen, *ran)} == {"sales"}
        ran.clear()
        assert await status(plain, "Shop") == 200  # the tool is as if it were not there
        assert not ran
        assert [await status(key, "Hidden") for key in (plain, owner)] == [403, 200]
        listed = await client.get("/v1/models", headers=bearer(plain))
        assert [model["id"] for model in listed.json()["data"]] == ["Shop"]


async def test_the_caller_reaches_approvals_and_conversations() -> None:
    @tool(approval="always")
    async def who() -> str:
        """Say who asks."""
        return "you"

    keys = ApiKeys(MemoryJournal())
    ada, eve = [await keys.add(user=user, tenant="acme") for user in ("ada", "eve")]
    agency = Agency(Agent("Helper", tools=[who]), model=speaker(CALLS))
    async with served(agency, authenticate=keys) as at, at.client() as client:
        body = {**ASKED, "stream": True, "callboard": {"conversation": "c"}}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=bearer(ada)) as answer:
            read = answer.aiter_lines()
            while not agency.approvals:
                await anext(read)
            (approval,) = agency.approvals
            assert approval.caller.is_same(Caller("ada", "acme"))
            with pytest.raises(NotAllowed):
                agency.approve(approval, caller=Caller("eve", "acme"))
            agency.approve(approval, caller=Caller("ada", "acme"))
            lines = [line async for line in read if line]
        assert lines[-1] == "data: [DONE]"
        others = await client.post("/v1/chat/completions", json={**body, "stream": False}, headers=bearer(eve))
        assert (others.status_code, others.json()["error"]["code"]) == (403, "not_allowed")


async def test_the_caller_reaches_budgets_of_user_tenant_and_key() -> None:
    keys = ApiKeys(MemoryJournal())
    laptop, phone, bob = [
        await keys.add(user=user, tenant="acme", name=name) for user, name in (("ada", "l"), ("ada", "p"), ("bob", "b"))
    ]
    budgets = [
        Budget("caller_key", "l", period="day", tokens=15),
        Budget("user", "acme/ada", period="day", tokens=30),
        Budget("tenant", "acme", period="day", tokens=45),
    ]
    pool = Pool.spec([endpoint(Script(usage=Usage(10, 5)))], budgets=budgets)
    agency = Agency(Agent("Helper", settings={"max_tokens": 1}), pool=pool)
    async with served(agency, authenticate=keys) as at, at.client() as client:
        for spent, key in (("caller_key l", laptop), ("user acme/ada", phone), ("tenant acme", bob)):
            assert await asks(at, bearer(key)) == 200
            answer = await client.post("/v1/chat/completions", json=ASKED, headers=bearer(key))
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "quota_exceeded")
            assert 0 < int(answer.headers["retry-after"]) <= 86_400
            assert f"the budget of {spent} for a day is spent" in answer.text
