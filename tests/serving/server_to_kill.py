"""A served agency on a durable journal, for tests to kill.

Arguments: the journal's file, the port, what its model says, in pieces between ``|``, and how many of them before it
falls silent for good; 0 for all.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from callboard import Agency, Agent
from callboard.actors import Actor, ChildSpec
from callboard.actors.serving import serve
from callboard.providers.messages import Completion, Delta, Message, Request, Usage


class Falling(Actor):
    """Says its pieces, and falls silent behind some of them."""

    def __init__(self, pieces: list[str], most: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.most = most

    def on_receive(self, message: Request) -> Any:
        return self._said() if self.expects == "stream" else self._whole()

    def _whole(self) -> Completion:
        return Completion(Message("assistant", "".join(self.pieces)), "stop", Usage(3, 2))

    async def _said(self) -> AsyncIterator[Delta]:
        for number, piece in enumerate(self.pieces, 1):
            yield Delta(piece)
            if number == self.most:
                await asyncio.Event().wait()
        yield Delta(completion=self._whole())


def main(journal: str, listening: int, said: str, most: int) -> None:
    model = ChildSpec(Falling, (said.split("|"), most), name="model")
    app = serve(Agency(Agent("A"), model=model, journal=journal))
    uvicorn.run(app, fd=listening, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
