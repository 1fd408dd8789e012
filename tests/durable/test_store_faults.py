"""The store has faults: what passes is waited out, what cannot be written fails its own run, and no failure is taken
back later."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, CallboardError, Request, ToolCall, tool
from callboard.actors.agents.errors import AgentError

from .support import Lock, call, damage, echo, eventually, function, outcome, program, results, said, stored

SURROGATE = "a cut emoji \ud83d"


def nested(depth: int) -> Any:
    """A value as deep as a hostile or broken caller sends it."""
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


UNWRITABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "a lone surrogate in the question": (SURROGATE, {}),
    "a lone surrogate in a value": ("?", {"metadata": {"name": SURROGATE}}),
    "a lone surrogate as the name of one": ("?", {"metadata": {SURROGATE: 1}}),
    "a lone surrogate as the user": ("?", {"user": SURROGATE}),
    "values nested 3,000 deep": ("?", {"metadata": {"deep": nested(3000)}}),
    "a lone surrogate in the answer": ("answer with one", {}),
    "a lone surrogate in a tool's arguments": ("call with one", {}),
    "a lone surrogate in a tool's result": ("call", {}),
}


@pytest.mark.parametrize("what", list(UNWRITABLE))
async def test_what_cannot_be_written_harms_its_own_run_alone(tmp_path: Path, what: str) -> None:
    question, options = UNWRITABLE[what]
    path = tmp_path / "j.db"

    @tool
    async def cut(text: str) -> str:
        return SURROGATE

    def model(request: Request) -> Any:
        asked = said(request)
        if asked.startswith("call") and not results(request):
            return ToolCall("", "cut", f'{{"text": "{SURROGATE if "one" in asked else "fine"}"}}')
        return SURROGATE if asked == "answer with one" else "fine"

    async with Agency(Agent("A", tools=[cut]), model=function(model), journal=path) as agency:
        assert isinstance(await outcome(agency.run(question, conversation="c", **options)), Answer | AgentError)
        for conversation in ("other", "c", None):
            whose = options.get("user", "") if conversation == "c" else ""
            answer = await outcome(agency.run("after it", conversation=conversation, user=whose))
            assert isinstance(answer, Answer), f"the journal is broken for all: {answer!r}"
    async with Agency(Agent("A"), model=function(model), journal=path) as agency:
        assert agency.resumed == {}
        answer = await outcome(agency.run("after it", conversation="other"))
        assert [message.text for message in answer.messages] == ["after it", "fine"] * 2


# -- faults that pass --------------------------------------------------------------------------------------------------


class Impatient(sqlite3.Connection):
    """A connection that is refused at once where an ordinary one waits for seconds: a long lock, without the wait."""

    refused = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        """As usual, with next to no time to wait for a lock."""
        if "busy_timeout" not in sql.lower():
            super().execute("PRAGMA busy_timeout = 5")
        try:
            return super().execute(sql, *arguments)
        except sqlite3.OperationalError:
            Impatient.refused += 1
            raise


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> type[Impatient]:
    """The store's connections are refused at once while another one holds the file."""
    connect = sqlite3.connect

    def hurried(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if "factory" not in options:
            options |= {"factory": Impatient, "timeout": 0.005}
        made: sqlite3.Connection = connect(database, *arguments, **options)
        return made

    monkeypatch.setattr(sqlite3, "connect", hurried)
    Impatient.refused = 0
    return Impatient


@pytest.mark.parametrize("when", ["before the run", "at its first completion", "at its last completion"])
async def test_a_lock_that_outlasts_the_stores_patience_is_waited_out(
    tmp_path: Path, impatient: type[Impatient], when: str
) -> None:
    path = tmp_path / "j.db"
    effects: list[str] = []
    lock: Lock | None = None

    @tool
    async def work() -> str:
        effects.append("worked")
        return "done"

    def model(request: Request) -> Any:
        done = results(request)
        if lock is not None and not lock.held and when == f"at its {'last' if done else 'first'} completion":
            lock.take()
        return "answer" if done else call("work")

    async with Agency(Agent("A", tools=[work]), model=function(model), journal=path) as agency:
        await outcome(agency.run("first", conversation="c"))
        impatient.refused, lock = 0, Lock(path)
        if when == "before the run":
            lock.take()
        run = asyncio.ensure_future(agency.run("second", conversation="c"))
        await eventually(lambda: impatient.refused >= 3 or run.done(), "three refusals")
        lock.close()
        lock = None
        answer = await outcome(run)
        after = await outcome(agency.run("third", conversation="c"))
    async with Agency(Agent("A", tools=[work]), model=function(model), journal=path) as agency:
        resumed = [await outcome(left) for left in agency.resumed.values()]
    assert not resumed or isinstance(answer, Answer), f"reported as {answer!r}, and carried out after the restart"
    assert isinstance(answer, Answer), f"a lock that was released broke a run: {answer!r}"
    assert isinstance(after, Answer), f"a lock that was released broke the journal: {after!r}"
    assert resumed == []
    assert effects == ["worked"] * 3


def test_a_disk_that_is_full_for_a_while_is_waited_out(tmp_path: Path) -> None:
    filled = program("small_disk", tmp_path / "j.db", "fill")
    assert filled.returncode == 0, filled.stderr
    assert filled.stdout.split() == ["before", "during", "after"], f"a full disk broke the journal: {filled.stdout}"
    again = program("small_disk", tmp_path / "j.db", "look")
    assert again.stdout.split() == ["resumed", "0", "messages", "6"], f"after the restart: {again.stdout}{again.stderr}"


def test_what_was_reported_as_failed_is_not_carried_out_after_a_restart(tmp_path: Path) -> None:
    filled = program("small_disk", tmp_path / "j.db", "fill")
    told = filled.stdout.split()
    again = program("small_disk", tmp_path / "j.db", "look").stdout.split()
    assert again[:1] == ["resumed"]
    assert again[1] == "0" or "failed" not in told, f"reported as failed, and carried out by the next process: {told}"


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marker", ["the bad one", "to the bad one"], ids=["question", "answer"])
async def test_a_damaged_event_sets_its_own_conversation_aside_and_no_other(tmp_path: Path, marker: str) -> None:
    path = tmp_path / "j.db"
    async with Agency(Agent("A"), model=function(echo), journal=path) as agency:
        for conversation in ("good", "bad", "fine"):
            await outcome(agency.run(f"the {conversation} one", conversation=conversation))
    assert damage(path, marker) == 1
    async with Agency(Agent("A"), model=function(echo), journal=path) as agency:
        for conversation in ("good", "fine"):
            answer = await outcome(agency.run("again", conversation=conversation))
            assert [message.text for message in answer.messages][:2] == [
                f"the {conversation} one",
                f"to the {conversation} one",
            ]
        error = await outcome(agency.run("again", conversation="bad"))
        assert isinstance(error, CallboardError), f"a conversation that cannot be read answered: {error!r}"
        assert "bad" in str(error), "the error names the conversation"


async def test_what_a_conversation_said_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with Agency(Agent("A"), model=function(lambda request: "b" * 2000), journal=path) as agency:
        for number in range(60):
            await outcome(agency.run(f"{number} " + "a" * 2000, conversation="c"))
    kept, raw = sum(map(len, stored(path))), 60 * 4000
    assert kept <= 1.5 * raw, f"{kept / raw:.1f} times what was said is kept"
