"""How much may be asked at the door: by keys, users, tenants and addresses, in one worker and in several."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import RateLimitError

from callboard import Agency, Agent, ApiKeys, MemoryJournal, RequestLimit, serve
from callboard.actors.agents.errors import DefinitionError, QuotaExceeded
from callboard.actors.serving.limits import strangers
from callboard.actors.serving.limits.strangers import Strangers, network_of
from callboard.providers.pool.accounts import keeping
from tests.durable.support import eventually

from .support import Served, served, speaker
from .test_keys import ASKED, asks, bearer, helper


async def three() -> tuple[ApiKeys, list[str]]:
    """Keys, of which the first two are one user's, and all of one tenant's."""
    keys = ApiKeys(MemoryJournal())
    wanted = (("ada", "one"), ("ada", "two"), ("bob", "three"))
    return keys, [await keys.add(user=user, tenant="acme", name=name) for user, name in wanted]


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (RequestLimit("caller_key", requests=2), [429, 200, 200]),
        (RequestLimit("caller_key", "one", requests=2), [429, 200, 200]),
        (RequestLimit("user", requests=2, period="day"), [429, 429, 200]),
        (RequestLimit("user", "acme/ada", requests=2, period="month"), [429, 429, 200]),
        (RequestLimit("tenant", requests=2, period="hour"), [429, 429, 429]),
        (RequestLimit("tenant", "other", requests=2), [200, 200, 200]),
        (RequestLimit("address", requests=1), [200, 200, 200]),
    ],
)
async def test_who_has_asked_too_often_is_told_when_to_come_back(limit: RequestLimit, left: list[int]) -> None:
    keys, made = await three()
    app = serve(helper(), authenticate=keys, limits=[limit])
    app.state.server.door._counted.clock = lambda: 1_800_000_030.0
    async with served(app) as at, at.client() as client:
        assert [await asks(at, bearer(made[0])) for _ in range(2)] == [200, 200]
        assert [await asks(at, bearer(key)) for key in made] == left
        if left[0] == 429:
            answer = await client.post("/v1/chat/completions", json=ASKED, headers=bearer(made[0]))
            assert answer.json()["error"]["code"] == "quota_exceeded"
            assert "is spent: 2 of 2 requests" in answer.text
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["x-should-retry"] == "true"
            with pytest.raises(RateLimitError):
                async with at.openai(api_key=made[0]) as openai:
                    await openai.models.list()


async def test_there_is_more_in_the_next_minute() -> None:
    now = 1_800_000_030.0
    keys, made = await three()
    app = serve(helper(), authenticate=keys, limits=[RequestLimit("caller_key", requests=1)])
    app.state.server.door._counted.clock = lambda: now
    async with served(app) as at, at.client() as client:
        answers = [await client.get("/v1/models", headers=bearer(made[0])) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[1].headers["retry-after"] == "30"
        now += 30
        assert (await client.get("/v1/models", headers=bearer(made[0]))).status_code == 200


async def test_those_who_do_not_say_who_they_are_are_counted_by_address_and_nobody_else_is_kept_out() -> None:
    keys, made = await three()
    async with served(helper(), authenticate=keys, limits=[RequestLimit("address", requests=3, period="month")]) as at:
        assert [await asks(at, {}) for _ in range(2)] == [401, 401]
        assert [await asks(at, bearer("cb_one_" + "A" * 43)) for _ in range(3)] == [401, 429, 429]
        assert await asks(at, {}) == 429
        assert await asks(at, bearer(made[0])) == 200
    async with served(helper(), limits=[RequestLimit("address", requests=2, period="month")]) as at:
        assert [await asks(at, {}) for _ in range(3)] == [200, 200, 429]


async def test_so_many_requests_of_a_key_are_answered_at_once_and_one_that_ends_makes_room() -> None:
    keys, (one, two, _) = await three()
    gate = asyncio.Event()
    agency = Agency(Agent("Helper"), model=speaker((("a", "b"),), {(0, 1): gate}))
    limits = [RequestLimit("caller_key", concurrent=2), RequestLimit("caller_key", requests=100)]
    async with served(agency, authenticate=keys, limits=limits) as at, AsyncExitStack() as stack:
        client = await stack.enter_async_context(at.client())
        asked = {"method": "POST", "url": "/v1/chat/completions", "json": {**ASKED, "stream": True}}
        leaving = AsyncExitStack()
        for _ in range(2):
            answer = await leaving.enter_async_context(client.stream(**asked, headers=bearer(one)))  # type: ignore[arg-type]
            assert answer.status_code == 200
        third = await client.post("/v1/chat/completions", json=ASKED, headers=bearer(one))
        assert (third.status_code, third.headers["retry-after"]) == (429, "1")
        assert "caller_key one has 2 of 2 requests under way" in third.text
        assert (await client.get("/v1/models", headers=bearer(two))).status_code == 200
        await leaving.aclose()  # the clients go before the end
        door = at.app.state.server.door
        await eventually(lambda: not door._inside, "that both have left")
        gate.set()
        assert await asks(at, bearer(one)) == 200
        assert await asks(at, {**bearer(one), "callboard-on-disconnect": "never"}) == 400
        assert not door._inside


async def test_workers_that_share_a_journal_count_together_also_over_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "BEHIND", 0.0)
    keys, (one, *_) = await three()
    limits = [RequestLimit("caller_key", requests=5, period="month")]

    def worker() -> Agency:
        return Agency(Agent("Helper"), model=speaker(), journal=tmp_path / "team.db")

    async def models(at: Served) -> int:
        async with at.client() as client:
            return (await client.get("/v1/models", headers=bearer(one))).status_code

    async with served(worker(), authenticate=keys, limits=limits) as first:
        assert [await models(first) for _ in range(2)] == [200, 200]
        async with served(worker(), authenticate=keys, limits=limits) as second:
            assert [await models(second) for _ in range(3)] == [200, 200, 200]
            answers = [await models(second) for _ in range(2)]
            while 429 not in answers:
                answers.append(await models(second))
    async with served(worker(), authenticate=keys, limits=limits) as third:
        assert await models(third) == 429


async def test_many_addresses_take_no_more_room_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MOST", 3)
    now = 1_800_000_000.0
    some = Strangers(lambda: now)
    some.add(RequestLimit("address", requests=1))
    some.add(RequestLimit("address", "c", requests=2))
    some.add(RequestLimit("address", requests=4, period="hour"))
    for address in ("c", "c", "d", "e"):
        some.enter(address)
    for address in ("c", "d"):
        with pytest.raises(QuotaExceeded, match="from this address"):
            some.enter(address)
    now += 60
    for address in ("c", "c", "f", "g", "h", "i", "d"):
        some.enter(address)
    assert all(len(seen) <= 3 for _, seen in some._limits)
    now += 60
    for _ in range(4):
        now += 60
        some.enter("j")
    now += 60
    with pytest.raises(QuotaExceeded):
        some.enter("j")


def test_an_address_of_version_6_counts_with_its_network() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("testclient") == "testclient"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scope": "key", "requests": 1}, "is of caller_key, user, tenant, address"),
        ({"scope": "user"}, "limits nothing"),
        ({"scope": "user", "requests": 0}, "requests is 0"),
        ({"scope": "user", "concurrent": True}, "concurrent is True"),
        ({"scope": "user", "requests": 1, "period": "week"}, "one of minute, hour"),
        ({"scope": "user", "name": "", "requests": 1}, "name is ''"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        RequestLimit(**wrong)


@pytest.mark.parametrize(
    "wrong", [5, [5], "user", [RequestLimit("user", requests=1), RequestLimit("user", requests=2)]]
)
def test_limits_are_several_and_none_twice(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=r"RequestLimit|two request limits"):
        serve(helper(), limits=wrong)
