"""A model that answers in pieces where it is asked to, and whole otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from callboard.actors import Actor
from callboard.providers.messages import Completion, Delta, Request


class Model(Actor):
    """Says what `pieces` has."""

    def on_receive(self, request: Request) -> Any:
        """Answer a request."""
        return self.pieces(request) if self.expects == "stream" else self._whole(request)

    async def _whole(self, request: Request) -> Completion:
        *_, last = [delta async for delta in self.pieces(request)]
        assert last.completion is not None
        return last.completion

    def pieces(self, request: Request) -> AsyncIterator[Delta]:
        """What is said; the last piece has all of it."""
        raise NotImplementedError
