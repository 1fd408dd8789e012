"""pykka's process-wide `ActorRegistry`, made O(1).

pykka keeps its refs in a list, so that stopping one actor among 100,000 compares it with all the others. The list is
replaced by an ordered set with the part of a list's interface that the registry uses; its API stays what it was.
Nothing of ours depends on the registry: two systems share it only as a directory of what runs in the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pykka


class RefSet:
    """An ordered set that looks like a list to `pykka.ActorRegistry`."""

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[Any] = ()) -> None:
        self._refs: dict[Any, None] = dict.fromkeys(refs)

    def append(self, ref: Any) -> None:
        self._refs[ref] = None

    def remove(self, ref: Any) -> None:
        del self._refs[ref]

    def discard(self, ref: Any) -> None:
        self._refs.pop(ref, None)

    def clear(self) -> None:
        self._refs.clear()

    def __contains__(self, ref: object) -> bool:
        return ref in self._refs

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._refs))

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, index: Any) -> Any:
        return list(self._refs)[index]


def _install() -> RefSet:
    registry: Any = pykka.ActorRegistry
    with registry._actor_refs_lock:
        if not isinstance(registry._actor_refs, RefSet):
            registry._actor_refs = RefSet(registry._actor_refs)
        installed: RefSet = registry._actor_refs
        return installed


_refs = _install()
register = _refs.append  # dict operations are atomic: the registry's lock only guards its own read-then-write


def unregister(ref: pykka.ActorRef[Any]) -> None:
    """Take an actor out of the registry; nothing happens if it is not there."""
    _refs.discard(ref)


def forget_of(loop: object) -> None:
    """Take those out that lived on an event loop which is given up with them."""
    for ref in _refs:
        cell = getattr(ref, "_cell", None)
        if cell is not None and cell.runtime.loop is loop:
            _refs.discard(ref)


def forget_all() -> None:
    """Empty the directory: what a forked process has inherited runs in its parent only."""
    _refs.clear()
