"""The message one agent sends another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from ....providers.checks import TEXT, Wish, one_of
from ....providers.messages import Message
from ....providers.shapes import wrong_field
from ...core.base.typed import Returns
from ..answer import Answer, HandoffKind


@dataclass(frozen=True, slots=True)
class Handoff(Returns[Answer]):
    """The message one agent sends another; its answer comes back through the run's reply future.

    Any other actor may send it, too: ``await agency.agent_ref("Developer").ask(Handoff("Watcher", "Developer", "…"))``.

    Args:
        sender, target: the agents' names; an actor of one's own gives itself one.
        task: what the target is asked to do.
        context: what it should know.
        summary: what has been done so far.
        input: structured input, where the handoff declares a type for it.
        kind: whether the answer comes back, or the target takes the conversation over.
    """

    sender: str
    target: str
    # What is said stands in no repr: errors and logs show messages.
    task: str = field(repr=False)
    context: str = field(default="", repr=False)
    summary: str = field(default="", repr=False)
    input: Any = field(default=None, repr=False)
    kind: HandoffKind = "delegate"

    def as_message(self) -> Message:
        """What the target's model reads: who asks, and what. For whom is not said: that stays here."""
        parts = [f"From: {self.sender}", self.task]
        if self.summary:
            parts.append(f"What was done so far:\n{self.summary}")
        if self.context:
            parts.append(f"Context:\n{self.context}")
        if self.input is not None:
            parts.append(f"Input:\n{_as_json(self.input)}")
        return Message("user", "\n\n".join(part for part in parts if part))

    def plain_input(self) -> Any:
        """The structured input as plain data."""
        return json.loads(_as_json(self.input))


_OF_HANDOFF: Final[Mapping[str, Wish]] = {
    **dict.fromkeys(("sender", "target", "task", "context", "summary"), TEXT),
    "kind": one_of(*get_args(HandoffKind)),
}


def wrong_handoff(handoff: Handoff) -> str:
    """What is wrong with a handoff, without what it says; empty where nothing is."""
    return wrong_field(handoff, _OF_HANDOFF)


def _as_json(value: Any) -> str:
    dump = getattr(value, "model_dump_json", None)
    if dump is not None:
        return str(dump())
    return json.dumps(value, ensure_ascii=False, default=str)
