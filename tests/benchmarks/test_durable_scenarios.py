"""The scenarios of ``benchmarks durable`` at a tiny size: each does the work it counts. Nothing is timed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from benchmarks.subjects import durable_appends, durable_turns

from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.state import fold
from callboard.actors.journal.sqlite import SqliteJournal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLBOARD_BENCH_FOLDER", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("under_way", [1, 3])
async def test_actors_append_as_many_events_as_are_counted(tmp_path: Path, under_way: int) -> None:
    path = tmp_path / "j.db"

    @contextmanager
    def store() -> Iterator[Any]:
        with SqliteJournal(path, durable_appends.CODEC, synchronous="OFF") as journal:
            yield journal

    (sample,) = await asyncio.to_thread(durable_appends.rate(store, 5, under_way), 35)
    assert sample.unit == "events/s"
    with SqliteJournal(path, durable_appends.CODEC) as journal:
        headers = await journal.headers()
    assert [header.version for header in headers] == [8] * 5, "seven each, and one before that does not count"


async def test_a_journal_of_finished_conversations_is_what_agents_write() -> None:
    await asyncio.to_thread(durable_turns.SCENARIOS["finished"], 7)
    with SqliteJournal(durable_turns.kept("finished", 7), RunCodec()) as journal:
        headers = await journal.headers()
        assert len(headers) == 7
        assert not any(header.unfinished for header in headers)
        for header in headers:
            agent, _, conversation = header.name.partition("/")
            state = fold(agent, conversation, [record.event for record in await journal.read(header.name)])
            assert not state.queue
            assert state.last is not None
            assert state.last.answer.text == durable_turns.REPLY


async def test_a_long_conversation_can_be_gone_on_with() -> None:
    await asyncio.to_thread(durable_turns.SCENARIOS["long"], 5)
    async with durable_turns.agency(durable_turns.kept("long", 5)) as running:
        answer = await running.run(durable_turns.QUESTION, conversation="c")
    assert len(answer.messages) == 2 * 6


@pytest.mark.parametrize("name", ["turn_memory", "turn_sqlite", "turn_kept_sqlite", "turn_busy_sqlite", "turns_sqlite"])
def test_turns_are_measured(name: str) -> None:
    (sample,) = durable_turns.SCENARIOS[name](2)
    assert sample.unit == "CPU µs/turn"
    assert sample.value > 0


def test_bytes_are_those_of_the_file_and_of_its_events() -> None:
    on_disk, over = durable_turns.SCENARIOS["bytes"](20)
    text, said = durable_turns.SCENARIOS["text"](20)
    assert on_disk.value == over.value == durable_turns.kept("long", 20).stat().st_size
    assert said.value == 20 * len(durable_turns.QUESTION + durable_turns.REPLY) < text.value < on_disk.value
