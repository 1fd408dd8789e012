"""A prompt function that does not say what its prompt is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callboard import Agent, Prompt


def bare(prompt):  # type: ignore[no-untyped-def]
    """Says nothing."""


def anything(prompt: Any) -> None:
    """Says that it may be anything."""


class Plugin(Prompt):
    """Some plugin."""


@pytest.mark.parametrize("fn", [bare, anything, lambda prompt: None], ids=["bare", "Any", "lambda"])
@pytest.mark.parametrize("plugins", [(), Plugin])
def test_a_prompt_function_need_not_say_what_it_takes(fn: Callable[[Any], object], plugins: Any) -> None:
    assert Agent("A", prompt=fn, plugins=plugins).prompt is fn
