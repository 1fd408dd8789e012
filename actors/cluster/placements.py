"""Where conversations were placed last: loads change with each look, and are no reason to move one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from .placement import Candidate, place, score

MOST: Final = 100_000
"""Conversations of which it is remembered where they are: about 250 bytes each."""


class Placements:
    """Remembers where conversations were placed. One stays where it is, whatever the loads, for as long as that node is
    there; a node that joins takes its part of them, as if it had been there before.

    Args:
        most: how many it remembers; the one that was placed longest ago is forgotten, and placed anew.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._placed: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._joined: dict[str, int] = {}
        self._newest = 0

    def __len__(self) -> int:
        return len(self._placed)

    def joined(self, node: str) -> None:
        """A node is there that was not, or has been away."""
        self._newest += 1
        self._joined[node] = self._newest

    def left(self, node: str) -> None:
        """A node is there no more."""
        self._joined.pop(node, None)

    def place(self, key: str, conversation: str, nodes: Mapping[str, Candidate]) -> str | None:
        """Where a conversation lives.

        Args:
            key: of the memory: agent and conversation.
            conversation: what is placed, see `placement.place`.
            nodes: those that take something, by their ids.

        Returns:
            the id of a node; None where there is none.
        """
        known = self._placed.get(key)
        found = None if known is None else self._stays(conversation, *known, nodes)
        if found is None:
            found = place(conversation, list(nodes.values()))
        if found is not None:
            self._placed[key] = found, self._newest
            self._placed.move_to_end(key)
            if len(self._placed) > self._most:
                self._placed.popitem(last=False)
        return found

    def _stays(self, conversation: str, node: str, at: int, nodes: Mapping[str, Candidate]) -> str | None:
        """Where one is now that was placed before; None where its node has been away since."""
        there = nodes.get(node)
        if there is None or self._joined.get(node, 0) > at:
            return None
        if self._newest > at:
            found = place(conversation, list(nodes.values()))
            if found is not None and self._joined.get(found, 0) > at:
                new = nodes[found]
                if score(conversation, new.id, new.weight) > score(conversation, node, there.weight):
                    return found
        return node
