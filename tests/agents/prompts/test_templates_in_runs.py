"""What a template says in a run, and where the run tells which version it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Prompt, PromptError, RunEvent, RunFailed, TemplateFolder
from callboard.actors.agents.events import CompletionFinished
from callboard.actors.agents.prompt_run import run_prompt
from callboard.providers.messages import Request
from tests.agents.support import function

from .folders import written

TRIAGE = """\
version: {0}
weight: 1
variables:
  product:
system: You help with {{{{ product }}}}, as version {0}.
few_shot:
  - user: It is broken.
    assistant: Which {{{{ product }}}} is it?
user: A customer of {{{{ product }}}} writes.
"""


def folder_in(path: Path) -> TemplateFolder:
    files: dict[str, str | bytes] = {f"support/triage@{n}.yaml": TRIAGE.format(n) for n in (1, 2)}
    return TemplateFolder(written(path, files))


def heard(request: Request) -> str:
    """A model that says what it was told."""
    return "\n".join(f"{message.role}: {message.text}" for message in request.messages)


def told(version: str, *conversation: str) -> str:
    system = f"<support.triage>\nYou help with tea, as version {version}.\n</support.triage>"
    before = ["user: It is broken.", "assistant: Which tea is it?", "user: A customer of tea writes."]
    return "\n".join([f"system: {system}", *before, *conversation])


async def test_a_template_is_a_prompt_function_for_an_agent(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    agent = Agent("A", prompt=folder.prompt("support.triage", product="tea"))
    async with Agency(agent, model=function(heard)) as agency:
        for n in range(6):
            answer = await agency.run("Help!", conversation=f"c{n}")
            version = folder.template("support.triage").version_for(f"c{n}")
            assert answer.text == told(version, "user: Help!")
            assert answer.notes == (f"template support.triage@{version}",)


async def test_a_template_is_run_by_itself(tmp_path: Path) -> None:
    answer = await run_prompt(folder_in(tmp_path).prompt("support.triage@2", product="tea"), model=function(heard))
    assert answer.text == told("2")
    assert answer.notes == ("template support.triage@2",)


async def test_a_prompt_function_uses_templates_among_other_things(tmp_path: Path) -> None:
    template = folder_in(tmp_path).template("support.triage@1")

    def prompt(prompt: Prompt) -> None:
        prompt.system("style", "Be brief.")
        made = prompt.template(template, product="tea")
        prompt.user(f"That was version {made.version}.")

    answer = await run_prompt(prompt, model=function(heard))
    assert answer.text.startswith("system: <style>\nBe brief.\n</style>\n\n<support.triage>\n")
    assert answer.text.endswith("user: A customer of tea writes.\nuser: That was version 1.")


async def test_the_version_stands_in_the_events_and_in_the_journal(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    folder = folder_in(tmp_path / "prompts")
    agent = Agent("A", prompt=folder.prompt("support.triage@2", product="tea"))
    journal = str(tmp_path / "j.db")
    async with Agency(agent, model=function(heard), journal=journal) as agency:
        agency.subscribe(events.append)
        await agency.run("Help!", conversation="c", run_id="r")
    async with Agency(agent, model=function(heard), journal=journal) as agency:
        answer = await agency.run("Help!", conversation="c", run_id="r")
    noted = ("template support.triage@2",)
    assert [event.notes for event in events if isinstance(event, CompletionFinished)] == [noted]
    assert answer.notes == noted


async def test_a_change_of_the_folder_counts_from_the_next_step_on(tmp_path: Path) -> None:
    written(tmp_path, {"t.yaml": "version: 1\nsystem: old\n"})
    folder = TemplateFolder(tmp_path, reload=True)
    async with Agency(Agent("A", prompt=folder.prompt("t")), model=function(heard)) as agency:
        assert "old" in (await agency.run("go")).text
        written(tmp_path, {"t.yaml": "version: 2\nsystem: new\n"})
        answer = await agency.run("go")
    assert "new" in answer.text
    assert answer.notes == ("template t@2",)


async def test_a_template_that_cannot_be_rendered_ends_the_run_by_name_and_without_values(tmp_path: Path) -> None:
    written(tmp_path, {"t.yaml": "version: 1\nvariables: {x: }\nuser: '{{ x.nmae }}'\n"})
    agent = Agent("A", prompt=TemplateFolder(tmp_path).prompt("t", x="s3cret"))
    async with Agency(agent, model=function(heard)) as agency:
        with pytest.raises(RunFailed, match=r"t\.yaml, line 3: 'nmae' is not there") as failed:
            await agency.run("go")
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda prompt, template: prompt.template("support.triage", product="tea"), "not str"),
        (lambda prompt, template: prompt.template(template), "'product' is missing"),
        (
            lambda prompt, template: [prompt.template(template, product="tea") for _ in range(2)],
            "makes the part 'support.triage' twice",
        ),
    ],
)
async def test_wrong_uses_of_templates_end_the_run_by_name(tmp_path: Path, use: Any, says: str) -> None:
    template = folder_in(tmp_path).template("support.triage")
    with pytest.raises(RunFailed, match=says) as failed:
        await run_prompt(lambda prompt: use(prompt, template), model=function(heard))
    assert isinstance(failed.value.__cause__, PromptError)
