"""A memory in Milvus: what a crash leaves, and what is refused. The promises themselves are in `test_contract`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from callboard import Memory, MemoryFailed, MemoryUnavailable, MilvusMemoryStore, Owner

from .support import ANN, NOW, Words, texts


@pytest.fixture
def name() -> str:
    """Of the test's collections."""
    return f"t{uuid4().hex}"


class Crashed(Exception):
    """The process is gone."""


def crashing(store: MilvusMemoryStore, monkeypatch: pytest.MonkeyPatch, method: str, nth: int = 1) -> None:
    """Have the nth call of a method from now on raise, and not do its work."""
    real, calls = getattr(store, method), [0]

    def call(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth:
            raise Crashed
        return real(*args)

    monkeypatch.setattr(store, method, call)


async def test_what_was_added_is_there_when_it_is_opened_again(milvus: str, name: str) -> None:
    with Memory(MilvusMemoryStore(milvus, collection=name)) as memory:
        fact = await memory.add("Ann has a cat", owner=ANN, key="k")
    with Memory(MilvusMemoryStore(milvus, collection=name)) as memory:
        assert await memory.get(fact.id, owner=ANN) == fact
        assert await memory.add("again", owner=ANN, key="k") == fact
        assert texts(await memory.search("cat", owner=ANN)) == ["Ann has a cat"]


async def test_a_crash_in_the_middle_of_a_correction_is_made_up_for_when_it_is_opened(
    milvus: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MilvusMemoryStore(milvus, collection=name)
    with Memory(store) as memory:
        fact = await memory.add("Ann lives in Rome", owner=ANN, valid_from=NOW)
        crashing(store, monkeypatch, "_put", 2)
        with pytest.raises(MemoryFailed, match="Correct cannot be written: Crashed"):
            await memory.correct(fact.id, "Ann lives in Oslo", owner=ANN, key="c", at=NOW + 5)
    with Memory(MilvusMemoryStore(milvus, collection=name)) as memory:
        assert texts(await memory.facts(owner=ANN, at=NOW + 4)) == ["Ann lives in Rome"]
        assert texts(await memory.facts(owner=ANN, at=NOW + 5)) == ["Ann lives in Oslo"]
        again = await memory.correct(fact.id, "Ann lives in Oslo", owner=ANN, key="c", at=NOW + 5)
        assert [one["id"] for one in await memory.export(owner=ANN)] == [fact.id, again.id]


async def test_a_crash_between_vectors_and_facts_leaves_nothing_to_be_found(
    milvus: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MilvusMemoryStore(milvus, collection=name)
    with Memory(store, embedder=Words("cat")) as memory:
        await memory.add("the first cat", owner=ANN)
        crashing(store, monkeypatch, "_put")
        with pytest.raises(MemoryFailed):
            await memory.add_all(["a cat", "another cat"], owner=ANN, key="k")
        assert texts(await memory.search("cat", owner=ANN)) == ["the first cat"]
        assert len(await memory.add_all(["a cat", "another cat"], owner=ANN, key="k")) == 2
        assert len(await memory.search("cat", owner=ANN)) == 3


async def test_what_does_not_fit_is_refused_by_name(milvus: str, name: str) -> None:
    with Memory(MilvusMemoryStore(milvus, collection=name)) as memory:
        with pytest.raises(MemoryFailed, match="bytes, and Milvus keeps 65,000"):
            await memory.add("x" * 65_000, owner=ANN)
        fact = await memory.add("東京" * 9_000, owner=ANN)
        assert await memory.get(fact.id, owner=ANN) == fact


async def test_whatever_an_owner_is_called_it_sees_its_own(milvus: str, name: str) -> None:
    owners = [Owner(f'" or place > {n} or owner == "', "\\\n") for n in range(3)]
    with Memory(MilvusMemoryStore(milvus, collection=name)) as memory:
        for owner in owners:
            await memory.add(f"the note of {owner}", owner=owner, source='"', key='" or 1 == 1', kind='"')
        for owner in owners:
            assert texts(await memory.search("note", owner=owner, kind='"')) == [f"the note of {owner}"]


@pytest.mark.parametrize("wrong", ["", "a b", "1a", "a" * 300, 'a"'])
def test_a_collection_that_cannot_be_is_refused(wrong: str) -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(ValueError, match="a collection's name has letters"):
        MilvusMemoryStore("m.db", collection=wrong)


def test_where_the_client_is_not_installed_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MemoryUnavailable, match=r"pip install 'callboard\[milvus\]'"):
        MilvusMemoryStore("m.db")


def test_no_password_is_in_a_repr() -> None:
    pytest.importorskip("pymilvus")
    store = MilvusMemoryStore("http://ann:swordfish@localhost:1", token="ann:swordfish")
    assert "swordfish" not in repr(store) + str(store)


async def test_the_server_of_a_file_is_not_told_unasked_that_one_is_still_there(
    milvus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the connection of a memory that was idle for 40 s ("too many pings"), and who opened another one just
    then was told that there is no server."""
    grpc, opened = pytest.importorskip("grpc"), []
    real = grpc.insecure_channel

    def channel(target: str, *, options: list[tuple[str, Any]]) -> Any:
        opened.append(dict(options))
        return real(target, options=options)

    monkeypatch.setattr(grpc, "insecure_channel", channel)
    with Memory(MilvusMemoryStore(str(tmp_path / "m.db"))) as memory:
        await memory.add("Ann loves tea", owner=ANN)
    assert opened
    assert [options["grpc.keepalive_permit_without_calls"] for options in opened] == [False] * len(opened)


def test_a_server_that_one_does_not_get_into_again_is_tried_again() -> None:
    exceptions = pytest.importorskip("pymilvus.exceptions")
    store = MilvusMemoryStore("m.db")
    assert store.is_transient(exceptions.MilvusException(code=2, message="Fail connecting to server"))
    assert not store.is_transient(exceptions.MilvusException(code=1100, message="a field is missing"))
