"""A memory in a file: several at once, other programs' files, forks, what erasing leaves, and the end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    DefinitionError,
    Memory,
    MemoryClosed,
    MemoryFailed,
    MemoryUnavailable,
    Owner,
    SqliteJournal,
    SqliteMemoryStore,
    WrongFact,
)
from callboard.actors.agents.memory.stores import threads
from callboard.actors.agents.memory.stores.sqlite import reading, store
from callboard.actors.journal import JsonCodec
from tests.agents.support import until

from .support import ANN, Words, texts


async def test_what_was_added_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:
        fact = await memory.add("Ann has a cat", owner=ANN, key="k")
    with Memory(tmp_path / "m.db") as memory:
        assert await memory.get(fact.id, owner=ANN) == fact
        assert await memory.add("again", owner=ANN, key="k") == fact
        assert texts(await memory.search("cat", owner=ANN)) == ["Ann has a cat"]


async def test_what_one_memory_changes_another_on_the_same_file_sees(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as one, Memory(tmp_path / "m.db") as other:
        fact = await one.add("Ann has a cat", owner=ANN)
        assert texts(await other.search("cat", owner=ANN)) == ["Ann has a cat"]
        await other.correct(fact.id, "Ann has two cats", owner=ANN)
        assert texts(await one.search("cats", owner=ANN)) == ["Ann has two cats"]
        await one.erase(owner=ANN)
        assert await other.search("cats", owner=ANN) == []
        await other.add("Ann has a dog", owner=ANN)
        assert texts(await one.search("dogs", owner=ANN)) == ["Ann has a dog"]


async def test_of_two_memories_with_one_key_one_adds(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as one, Memory(tmp_path / "m.db") as other:
        facts = await asyncio.gather(
            *(memory.add(f"{number}", owner=ANN, key="k") for number in range(20) for memory in (one, other))
        )
        assert len({fact.id for fact in facts}) == len(await one.facts(owner=ANN)) == 1


async def test_a_memory_is_used_on_several_event_loops(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:

        def elsewhere() -> None:
            asyncio.run(memory.add("from another loop", owner=ANN))

        await asyncio.to_thread(elsewhere)
        assert texts(await memory.search("loop", owner=ANN)) == ["from another loop"]


async def test_nothing_of_what_is_erased_is_left_in_the_file(tmp_path: Path) -> None:
    gone = Owner("annabel", "acmecorp")
    with Memory(tmp_path / "m.db") as memory:
        await memory.add("the stay", owner=Owner("bob"))
        for number in range(50):
            await memory.add(f"swordfish{number}", owner=gone, source="herringmail", metadata={"x": "tunafish"})
        assert b"swordfish7" in _bytes(tmp_path)
        await memory.erase(owner=gone)
        left = _bytes(tmp_path)
        words = (b"swordfish", b"herringmail", b"tunafish", b"annabel", b"acmecorp")
        assert [word for word in words if word in left] == []
        assert texts(await memory.search("stay", owner=Owner("bob"))) == ["the stay"]


async def test_what_is_erased_while_somebody_reads_goes_once_they_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "CLEANS_UP", 0.01)
    monkeypatch.setattr(store, "BUSY", 0.01)
    with Memory(tmp_path / "m.db") as memory:
        await memory.add("swordfish", owner=ANN)
        reader = sqlite3.connect(tmp_path / "m.db")
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM facts").fetchone() == (1,)
        await memory.erase(owner=ANN)
        await memory.add("herring", owner=ANN)
        assert b"swordfish" in _bytes(tmp_path), "the reader may look at it"
        reader.close()
        await until(lambda: b"swordfish" not in _bytes(tmp_path))
        assert texts(await memory.facts(owner=ANN)) == ["herring"]


async def test_what_a_killed_process_has_erased_goes_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with Memory(tmp_path / "one" / "m.db") as memory:
        await memory.add("swordfish", owner=ANN)
        reader = sqlite3.connect(tmp_path / "one" / "m.db")
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM facts").fetchone() == (1,)
        await memory.erase(owner=ANN)
        for name in ("m.db", "m.db-wal"):  # what is there of it when the process is killed
            shutil.copy(tmp_path / "one" / name, tmp_path / "two" / name)
        reader.close()
    assert b"swordfish" in _bytes(tmp_path / "two")
    with Memory(tmp_path / "two" / "m.db"):
        await until(lambda: b"swordfish" not in _bytes(tmp_path / "two"))


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE facts SET metadata = '{' WHERE id = ?",
        "UPDATE facts SET metadata = '5' WHERE id = ?",
        "UPDATE facts SET labels = '5' WHERE id = ?",
        "UPDATE facts SET labels = '[5]' WHERE id = ?",
        "UPDATE facts SET text = x'ff' WHERE id = ?",
        "UPDATE facts SET valid_from = 'soon' WHERE id = ?",
    ],
)
async def test_a_damaged_fact_is_named_and_costs_no_other(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Memory(tmp_path / "m.db") as memory:
        await memory.add_all(["tea is green", "tea is black"], owner=ANN)
        bad = await memory.add("tea is white", owner=ANN, key="k")
    connection = sqlite3.connect(tmp_path / "m.db")
    connection.execute(damage, (bad.id,))
    connection.commit()
    connection.close()
    with Memory(tmp_path / "m.db") as memory:
        assert sorted(texts(await memory.search("tea", owner=ANN))) == ["tea is black", "tea is green"]
        assert len(await memory.export(owner=ANN)) == 2
        with pytest.raises(MemoryFailed, match=f"the fact '{bad.id}' is damaged"):
            await memory.get(bad.id, owner=ANN)
        with pytest.raises(MemoryFailed, match=f"the fact '{bad.id}' is damaged"):
            await memory.forget(bad.id, owner=ANN)
        assert f"the fact '{bad.id}' is damaged" in caplog.text
        assert "white" not in caplog.text
        assert await memory.erase(owner=ANN) == 3


async def test_a_damaged_vector_costs_that_fact_s_nearness_alone(tmp_path: Path) -> None:
    embedder = Words("felines")
    with Memory(tmp_path / "m.db", embedder=embedder) as memory:
        await memory.add("felines", owner=ANN)
        await memory.add("felines again", owner=ANN)
    connection = sqlite3.connect(tmp_path / "m.db")
    connection.execute("UPDATE vectors SET vector = x'00' WHERE place = (SELECT max(place) FROM vectors)")
    connection.commit()
    connection.close()
    with Memory(tmp_path / "m.db", embedder=embedder) as memory:
        assert sorted(texts(await memory.search("felines", owner=ANN))) == ["felines", "felines again"]


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", JsonCodec())
    journal.close()
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    (tmp_path / "text.db").write_text("no database, but quite a long text, so that it has a header of its own " * 20)
    for name in ("journal", "other", "text"):
        before = (tmp_path / f"{name}.db").read_bytes()
        with pytest.raises(MemoryUnavailable, match=rf"{name}\.db"):
            Memory(tmp_path / f"{name}.db")
        assert (tmp_path / f"{name}.db").read_bytes() == before


def test_a_newer_versions_file_is_refused(tmp_path: Path) -> None:
    Memory(tmp_path / "m.db").close()
    connection = sqlite3.connect(tmp_path / "m.db")
    connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(MemoryUnavailable, match="newer version of this library: its schema is 9"):
        Memory(tmp_path / "m.db")


@pytest.mark.parametrize("path", ["", "missing/folder/m.db", "nul\0l.db"])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(MemoryUnavailable, match="cannot open the memory"):
        Memory(str(tmp_path / path) if path else tmp_path)


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(WrongFact, match="a path, an address or a store, not int"):
        Memory(5)  # type: ignore[arg-type]
    with pytest.raises(WrongFact, match="kept at mysql://…: give it a path, or postgresql://…"):
        Memory("mysql://host/facts")


@pytest.mark.parametrize("cache", [-1, "much", 1.5, None, True])
def test_a_store_s_cache_is_a_number_of_bytes(cache: Any) -> None:
    with pytest.raises(DefinitionError, match="a memory in SQLite: cache is"):
        SqliteMemoryStore(":memory:", cache=cache)


@pytest.mark.parametrize("address", ["mysql://ann:secret@host/x", "sqlite:///memory.db"])
def test_an_address_that_leads_to_no_memory_is_refused_without_what_it_holds(address: str) -> None:
    with pytest.raises(WrongFact, match=r"give it a path, or postgresql://") as refused:
        Memory(address)
    assert "secret" not in str(refused.value)


async def test_a_closed_memory_says_so() -> None:
    memory = Memory()
    waiting = asyncio.ensure_future(memory.add("in time", owner=ANN))
    await asyncio.sleep(0)
    memory.close()
    memory.close()
    assert (await waiting).text == "in time"
    for attempt in (memory.add("late", owner=ANN), memory.search("late", owner=ANN)):
        with pytest.raises(MemoryClosed, match="the memory is closed"):
            await attempt
    assert "closed" in repr(memory)


def test_closing_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with Memory(tmp_path / "m.db"):
        assert threading.active_count() == before + 2
    assert threading.active_count() == before


def _forked(memory: Memory, path: Path, said: multiprocessing.SimpleQueue[str]) -> None:
    try:
        asyncio.run(memory.search("cat", owner=ANN))
    except MemoryClosed as error:
        said.put(str(error))
    try:
        Memory(path)
    except MemoryUnavailable as error:
        said.put(str(error))
    os._exit(0)


async def test_a_forked_process_is_refused_by_name(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with Memory(tmp_path / "m.db") as memory:
        await memory.add("Ann has a cat", owner=ANN)
        said = context.SimpleQueue()
        child = context.Process(target=_forked, args=(memory, tmp_path / "m.db", said))
        child.start()
        await asyncio.to_thread(child.join)
        assert "forked from" in said.get()
        assert "had" in said.get()
        assert texts(await memory.search("cat", owner=ANN)) == ["Ann has a cat"]


async def test_a_store_of_ones_own_with_a_small_cache_finds_the_same(tmp_path: Path) -> None:
    with Memory(SqliteMemoryStore(tmp_path / "m.db", cache=1)) as memory:
        owners = [Owner(f"u{number}") for number in range(5)]
        for owner in owners:
            await memory.add(f"the note of {owner.user}", owner=owner)
        for owner in [*owners, *owners]:
            assert texts(await memory.search("notes", owner=owner)) == [f"the note of {owner.user}"]
        assert len(await memory.search_all("notes")) == 5


async def test_a_search_among_many_facts_looks_for_the_rarest_words_and_finds_what_is_true(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "LARGE", 20)
    monkeypatch.setattr(reading, "MATCHES", 3)
    nearness = Words()
    nearness.fails = True
    with Memory(embedder=nearness) as memory:
        for number in range(60):
            kind = "fact" if number % 2 else "chunk"
            await memory.add(f"common note number{number} {'rare ' * (number > 57)}", owner=ANN, kind=kind)
        for search in (memory.search_all("common"), memory.search("common", owner=ANN)):
            assert len(await search) == 10, "the only word is looked for, however many have it"
        assert texts(await memory.search_all("common rare", limit=2)) == ["common note number59 rare "]
        assert set(texts(await memory.search("rare number7 common", owner=ANN))) == {
            "common note number59 rare ",
            "common note number7 ",
        }
        assert len(await memory.search_all("common", limit=100)) == 30
        assert len(await memory.search_all("common", limit=100, kind=None)) == 60
        assert await memory.search_all("unheard") == []
