"""Functions that yield run nothing when they are called: they are refused where a result is waited for."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from callboard import DefinitionError, Prompt, PromptError, SubAgent, run_prompt
from tests.agents.prompts.steps import Conversation
from tests.agents.support import function

from .test_in_runs import calling


def steps(*_: Any) -> Any:
    yield 1


async def later(*_: Any) -> Any:
    yield 1


class Steps:
    def __call__(self, *_: Any) -> Any:
        yield 1


YIELDING = [steps, later, Steps(), functools.partial(steps, 1)]
NAMES = ["function", "async", "object", "partial"]


@pytest.mark.parametrize("callback", YIELDING, ids=NAMES)
def test_an_effect_that_yields_is_refused(callback: Any) -> None:
    def fn(prompt: Prompt) -> None:
        prompt.effect(callback, [])

    with pytest.raises(PromptError, match=r"effect .* yields, and nothing of it would run"):
        Conversation().step(fn)


@pytest.mark.parametrize("callback", YIELDING, ids=NAMES)
@pytest.mark.parametrize("name", ["before_call", "on_success", "on_error"])
def test_a_function_around_a_sub_agent_that_yields_is_refused(name: str, callback: Any) -> None:
    options: Any = {name: callback}
    with pytest.raises(PromptError, match=f"sub-agent 'sub': {name} yields"):
        SubAgent("sub", "Works.", {"what": str}, lambda prompt, given: None, **options)


@pytest.mark.parametrize("callback", YIELDING, ids=NAMES)
@pytest.mark.parametrize("name", ["on_chunk", "on_step_finish", "on_finish", "on_error", "on_abort"])
async def test_a_callback_of_run_prompt_that_yields_is_refused(name: str, callback: Any) -> None:
    options: Any = {name: callback}
    with pytest.raises(DefinitionError, match=f"run_prompt: {name} yields"):
        run_prompt(lambda prompt: prompt.user("Hello."), model=function(calling()), **options)
