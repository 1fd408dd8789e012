"""What is known, of the step under way, of how much of its conversation the model is shown."""

from __future__ import annotations

from ......providers.messages import Request


class ShownStep:
    """Begun anew with each step.

    Attributes:
        request: what the model is asked, or would be but for the plan of the step.
        condensed: how long the history was when what is shown of it was changed, until the step goes on.
        changes: times that it was changed, by its strategy or because a vendor asked for it.
        refusals: times that a vendor said it was too long.
        failed: the strategies that could not do their work.
        own: whether the prompt function says itself what of the history is shown.
    """

    __slots__ = ("changes", "condensed", "failed", "own", "refusals", "request")

    def __init__(self) -> None:
        self.request: Request | None = None
        self.condensed: int | None = None
        self.own = False
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self.changes = 0
        self.refusals = 0
        self.failed: tuple[object, ...] = ()
