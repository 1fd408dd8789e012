"""The process is killed (SIGKILL) in the middle of a run; the next one finishes the run from the journal."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from callboard import Agency, Agent, Limits
from callboard.actors.agents.errors import RunFailed, StepLimit
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.journal.codec import Encoded
from callboard.actors.journal.sqlite import SqliteJournal
from callboard.actors.testing.doubles.models import Script, call
from tests import warm

from .support import add, scripted


def killed(folder: Path, what: str, at: int) -> None:
    """Run the program until it is killed at an event."""
    assert ran(folder, what, at).returncode == -signal.SIGKILL, f"it ended before event {at}"


def ran(folder: Path, what: str, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    return warm.run("-m", "tests.agents.team_to_kill", folder / "j.db", folder / "log", what, kill_at)


@pytest.mark.parametrize("at", [5, 6, 7, 8, 11, 14, 17, 20, 23])
def test_a_killed_process_leaves_its_run_to_the_next_one(tmp_path: Path, at: int) -> None:
    killed(tmp_path, "ask", at)
    before = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []

    again = ran(tmp_path, "resume")
    assert again.returncode == 0
    last = again.stdout.splitlines()[-1]
    assert last.startswith("ANSWER all: "), f"killed at event {at}, then: {again.stdout}"
    log = (tmp_path / "log").read_text().splitlines()
    tools = Counter(line for line in log if line.startswith("tool"))
    assert max(tools.values(), default=0) <= 1, f"a tool that is not idempotent ran twice: {tools}"
    asked = Counter(line for line in log if not line.startswith("tool"))
    repeated = [line for line, times in asked.items() if times > 1]
    assert len(repeated) <= 2, f"more was asked again than what was under way (one call for each agent): {repeated}"
    assert all(line in before[-4:] for line in repeated), f"a finished completion was asked for again: {repeated}"

    keys = set((tmp_path / "keys").read_text().splitlines())
    for parts in zip(*(line.split() for line in keys), strict=True):
        assert len(set(parts)) == len(keys), f"a call has one key of its own, also where it is made again: {keys}"

    third = ran(tmp_path, "resume")
    assert third.stdout.splitlines()[-1] == "NOTHING", "a finished run was taken up once more"


async def test_conversations_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    script = Script([call("add", a=1, b=2), "three", "I said three."])
    agent = Agent("A", tools=[add])
    async with Agency(agent, model=scripted(script), journal=path) as agency:
        await agency.run("1 + 2?", conversation="c")
    async with Agency(agent, model=scripted(script), journal=path) as agency:
        answer = await agency.run("what did you say?", conversation="c")
        assert [m.role for m in answer.messages] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
        await agency.release("c")
    async with Agency(agent, model=scripted(Script(["hello"])), journal=path) as agency:
        assert len((await agency.run("hi", conversation="c")).messages) == 2


async def test_a_failed_run_is_kept_as_failed(tmp_path: Path) -> None:
    script = Script([call("add", a=1, b=2), "fine"])
    agent = Agent("A", tools=[add], limits=Limits(steps=1))
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as agency:
        with pytest.raises(StepLimit):
            await agency.run("?", conversation="c")
        assert (await agency.run("?", conversation="c")).text == "fine"


async def test_what_the_journal_cannot_write_fails_its_own_run_by_name(tmp_path: Path) -> None:
    class Picky(RunCodec):
        def encode(self, event: object) -> Encoded:
            encoded = super().encode(event)
            if "unwritable" in str(encoded):
                raise OSError("no such thing")
            return encoded

    journal = SqliteJournal(tmp_path / "j.db", Picky())
    async with Agency(Agent("A"), model=scripted(Script(["x"])), journal=journal) as agency:
        with pytest.raises(RunFailed, match="no such thing"):
            await agency.run("unwritable")
        assert (await agency.run("good")).text == "x"
    journal.close()


async def test_values_that_are_not_plain_data_fail_their_own_run_by_name(tmp_path: Path) -> None:
    async with Agency(Agent("A"), model=scripted(Script(["x"])), journal=tmp_path / "j.db") as agency:
        for ask in (agency.run, agency.start_run):
            with pytest.raises(RunFailed, match=r"metadata\['b'\]\['c'\] is a function; a journal keeps plain data"):
                await ask("?", conversation="c", metadata={"a": 1, "b": {"c": lambda: 0}})
        assert (await agency.run("?", conversation="c", metadata={"day": date(2026, 1, 2)})).text == "x"


def test_a_run_survives_several_kills(tmp_path: Path) -> None:
    for what, at in (("ask", 9), ("resume", 4), ("resume", 4), ("resume", 3)):
        killed(tmp_path, what, at)
    assert ran(tmp_path, "resume").stdout.splitlines()[-1].startswith("ANSWER all: ")
    tools = Counter(line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("tool"))
    assert max(tools.values(), default=0) <= 1, f"a tool that is not idempotent ran twice: {tools}"
