"""What the model has said in the completion under way, as far as it may be shown: for those who come to watch later."""

from __future__ import annotations

from .....providers.messages import Delta


class Spoken:
    """What was shown of one completion of a streamed run.

    Args:
        step: of which completion, counted from 1.
    """

    __slots__ = ("pieces", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.pieces: list[Delta] = []

    def text(self, kind: str) -> str:
        """All of its ``text``, or of its ``reasoning``."""
        return "".join([getattr(piece, kind) for piece in self.pieces])
