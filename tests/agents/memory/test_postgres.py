"""A memory on a PostgreSQL server: several at once, a server that goes away, and what is refused."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from callboard import Memory, MemoryFailed, MemoryUnavailable, Owner, PostgresMemoryStore
from tests.postgres import Server

from .support import ANN, texts

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@pytest.fixture
def store(postgres: Server, schema: str) -> Any:
    """Makes a store of a process's own, on one schema."""
    return partial(PostgresMemoryStore, postgres.url, schema=schema)


async def test_what_one_memory_changes_another_sees(store: Any) -> None:
    with Memory(store()) as one, Memory(store()) as other:
        fact = await one.add("Ann has a cat", owner=ANN)
        assert texts(await other.search("cat", owner=ANN)) == ["Ann has a cat"]
        await other.correct(fact.id, "Ann has two cats", owner=ANN)
        assert texts(await one.search("cats", owner=ANN)) == ["Ann has two cats"]
        await one.erase(owner=ANN)
        assert await other.search("cats", owner=ANN) == []


async def test_of_several_memories_with_one_key_one_adds(store: Any) -> None:
    with Memory(store()) as one, Memory(store()) as other:
        facts = await asyncio.gather(
            *(memory.add(f"{number}", owner=ANN, key="k") for number in range(20) for memory in (one, other))
        )
        assert len({fact.id for fact in facts}) == len(await one.facts(owner=ANN)) == 1


class Recorded(PostgresMemoryStore):
    """Remembers what it has asked the server."""

    asked: list[tuple[str, Any]]

    def _run(self, on: str, text: str, arguments: Any = ()) -> list[tuple[Any, ...]]:
        self.asked.append((text, arguments))
        return super()._run(on, text, arguments)


def rows_looked_at(plan: dict[str, Any]) -> float:
    """By all parts of a plan that was carried out."""
    own: float = plan["Actual Rows"] * plan["Actual Loops"]
    return own + sum(rows_looked_at(part) for part in plan.get("Plans", ()))


async def test_a_search_looks_at_each_fact_some_few_times_also_where_the_server_has_not_counted_them_yet(
    postgres: Server, schema: str
) -> None:
    import psycopg

    store = Recorded(postgres.url, schema=schema)
    store.asked = []
    with Memory(store) as memory:
        await memory.add_all([f"fact {number} about tea" for number in range(500)], owner=ANN)
        store.asked.clear()
        assert len(await memory.search("tea fact", owner=ANN)) == 10
        searches = [(text, values) for text, values in store.asked if "LIMIT %(depth)s" in text]
        assert len(searches) == 2, "by words, and by nearness"
        with psycopg.connect(postgres.url) as connection:
            for text, values in searches:
                query = b"EXPLAIN (ANALYZE, FORMAT JSON) " + store._tables.query(text)
                ((found,),) = psycopg.ClientCursor(connection).execute(query, values).fetchall()
                assert rows_looked_at(found[0]["Plan"]) < 50 * 500


async def test_memories_in_different_schemas_do_not_meet(postgres: Server, schema: str) -> None:
    try:
        with (
            Memory(PostgresMemoryStore(postgres.url, schema=schema)) as one,
            Memory(PostgresMemoryStore(postgres.url, schema=f'{schema} "%s')) as other,
        ):
            await one.add("Ann has a cat", owner=ANN)
            assert await other.search("cat", owner=ANN) == []
            assert await other.export(owner=ANN) == []
    finally:
        postgres.execute(f'DROP SCHEMA IF EXISTS "{schema} ""%%s" CASCADE')


async def test_connections_that_are_cut_are_made_anew_and_nothing_is_lost_or_there_twice(
    postgres: Server, store: Any
) -> None:
    with Memory(store()) as memory:
        for number in range(6):
            await memory.add(f"before {number}", owner=ANN)
            await memory.search("before", owner=ANN)
            postgres.execute(CUT)
            await memory.add(f"after {number}", owner=ANN)
            assert len(await memory.search(f"after {number}", owner=ANN)) > number
        kept = await memory.facts(owner=ANN)
        assert texts(kept) == [f"{when} {number}" for number in range(6) for when in ("before", "after")]


async def test_a_server_that_goes_down_is_waited_out(postgres: Server, store: Any) -> None:
    with Memory(store()) as memory:
        await memory.add("before", owner=ANN)
        with postgres.down():
            waiting = [asyncio.ensure_future(memory.add(f"meanwhile {n}", owner=ANN)) for n in range(3)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert sorted(texts(await memory.facts(owner=ANN))) == ["before", "meanwhile 0", "meanwhile 1", "meanwhile 2"]


async def test_a_batch_whose_outcome_was_not_learned_is_not_written_twice(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store()
    write = made.write
    lost: list[Any] = []

    def loses(batch: Any) -> Any:
        results = write(batch)
        if not lost:
            lost.append(batch)
            raise ConnectionError("the connection was lost after the commit")
        return results

    monkeypatch.setattr(made, "write", loses)
    with Memory(made) as memory:
        fact = await memory.add("Ann has a cat", owner=ANN)
        lost.clear()
        new = await memory.correct(fact.id, "Ann has two cats", owner=ANN)
        assert new.supersedes == fact.id
        assert [one["text"] for one in await memory.export(owner=ANN)] == ["Ann has a cat", "Ann has two cats"]


async def test_facts_can_be_read_with_plain_sql(postgres: Server, schema: str, store: Any) -> None:
    with Memory(store()) as memory:
        await memory.add("Ann has a cat", owner=ANN, metadata={"n": 1})
    rows = postgres.execute(f"SELECT text, \"user\", metadata->>'n' FROM {schema}.facts WHERE tenant = 'acme'")
    assert rows == [("Ann has a cat", "ann", "1")]


async def test_tables_that_are_gone_are_an_error_and_not_waited_for(postgres: Server, schema: str, store: Any) -> None:
    with Memory(store()) as memory:
        postgres.execute(f"DROP SCHEMA {schema} CASCADE")
        for attempt in (memory.add("Ann has a cat", owner=ANN), memory.facts(owner=ANN)):
            with pytest.raises(MemoryFailed, match="UndefinedTable"):
                await attempt


def test_what_is_no_memory_of_ours_is_refused(postgres: Server, schema: str, store: Any) -> None:
    postgres.execute(f"CREATE SCHEMA {schema} CREATE TABLE facts (x int)")
    with pytest.raises(MemoryUnavailable, match=f"the schema {schema} has tables that are no memory's"):
        Memory(store())


def test_a_newer_librarys_memory_is_refused(postgres: Server, schema: str, store: Any) -> None:
    Memory(store()).close()
    postgres.execute(f"UPDATE {schema}.memory SET version = 9")
    with pytest.raises(MemoryUnavailable, match="of version 9, this one knows version 1"):
        Memory(store())


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(MemoryUnavailable, match=r"nobody@127\.0\.0\.1:1") as raised:
        Memory("postgresql://nobody:swordfish@127.0.0.1:1/none")
    assert "swordfish" not in str(raised.value)
    with pytest.raises(MemoryUnavailable, match="no URL of PostgreSQL's"):
        Memory("postgresql://[")


@pytest.mark.parametrize("name", ["", "a\0", "x" * 64])
def test_a_schema_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a schema's name has 1 to 63 bytes"):
        PostgresMemoryStore("postgresql://localhost/x", schema=name)


async def test_which_words_tell_apart_is_seen_in_the_owners_facts(store: Any) -> None:
    with Memory(store()) as memory:
        await memory.add_all([f"common words number {number}" for number in range(1_000)], owner=Owner("much"))
        await memory.add_all(["the aquarium is common", "common words only"], owner=ANN)
        found = await memory.search("common aquarium", owner=ANN)
        assert texts(found) == ["the aquarium is common", "common words only"]
