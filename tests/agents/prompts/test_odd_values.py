"""Values that Python has and texts have not: half a character, and numbers of more digits than are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callboard import Agency, Agent, Prompt, PromptError, RunFailed
from callboard.actors.testing.doubles.models import call
from tests.agents.support import function

from .test_in_runs import calling

HALF = "cut \ud83d"
HUGE = 10**4300
SET = call("set_it", "set")


class Note(BaseModel):
    text: str


def keeping(initial: Any, new: Any, value_type: Any = None) -> Any:
    def prompt(prompt: Prompt) -> None:
        value, set_value = prompt.state("value", initial, value_type)
        prompt.define_data("value", value)

        @prompt.tool(risk="safe")
        def set_it() -> str:
            """Set it."""
            set_value(new)
            return "set"

    return prompt


async def answers(prompt: Any, journal: Path, times: int = 2) -> list[Any]:
    """What as many runs of one conversation, each in an agency of its own, answer."""
    made = []
    for _ in range(times):
        async with Agency(Agent("A", prompt=prompt), model=function(calling(SET)), journal=journal) as agency:
            made.append(await agency.run("go", conversation="c"))
    return made


@pytest.mark.parametrize("new", [HALF, [HALF], {HALF: [HALF]}])
async def test_half_a_character_that_a_state_keeps_is_shown_and_the_conversation_goes_on(
    new: Any, tmp_path: Path
) -> None:
    for answer in await answers(keeping(None, new), tmp_path / "runs.db"):
        assert answer.steps[0].calls[0].output == "set"
        assert "cut \ufffd" in answer.text


@pytest.mark.parametrize(
    ("initial", "new", "value_type"),
    [([], [HALF], list[str]), (Note(text=""), Note(text=HALF), None), ((), (HALF,), tuple[str, ...])],
    ids=["list", "model", "tuple"],
)
async def test_half_a_character_in_a_value_of_a_type_is_named_as_it_is_set(
    initial: Any, new: Any, value_type: Any, tmp_path: Path
) -> None:
    for answer in await answers(keeping(initial, new, value_type), tmp_path / "runs.db"):
        told = answer.steps[0].calls[0].output
        assert "state 'value': half a character is in it" in told
        assert "what was kept" not in told


@pytest.mark.parametrize(
    ("new", "where"),
    [(HUGE, "it"), ([-HUGE], "[0]"), ({"a": {"b": HUGE}}, "['a']['b']")],
    ids=["itself", "list", "map"],
)
async def test_a_number_of_too_many_digits_is_named_as_it_is_set(new: Any, where: str, tmp_path: Path) -> None:
    for answer in await answers(keeping(0, new), tmp_path / "runs.db"):
        told = answer.steps[0].calls[0].output
        assert f"state 'value': {where} is a whole number of more than 4,300 digits" in told
        assert answer.text == "<value>\n0\n</value>"


async def test_a_number_of_as_many_digits_as_python_writes_is_kept(tmp_path: Path) -> None:
    for answer in await answers(keeping(0, HUGE - 1), tmp_path / "runs.db"):
        assert answer.text == f"<value>\n{HUGE - 1}\n</value>"


@pytest.mark.parametrize(
    "define",
    [
        lambda prompt: prompt.state("value", HUGE),
        lambda prompt: prompt.state("value", Note, type),
        lambda prompt: prompt.effect(lambda: None, [HUGE]),
        lambda prompt: prompt.effect(lambda: None, [{"a": [HUGE]}]),
        lambda prompt: prompt.define_data("value", {"a": HUGE}),
    ],
    ids=["state", "class", "dependency", "within a dependency", "data"],
)
async def test_in_a_prompt_function_it_ends_the_run_by_name(define: Any) -> None:
    def prompt(prompt: Prompt) -> None:
        define(prompt)

    async with Agency(Agent("A", prompt=prompt), model=function(lambda request: "hi")) as agency:
        with pytest.raises(RunFailed) as caught:
            await agency.run("go")
    assert isinstance(caught.value.__cause__, PromptError)
