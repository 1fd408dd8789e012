"""Showing of one message that is too long only some chunks, cut where its text has a border."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .....providers.messages import Message
from ...turns.shape import Span
from ..documents.chunking import pieces
from .priority import relevance
from .strategy import ContextStrategy, check_amount
from .view import ContextView

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of an emoji, which the splitter does not take."""
AT_ONCE = 4_000
"""Characters that are cut at a time, at least: the splitter needs the square of it, and the event loop waits."""
PIECES = 8
"""Chunks that a message is shown at least."""
LETTERS = 4
"""Characters of a token, as they are estimated; where a text has more bytes for them, more chunks are left out."""


@dataclass(frozen=True)
class ChunkLong(ContextStrategy):
    """Of long user messages and results of tools only some chunks are shown, the longest message first.

    A text is cut where it has a border: between chapters before paragraphs, between those before sentences, by the
    extra ``documents`` (semantic-text-splitter). The first and the last chunk stay, and those that share most with what
    the run was asked. Where something is left out stands a mark. Unlike other strategies it also shortens what the run
    was asked, and results that the model has not seen yet.

    Args:
        longest: tokens that are left of such a message, at least 100.
        tokens: as of `Window`.

    Raises:
        DefinitionError: one of them is no whole number, or out of range.
        ImportError: the extra is not installed; says how.
    """

    longest: int = 4_000
    tokens: int | None = None

    def __post_init__(self) -> None:
        check_amount("ChunkLong", "longest", self.longest, least=100, optional=False)
        check_amount("ChunkLong", "tokens", self.tokens)
        _splitter(self.longest)

    def apply(self, view: ContextView) -> ContextView:
        excess = view.excess(self.tokens, lambda _: False)
        if excess <= 0:
            return view
        shown = [position for unit in view.units() for position in range(unit.start, unit.end)]
        long = [
            position
            for position in shown
            if view.history[position].role in ("user", "tool") and view.sizes[position] > self.longest / view.scale
        ]
        asks = view.asks()
        made: list[tuple[int, tuple[Span, ...], int]] = []
        for position in sorted(long, key=lambda position: -view.sizes[position]):
            if excess <= 0:
                break
            question = "" if position == asks or asks < 0 else view.history[asks].text
            spans, tokens = self._excerpt(view, view.history[position], question)
            if spans:
                made.append((position, spans, tokens))
                excess -= view.sizes[position] - tokens
        return view.excerpting(made)

    def _excerpt(self, view: ContextView, message: Message, question: str) -> tuple[tuple[Span, ...], int]:
        """The spans of a message that stay, and how many tokens they have; none where it cannot be cut."""
        text, count = _SURROGATE.sub("\ufffd", message.text), view.counter.count
        longest = max(1, self.longest * LETTERS // PIECES)
        cut = pieces(text, _splitter(longest), max(AT_ONCE, 10 * longest))
        chunks = [(start, start + len(chunk)) for start, chunk in cut]
        if len(chunks) < 3:
            return (), 0
        # With the white space behind them: it is shown where both that it stands between are.
        sizes = [count(text[start:end]) for (start, _), (end, _) in pairwise([*chunks, (len(text), 0)])]
        last = len(chunks) - 1
        question = question or text[slice(*chunks[last])]
        worth = relevance(question, [text[start:end] for start, end in chunks])
        kept = {0, last}
        left = self.longest / view.scale - sizes[0] - sizes[last]
        for _, at in sorted((-worth[at], at) for at in range(1, last)):
            if sizes[at] <= left:
                kept.add(at)
                left -= sizes[at]
        spans = _joined(text, [chunks[at] for at in sorted(kept)])
        return spans, sum(count(text[start:end]) for start, end in spans)


def _joined(text: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans in order, those with nothing but space between them as one."""
    joined = [spans[0]]
    for start, end in spans[1:]:
        if not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def _splitter(longest: int) -> Callable[[str], list[tuple[int, str]]]:
    """What cuts a text into chunks of at most so many characters: for each its place and itself."""
    try:
        from semantic_text_splitter import MarkdownSplitter
    except ImportError:
        raise ImportError(
            "cutting long messages needs semantic-text-splitter: pip install 'callboard[documents]'"
        ) from None
    return MarkdownSplitter(longest).chunk_indices
