"""Stands for crewai, whose words the worker uses: crews with ``kickoff``, and what that returns."""

from collections.abc import Callable, Sequence
from typing import Any

__version__ = "0-standing-in"


class Usage:
    """What was used."""

    total_tokens = 42


class Output:
    """What a crew, or one of its tasks, has made."""

    def __init__(self, raw: str, agent: str = "") -> None:
        self.raw = raw
        self.agent = agent
        self.token_usage = Usage()


class Crew:
    """A crew whose work is a function."""

    def __init__(self, work: Callable[[Any], str], agents: Sequence[str] = ("Researcher", "Writer")) -> None:
        self.work = work
        self.agents = agents
        self.task_callback: Callable[[Output], object] | None = None

    def kickoff(self, inputs: Any) -> Output:
        """Have it work."""
        print("a crew prints much")
        for agent in self.agents:
            if self.task_callback is not None:
                self.task_callback(Output("", agent))
        return Output(self.work(inputs))
