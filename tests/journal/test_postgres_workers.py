"""Several processes on one journal in PostgreSQL: killed, paused for longer than their lease, and continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Server

LEASE = 1.0


class Worker:
    """A process with a journal."""

    def __init__(self, url: str, schema: str, lease: float) -> None:
        script = Path(__file__).with_name("postgres_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), url, schema, str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.id = ""

    def __enter__(self) -> Worker:
        self.id = self.answer()
        return self

    def say(self, *command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def do(self, *command: Any) -> Any:
        self.say(*command)
        return self.answer()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


Start = Callable[..., list[Worker]]


@pytest.fixture
def start(postgres: Server, schema: str) -> Iterator[Start]:
    started: list[Worker] = []

    def start_some(count: int, lease: float = LEASE) -> list[Worker]:
        some = [Worker(postgres.url, schema, lease) for _ in range(count)]
        started.extend(some)
        return [worker.__enter__() for worker in some]

    yield start_some
    for worker in started:
        worker.end()


def kept(postgres: Server, schema: str, stream: str) -> list[Any]:
    rows = postgres.execute(f"SELECT version, data FROM {schema}.events WHERE stream = %s ORDER BY version", stream)
    assert [version for version, _ in rows] == list(range(1, len(rows) + 1))
    return [data for _, data in rows]


def test_processes_that_start_together_make_one_journal(start: Start, postgres: Server, schema: str) -> None:
    workers = start(3)
    for worker in workers:
        worker.say("add", "a", worker.id)
    assert sorted(worker.answer() for worker in workers) == [1, 2, 3]
    assert sorted(kept(postgres, schema, "a")) == sorted(worker.id for worker in workers)


def test_a_stream_has_one_owner_among_processes_that_want_it(start: Start) -> None:
    workers = start(3, lease=60)
    for worker in workers:
        worker.say("open", "a")
    answers = [worker.answer() for worker in workers]
    assert sorted(answers, key=str) == [[], {"error": "StreamOwned"}, {"error": "StreamOwned"}]
    owner = workers[answers.index([])]
    assert owner.do("append", "a", 1) == 1
    assert {str(worker.do("add", "a", 2)) for worker in workers} == {"{'error': 'StreamOwned'}"}
    owner.do("close", "")
    successor = next(worker for worker in workers if worker is not owner)
    assert successor.do("open", "a") == [1]


def test_a_process_paused_for_longer_than_its_lease_gets_nothing_in(
    start: Start, postgres: Server, schema: str
) -> None:
    first, second, third = start(3)
    for stream in ("a", "b", "mine"):
        assert first.do("open", stream) == []
        assert first.do("append", stream, "first") == 1
    first.signal(signal.SIGSTOP)
    first.say("append", "a", "late")  # waits in the pipe until it goes on
    assert second.do("take", "a") == ["first"]
    assert second.do("append", "a", "second") == 2
    assert third.do("take", "b") == ["first"]
    first.signal(signal.SIGCONT)
    assert first.answer() == {"error": "StreamFenced"}
    assert first.do("append", "a", "later") == {"error": "StreamFenced"}
    assert first.do("append", "b", "late") == {"error": "StreamFenced"}
    assert first.do("append", "mine", "more") == 2  # nobody has taken it: it is still its own
    assert first.do("open", "a") == {"error": "StreamOwned"}
    assert third.do("append", "b", "third") == 2
    assert kept(postgres, schema, "a") == ["first", "second"]
    assert kept(postgres, schema, "b") == ["first", "third"]


def test_a_process_paused_in_the_middle_of_writing_gets_no_more_in_and_holds_up_nobody(
    start: Start, postgres: Server, schema: str
) -> None:
    first, second = start(2)
    for number in range(3):
        stream = f"s{number}"
        assert first.do("open", stream) == []
        first.do("flood", stream)
        second.do("add", f"other {number}", 1)
        first.signal(signal.SIGSTOP)
        assert second.do("add", f"other {number}", 2) == 2
        events = second.do("take", stream)
        assert second.do("append", stream, "second") == len(events) + 1
        first.signal(signal.SIGCONT)
        told = first.do("flooded", stream)
        assert told["refused"] == "StreamFenced"
        assert told["kept"] <= len(events) <= told["asked"]
        assert kept(postgres, schema, stream) == [*range(len(events)), "second"]


def test_streams_of_a_killed_process_are_free_after_its_lease(start: Start, postgres: Server, schema: str) -> None:
    first, second, third = start(3)
    assert [first.do("open", stream) for stream in ("a", "b")] == [[], []]
    first.do("flood", "a")
    assert first.do("append", "b", 1) == 1
    first.signal(signal.SIGKILL)
    second.say("take", "a")
    third.say("take", "b")
    events = second.answer()
    assert events == list(range(len(events)))
    assert third.answer() == [1]
    assert second.do("append", "a", "second") == len(events) + 1
    assert kept(postgres, schema, "a") == [*events, "second"]
