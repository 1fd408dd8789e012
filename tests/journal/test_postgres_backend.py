"""What PostgreSQL does for a journal: fenced batches, order, faults of the server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from callboard.actors.journal import (
    EventNotWritable,
    JournalUnavailable,
    KeyTaken,
    Retention,
    StreamConflict,
    StreamFenced,
    StreamOwned,
)
from callboard.actors.journal.backend import (
    Acquire,
    Acquired,
    Append,
    Delete,
    Discard,
    KeepSnapshot,
    Leave,
    Prune,
    Release,
)
from callboard.actors.journal.codec import Encoded
from callboard.actors.journal.postgres.backend import PostgresBackend
from callboard.actors.journal.postgres.schema import VERSION
from tests.postgres import Server

Opener = Callable[..., PostgresBackend]


@pytest.fixture
def opened(postgres: Server, schema: str) -> Iterator[Opener]:
    """Makes backends on the test's schema."""
    made: list[PostgresBackend] = []

    def open_one(worker: str = "w", *, url: str = postgres.url, lease: float = 1_000.0) -> PostgresBackend:
        backend = PostgresBackend(url, schema)
        made.append(backend)
        backend.prepare()
        backend.heartbeat(worker, lease)
        return backend

    yield open_one
    for backend in made:
        backend.close()


def event(value: Any = None, type: str = "number") -> Encoded:
    return Encoded(type, 1, json.dumps(value))


def append(stream: str, expected: int | None, *values: Any, owner: str = "w", epoch: int = 1, **rest: Any) -> Append:
    return Append(uuid4().hex, stream, owner, epoch, expected, tuple(map(event, values)), **rest)


def values(backend: PostgresBackend, stream: str) -> list[Any]:
    return [json.loads(kept.event.data) for kept in backend.read(stream, 0, None, None)]


def names(backend: PostgresBackend, **which: Any) -> list[str]:
    wanted: dict[str, Any] = {"unfinished": None, "abandoned": False, "labels": {}, "prefix": "", "after": ""}
    wanted.update({"limit": None, **which})
    return [header.name for header in backend.headers(**wanted)]


def test_what_is_appended_in_a_batch_goes_to_its_streams_in_order(opened: Opener) -> None:
    backend = opened()
    assert backend.write([Acquire("a", "w"), Acquire("b", "w")]) == [Acquired(0, 1, 0), Acquired(0, 1, 0)]
    assert backend.write([append("a", 0, 1, 2), append("b", 0, "x"), append("a", 2, 3)]) == [2, 1, 3]
    assert values(backend, "a") == [1, 2, 3]
    assert values(backend, "b") == ["x"]
    assert [(kept.position, kept.stream, kept.version) for kept in backend.records(0, "", 10)] == [
        (1, "a", 1),
        (2, "a", 2),
        (3, "b", 1),
        (4, "a", 3),
    ]
    assert backend.position() == 4
    assert [kept.version for kept in backend.read("a", 1, 2, None)] == [2]
    assert [kept.version for kept in backend.read("a", 0, None, 2)] == [1, 2]


def test_only_the_stale_stream_of_a_batch_is_refused(opened: Opener) -> None:
    mine, other = opened("w"), opened("v", lease=1_000)
    mine.write([Acquire(stream, "w") for stream in "abcd"])
    mine.write([append("d", 0, 1)])
    mine.heartbeat("w", 0)
    assert other.write([Acquire("b", "v")]) == [Acquired(0, 2, 0)]
    mine.heartbeat("w", 1_000)
    results = mine.write(
        [
            append("a", 0, 1),
            append("b", 0, 2),
            append("c", 0, 3),
            append("d", 0, 4),
            append("b", 1, 5),
            append("a", 1, 6),
            append("nobody's", 0, 7),
        ]
    )
    assert [type(result) for result in results] == [
        int,
        StreamFenced,
        int,
        StreamConflict,
        StreamFenced,
        int,
        StreamFenced,
    ]
    conflict = results[3]
    assert isinstance(conflict, StreamConflict)
    assert (conflict.stream, conflict.expected, conflict.actual) == ("d", 0, 1)
    assert (values(mine, "a"), values(mine, "b"), values(mine, "c"), values(mine, "d")) == ([1, 6], [], [3], [1])


def test_an_older_handle_of_the_same_worker_is_fenced(opened: Opener) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), Acquire("a", "w")])
    results = backend.write([append("a", 0, "old", epoch=1), append("a", 0, "new", epoch=2)])
    assert isinstance(results[0], StreamFenced)
    assert results[0].epoch == 1
    assert results[1] == 1


def test_a_stream_held_by_a_live_worker_is_neither_taken_nor_appended_to(opened: Opener) -> None:
    mine, other = opened("w", lease=50), opened("v")
    mine.write([Acquire("a", "w")])
    for result in other.write([Acquire("a", "v"), append("a", None, 1, owner="", epoch=0)]):
        assert isinstance(result, StreamOwned)
        assert (result.stream, result.owner) == ("a", "w")
        assert 0 < result.seconds <= 50
    assert values(mine, "a") == []


def test_a_stream_whose_owner_is_no_more_is_open_to_all(opened: Opener) -> None:
    mine, other = opened("w"), opened("v")
    mine.write([Acquire("a", "w"), Acquire("b", "w")])
    assert names(other, abandoned=True) == []
    mine.heartbeat("w", 0)
    assert names(other, abandoned=True) == ["a", "b"]
    assert other.write([append("a", 0, 1, owner="", epoch=0), Acquire("b", "v")]) == [1, Acquired(0, 2, 0)]
    mine.heartbeat("w", 1_000)
    assert [type(result) for result in mine.write([append("a", 1, 2), append("b", 0, 2)])] == [StreamFenced] * 2


def test_without_an_owner_the_version_is_checked_if_one_is_expected(opened: Opener) -> None:
    backend = opened()
    free: dict[str, Any] = {"owner": "", "epoch": 0}
    results = backend.write(
        [
            append("a", None, **free),
            append("a", 1, 1, **free),
            append("a", 0, 1, **free),
            append("a", None, 2, 3, **free),
            append("a", 0, 4, **free),
            append("a", 0, **free),
        ]
    )
    assert results[0] == 0
    assert [type(result) for result in results] == [int, StreamConflict, int, int, StreamConflict, StreamConflict]
    assert values(backend, "a") == [1, 2, 3]


def test_flags_labels_keys_posts_and_dropped_streams_come_with_the_events(opened: Opener) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), Acquire("b", "w"), Leave("a", event("hello")), Leave("b", event("gone with b"))])
    backend.write([append("b", 0, 1, keys=("of b",))])
    (post,) = [left for left in backend.posts("w") if left.stream == "a"]
    backend.write(
        [
            append(
                "a", 0, 1, unfinished=True, labels={"user": "u"}, keys=("k", "k"), drop=("b", "a"), taken=(post.id,)
            ),
            append("a", 1, labels={"tenant": "t"}),
        ]
    )
    (header,) = backend.headers("", True, False, {"user": "u", "tenant": "t"}, "", None)
    assert (header.name, header.version, header.epoch, header.owner) == ("a", 1, 1, "w")
    assert header.labels == {"user": "u", "tenant": "t"}
    assert header.updated_at >= header.created_at
    assert (backend.find("k"), backend.find("of b")) == ("a", None)
    assert backend.posts("w") == []
    assert values(backend, "b") == []


def test_a_refused_append_leaves_nothing_of_itself(opened: Opener) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), Acquire("b", "w"), Leave("a", event())])
    backend.write([append("b", 0, 1, keys=("k",))])
    rest: dict[str, Any] = {"unfinished": True, "labels": {"l": "1"}, "drop": ("b",), "taken": (1,)}
    results = backend.write(
        [append("a", 7, 1, keys=("new",), **rest), append("a", 0, 1, keys=("new", "k"), taken=(1,))]
    )
    assert isinstance(results[0], StreamConflict)
    assert isinstance(results[1], KeyTaken)
    assert (results[1].key, results[1].stream) == ("k", "b")
    assert (values(backend, "a"), values(backend, "b"), backend.find("new")) == ([], [1], None)
    assert len(backend.posts("w")) == 1
    assert names(backend, unfinished=True) == names(backend, labels={"l": "1"}) == []


def test_a_snapshot_stands_for_what_has_been_appended_only(opened: Opener) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), append("a", 0, 1, 2)])
    results = backend.write(
        [KeepSnapshot("a", "w", 1, 3, event("early")), KeepSnapshot("a", "w", 2, 2, event("alien"))]
    )
    assert [type(result) for result in results] == [StreamFenced] * 2
    assert backend.snapshot("a") is None
    backend.write([KeepSnapshot("a", "w", 1, 1, event("one")), KeepSnapshot("a", "w", 1, 2, event("two"))])
    assert backend.snapshot("a") == (2, event("two"))
    assert backend.write([Acquire("a", "w")]) == [Acquired(2, 2, 2)]


def test_a_deleted_stream_that_begins_again_is_out_of_reach_for_old_handles(opened: Opener) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), append("a", 0, 1)])
    backend.write([Delete(("a",)), Acquire("a", "w")])
    old, new = backend.write([append("a", 0, "old", epoch=1), append("a", 0, "new", epoch=2)])
    assert isinstance(old, StreamFenced)
    assert new == 1
    backend.write([Release("a", "w", 2), Release("b", "w", 1)])
    assert isinstance(backend.write([append("a", 1, "released", epoch=2)])[0], StreamFenced)


def test_a_stream_that_was_only_looked_at_leaves_nothing(opened: Opener) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), Acquire("b", "w"), append("b", 0, unfinished=True)])
    backend.write([Release("a", "w", 1), Release("b", "w", 1)])
    assert names(backend) == ["b"]
    assert backend.write([Acquire("a", "w")]) == [Acquired(0, 2, 0)]


def test_posts_are_for_the_owner_or_for_all_where_there_is_none(opened: Opener) -> None:
    mine, other = opened("w"), opened("v")
    mine.write([Acquire("a", "w"), Leave("a", event(1)), Leave("nobody's", event(2))])
    other.write([Leave("a", event(3))])
    assert [json.loads(left.event.data) for left in mine.posts("w")] == [1, 2, 3]
    assert [json.loads(left.event.data) for left in other.posts("v")] == [2]
    mine.write([Discard((1, 2, 99))])
    mine.leave("w")
    assert [left.id for left in other.posts("v")] == [3]
    assert names(other, abandoned=True) == ["a"]


def test_pruning_spares_what_is_unfinished_or_owned(opened: Opener) -> None:
    backend = opened()
    for number, stream in enumerate(("kept", "open", "owned", "passing", "done")):
        backend.write([Acquire(stream, "w"), append(stream, 0, number)])
    backend.write([append("open", 1, 1, unfinished=True), append("passing", 1, labels={"ephemeral": "1"})])
    backend.write([Release(stream, "w", 1) for stream in ("kept", "open", "passing", "done")])
    assert backend.write([Prune(Retention(finished=3_600, ephemeral=None))]) == [0]
    assert backend.write([Prune(Retention(finished=None, ephemeral=0))]) == [1]
    assert names(backend) == ["done", "kept", "open", "owned"]
    assert backend.write([Prune(Retention(finished=0, ephemeral=None))]) == [2]
    assert names(backend) == ["open", "owned"]
    assert values(backend, "done") == []


def test_headers_come_by_name_and_by_the_page(opened: Opener) -> None:
    backend = opened()
    all_names = ["B", "a", "a%", "a_b", "ab", "ä", "a\ud7ff", "\U0010ffff", "\U0010ffff!"]
    backend.write([append(name, None, 1, owner="", epoch=0) for name in all_names])
    assert names(backend) == sorted(all_names)
    assert names(backend, limit=2, after="a") == sorted(all_names)[2:4]
    for prefix in ("a", "a_", "ä", "a\ud7ff", "\U0010ffff", "b"):
        expected = sorted(name for name in all_names if name.startswith(prefix))
        assert names(backend, prefix=prefix) == expected
        assert {kept.stream for kept in backend.records(0, prefix, 100)} == set(expected)


def test_text_is_kept_as_it_is_and_can_be_asked_for_in_sql(opened: Opener, postgres: Server, schema: str) -> None:
    backend = opened()
    texts = [
        '{"amount":  1.50, "amount2": 1e400}',
        '{"half": "\\ud83d", "nul": "\\u0000", "b": 1, "b": 2}',
        "[" * 900 + "]" * 900,
        '"' + "ü" * 100_000 + '"',
    ]
    encoded = tuple(Encoded("Deposited", 3, text, '{"why": "test"}') for text in texts)
    backend.write([Acquire("a", "w"), Append("1", "a", "w", 1, 0, encoded), KeepSnapshot("a", "w", 1, 1, encoded[1])])
    assert tuple(kept.event for kept in backend.read("a", 0, None, None)) == encoded
    assert backend.snapshot("a") == (1, encoded[1])
    found = postgres.execute(
        f"SELECT type, schema, data->>'amount', metadata->>'why' FROM {schema}.events WHERE version = 1"
    )
    assert found == [("Deposited", 3, "1.50", "test")]


UNWRITABLE: list[Any] = [
    Append("1", "b", "", 0, None, (Encoded("number", 1, "no JSON"),)),
    append("nul\0", None, 1, owner="", epoch=0),
    append("half\ud83d", None, 1, owner="", epoch=0),
    append("a", 1, 2, labels={"half": "\ud83d"}),
    append("a", 1, 2, keys=("nul\0",)),
    append("".join(chr(0x100 + number % 5_000) for number in range(6_000)), None, 1, owner="", epoch=0),
    Leave("nul\0", event()),
    Delete(("half\ud83d",)),
]


@pytest.mark.parametrize("write", UNWRITABLE, ids=range(len(UNWRITABLE)))
def test_what_cannot_be_written_is_refused_by_name_and_a_batch_with_it_as_a_whole(opened: Opener, write: Any) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), append("a", 0, 1)])
    with pytest.raises(Exception) as refused:  # noqa: PT011 -- whatever the driver says
        backend.write([append("a", 1, 2), write])
    assert not backend.is_transient(refused.value)
    assert [type(result) for result in backend.write([write])] == [EventNotWritable]
    assert backend.write([append("a", 1, 3)]) == [2]
    assert values(backend, "a") == [1, 3]
    assert names(backend) == ["a"]


def test_a_name_that_cannot_be_kept_is_one_of_which_nothing_is_known(opened: Opener) -> None:
    backend = opened()
    for name in ("nul\0", "half\ud83d"):
        assert backend.read(name, 0, None, None) == backend.records(0, name, 10) == []
        assert (backend.find(name), backend.snapshot(name)) == (None, None)
        assert names(backend, prefix=name) == []


# -- opening -------------------------------------------------------------------------------------------------------


def test_several_can_make_the_tables_at_once(postgres: Server, schema: str) -> None:
    start = threading.Barrier(8)

    def make() -> None:
        backend = PostgresBackend(postgres.url, schema)
        start.wait()
        backend.prepare()
        backend.close()

    with ThreadPoolExecutor(8) as pool:
        for made in [pool.submit(make) for _ in range(8)]:
            made.result()
    assert postgres.execute(f"SELECT version FROM {schema}.journal") == [(VERSION,)]


def test_schemas_side_by_side_know_nothing_of_each_other(postgres: Server, schema: str, opened: Opener) -> None:
    mine = opened()
    other = PostgresBackend(postgres.url, f'{schema} "%s{{s}}')
    try:
        other.prepare()
        mine.write([append("a", None, 1, owner="", epoch=0)])
        other.write([append("b", None, 1, 2, owner="", epoch=0)])
        assert (names(mine), names(other)) == (["a"], ["b"])
        assert (mine.position(), other.position()) == (1, 2)
    finally:
        other.close()
        postgres.execute(f'DROP SCHEMA "{schema} ""%s{{s}}" CASCADE')


def test_tables_of_a_newer_library_are_refused_by_name(postgres: Server, schema: str, opened: Opener) -> None:
    opened()
    postgres.execute(f"UPDATE {schema}.journal SET version = 99")
    with pytest.raises(JournalUnavailable, match=rf"{schema} was made by a newer library.* 99.* {VERSION}"):
        opened()


def test_tables_that_are_no_journals_are_left_alone(postgres: Server, schema: str, opened: Opener) -> None:
    postgres.execute(f"CREATE SCHEMA {schema}")
    postgres.execute(f"CREATE TABLE {schema}.events (id int)")
    with pytest.raises(JournalUnavailable, match="no journal's"):
        opened()
    assert postgres.execute(f"SELECT count(*) FROM {schema}.events") == [(0,)]


def test_a_schema_made_by_an_administrator_is_enough(postgres: Server, schema: str) -> None:
    role = f"{schema}_user"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'open sesame'")
    try:
        url = postgres.url.replace("postgres:@", f"{role}:open%20sesame@")
        with pytest.raises(JournalUnavailable, match="permission denied") as refused:
            PostgresBackend(url, schema).prepare()
        assert "sesame" not in str(refused.value)
        assert f"{role}@" in str(refused.value)
        postgres.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
        backend = PostgresBackend(url, schema)
        backend.prepare()
        assert backend.write([append("a", None, 1, owner="", epoch=0)]) == [1]
        backend.close()
    finally:
        postgres.execute(f"DROP OWNED BY {role} CASCADE")
        postgres.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:open-sesame@127.0.0.1:1/callboard",
        "postgresql://me:open-sesame@127.0.0.1:port/callboard",
        "postgres//me:open-sesame@host/callboard",
        "postgresql://me:open-sesame@host/callboard?nonsense=1",
        "postgresql://me:open-sesame%zz@host/callboard",
        "open-sesame\ud83d",
    ],
)
def test_no_error_holds_the_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(JournalUnavailable) as refused:
        PostgresBackend(url, "callboard").prepare()
    error: BaseException | None = refused.value
    while error is not None:
        assert "sesame" not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert "sesame" not in caplog.text


def test_no_representation_holds_the_password() -> None:
    backend = PostgresBackend("postgresql://me:open-sesame@host:5/callboard?sslmode=disable", "other")
    assert repr(backend) == "<PostgresBackend postgresql://me@host:5/callboard, schema other>"


@pytest.mark.parametrize("schema", ["", "nul\0", "ä" * 32])
def test_a_name_that_cannot_be_a_schemas_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="1 to 63 bytes"):
        PostgresBackend("postgresql://host/callboard", schema)


# -- faults --------------------------------------------------------------------------------------------------------


def healed(backend: PostgresBackend, batch: list[Any], tries: int = 200) -> tuple[list[object], int]:
    """Write a batch as a journal does: the same again for as long as the fault is the server's."""
    pause = threading.Event()
    for number in range(tries):
        try:
            return backend.write(batch), number
        except Exception as error:
            if not backend.is_transient(error):
                raise
            backend.reconnect()
            pause.wait(0.05)
    raise AssertionError("it did not heal")


def test_killed_sessions_are_replaced(opened: Opener, postgres: Server, schema: str) -> None:
    backend = opened()
    backend.write([Acquire("a", "w")])
    assert values(backend, "a") == []
    for version in range(3):
        assert postgres.kill_backends(schema) >= 2
        assert healed(backend, [append("a", version, version)]) == ([version + 1], 1)
        assert values(backend, "a") == list(range(version + 1))
        backend.heartbeat("w", 1_000)


def test_a_server_that_is_down_is_waited_for(opened: Opener, postgres: Server) -> None:
    backend = opened()
    backend.write([Acquire("a", "w"), append("a", 0, 1)])
    with postgres.down():
        for act in (lambda: backend.write([append("a", 1, 2)]), lambda: backend.heartbeat("w", 1)):
            with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever the driver says
                act()
            assert backend.is_transient(caught.value)
            backend.reconnect()
    assert healed(backend, [append("a", 1, 2)])[0] == [2]
    backend.heartbeat("w", 1_000)
    assert values(backend, "a") == [1, 2]


def test_a_fault_of_the_program_is_not_taken_for_one_of_the_server(opened: Opener) -> None:
    assert not opened().is_transient(ValueError("a bug"))


@contextmanager
def cutting(url: str, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A way to the server that can be told to swallow the answer to what is sent next, and to end there."""
    target = url.split("host=")[1] + "/.s.PGSQL.5432"
    cut = threading.Event()
    sockets: list[socket.socket] = []

    def forward(source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if answers and cut.is_set():
                    cut.clear()
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(target)
            sockets.extend((client, server))
            for pair in ((client, server, False), (server, client, True)):
                threading.Thread(target=forward, args=pair, daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
        listener.listen()
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        try:
            yield url.split("host=")[0] + "host=" + quote(str(folder)), cut.set
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for end in sockets:
                end.close()


def test_a_batch_whose_answer_was_lost_is_done_once(opened: Opener, postgres: Server, tmp_path: Path) -> None:
    with cutting(postgres.url, tmp_path) as (url, cut):
        backend = opened(url=url)
        backend.write([Acquire("a", "w"), append("b", None, 0, owner="", epoch=0)])
        batch = [
            append("a", 0, 1),
            append("a", 1, 2),
            append("a", 1, 3),
            append("b", None, 1, owner="", epoch=0),
            Leave("c", event("once")),
            Acquire("d", "w"),
            Delete(("nobody's",)),
        ]
        cut()
        results, tries = healed(backend, batch)
        assert tries == 1
        assert results[:2] == [1, 2]
        assert isinstance(results[2], StreamConflict)
        assert results[3:] == [2, None, Acquired(0, 1, 0), None]
        assert (values(backend, "a"), values(backend, "b")) == ([1, 2], [0, 1])
        assert len(backend.posts("w")) == 1
        assert backend.write([append("a", 2, 3)]) == [3]


# -- subscribers ---------------------------------------------------------------------------------------------------


def test_a_subscriber_misses_nothing_under_six_writers_with_refusals_and_killed_sessions(
    opened: Opener, postgres: Server, schema: str
) -> None:
    rounds = 40
    reader = opened("reader")
    writers = [opened(f"w{number}") for number in range(6)]
    kept: list[set[Any]] = [set() for _ in writers]
    over = threading.Event()

    def work(number: int) -> None:
        backend, owner, stream = writers[number], f"w{number}", f"s{number}"
        ((acquired, *_), _) = healed(backend, [Acquire(stream, owner)])
        assert isinstance(acquired, Acquired)
        epoch = acquired.epoch
        for version in range(rounds):
            value = f"{number}/{version}"
            batch = [
                append(stream, version, value, owner=owner, epoch=epoch),
                append(stream, version, "never", owner=owner, epoch=epoch),  # refused
                append("shared", None, value, owner="", epoch=0),
            ]
            with suppress(Exception):  # rolled back at its end
                backend.write([*batch, Append("bad", "bad", "", 0, None, (Encoded("number", 1, "no JSON"),))])
            ((mine, refused, shared), _) = healed(backend, batch)
            assert mine == version + 1
            assert isinstance(refused, StreamConflict)
            assert isinstance(shared, int)
            kept[number] |= {(stream, value), ("shared", value)}

    def kill() -> None:
        while not over.wait(0.1):
            postgres.kill_backends(schema)

    def subscribe() -> list[Any]:
        seen: list[Any] = []
        last = 0
        while True:
            ended = over.is_set()
            try:
                records = reader.records(last, "", 50)
            except Exception as error:
                if not reader.is_transient(error):
                    raise
                continue
            for record in records:
                assert record.position > last
                last = record.position
                seen.append((record.stream, json.loads(record.event.data)))
            if ended and not records:
                return seen

    with ThreadPoolExecutor(8) as pool:
        subscriber = pool.submit(subscribe)
        killer = pool.submit(kill)
        try:
            for done in [pool.submit(work, number) for number in range(6)]:
                done.result()
        finally:
            over.set()
        killer.result()
        seen = subscriber.result()
    assert len(seen) == len(set(seen)) == 6 * rounds * 2
    assert set(seen) == set().union(*kept)
