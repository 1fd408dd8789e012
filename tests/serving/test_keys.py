"""Keys that are given out: what they open, for how long, in every worker; and that nobody is told more than that."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, ApiKeys, Caller, MemoryJournal, Retention, SqliteJournal
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.serving.who.keys import UnknownKey

from .support import Served, served, speaker

ASKED: dict[str, Any] = {"model": "Helper", "messages": [{"role": "user", "content": "hi"}]}


def helper(**options: Any) -> Agency:
    return Agency(Agent("Helper"), model=speaker(), **options)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def asks(at: Served, headers: dict[str, str] | list[tuple[str, str]]) -> int:
    async with at.client() as client:
        return (await client.post("/v1/chat/completions", json=ASKED, headers=headers)).status_code


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_opens_what_no_key_or_a_wrong_one_does_not_and_every_refusal_is_the_same() -> None:
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada", name="laptop")
    revoked = await keys.add(user="ada", name="old")
    await keys.revoke("old")
    other = await keys.add(user="bob", name="bobs")
    wrong: list[Any] = [
        {},
        {"authorization": "Bearer"},
        bearer("sk-what"),
        bearer(key[:-1]),
        bearer(key + "x"),
        bearer("cb_laptop_" + "A" * 43),
        bearer("cb_nobody_" + key[-43:]),
        bearer("cb_bobs_" + key[-43:]),
        bearer("cb_../laptop_" + key[-43:]),
        bearer(revoked),
        {"authorization": f"Basic {key}"},
        {"authorization": key},
        [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {other}")],
        {b"authorization": "Bearer cb_é_é".encode()},
        bearer("." * 60_000),
    ]
    answers = set()
    async with served(helper(), authenticate=keys) as at, at.client() as client:
        assert await asks(at, bearer(key)) == 200
        assert await asks(at, {"authorization": f"bearer  {key}"}) == 200
        for headers in wrong:
            answer = await client.post("/v1/chat/completions", json=ASKED, headers=headers)
            assert answer.status_code in (401, 431), headers
            if answer.status_code == 401:
                answers.add((answer.text, answer.headers["www-authenticate"]))
    ((said, scheme),) = answers
    assert scheme == "Bearer"
    assert "give the key or token that you were given" in said


async def test_a_revoked_or_expired_key_opens_nothing_from_the_next_request_on_in_other_workers_too(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "keys.db", Clock()
    here, there = ApiKeys(path, clock=clock), ApiKeys(path, clock=clock)
    key = await here.add(user="ada", name="a")
    lasting = await here.add(user="ada", expires_at=2_000.0)
    async with served(helper(), authenticate=there) as at:
        assert (await asks(at, bearer(key)), await asks(at, bearer(lasting))) == (200, 200)
        await here.revoke("a")
        assert await asks(at, bearer(key)) == 401
        clock.now = 2_000.0
        assert await asks(at, bearer(lasting)) == 401
    here.close()
    there.close()


async def test_keys_of_an_agencys_own_journal_outlive_the_process_and_retention(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    keys = ApiKeys(path)
    key = await keys.add(user="ada", tenant="acme", scopes=["sales", "owner"], name="laptop")
    keys.close()
    with closing(SqliteJournal(path, RunCodec())) as journal:
        await journal.prune(Retention(finished=0.0, ephemeral=0.0))
    keys = ApiKeys(path)
    async with served(helper(journal=path), authenticate=keys) as at:
        assert await asks(at, bearer(key)) == 200
        (kept,) = await keys.list()
        assert kept.caller == Caller("ada", "acme", frozenset({"sales", "owner"}), "laptop")
        assert (kept.name, kept.caller.key, kept.expires_at, kept.revoked_at) == ("laptop", "laptop", None, None)
    with closing(sqlite3.connect(path)) as file:
        everything = "\n".join(file.iterdump())
    assert key not in everything
    assert key[-43:] not in everything
    assert "laptop" in everything


async def test_what_is_changed_at_the_same_moment_is_changed_once(tmp_path: Path) -> None:
    here, there = ApiKeys(tmp_path / "k.db"), ApiKeys(tmp_path / "k.db")
    made = await asyncio.gather(
        *(keys.add(user="ada", name="one") for keys in (here, here, there, there)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in made) == ["DefinitionError"] * 3 + ["str"]
    await asyncio.gather(*(keys.revoke("one") for keys in (here, here, there, there)))
    (key,) = await there.list()
    assert key.revoked_at is not None
    here.close()
    there.close()


async def test_keys_are_listed_by_user_and_tenant() -> None:
    keys = ApiKeys(MemoryJournal())
    for user, tenant in (("ada", "acme"), ("ada", "other"), ("bob", "acme")):
        await keys.add(user=user, tenant=tenant, name=f"{user}-{tenant}")
    assert [key.name for key in await keys.list()] == ["ada-acme", "ada-other", "bob-acme"]
    assert [key.name for key in await keys.list(user="ada")] == ["ada-acme", "ada-other"]
    assert [key.name for key in await keys.list(user="ada", tenant="acme")] == ["ada-acme"]
    assert await keys.list(tenant="nobody's") == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"user": ""}, "user is ''"),
        ({"user": 5}, "user is 5"),
        ({"user": "ada", "tenant": 5}, "user and tenant are texts"),
        ({"user": "ada", "scopes": [""]}, "scope is a text"),
        ({"user": "ada", "scopes": [5]}, "scope is a text"),
        ({"user": "ada", "name": "A_b"}, "cannot name a key"),
        ({"user": "ada", "name": "x" * 49}, "cannot name a key"),
        ({"user": "ada", "expires_at": 1.0}, "has expired already"),
        ({"user": "ada", "expires_at": "never"}, "expires_at is 'never'"),
    ],
)
async def test_a_key_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    keys = ApiKeys(MemoryJournal())
    with pytest.raises(DefinitionError, match=said):
        await keys.add(**wrong)
    assert await keys.list() == ()


async def test_what_is_revoked_is_named_not_shown() -> None:
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada")
    with pytest.raises(DefinitionError, match="takes a key's name") as refused:
        await keys.revoke(key)
    assert key[-43:] not in str(refused.value)
    for nobodys in ("nobody", "", "*", "a/b"):
        with pytest.raises(UnknownKey):
            await keys.revoke(nobodys)
    with pytest.raises(DefinitionError, match="a journal"):
        ApiKeys("")
    assert repr(ApiKeys("postgresql://me:secret@there/db")) == "ApiKeys()"


async def test_where_nobody_can_say_whose_a_key_is_nobody_is_let_in(caplog: pytest.LogCaptureFixture) -> None:
    journal = MemoryJournal()
    keys = ApiKeys(journal)
    key = await keys.add(user="ada")
    async with served(helper(), authenticate=keys) as at, at.client() as client:
        journal.close()
        answer = await client.post("/v1/chat/completions", json=ASKED, headers=bearer(key))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
    assert key not in answer.text + caplog.text


async def test_no_key_stands_in_a_log_whatever_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def fails(connection: Any) -> Any:
        raise ValueError("of the application's own")

    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada")
    async with served(helper(), authenticate=[keys, fails]) as at:
        assert await asks(at, bearer(key)) == 200
        assert await asks(at, bearer(key[:-3])) == 500
    assert "of the application's own" in caplog.text
    assert key[-43:-3] not in caplog.text
    assert "Bearer" not in caplog.text


async def test_a_key_whose_record_is_damaged_opens_nothing_and_is_told_as_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ApiKeys(tmp_path / "team.db")
    key = await keys.add(user="ada", name="laptop")
    with closing(sqlite3.connect(tmp_path / "team.db")) as database, database:
        assert database.execute("UPDATE events SET data = '{'").rowcount == 1
    async with served(helper(), authenticate=keys) as at:
        assert await asks(at, bearer(key)) == 401
    assert "the key laptop opens nothing" in caplog.text
    keys.close()
