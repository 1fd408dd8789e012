"""A class of one's own that describes an agent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from callboard import Agency, Agent, RequestContext, Skill
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.testing.doubles.models import Script

from .support import add, scripted


class Clerk(Agent):
    """Says all that an agent needs."""

    name = "Clerk"
    tools = (add,)
    description = "Adds up."

    def instructions(self, context: RequestContext) -> str:
        return f"You are {self.name}, and work for {context.user}."


async def test_a_class_says_the_fields_of_its_agents_and_its_methods_are_called() -> None:
    script = Script(["ok"])
    async with Agency(Clerk(), model=scripted(script)) as agency:
        await agency.run("?", user="ann")
    request = script.requests[0]
    assert request.messages[0].text == "You are Clerk, and work for ann."
    assert [spec.name for spec in request.tools] == ["add"]


def test_what_an_instance_is_given_goes_before_what_its_class_says() -> None:
    class Senior(Clerk):
        model = "large"

    senior = Senior("Senior", tools=[])
    assert (senior.name, senior.model, list(senior.tools), senior.description) == ("Senior", "large", [], "Adds up.")
    brief: Agent = Senior("Senior", "Be brief.")
    assert brief.instructions == "Be brief."


def test_a_class_whose_init_does_not_call_ours_is_named() -> None:
    class Lazy(Agent):
        name = "Lazy"

        def __init__(self) -> None:
            self.number = 1

    class Shelf(Skill):
        name = "shelf"

        def __init__(self) -> None:
            self.books = 3

    for make, name in (
        (lambda: Agency(Lazy()), "Lazy"),
        (lambda: Agent("A", skills=[Shelf()]), "Shelf"),
        (lambda: Agent("A", skills=[Skill("reader", requires=[Shelf()])]), "Shelf"),
    ):
        with pytest.raises(DefinitionError, match=rf"{name}\.__init__ has to call super"):
            make()


def test_a_class_that_has_an_init_of_its_own_calls_that_of_agents() -> None:
    class Numbered(Clerk):
        def __init__(self, number: int) -> None:
            super().__init__(f"Clerk{number}")

    assert (Numbered(7).name, [one.name for one in Numbered(7).all_tools]) == ("Clerk7", ["add"])


def test_a_dataclass_may_add_fields() -> None:
    @dataclass(eq=False)
    class Regional(Agent):
        name: str = "Regional"
        region: str = "eu"

    assert (Regional().name, Regional(region="us").region) == ("Regional", "us")


def test_a_field_that_a_dataclass_would_pass_over_is_named() -> None:
    @dataclass(eq=False)
    class Silent(Agent):
        name: str = "Silent"
        tools = (add,)

    with pytest.raises(DefinitionError, match=r"Silent\.tools needs its type"):
        Silent()


@pytest.mark.parametrize("method", ["on_receive", "run", "process"])
def test_a_method_that_nobody_would_call_is_refused_as_the_class_is_made(method: str) -> None:
    with pytest.raises(DefinitionError, match=rf"Mistaken\.{method}: an agent is a description"):
        type("Mistaken", (Agent,), {method: lambda self, message: "never"})


def test_an_agent_without_a_name_is_refused() -> None:
    with pytest.raises(DefinitionError, match="agent name ''"):
        Agent()
