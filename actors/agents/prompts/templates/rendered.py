"""What a render of a template makes."""

from __future__ import annotations

from dataclasses import dataclass, field

from .....providers.messages import Message


@dataclass(frozen=True, slots=True)
class RenderedTemplate:
    """What a template made of its variables.

    Args:
        name: the template's name.
        version: the version that was chosen.
        system: the text for the system prompt; empty if there is none.
        few_shot: the examples, by turns of the user and of the assistant.
        user: the user's message; empty if there is none.
    """

    name: str
    version: str
    system: str = field(repr=False)
    few_shot: tuple[Message, ...] = field(repr=False)
    user: str = field(repr=False)

    @property
    def note(self) -> str:
        """What a run's trace says of it."""
        return f"template {self.name}@{self.version}"
