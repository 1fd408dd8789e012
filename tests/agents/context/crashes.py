"""A conversation that is summarized again and again, and what must hold of it whoever is killed whenever."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from callboard import Agency, Agent, Summarize, System
from callboard.actors.agents.turns.records import Accepted, Snapshot
from callboard.actors.agents.turns.steps import Condensed
from callboard.providers.messages import Completion, Message, Request, Usage
from tests.agents.support import function

from .histories import words

RUNS = 8
NAMED = re.compile(r"#(\d+)")
COST = 0.01


def numbers(text: str) -> set[int]:
    """The questions that a text names."""
    return {int(found) for found in NAMED.findall(text)}


class Talk:
    """Questions, and a model that checks that each of them is either shown or in the summary.

    Attributes:
        bought: summaries that were made.
    """

    def __init__(self) -> None:
        self.bought = 0

    def model(self, request: Request) -> Any:
        """A summary names the questions that it is of; an answer names the last one."""
        told = request.messages[-1].text
        if request.messages[0].text.startswith("Summarize"):
            self.bought += 1
            text = " ".join(f"#{number}" for number in sorted(numbers(told)))
            return Completion(Message("assistant", f"{text} end"), "stop", Usage(100, 10), cost=COST)
        known = {number for message in request.messages for number in numbers(message.text)}
        newest = max(numbers(told))
        assert known == set(range(1, newest + 1)), f"of {newest} questions the model knows {sorted(known)}"
        return f"answer to #{newest}"

    def agency(self, journal: Any, system: System | None = None) -> Agency:
        agent = Agent("A", context=Summarize(tokens=800))
        return Agency(agent, model=function(self.model), journal=journal, system=system)

    async def ask(self, agency: Agency, runs: int = RUNS) -> list[tuple[str, float]]:
        """What is answered and paid, question by question."""
        answers = []
        for number in range(1, runs + 1):
            handle = await agency.start_run(f"#{number} {words(700, number)}", conversation="c", run_id=f"r{number}")
            answer = await handle
            answers.append((answer.text, round(answer.cost, 6)))
        return answers


def check(events: Sequence[Any], answers: Sequence[tuple[str, float]]) -> int:
    """Look at what a journal has: no summary twice, none of half of what it is of, and each paid once.

    Returns:
        how many summaries there are.
    """
    assert [text for text, _ in answers] == [f"answer to #{number}" for number in range(1, len(answers) + 1)]
    messages: list[int] = []
    for event in events:
        assert not isinstance(event, Snapshot)
        if isinstance(event, Accepted):
            messages += [max(numbers(event.run.messages[0].text))] * 2  # the question, and its answer
    made = [event for event in events if isinstance(event, Condensed)]
    covered = [event.shape.left_out for event in made]
    assert len(set(covered)) == len(covered), "one summary was made twice"
    for event in made:
        text = event.shape.summary
        assert text.endswith(" end"), "a summary is torn"
        of = {messages[at] for start, end in event.shape.left_out for at in range(start, end)}
        assert numbers(text) == of, "a summary is not of what it stands for"
    assert round(sum(cost for _, cost in answers), 6) == round(COST * len(made), 6)
    return len(made)
