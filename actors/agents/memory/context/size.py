"""How large a conversation is, kept up to date message by message: a step costs what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .....providers.messages import Completion, Message, Request, ToolSpec
from .....providers.tokens import estimate, estimate_message
from .....providers.windows import context_window
from ...turns.shape import GAP, WHOLE, Shape, excerpt, gap_before, shown, stub
from .view import ContextView, size_of_summary

ANSWER: Final = 4_096
"""Tokens that are kept free for what the model answers, where the request does not say how much that may be."""
MARGIN: Final = 0.9
"""What of the rest is used: an estimate is seldom exact."""
FARTHEST: Final = 5.0
"""A vendor's figure that is so many times another than the estimate is no count of what was sent."""
GROWN: Final = 1.25
"""To how much a conversation has to grow before what failed is tried again: at each step would double what is paid."""
SHRINK: Final = 0.75
"""What of a request that was too long may be sent, where the vendor has not said how much it takes."""


class ContextSize:
    """How large a conversation is as it is shown, and how much of it may be shown.

    It follows from the history, its shape, and what vendors have said; so it may be lost at any time.

    Attributes:
        scale: tokens that the vendor counted for one that was estimated, in the last completion.
        window: tokens that the model takes, where a vendor has said so.
        most: tokens that a request may have, where a vendor has only said that more were too many.
        total: estimated tokens of what is shown of the history.
        asked: estimated tokens of the last request.
    """

    __slots__ = (
        "_failed",
        "_last",
        "_model",
        "_shape",
        "_shown",
        "_sizes",
        "_tools",
        "_tools_size",
        "asked",
        "most",
        "scale",
        "total",
        "window",
    )

    def __init__(self) -> None:
        self.scale = 1.0
        self.window: int | None = None
        self.most: int | None = None
        self.asked = 0
        self._model = ""
        self._tools: tuple[ToolSpec, ...] = ()
        self._tools_size = 0
        self._begin(WHOLE)

    def _begin(self, shape: Shape) -> None:
        self._sizes: list[int] = []
        self._shown: list[Message] = []
        self._last: Message | None = None
        self._failed: list[tuple[object, int]] = []
        self._shape = shape
        self.total = size_of_summary(shape.summary)

    def follow(self, history: Sequence[Message], shape: Shape) -> list[Message]:
        """Take in what is new of a history.

        Returns:
            what of it is shown; not to be changed.
        """
        known = len(self._sizes)
        if shape is not self._shape or known > len(history) or (known and history[known - 1] is not self._last):
            self._begin(shape)
            known = 0
        if known == len(history):
            return self._shown
        if not known and shape is not WHOLE:
            self._shown = shown(history, shape)
            self._sizes = _sizes(history, shape)
            self.total += sum(self._sizes)
        else:
            new = history[known:]
            sizes = [estimate_message(message) for message in new]
            self._sizes += sizes
            self.total += sum(sizes)
            if known and shape.left_out and shape.left_out[-1][1] == known and gap_before(new[0], _last(self._shown)):
                self._shown.append(Message("user", GAP))
            self._shown += new
        self._last = history[-1]
        return self._shown

    def view(
        self,
        history: Sequence[Message],
        start: int,
        request: Request,
        failed: tuple[object, ...],
        forced: bool,
    ) -> ContextView:
        """What a strategy is to look at. `follow` comes before.

        Args:
            history: all messages.
            start: where those of the run under way begin.
            request: what the model would be asked now.
            failed: the strategies that cannot do their work in this step.
            forced: whether less has to be shown than now, whatever is allowed.
        """
        around = self._around(request)
        self.asked = around + self.total
        window = self.window or context_window(request.model or self._model)
        most = self.most
        if window is not None:
            left = round((window - min(request.max_tokens or ANSWER, window // 2)) * MARGIN)
            most = left if most is None else min(left, most)
        room = None if most is None else max(1, round(most - around * self.scale))
        if forced:
            room = max(1, min(room or self.tokens, self.tokens))
        else:
            failed = (*failed, *(strategy for strategy, total in self._failed if self.total < total * GROWN))
        return ContextView(
            history, self._sizes, self.total, start, room, self._shape, self.scale, acted=forced, failed=failed
        )

    @property
    def tokens(self) -> int:
        """Tokens of what is shown of the history, as the vendor counts."""
        return round(self.total * self.scale)

    def failed(self, strategy: object) -> None:
        """A strategy could not do its work: it is not asked again until there is a good deal more, or something else is
        shown, or a vendor says that it is too long."""
        self._failed.append((strategy, self.total))

    def answered(self, completion: Completion) -> None:
        """A vendor has counted the last request."""
        self._model = completion.model
        self._counted(completion.usage.input_tokens)
        self.asked = 0  # what is asked next is another request

    def refused(self, used: int | None, allowed: int | None) -> None:
        """A vendor has said that the last request is too long.

        Args:
            used: the tokens that it had, where the vendor said that.
            allowed: the tokens that the model takes, where it said that.
        """
        if used is not None:
            self._counted(used)
        if allowed is not None and (used is None or allowed < used):
            self.window = allowed
        else:
            self.most = max(1, round(self.asked * self.scale * SHRINK))

    def _counted(self, tokens: int) -> None:
        if self.asked and self.asked / FARTHEST < tokens < self.asked * FARTHEST:
            self.scale = tokens / self.asked

    def _around(self, request: Request) -> int:
        """Estimated tokens of what is asked besides the history: the system message, tools, what a prompt adds."""
        if request.tools is not self._tools:
            self._tools = request.tools
            self._tools_size = estimate(Request((), tools=request.tools))
        messages, known = request.messages, self._shown
        head = 0
        if known:
            while head < len(messages) and messages[head] is not known[0]:
                head += 1
        rest = (*messages[:head], *messages[head + len(known) :])
        return self._tools_size + sum(estimate_message(message) for message in rest)


def _sizes(history: Sequence[Message], shape: Shape) -> list[int]:
    """For each message its tokens as it is shown."""
    hidden = {position for start, end in shape.left_out for position in range(start, end)}
    dropped, excerpts = frozenset(shape.dropped), dict(shape.excerpts)
    sizes = []
    for position, message in enumerate(history):
        if position in hidden:
            sizes.append(0)
            continue
        if position in dropped:
            message = stub(message)
        elif position in excerpts:
            message = excerpt(message, excerpts[position])
        sizes.append(estimate_message(message))
    return sizes


def _last(messages: Sequence[Any]) -> Any:
    return messages[-1] if messages else None
