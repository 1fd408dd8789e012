"""The examples of the page about prompts are Python that does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, ToolCall
from callboard.providers.messages import Request
from tests.agents.support import function
from tests.pages.page import Page

from .promises import PROMISES

PAGE = Page("actors/agents/prompts/README.md")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples of the page define, one after the other."""
    monkeypatch.chdir(tmp_path)
    return PAGE.run()


async def test_the_first_example_counts_also_where_calls_are_made_side_by_side(page: dict[str, Any]) -> None:
    told: list[str] = []

    def model(request: Request) -> Any:
        told[:] = [message.text for message in request.messages if message.role == "tool"]
        return request.messages[0].text if told else [ToolCall(f"c{n}", "add", '{"by": 1}') for n in range(3)]

    async with Agency(page["Agent"]("Counter", prompt=page["counter"]), model=function(model)) as agency:
        answer = await agency.run("Count.")
    assert told == ["added 1"] * 3
    assert answer.text == "<task>\nYou count. The counter stands at 3.\n</task>"


async def test_what_is_run_by_itself_runs_offline(page: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    await page["main"]()
    text = "Hello to whoever said: Say hello."
    assert capsys.readouterr().out.startswith(f"{text}Step(number=1")


async def test_an_effect_on_the_world_gives_it_a_key(page: dict[str, Any]) -> None:
    sent: list[tuple[str, str]] = []
    page["send"] = lambda order, key: sent.append((order, key))
    async with Agency(page["Agent"]("Store", prompt=page["warehouse"]), model=function(lambda request: "ok")) as agency:
        for _ in range(2):
            await agency.run("go", conversation="c")
    assert sent == [("tea", "c/tea")]


@pytest.mark.parametrize("name", ["lead", "reader", "clerk", "planner"])
async def test_each_prompt_function_of_the_page_makes_a_step(page: dict[str, Any], name: str) -> None:
    plugins = {"reader": page["Notes"], "clerk": page["Functions"], "planner": page["Plan"]}.get(name, ())
    agent = page["Agent"]("Agent", prompt=page[name], plugins=plugins)
    async with Agency(agent, model=function(lambda request: request.messages[0].text)) as agency:
        assert (await agency.run("go")).text


async def test_the_template_of_the_page_is_one(page: dict[str, Any]) -> None:
    async with Agency(page["agent"], model=function(lambda request: request.messages[0].text)) as agency:
        answer = await agency.run("go")
    assert answer.text.split("\n")[:2] == ["<support.triage>", "You help people with tea."]
    assert answer.notes == ("template support.triage@1",)


def sentences(page: str) -> list[str]:
    """The sentences of a page, without its examples, headings and bold words alone; a table is one."""
    prose = re.sub(r"^```.*?^```\n", "\n", page, flags=re.DOTALL | re.MULTILINE)
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=- )|^#.*$", prose, flags=re.MULTILINE):
        text = " ".join(block.removeprefix("- ").split())
        found += re.split(r"(?<=\.) (?=[A-Z0-9`*@])", text)
    return [one for one in found if one and not re.fullmatch(r"\*\*[^*]*\*\*", one)]


def test_every_sentence_of_the_page_is_in_the_table_of_what_is_promised() -> None:
    said, promised = sentences(PAGE.text), [beginning for beginning, _ in PROMISES]
    assert [one for one in said if not one.startswith(tuple(promised))] == [], "no test is named for these sentences"
    assert [one for one in promised if not any(sentence.startswith(one) for sentence in said)] == [], "nobody says it"
    assert len(said) == len(promised), "a beginning in the table is that of two sentences"


def test_sentences_are_told_from_examples_and_headings() -> None:
    page = "# A page\n\nOne. `two()` is\ntwo.\n```python\nNo. No.\n```\n**Also.**\n- 3. or 4.\n- **Four** is 4. Five\n"
    assert sentences(page) == ["One.", "`two()` is two.", "3. or 4.", "**Four** is 4.", "Five"]
