"""Generated conversations, as their models are asked for more of them step by step."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from callboard import ChunkLong, ContextStrategy, ContextView, DropToolOutput, KeepPriority, Window
from callboard.actors.agents.memory.context.size import ContextSize
from callboard.actors.agents.turns.history import History
from callboard.actors.agents.turns.shape import WHOLE, Shape
from callboard.providers.messages import Image, Message, Request, Text, ToolCall, ToolSpec
from tests.agents.vendors import VENDORS

TOOLS = (ToolSpec("look", "Looks.", {"type": "object", "properties": {}}),)
SYSTEM = Message("system", "You work alone.")
PICTURE = Image("https://example.org/a.png")


class Asked(NamedTuple):
    """A moment at which the model is asked.

    Args:
        history: of the conversation until then.
        start: where the messages of the run begin.
    """

    history: tuple[Message, ...]
    start: int


def words(size: int, seed: int) -> str:
    """A text of about so many characters."""
    return " ".join(f"word{(seed * 7 + at) % 97}" for at in range(max(1, size // 7)))


SIZES = st.sampled_from((10, 40, 200, 900, 3_000))


@st.composite
def conversations(draw: st.DrawFn, *, most_runs: int = 4, most_steps: int = 6) -> list[Asked]:
    """Runs of a conversation, answered by three vendors in turn: calls and results, pictures, what was said meanwhile,
    system messages in the midst, and answers that come in two because a vendor paused."""
    history: list[Message] = []
    asked: list[Asked] = []
    number = 0
    for run in range(draw(st.integers(1, most_runs))):
        start = len(history)
        if draw(st.integers(0, 9)) == 0:
            history.append(Message("system", "From here on be brief."))
        history.append(Message("user", words(draw(SIZES), run)))
        for _ in range(draw(st.integers(1, most_steps))):
            asked.append(Asked(tuple(history), start))
            number += 1
            calls = tuple(
                ToolCall(f"call_{number}_{at}", "look", "{}") for at in range(draw(st.sampled_from((0, 1, 1, 1, 2, 3))))
            )
            vendor = draw(st.sampled_from(VENDORS))
            text = words(20 if calls else draw(SIZES), number)
            message = vendor.answer(number, text, calls, 0.0).message
            history.append(message)
            if not calls:
                if draw(st.booleans()):  # what came when the vendor paused, and the rest
                    history.append(Message("assistant", words(20, number + 1)))
                break
            for call in calls:
                text = words(draw(SIZES), number)
                content = (Text(text), PICTURE) if draw(st.integers(0, 7)) == 0 else text
                history.append(Message("tool", content, tool_call_id=call.id, name=call.name))
            if draw(st.integers(0, 7)) == 0:
                history.append(Message("user", words(30, number + 2)))
        else:
            history.append(Message("assistant", "That is all."))
    return asked


limits = st.sampled_from((50, 300, 1_000, 4_000))
whole = (
    st.builds(Window, tokens=limits | st.none(), messages=st.sampled_from((3, 8)) | st.none())
    | st.builds(DropToolOutput, keep=st.integers(0, 3), tokens=limits | st.none())
    | st.builds(
        KeepPriority,
        labels=st.just({}) | st.just({"user": 2.0, "look": -1.0}),
        recency=st.sampled_from((0.0, 1.0)),
        relevance=st.sampled_from((0.0, 3.0)),
        tokens=limits | st.none(),
    )
)
chunking = st.builds(ChunkLong, longest=st.sampled_from((100, 400)), tokens=limits | st.none())


def _composed(single: st.SearchStrategy[ContextStrategy]) -> st.SearchStrategy[ContextStrategy]:
    return st.recursive(single, lambda inner: st.builds(lambda one, other: one | other, inner, inner), max_leaves=3)


leaving_whole = _composed(whole)
"""Strategies that show a message whole or not at all, but for the results of tools."""
strategies = _composed(whole | chunking)


def request_of(shown: list[Message]) -> Request:
    """What a model would be asked."""
    return Request((SYSTEM, *shown), tools=TOOLS)


class Fold:
    """A conversation that is shown step by step as a strategy wants it.

    Args:
        strategy: what is to be shown.
        window: tokens that the model takes; None where nobody knows.
    """

    def __init__(self, strategy: ContextStrategy, window: int | None) -> None:
        self.strategy = strategy
        self.size = ContextSize()
        self.size.window = window
        self.shape: Shape = WHOLE
        self.changes = 0

    def step(self, asked: Asked) -> tuple[list[Message], ContextView]:
        """What is shown next, and the view that the strategy has left."""
        history = History(asked.history)
        shown = list(self.size.follow(history, self.shape))
        view = self.size.view(history, asked.start, request_of(shown), (), forced=False)
        after = self.strategy.apply(view)
        if after.shape != self.shape:
            self.changes += 1
            self.shape = after.shape
            shown = list(self.size.follow(history, self.shape))
        return shown, after
