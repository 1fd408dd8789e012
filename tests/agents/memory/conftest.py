"""A memory on each store."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from callboard import Memory, PostgresMemoryStore

from .support import Open

STORES = ("file", "ram", "postgres")


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens memories on one store."""
    made: list[Memory] = []
    store: Any = ":memory:" if request.param == "ram" else tmp_path / "memory.db"
    if request.param == "postgres":
        url, schema = request.getfixturevalue("postgres").url, request.getfixturevalue("schema")
        store = partial(PostgresMemoryStore, url, schema=schema)

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
