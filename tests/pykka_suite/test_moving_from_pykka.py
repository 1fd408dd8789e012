"""Each example of the page on moving from pykka is run with both base classes, and prints what the page says."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import pykka
import pytest

from callboard.actors import Actor
from tests import warm

from .test_pykka_suite import ROOT

Base = Literal["pykka", "callboard"]
PAGE = ROOT / "actors" / "core" / "pykka.md"
OURS = "from callboard import Actor"
THEIRS = "from pykka import ThreadingActor as Actor"


class Example(NamedTuple):
    """A program of the page."""

    about: str
    code: str

    @property
    def of_ours_only(self) -> bool:
        """Whether it imports the base class itself."""
        return "from callboard" in self.code

    def says(self, base: Base) -> list[str]:
        """The lines that it prints with a base class, as the page has them."""
        lines = []
        for said in re.findall(r"# -> (.*)", self.code):
            which = dict(re.findall(r"(pykka|callboard): (.*?)(?: \| |$)", said))
            if not which:
                lines.append(said)
            elif base in which:
                lines.append(which[base])
        return lines


def examples() -> list[Example]:
    """The prelude, and the examples, with the first words of the sentence before each."""
    found = []
    for text, code in re.findall(r"(.*?)```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        sentence = text.strip().split("\n\n")[-1]
        found.append(Example("_".join(re.findall(r"\w+", sentence)[:9]), code))
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
    page = PAGE.read_text(encoding="utf-8")
    for example in EXAMPLES:
        assert example.says("callboard"), f"{example.about} shows nothing"
        if page.index(example.code) > page.index("## What is different") and not example.of_ours_only:
            assert example.says("pykka") != example.says("callboard"), f"{example.about} shows no difference"


def test_the_page_names_every_public_attribute_that_pykka_does_not_have() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    sentence = re.search(r"The base class has more public attributes.*?\.", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert sentence is not None
    named = set(re.findall(r"`(\w+)`", sentence[0]))
    assert named == public(Actor) - public(pykka.ThreadingActor) - {"actor_urn", "actor_inbox", "actor_stopped"}
