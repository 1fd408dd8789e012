"""Journals: what was appended is there, in order, also after the file is opened again."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.journal import JournalError, MemoryJournal
from callboard.actors.journal.sqlite import COMPACT_AFTER, SqliteJournal


def encode(event: Any) -> bytes:
    return json.dumps(event).encode()


def opened(path: Path) -> SqliteJournal:
    return SqliteJournal(path, encode, json.loads)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def test_events_are_there_in_order_at_once_and_after_opening_again(path: Path) -> None:
    journal = opened(path)
    journal.append("a", [1, 2])
    journal.append("b", ["x"])
    done = journal.append("a", [3])
    assert list(journal.load("a")) == [1, 2, 3]
    await done
    journal.close()
    again = opened(path)
    assert list(again.load("a")) == [1, 2, 3]
    assert again.streams() == ["a", "b"]
    assert again.session == journal.session + 1
    again.append("a", [4])
    again.close()
    third = opened(path)
    assert list(third.load("a")) == [1, 2, 3, 4]
    third.close()


async def test_closing_commits_what_nobody_waited_for(path: Path) -> None:
    journal = opened(path)
    for number in range(1000):
        journal.append("a", [number])
    journal.close()
    again = opened(path)
    assert list(again.load("a")) == list(range(1000))
    again.close()


async def test_a_dropped_stream_is_gone_and_may_begin_anew(path: Path) -> None:
    journal = opened(path)
    journal.append("a", [1])
    journal.drop("a")
    assert list(journal.load("a")) == []
    journal.append("a", [2])
    journal.close()
    again = opened(path)
    assert list(again.load("a")) == [2]
    again.drop("a")
    again.drop("never")
    again.close()
    third = opened(path)
    assert third.streams() == []
    third.close()


async def test_many_events_give_way_to_a_snapshot(path: Path) -> None:
    journal = opened(path)
    journal.append("a", [0])
    journal.compact("a", ["too early"])
    assert list(journal.load("a")) == [0]
    journal.append("a", list(range(COMPACT_AFTER)))
    journal.compact("a", ["snapshot", "and more"])
    journal.append("a", ["after"])
    assert list(journal.load("a")) == ["snapshot", "and more", "after"]
    journal.close()
    again = opened(path)
    assert list(again.load("a")) == ["snapshot", "and more", "after"]
    again.close()


async def test_an_event_that_cannot_be_written_fails_by_name_and_so_does_what_follows(path: Path) -> None:
    journal = opened(path)
    good = journal.append("a", [1])
    await good
    with pytest.raises(JournalError):
        await journal.append("a", [object()])
    with pytest.raises(JournalError):
        await journal.append("a", [2])
    journal.close()
    again = opened(path)
    assert list(again.load("a")) == [1]
    again.close()


def test_a_file_that_is_no_journal_is_refused_by_name(path: Path) -> None:
    path.write_text("not a database, and long enough to be looked at as one " * 20)
    with pytest.raises(JournalError, match=path.name):
        opened(path)


async def test_an_event_that_cannot_be_read_is_an_error_that_names_the_stream(path: Path) -> None:
    journal = opened(path)
    journal.append("a", [1])
    journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET data = x'ff'")
    connection.close()
    again = opened(path)
    with pytest.raises(JournalError, match="cannot read a"):
        again.load("a")
    again.close()


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["append", "drop", "compact", "reopen"]), st.sampled_from("ab"), st.integers()),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
async def test_both_journals_hold_the_same_whatever_is_done(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.db"
    memory = MemoryJournal()
    file = opened(path)
    for kind, stream, value in actions:
        if kind == "reopen":
            file.close()
            file = opened(path)
        elif kind == "drop":
            memory.drop(stream)
            file.drop(stream)
        elif kind == "append":
            memory.append(stream, [value] * 40)
            file.append(stream, [value] * 40)
        elif len(memory.load(stream)) > COMPACT_AFTER:
            memory.compact(stream, [value, value])
            file.compact(stream, [value, value])
        assert sorted(file.streams()) == sorted(memory.streams())
        assert list(file.load("a")) == list(memory.load("a"))
        assert list(file.load("b")) == list(memory.load("b"))
    file.close()
