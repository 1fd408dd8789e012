"""Looking a journal in PostgreSQL over, and putting it right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from callboard.actors.journal import EventNotReadable, JournalUnavailable, Retention
from callboard.actors.journal.backend import Acquire, Acquired, Append, KeepSnapshot, Leave, Prune, Release
from callboard.actors.journal.postgres import check, repair, vacuum
from callboard.actors.journal.postgres.backend import PostgresBackend
from callboard.actors.journal.problems import Problem
from tests.postgres import Server

from .postgres_worker import Plain


@pytest.fixture
def filled(postgres: Server, schema: str) -> PostgresBackend:
    """A journal with the streams a to e of three events each."""
    backend = PostgresBackend(postgres.url, schema)
    backend.prepare()
    event = Plain().encode
    for stream in "abcde":
        appended = Append(
            stream, stream, "w", 1, 0, (event(1), event(2), event(3)), True, {"of": stream}, (f"key {stream}",)
        )
        kept = KeepSnapshot(stream, "w", 1, 2, event("snapshot"))
        backend.write([Acquire(stream, "w"), appended, kept, Release(stream, "w", 1), Leave(stream, event("post"))])
    backend.close()
    return backend


def test_a_sound_journal_has_no_problems_and_repairing_changes_nothing(
    postgres: Server, schema: str, filled: PostgresBackend
) -> None:
    before = filled.headers("", None, False, {}, "", None)
    assert check(postgres.url, Plain(), schema=schema) == []
    assert repair(postgres.url, Plain(), schema=schema) == []
    vacuum(postgres.url, schema=schema)
    assert filled.headers("", None, False, {}, "", None) == before
    filled.close()


def test_each_problem_is_named_and_put_right_or_set_aside(
    postgres: Server, schema: str, filled: PostgresBackend
) -> None:
    for damage in (
        "DELETE FROM {s}.events WHERE stream = 'a' AND version = 2",
        "UPDATE {s}.events SET type = 'unknown' WHERE stream = 'b' AND version = 1",
        "UPDATE {s}.streams SET version = 7 WHERE name = 'c'",
        "DELETE FROM {s}.streams WHERE name = 'd'",
        "UPDATE {s}.snapshots SET version = 9 WHERE stream = 'e'",
        "UPDATE {s}.snapshots SET type = 'unknown' WHERE stream = 'c'",
        "UPDATE {s}.streams SET labels = '{{\"of\": 1}}' WHERE name = 'e'",
        "UPDATE {s}.posts SET type = 'unknown' WHERE stream = 'e'",
        "INSERT INTO {s}.keys VALUES ('lost', 'nobody')",
    ):
        postgres.execute(damage.format(s=schema))
    problems = [
        Problem("a", "1 of 3 events are missing"),
        Problem("c", "its header says version 7, its last event is 3"),
        Problem("d", "there are 3 events and no header"),
        Problem("e", "its labels are no texts by name"),
        Problem("d", "its snapshot stands for 2 events, and there are less"),
        Problem("e", "its snapshot stands for 9 events, and there are less"),
        Problem("d", "the key key d belongs to a stream that does not exist"),
        Problem("nobody", "the key lost belongs to a stream that does not exist"),
        Problem("b", "its event 1 (unknown) cannot be read: LookupError('no unknown')"),
        Problem("c", "its snapshot 2 (unknown) cannot be read: LookupError('no unknown')"),
        Problem("e", "its post 5 (unknown) cannot be read: LookupError('no unknown')"),
    ]

    def named(found: list[Problem]) -> list[Problem]:
        assert all(problem.remedy for problem in found)
        return [problem._replace(remedy="") for problem in found]

    assert named(check(postgres.url, Plain(), schema=schema)) == problems
    assert named(check(postgres.url, schema=schema)) == problems[:8]
    assert named(repair(postgres.url, Plain(), schema=schema)) == problems
    left = [problems[0], problems[8], problems[10]]
    assert named(check(postgres.url, Plain(), schema=schema)) == left
    headers = {header.name: header for header in filled.headers("", None, False, {}, "", None)}
    assert {name: header.damaged for name, header in headers.items()} == {
        "a": problems[0].text,
        "b": problems[8].text,
        "c": "",
        "d": "",
        "e": "",
    }
    assert [header.name for header in filled.headers("", True, False, {}, "", None)] == ["c", "d", "e"]
    assert {name: header.version for name, header in headers.items()} == dict.fromkeys("abcde", 3)
    assert [filled.snapshot(stream) is None for stream in "abcde"] == [False, False, True, False, True]
    assert [filled.find(key) for key in ("key a", "key d", "lost")] == ["a", "d", None]
    filled.close()


def test_what_is_damaged_is_not_pruned_and_is_no_longer_so_once_it_can_be_read(
    postgres: Server, schema: str, filled: PostgresBackend
) -> None:
    postgres.execute(f"UPDATE {schema}.events SET type = 'unknown' WHERE stream = 'b' AND version = 1")
    postgres.execute(f"UPDATE {schema}.streams SET unfinished = false")
    repair(postgres.url, Plain(), schema=schema)
    assert filled.write([Prune(Retention(finished=0, ephemeral=None))]) == [4]
    repair(postgres.url, schema=schema)
    (header,) = filled.headers("", None, False, {}, "", None)
    assert "unknown" in header.damaged
    postgres.execute(f"UPDATE {schema}.events SET type = 'plain'")
    repair(postgres.url, Plain(), schema=schema)
    (header,) = filled.headers("", None, False, {}, "", None)
    assert header.damaged == ""
    filled.close()


def no_threes(stream: str, events: Sequence[Any]) -> None:
    """A fold that takes only what does not hold a three."""
    if 3 in events and stream == "b":
        raise ValueError("three is too much")


def test_a_stream_whose_events_do_not_fit_together_is_set_aside(
    postgres: Server, schema: str, filled: PostgresBackend
) -> None:
    (problem,) = check(postgres.url, Plain(), no_threes, schema=schema)
    assert problem[:2] == ("b", "its events do not fit together: ValueError: three is too much")
    assert repair(postgres.url, Plain(), no_threes, schema=schema) == [problem]
    assert [header.name for header in filled.headers("", True, False, {}, "", None)] == ["a", "c", "d", "e"]
    assert repair(postgres.url, Plain(), schema=schema) == []
    assert [header.name for header in filled.headers("", True, False, {}, "", None)] == ["a", "b", "c", "d", "e"]
    filled.close()


@pytest.mark.parametrize("look", [check, repair, vacuum])
def test_where_there_is_no_journal_there_is_nothing_to_look_at(postgres: Server, schema: str, look: Any) -> None:
    with pytest.raises(JournalUnavailable, match=f"no journal in the schema {schema}"):
        look(postgres.url, schema=schema)
    with pytest.raises(JournalUnavailable) as refused:
        look("postgresql://me:open-sesame@127.0.0.1:1/callboard", schema=schema)
    assert "sesame" not in str(refused.value)


def test_a_stream_whose_header_does_not_fit_its_events_is_not_taken_over_until_it_is_repaired(
    postgres: Server, schema: str, filled: PostgresBackend
) -> None:
    postgres.execute(f"DELETE FROM {schema}.streams WHERE name = 'a'")
    postgres.execute(f"UPDATE {schema}.streams SET version = 2 WHERE name = 'b'")
    lost, wrong, sound = filled.write([Acquire(stream, "w") for stream in "abc"])
    assert isinstance(lost, EventNotReadable)
    assert str(lost).startswith("the header of a says version 0, its last event is 3")
    assert isinstance(wrong, EventNotReadable)
    assert isinstance(sound, Acquired)
    repair(postgres.url, Plain(), schema=schema)
    mended = filled.write([Acquire(stream, "w") for stream in "ab"])
    assert [one.version for one in mended if isinstance(one, Acquired)] == [3, 3]
    filled.close()
