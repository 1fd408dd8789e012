"""The skill ``crew``: the worker in a process of its own, with what stands for crewai; and with crewai where it is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, DefinitionError, SkillFailed, ToolContext, ToolProgress, find_skill
from callboard.actors.agents.skills.builtin.crew.skill import CrewSkill
from callboard.actors.testing.doubles.models import Script, call
from tests.agents.support import function, scripted, until

from .support import at_work, used

CREWS = Path(__file__).parent / "crews"
REAL = os.environ.get("CALLBOARD_CREWAI_PYTHON", "")
"""The interpreter of an environment that has crewai."""


def made(crew: str = "a_crew:crew", **options: Any) -> CrewSkill:
    return CrewSkill("research", crew, python=sys.executable, folder=CREWS, **options)


async def test_a_crew_answers_in_a_process_of_its_own_without_our_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "ours")
    skill = made(environment={"MY_KEY": "theirs"})
    async with at_work(skill):
        result = await used(skill, "research", inputs={"topic": "tea"})
        assert result.text == "a report on tea, ['MY_KEY']"
    making = made("a_crew:make")
    async with at_work(making):
        assert (await used(making, "research", inputs={"topic": "ink"})).text == "a report on ink, []"


async def test_its_tasks_are_progress_of_the_call() -> None:
    script = Script([call("research", topic="tea"), "done"])
    schema = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}
    said: list[str] = []
    async with Agency(Agent("A", skills=[made(parameters=schema)]), model=scripted(script)) as agency:
        agency.subscribe(lambda event: said.append(event.text) if isinstance(event, ToolProgress) else None)
        answer = await agency.run("?")
    assert said == ["Researcher has ended a task", "Writer has ended a task"]
    assert answer.messages[-2].text.startswith("a report on tea")


async def test_a_crew_that_fails_dies_or_takes_too_long_is_a_named_error_without_its_keys(tmp_path: Path) -> None:
    failing = made("a_crew:failing", environment={"MY_KEY": "s3cr3ts3cr3t"})
    async with at_work(failing):
        text = (await used(failing, "research", inputs={})).text
        assert "the crew research failed: RuntimeError: no model answers to [key]" in text
    dying = made("a_crew:dying")
    async with at_work(dying):
        assert "ended without an answer (exit status 7)" in (await used(dying, "research", inputs={})).text
    assert "s3cr3t" not in repr(failing)


def alive(pid: str) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_nothing_of_a_call_that_is_cancelled_keeps_running(tmp_path: Path) -> None:
    skill = made("a_crew:hanging")
    file = tmp_path / "pids"
    os.mkfifo(file)
    async with at_work(skill):
        running = asyncio.ensure_future(used(skill, "research", inputs={"file": str(file)}))
        pids = (await asyncio.to_thread(file.read_text)).split()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(pids) == 2
        await until(lambda: not any(map(alive, pids)))


async def test_a_call_that_takes_too_long_is_stopped_by_name() -> None:
    skill = made("a_crew:hanging", seconds=0.01)
    async with at_work(skill):
        result = await used(skill, "research", inputs={"file": os.devnull})
    assert "the crew research was stopped after 0.01 seconds" in result.text


@pytest.mark.parametrize(
    ("crew", "problem"),
    [
        ("nowhere:crew", "ModuleNotFoundError: No module named 'nowhere'"),
        ("a_crew:nobody", "has no attribute 'nobody'"),
        ("a_crew:NUMBER", "a_crew:NUMBER is no crew, and makes none"),
    ],
)
async def test_a_crew_that_is_not_there_stops_the_start_by_name(crew: str, problem: str) -> None:
    with pytest.raises(SkillFailed, match="skill research could not be initialized") as failed:
        await Agency(Agent("A", skills=[made(crew)]), model=function(lambda request: "ok")).start()
    assert problem in str(failed.value)


@pytest.mark.parametrize(
    ("make", "problem"),
    {
        "no place": (lambda: made("a_crew"), "crew is 'a_crew'; expected module:name"),
        "code": (lambda: made("os;x:y"), "expected module:name"),
        "no interpreter": (
            lambda: CrewSkill("r", "a:b", python="/none/python", folder=CREWS),
            "python is '/none/python'; expected an interpreter with crewai",
        ),
        "no folder": (
            lambda: CrewSkill("r", "a:b", python=sys.executable, folder="/none"),
            "folder is '/none'; expected a folder",
        ),
        "a number as a key": (lambda: made(environment={"A": 1}), "environment is names of variables"),
    }.values(),
)
def test_what_is_wrong_with_it_is_said_when_it_is_made(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        make()


def test_it_is_found_by_its_name() -> None:
    skill = find_skill("crew", name="research", crew="a_crew:crew", python=sys.executable, folder=str(CREWS))
    assert [getattr(each, "name", "") for each in skill.tools] == ["research"]


def test_the_worker_says_what_it_is_asked_wrongly() -> None:
    worker = Path(sys.modules[CrewSkill.__module__].__file__ or "").with_name("worker.py")
    done = subprocess.run([sys.executable, str(worker)], input="{}\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout.startswith('{"error": "KeyError')


OFFLINE = '''
from crewai import Agent, BaseLLM, Crew, Task


class Echo(BaseLLM):
    """Answers without a vendor."""

    def call(self, messages, *given, **named):
        return "Thought: I know.\\nFinal Answer: tea is old"


def make():
    agent = Agent(role="Researcher", goal="find out", backstory="reads", llm=Echo(model="echo"))
    task = Task(description="Find out about {topic}.", expected_output="one sentence", agent=agent)
    return Crew(agents=[agent], tasks=[task])
'''


@pytest.mark.skipif(not REAL, reason="needs an environment with crewai: CALLBOARD_CREWAI_PYTHON=…/bin/python")
async def test_a_real_crew_answers(tmp_path: Path) -> None:
    (tmp_path / "offline_crew.py").write_text(OFFLINE)
    skill = CrewSkill("research", "offline_crew:make", python=REAL, folder=tmp_path)
    said: list[str] = []
    async with at_work(skill):
        (tool,) = skill.tools
        context = ToolContext("c", "research", on_progress=lambda context, text, fraction: said.append(text))
        result = await tool.run({"inputs": {"topic": "tea"}}, context=context)  # type: ignore[union-attr]
    assert result.text == "tea is old"
    assert said == ["Researcher has ended a task"]
