"""What a conversation's prompt function remembers, as it was at any point of the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from .history import Shared
from .records import PromptChanged

Change: TypeAlias = tuple[int, PromptChanged]
"""A change, with how many messages the history had when it was recorded."""


class Remembered:
    """The state of a prompt function, and what its effects depended on: a value, made from the changes in order.

    What comes of a step is recorded before its messages are in the history. So what was changed in the step that began
    behind ``n`` messages has ``n`` beside it, and is there as long as the history has more.

    Args:
        changes: in the order recorded.

    Attributes:
        changes: the same.
        state: by key the values, plain data.
        effects: by identity what effects depended on when they ran last, as canonical JSON.
    """

    __slots__ = ("changes", "effects", "state")

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self.changes: Shared[Change] = Shared(changes)
        state: dict[str, Any] = {}
        effects: dict[str, str] = {}
        for _, changed in self.changes:
            _take(state, effects, changed)
        self.state: Mapping[str, Any] = MappingProxyType(state)
        self.effects: Mapping[str, str] = MappingProxyType(effects)

    def plus(self, messages: int, changed: PromptChanged) -> Remembered:
        """With one change more.

        Args:
            messages: how many the history has.
            changed: what has changed.
        """
        added = object.__new__(Remembered)
        added.changes = self.changes.plus((messages, changed))
        state, effects = dict(self.state), dict(self.effects)
        _take(state, effects, changed)
        added.state, added.effects = MappingProxyType(state), MappingProxyType(effects)
        return added

    def before(self, messages: int) -> Remembered:
        """As it was when the step began that stands behind so many messages: all that is left where a history is cut
        to them."""
        kept = [change for change in self.changes if change[0] < messages]
        return self if len(kept) == len(self.changes) else Remembered(kept)

    def begun(self, messages: int) -> Remembered:
        """As it is for a run that begins behind so many messages: what steps have set that left no message, because
        they were interrupted, or their answer was empty, goes with the message before, and not with what comes now."""
        last = max(messages - 1, 0)
        if not self.changes or self.changes[-1][0] <= last:
            return self
        return Remembered((min(at, last), changed) for at, changed in self.changes)

    def shown(self, messages: int) -> Mapping[str, Any]:
        """The state that the prompt function saw in the step that began behind so many messages: what there was before,
        and the initial values that this step has given."""
        state = dict(self.before(messages).state)
        for at, changed in self.changes:
            if at == messages:
                for key, value in changed.state.items():
                    state.setdefault(key, changed.initial.get(key, value))
        return state


NOTHING_REMEMBERED = Remembered()


def _take(state: dict[str, Any], effects: dict[str, str], changed: PromptChanged) -> None:
    state.update(changed.state)
    for identity, dependencies in changed.effects.items():
        if dependencies is None:
            effects.pop(identity, None)
        else:
            effects[identity] = dependencies
