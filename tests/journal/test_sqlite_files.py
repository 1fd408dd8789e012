"""Files: those of earlier and later versions, those that are no journals, and what is done about damage and size."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from callboard.actors.journal import EventNotReadable, JournalUnavailable, Retention
from callboard.actors.journal.codec import Encoded
from callboard.actors.journal.sqlite import check, repair, vacuum

from .support import Plain, kept, opened, owned, raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


# -- what version 0.1.0 wrote ------------------------------------------------------------------------------------------


def old(name: str, *values: Any) -> Any:
    return {"c": name, "v": list(values)}


def accepted(run: str) -> Any:
    return old("Accepted", old("Run", run, run, "agent", "1", {"t": []}))


def ended(run: str) -> Any:
    return old("Ended", run, old("Answer", "é😀", "agent", "1", run), None, None, False)


OLD_STREAMS: dict[str, list[Any]] = {
    "agent/done": [accepted("r1"), old("Begin", {"t": []}), ended("r1")],
    "agent/open": [accepted("r1"), ended("r1"), accepted("r2"), old("Begin", {"t": []})],
    "agent/again": [ended("r1"), accepted("r1")],
    "agent/snapshot": [old("Snapshot", {"t": []}, None, ended("r1"))],
    "agent/queued": [old("Snapshot", {"t": []}, None, ended("r1")), accepted("r2")],
    "agent/late": [accepted("r1"), old("Snapshot", {"t": []}, None, ended("r1"))],
    "agent/new": [old("Snapshot", {"t": []}, None, None)],
}
UNFINISHED = ["agent/again", "agent/open", "agent/queued"]


def size(path: Path) -> int:
    return path.stat().st_size


def listing(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def write_old(path: Path, streams: dict[str, list[Any]], *, first: int = 1) -> None:
    """A file as version 0.1.0 wrote it."""
    with raw(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(
            """
            CREATE TABLE IF NOT EXISTS events (
              id INTEGER PRIMARY KEY AUTOINCREMENT,
              stream TEXT NOT NULL,
              version INTEGER NOT NULL,
              data BLOB NOT NULL,
              UNIQUE (stream, version)
            );
            CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
            INSERT INTO meta VALUES ('session', 3);
            """
        )
        rows = [
            (stream, version, event if isinstance(event, bytes) else old_text(event).encode())
            for stream, events in streams.items()
            for version, event in enumerate(events, first)
        ]
        connection.executemany("INSERT INTO events (stream, version, data) VALUES (?, ?, ?)", rows)
        connection.execute("INSERT INTO events (stream, version, data) VALUES ('gone', 1, x'00')")
        connection.execute("DELETE FROM events WHERE stream = 'gone'")


def old_text(event: Any) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


async def test_a_file_of_version_0_1_0_opens_and_goes_on(path: Path) -> None:
    write_old(path, OLD_STREAMS)
    journal = opened(path)
    count = sum(map(len, OLD_STREAMS.values()))
    assert [header.name for header in await journal.headers()] == sorted(OLD_STREAMS)
    assert [header.name for header in await journal.headers(unfinished=True, abandoned=True)] == UNFINISHED
    assert await journal.position() == count + 1, "a position is never used again, not that of a deleted event either"
    for name, events in OLD_STREAMS.items():
        records = await journal.read(name)
        assert [(record.version, record.type, record.event) for record in records] == [
            (version, event["c"], event) for version, event in enumerate(events, 1)
        ]
    handle = await owned(journal, "agent/open")
    assert (handle.version, handle.events) == (4, OLD_STREAMS["agent/open"])
    await handle.append(["new"], unfinished=False)
    assert await kept(journal, "agent/open") == [*OLD_STREAMS["agent/open"], "new"]
    journal.close()

    with raw(path) as connection:
        assert dict(connection.execute("SELECT type, schema FROM events WHERE stream = 'agent/done'")) == {
            "Accepted": 0,
            "Begin": 0,
            "Ended": 0,
        }
        assert connection.execute("SELECT data FROM events WHERE stream = 'agent/late' AND version = 2").fetchone() == (
            old_text(OLD_STREAMS["agent/late"][1]),
        )
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables.isdisjoint({"meta", "events_of_0_1_0"})
    assert check(path, Plain()) == []

    again = opened(path)
    assert [header.name for header in await again.headers(unfinished=True)] == ["agent/again", "agent/queued"]
    again.close()


async def test_old_streams_may_begin_with_the_snapshot_that_stands_for_the_rest(path: Path) -> None:
    write_old(path, OLD_STREAMS, first=70)
    journal = opened(path)
    handle = await owned(journal, "agent/queued")
    assert (handle.version, handle.events) == (71, OLD_STREAMS["agent/queued"])
    await handle.append(["new"])
    journal.close()
    assert check(path, Plain()) == []
    again = opened(path)
    assert (await owned(again, "agent/queued")).events == [*OLD_STREAMS["agent/queued"], "new"]
    again.close()


async def test_a_damaged_row_of_version_0_1_0_is_carried_over_and_named(path: Path) -> None:
    cut = old_text(accepted("r1")).encode()[:-4]
    write_old(path, {"agent/cut": [cut], "agent/text": [b"\xff\xfe"], **OLD_STREAMS})
    journal = opened(path)
    assert [header.name for header in await journal.headers(unfinished=True)] == UNFINISHED
    damaged = {header.name: header.damaged for header in await journal.headers() if header.damaged}
    assert sorted(damaged) == ["agent/cut", "agent/text"]
    assert all("event 1 cannot be read" in text for text in damaged.values()), damaged
    for name in damaged:
        with pytest.raises(EventNotReadable, match=name):
            await owned(journal, name)
    journal.close()


def test_a_migration_that_fails_leaves_the_old_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from callboard.actors.journal.sqlite import migration

    write_old(path, OLD_STREAMS)

    def full(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(migration, "type_of", full)
        with pytest.raises(JournalUnavailable, match=r"journal\.db"):
            opened(path)
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (sum(map(len, OLD_STREAMS.values())),)
        assert connection.execute("SELECT value FROM meta").fetchone() == (3,)
    opened(path).close()


# -- what is refused ---------------------------------------------------------------------------------------------------


def newer(path: Path) -> None:
    opened(path).close()
    with raw(path) as connection:
        connection.execute("PRAGMA user_version=99")


def text(path: Path) -> None:
    path.write_text("not a database, and long enough to be looked at as one " * 20)


def another_database(path: Path) -> None:
    with raw(path) as connection:
        connection.execute("CREATE TABLE events (id INTEGER, what TEXT)")


def no_folder(path: Path) -> None:
    path.with_name("journal.db").unlink(missing_ok=True)
    path.parent.rmdir()


def no_folder_but_a_file(path: Path) -> None:
    no_folder(path)
    path.parent.write_text("no folder")


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "journal.db")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (newer, "newer version of this library: its schema is 99, this one knows 1"),
        (text, "not a database"),
        (another_database, "is a database of something else"),
        (Path.mkdir, "it is a folder; name a file in it"),
        (no_folder, "there is no folder .*: make it"),
        (no_folder_but_a_file, "is a file, where a folder is needed"),
        (a_link_to_nowhere, "unable to open"),
    ],
)
def test_what_is_no_journal_of_ours_is_refused_by_name(path: Path, make: Callable[[Path], None], words: str) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(JournalUnavailable, match=words) as error:
        opened(path)
    assert str(path) in str(error.value)
    assert not path.with_name("journal.db-workers").exists()
    if make in (text, another_database):
        assert path.read_bytes() == before, "it is left as it is"
    for look in (check, repair, vacuum):
        with pytest.raises(JournalUnavailable, match=r"journal\.db"):
            look(path)


@pytest.mark.parametrize("options", [{"synchronous": "SOMETIMES"}, {"lease": 0.0}, {"lease": float("nan")}])
def test_an_option_that_makes_no_sense_is_refused(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        opened(path, **options)
    assert not path.exists()


async def test_the_file_is_found_although_the_working_directory_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    journal = opened("journal.db")
    (path.parent / "elsewhere").mkdir()
    monkeypatch.chdir(path.parent / "elsewhere")
    assert await journal.append("a", [1]) == 1
    journal.close()
    assert [file.name for file in listing(path.parent)] == ["elsewhere", "journal.db"]


# -- size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["delete", "prune", "drop"])
async def test_the_file_shrinks_when_streams_are_deleted(path: Path, way: str) -> None:
    journal = opened(path)
    names = [f"s{number:04}" for number in range(600)]
    for name in names:
        journal.append(name, ["x" * 3_000] * 3)
    keeper = await owned(journal, "keeper")
    await keeper.append(["kept"])
    journal.close()
    before = size(path)
    assert before > 5_000_000
    journal = opened(path)
    if way == "delete":
        await journal.delete(*names)
    elif way == "prune":
        assert await journal.prune(Retention(finished=3600.0)) == 0
        assert await journal.prune(Retention(finished=0.0)) == 601
    else:
        await (await owned(journal, "keeper")).append([], drop=names)
    journal.close()
    assert size(path) < before / 5
    assert check(path) == []


def test_vacuum_gives_back_what_is_free(path: Path) -> None:
    opened(path).close()
    with raw(path) as connection:
        connection.execute("CREATE TABLE much (x TEXT)")
        connection.execute("INSERT INTO much VALUES (hex(randomblob(2000000)))")
        connection.execute("DROP TABLE much")
    before = size(path)
    vacuum(path)
    assert size(path) < before / 5


# -- check and repair --------------------------------------------------------------------------------------------------


async def fill(path: Path) -> None:
    journal = opened(path)
    for name in "abc":
        handle = await owned(journal, name)
        await handle.append([1, 2], unfinished=True, labels={"is": name}, keys=[f"key of {name}"])
        handle.keep_snapshot("both")
        await handle.append([3])
    await journal.post("c", "hello")
    journal.close()


DAMAGES = {
    "UPDATE streams SET version = 7 WHERE name = 'a'": "its header says version 7, its last event is 3",
    "UPDATE streams SET version = 2 WHERE name = 'a'": "its header says version 2, its last event is 3",
    "DELETE FROM streams WHERE name = 'a'": "there are 3 events and no header",
    "UPDATE streams SET labels = '[' WHERE name = 'a'": "its labels are no texts by name",
    "UPDATE snapshots SET data = '{' WHERE stream = 'a'": "its snapshot 2 .str. cannot be read",
    "UPDATE snapshots SET version = 4 WHERE stream = 'a'": "its snapshot stands for 4 events, and there are less",
    "INSERT INTO keys VALUES ('k', 'a long gone')": "the key k belongs to a stream that does not exist",
    "INSERT INTO streams SELECT 'a0', 5, 0, '', 1, '{}', '', 0, 0": "its header says version 5, and there are no",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_is_wrong_around_the_events_is_found_and_put_right(path: Path, damage: str) -> None:
    await fill(path)
    assert check(path, Plain()) == []
    with raw(path) as connection:
        connection.execute(damage)
    (problem,) = check(path, Plain())
    assert problem.stream.startswith("a")
    assert re.match(DAMAGES[damage], problem.text)
    assert repair(path, Plain()) == [problem]
    assert check(path, Plain()) == []
    journal = opened(path)
    for name in "abc":
        handle = await owned(journal, name)
        assert (handle.version, await kept(journal, name)) == (3, [1, 2, 3])
    journal.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM streams WHERE name = 'a'",
        "UPDATE streams SET version = 0 WHERE name = 'a'",
        "UPDATE streams SET version = 2 WHERE name = 'a'",
        "UPDATE streams SET version = 7 WHERE name = 'a'",
    ],
)
async def test_a_stream_whose_header_does_not_fit_its_events_is_not_opened_until_it_is_repaired(
    path: Path, damage: str
) -> None:
    await fill(path)
    with raw(path) as connection:
        connection.execute(damage)
    journal = opened(path)
    with pytest.raises(EventNotReadable, match=r"the header of a says version .*, its last event is 3"):
        await owned(journal, "a")
    assert await kept(journal, "a") == [1, 2, 3]
    repair(path, Plain())
    written = (await owned(journal, "a")).append([4])
    assert written is not None
    await written
    assert await kept(journal, "a") == [1, 2, 3, 4]
    journal.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE events SET data = '{' WHERE stream = 'a' AND version = 2", "its event 2 (int) cannot be read"),
        ("DELETE FROM events WHERE stream = 'a' AND version = 2", "1 of 3 events are missing"),
    ],
)
async def test_a_damaged_stream_is_set_aside_and_nothing_is_deleted(path: Path, damage: str, words: str) -> None:
    await fill(path)
    with raw(path) as connection:
        connection.execute(damage)
    (problem,) = repair(path, Plain())
    assert problem.stream == "a"
    assert problem.text.startswith(words)
    journal = opened(path)
    assert [header.name for header in await journal.headers(unfinished=True)] == ["b", "c"]
    (header,) = await journal.headers(prefix="a")
    assert (header.damaged, header.unfinished, header.version) == (problem.text, True, 3)
    assert (await owned(journal, "b")).snapshot == "both"
    journal.close()
    assert check(path, Plain()) == [problem]


async def test_a_stream_whose_events_do_not_fit_together_is_set_aside(path: Path) -> None:
    def fold(stream: str, events: Sequence[Any]) -> None:
        if stream == "b":
            raise ValueError(f"{len(events)} are too many")

    await fill(path)
    (problem,) = check(path, Plain(), fold)
    assert problem[:2] == ("b", "its events do not fit together: ValueError: 3 are too many")
    assert repair(path, Plain(), fold) == [problem]
    journal = opened(path)
    assert [header.name for header in await journal.headers(unfinished=True)] == ["a", "c"]
    journal.close()
    with raw(path) as connection:  # what is incomplete is not said to be misfitting besides
        connection.execute("DELETE FROM events WHERE stream = 'b' AND version = 2")
    assert [problem.text for problem in check(path, Plain(), fold)] == ["1 of 3 events are missing"]


async def test_vacuum_is_refused_while_somebody_works_on_the_file(path: Path) -> None:
    await fill(path)
    journal = opened(path)
    await journal.open("a")
    with pytest.raises(JournalUnavailable, match=f"process {os.getpid()} works on"):
        vacuum(path)
    journal.close()
    vacuum(path)
    assert check(path, Plain()) == []


async def test_what_can_be_read_again_is_set_aside_no_longer(path: Path) -> None:
    class Older(Plain):
        def decode(self, type: str, schema: int, data: str) -> Any:
            if type == "str":
                raise LookupError(type)
            return super().decode(type, schema, data)

    journal = opened(path)
    await (await owned(journal, "a")).append(["text"], unfinished=True)
    journal.close()
    assert len(repair(path, Older())) == 1
    journal = opened(path)
    assert await journal.headers(unfinished=True) == []
    journal.close()
    assert repair(path, Plain()) == []
    journal = opened(path)
    assert [(header.name, header.damaged) for header in await journal.headers(unfinished=True)] == [("a", "")]
    journal.close()


async def test_an_index_that_does_not_fit_is_made_again(path: Path) -> None:
    await fill(path)
    with raw(path) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'posts_of_streams'").fetchone()
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX posts_of_streams ON posts (type)'"
            " WHERE name = 'posts_of_streams'"
        )
        connection.execute("PRAGMA writable_schema=RESET")
        connection.execute("REINDEX posts_of_streams")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'posts_of_streams'", (sql,))
        connection.execute("PRAGMA writable_schema=RESET")
    problems = check(path, Plain())
    assert problems
    assert all(problem.text.startswith("SQLite says: ") for problem in problems)
    assert repair(path, Plain()) == problems
    assert check(path, Plain()) == []


def test_an_encoded_event_is_what_the_tables_hold(path: Path) -> None:
    """The tables are read by people, too: this is what they find."""

    class Detailed(Plain):
        def encode(self, event: Any) -> Encoded:
            return Encoded("Said", 2, '{"text":"hi"}', '{"by":"me"}')

    from callboard.actors.journal.sqlite import SqliteJournal

    journal = SqliteJournal(path, Detailed())
    journal.append("a", ["hi"])
    journal.close()
    with raw(path) as connection:
        select = "SELECT stream, version, type, schema, data ->> 'text', metadata ->> 'by' FROM events"
        assert connection.execute(select).fetchall() == [("a", 1, "Said", 2, "hi", "me")]


def test_a_path_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(JournalUnavailable, match="null byte"):
        opened(Path("a\0b"))
