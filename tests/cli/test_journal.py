"""Looking a journal over from a terminal, in a file and in a database: what is said, done, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from callboard.actors.agents.turns.steps import Begin
from callboard.actors.journal import JsonCodec
from callboard.actors.journal.sqlite import SqliteJournal

from .command import ROOT, assert_refused, callboard
from .stores import Place

COMMANDS = ("check", "repair", "vacuum", "prune")


async def test_a_sound_journal_is_said_to_be_sound_while_a_program_has_it_open(place: Place, tmp_path: Path) -> None:
    await place.fill("a", "b")
    with place.journal() as journal:
        opening = journal.open("A/a")
        assert not isinstance(opening, tuple)
        handle = await opening  # type: ignore[misc]
        for command in ("check", "repair"):
            done = callboard("journal", command, place.address, cwd=tmp_path)
            assert (done.status, done.out, done.err) == (0, "the journal is sound\n", "")
        await handle.append((), labels={"still": "mine"})
    done = callboard("journal", "check", place.address, "--json", cwd=tmp_path)
    assert (done.status, json.loads(done.out)) == (0, {"sound": True, "problems": []})


async def test_each_problem_is_named_with_its_stream_and_what_can_be_is_put_right(place: Place, tmp_path: Path) -> None:
    await place.fill("a", "b", "c", "d", "e")
    before = place.execute("SELECT count(*) FROM events")
    for damage in (
        "UPDATE streams SET version = 9 WHERE name = 'A/a'",
        "DELETE FROM streams WHERE name = 'A/b'",
        "UPDATE events SET data = '[]' WHERE stream = 'A/c' AND version = 1",
        'UPDATE events SET type = \'ToolReturned\', data = \'{"call_id":"x","content":""}\''
        " WHERE stream = 'A/d' AND type = 'Begin'",
        "INSERT INTO keys (key, stream) VALUES ('lost', 'A/nobody')",
    ):
        place.execute(damage)
    done = callboard("journal", "check", place.address, cwd=tmp_path)
    assert done.status == 1
    lines = done.out.splitlines()
    assert lines[-1] == "5 problems in 5 streams"
    said = dict(line.split(": ", 1) for line in lines[:-1])
    assert said["A/a"].startswith("its header says version 9, its last event is ")
    assert "events and no header (repair: its header is made again" in said["A/b"]
    assert said["A/c"].startswith("its event 1 (Accepted) cannot be read: ")
    assert said["A/d"].startswith("its events do not fit together: ")
    assert said["A/nobody"].startswith("the key lost belongs to a stream that does not exist (repair: ")
    assert "A/e" not in said

    done = callboard("journal", "repair", place.address, "--json", cwd=tmp_path)
    assert done.status == 1, "what is set aside is not sound"
    told = json.loads(done.out)
    assert {one["stream"] for one in told["done"]} == set(said)
    assert {one["stream"]: one["remedy"] for one in told["left"]} == dict.fromkeys(
        ("A/c", "A/d"), "it is set aside: no start takes it up, and nothing of it is deleted"
    )
    assert place.execute("SELECT count(*) FROM events") == before
    assert {name for (name,) in place.execute("SELECT name FROM streams WHERE damaged <> ''")} == {"A/c", "A/d"}


async def test_a_journal_of_which_everything_was_put_right_is_sound_again(place: Place, tmp_path: Path) -> None:
    await place.fill("a", "b")
    place.execute("UPDATE streams SET version = 9 WHERE name = 'A/b'")
    done = callboard("journal", "repair", place.address, cwd=tmp_path)
    first, last = done.out.splitlines()
    assert first.startswith("A/b: its header says version 9, ")
    assert first.endswith(": its header is made again out of its events")
    assert (done.status, last) == (0, "the journal is sound")


async def test_what_a_journal_holds_cannot_write_to_the_terminal(place: Place, tmp_path: Path) -> None:
    with place.journal() as journal:
        await journal.append("A/a\x1b[2J", [Begin(())])  # type: ignore[misc]
    done = callboard("journal", "check", place.address, cwd=tmp_path)
    assert done.out.startswith("A/a\\x1b[2J: its events do not fit together: "), done.out


async def test_streams_of_other_actors_are_no_problem_but_their_events_in_a_conversation_are(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "journal.db"))
    await place.fill("a")
    journal = SqliteJournal(place.address, JsonCodec())
    await journal.append("Account/7", [{"deposited": 5}])
    assert callboard("journal", "check", place.address, cwd=tmp_path).status == 0
    await journal.append("A/a", [{"deposited": 5}])
    journal.close()
    done = callboard("journal", "check", place.address, cwd=tmp_path)
    assert done.out.startswith("A/a: its events do not fit together: ValueError: json is no event of a conversation")
    assert done.status == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_journal_is_refused_and_none_is_made(command: str, place: Place, tmp_path: Path) -> None:
    assert_refused(callboard("journal", command, place.address, cwd=tmp_path), "no journal")
    assert list(tmp_path.glob("journal*")) == []
    if place.is_file:
        Path(place.address).write_text("a letter" * 1000)
        assert_refused(callboard("journal", command, place.address, cwd=tmp_path), "not a database")
    else:
        assert place.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'callboard'") == [(0,)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_journal_of_another_versions_form_is_refused(command: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(ROOT / "tests" / "durable" / "fixtures" / "journal-0.1.0.db", path)
    content = path.read_bytes()
    assert_refused(callboard("journal", command, path, cwd=tmp_path), "version 0.1.0")
    assert path.read_bytes() == content


def test_a_server_that_is_not_there_is_refused_without_its_password(tmp_path: Path) -> None:
    done = callboard("journal", "check", "postgresql://me:open-sesame@127.0.0.1:1/x", cwd=tmp_path)
    assert_refused(done, "127.0.0.1")
    assert "sesame" not in done.err


async def test_vacuum_gives_room_back_and_a_file_must_have_nobody_at_work(place: Place, tmp_path: Path) -> None:
    await place.fill(*map(str, range(5)))
    with place.journal() as journal:
        deletion = journal.delete(*(f"A/{number}" for number in range(5)))
        assert deletion is not None
        await deletion
        done = callboard("journal", "vacuum", place.address, cwd=tmp_path)
        if place.is_file:
            assert_refused(done, "process ", "stop what works on it first")
    done = callboard("journal", "vacuum", place.address, "--json", cwd=tmp_path)
    assert done.status == 0, done
    told = json.loads(done.out)
    assert told["vacuumed"]
    assert not place.is_file or told["bytes_after"] <= told["bytes_before"]
    assert callboard("journal", "check", place.address, cwd=tmp_path).status == 0


async def test_prune_deletes_what_is_finished_and_old_and_nobody_holds(place: Place, tmp_path: Path) -> None:
    await place.fill("a", "b", "c")
    assert callboard("journal", "prune", place.address, cwd=tmp_path).out == "deleted 0 streams\n"
    assert callboard("journal", "prune", place.address, "--finished", "1d", cwd=tmp_path).out == "deleted 0 streams\n"
    with place.journal() as journal:
        await journal.open("A/a")  # type: ignore[misc]
        done = callboard("journal", "prune", place.address, "--finished", "0s", "--json", cwd=tmp_path)
        assert (done.status, json.loads(done.out)) == (0, {"deleted": 2})
    assert place.execute("SELECT name FROM streams") == [("A/a",)]
    for wrong in ("-1d", "30", "soon"):
        assert_refused(callboard("journal", "prune", place.address, "--finished", wrong, cwd=tmp_path), "--finished")
    assert_refused(callboard("journal", "prune", cwd=tmp_path), "JOURNAL")
    assert_refused(callboard("journal", "prnue", place.address, cwd=tmp_path), "prune")
