"""A conversation that cannot be read is named to whoever asks for it, keeps nobody waiting, and can be erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent
from callboard.actors.agents.errors import RunFailed
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.journal import EventNotReadable
from callboard.actors.journal.sqlite import repair

from .support import function, outcome

GAP = "DELETE FROM events WHERE stream = 'A/c' AND version = 2"
MIDDLE = "DELETE FROM events WHERE stream = 'A/c' AND version = 3"
TAIL = "DELETE FROM events WHERE stream = 'A/c' AND version = (SELECT max(version) FROM events WHERE stream = 'A/c')"
MOVED = "UPDATE events SET version = version + 10 WHERE stream = 'A/c'"
HEADER = "DELETE FROM streams WHERE name = 'A/c'"
WRONG = "UPDATE streams SET version = version - 1 WHERE name = 'A/c'"


def agency(path: Path) -> Agency:
    return Agency(Agent("A", "a"), model=function(lambda request: "ok"), journal=path)


async def damaged(path: Path, *damages: str) -> None:
    """A file with a conversation c of ada that is damaged, and a sound one d of hers."""
    async with agency(path) as first:
        await first.run("one", conversation="c", user="ada")
        await first.run("one", conversation="d", user="ada")
    with sqlite3.connect(path) as connection:
        for damage in damages:
            connection.execute(damage)
    connection.close()


ASKED: dict[str, Callable[[Agency], Awaitable[Any]]] = {
    "conversation": lambda agency: agency.conversation("c"),
    "fork": lambda agency: agency.fork("c"),
    "replay": lambda agency: agency.replay("c"),
    "steer": lambda agency: agency.steer("c", "hi"),
}


@pytest.mark.parametrize(
    ("damage", "asked"),
    [
        (damage, asked)
        for damage in (GAP, MIDDLE)
        for asked in ASKED
        if (damage, asked) != (MIDDLE, "steer")  # that says that no run is under way, which is so
    ],
)
async def test_whoever_reads_it_gets_an_error_that_names_it(tmp_path: Path, damage: str, asked: str) -> None:
    await damaged(tmp_path / "j.db", damage)
    async with agency(tmp_path / "j.db") as again:
        with pytest.raises(EventNotReadable, match="A/c"):
            await ASKED[asked](again)
        assert (await again.run("two", conversation="d", user="ada")).text == "ok"


@pytest.mark.parametrize("damage", [GAP, MIDDLE, TAIL, MOVED, HEADER, WRONG])
async def test_a_run_in_it_and_a_rewind_are_refused_by_name_at_once(tmp_path: Path, damage: str) -> None:
    await damaged(tmp_path / "j.db", damage)
    async with agency(tmp_path / "j.db") as again:
        error = await outcome(again.run("two", conversation="c", user="ada"))
        assert isinstance(error, RunFailed)
        assert "A/c" in str(error)
        with pytest.raises(EventNotReadable, match="A/c"):
            await again.rewind("c", to=0)
        assert (await again.run("two", conversation="d", user="ada")).text == "ok"


@pytest.mark.parametrize("damage", [GAP, MIDDLE, TAIL, MOVED, WRONG])
async def test_its_user_can_be_erased(tmp_path: Path, damage: str) -> None:
    await damaged(tmp_path / "j.db", damage)
    async with agency(tmp_path / "j.db") as again:
        assert await again.erase(user="ada") == 2
    with sqlite3.connect(tmp_path / "j.db") as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("damage", [HEADER, WRONG])
async def test_a_header_that_was_lost_or_is_wrong_is_mended_by_a_repair(tmp_path: Path, damage: str) -> None:
    await damaged(tmp_path / "j.db", damage)
    async with agency(tmp_path / "j.db") as again:
        assert isinstance(await outcome(again.run("two", conversation="c", user="ada")), RunFailed)
    repair(tmp_path / "j.db", RunCodec())
    async with agency(tmp_path / "j.db") as again:
        answer = await again.run("three", conversation="c", user="ada")
        assert [message.text for message in answer.messages] == ["one", "ok", "three", "ok"]
