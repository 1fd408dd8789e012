"""Each example of the page on moving from pykka is run with both base classes, and prints what the page says."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import pykka
import pytest

from callboard.actors import Actor
from tests import warm
from tests.pages.page import Block, Page

Base = Literal["pykka", "callboard"]
PAGE = Page("actors/core/pykka.md")
OURS = "from callboard import Actor"
THEIRS = "from pykka import ThreadingActor as Actor"


class Example(NamedTuple):
    """A program of the page."""

    about: str
    block: Block

    @property
    def code(self) -> str:
        return self.block.text

    @property
    def of_ours_only(self) -> bool:
        """Whether it imports the base class itself."""
        return "from callboard" in self.code

    def says(self, base: Base) -> list[str]:
        """The lines that it prints with a base class, as the page has them."""
        return self.block.says(base)


def examples() -> list[Example]:
    """The prelude, and the examples, with the first words of the sentence before each."""
    found = []
    for block in PAGE.blocks("python"):
        before = "\n".join(PAGE.text.split("\n")[: block.line - 1])
        sentence = before.strip().split("\n\n")[-1]
        found.append(Example("_".join(re.findall(r"\w+", sentence)[:9]), block))
    return found


PRELUDE, *EXAMPLES = examples()
BASES: list[Base] = ["pykka", "callboard"]
RUNS = [(example, base) for example in EXAMPLES for base in (BASES[1:] if example.of_ours_only else BASES)]


def program(example: Example, base: Base) -> str:
    if example.of_ours_only:
        return example.code
    prelude = PRELUDE.code if base == "callboard" else PRELUDE.code.replace(OURS, THEIRS)
    return f"{prelude}\n{example.code}\npykka.ActorRegistry.stop_all()\n"


@pytest.mark.parametrize(("example", "base"), RUNS, ids=[f"{example.about}-{base}" for example, base in RUNS])
def test_an_example_prints_what_the_page_says(example: Example, base: Base) -> None:
    done = warm.run("-W", "error", "-c", program(example, base))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == example.says(base), done.stderr


def test_every_example_prints_something_and_every_difference_shows() -> None:
    assert OURS in PRELUDE.code
    assert len(EXAMPLES) > 20
    page = PAGE.text
    for example in EXAMPLES:
        assert example.says("callboard"), f"{example.about} shows nothing"
        if page.index(example.code) > page.index("## What is different") and not example.of_ours_only:
            assert example.says("pykka") != example.says("callboard"), f"{example.about} shows no difference"


def test_the_page_names_every_public_attribute_that_pykka_does_not_have() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    sentence = re.search(r"The base class has more public attributes.*?\.", PAGE.text, re.DOTALL)
    assert sentence is not None
    named = set(re.findall(r"`(\w+)`", sentence[0]))
    assert named == public(Actor) - public(pykka.ThreadingActor) - {"actor_urn", "actor_inbox", "actor_stopped"}
