"""A memory on each store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from callboard import Memory, MilvusMemoryStore, PostgresMemoryStore
from tests.impatient import Impatient

from .support import Open

STORES = ("file", "ram", "postgres", "milvus")


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file of Milvus Lite, which is a server of its own."""
    pytest.importorskip("pymilvus", reason="needs pymilvus: pip install 'callboard[milvus]'")
    pytest.importorskip("milvus_lite", reason="needs Milvus: pip install milvus-lite")
    from pymilvus.client import grpc_handler

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpc_handler, "time", Impatient(time))  # it looks each 0.5 s whether an index is there
        yield str(tmp_path_factory.mktemp("milvus") / "memory.db")


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens memories on one store."""
    made: list[Memory] = []
    store: Any = ":memory:" if request.param == "ram" else tmp_path / "memory.db"
    if request.param == "postgres":
        url, schema = request.getfixturevalue("postgres").url, request.getfixturevalue("schema")
        store = partial(PostgresMemoryStore, url, schema=schema)

    if request.param == "milvus":
        store = partial(MilvusMemoryStore, request.getfixturevalue("milvus"), collection=f"t{uuid4().hex}")

    def open_it(**options: Any) -> Memory:
        made.append(Memory(store() if callable(store) else store, **options))
        return made[-1]

    yield open_it
    for memory in made:
        memory.close()


@pytest.fixture
def memory(opened: Open) -> Memory:
    """A memory with the embedder that needs no model."""
    return opened()
