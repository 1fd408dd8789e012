"""Labels through a history: what a call that a model makes may have been caused by, and may tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ....providers.messages import UNLABELLED, Labels, Message, labels_of_tool


def labels_of(message: Message) -> Labels:
    """The labels of a message: its own, or what its role says."""
    if message.labels is not None:
        return message.labels
    return labels_of_tool(message.name or "") if message.role == "tool" else UNLABELLED


def explicit(labels: Labels, name: str) -> Labels | None:
    """The labels of a tool's result as they are kept: None for those that it has anyway."""
    usual = labels_of_tool(name)
    return None if labels is usual or labels == usual else labels


def joined(messages: Iterable[Message]) -> Labels:
    """The labels of all of them."""
    labels = UNLABELLED
    for message in messages:
        labels |= labels_of(message)
    return labels


def carried(messages: tuple[Message, ...], labels: Labels) -> tuple[Message, ...]:
    """Messages that somebody is told who sees nothing else of what they are made of: the last has its labels, too."""
    if not labels or not messages:
        return messages
    *before, last = messages
    return (*before, replace(last, labels=labels_of(last) | labels))


class LabelsOfHistory:
    """The labels of a history that grows: each message is looked at once."""

    __slots__ = ("_labels", "_last", "_seen")

    def __init__(self) -> None:
        self._labels = UNLABELLED
        self._last: Message | None = None
        self._seen = 0

    def of(self, history: Sequence[Message]) -> Labels:
        """The labels of all of it."""
        seen = self._seen
        if seen > len(history) or (seen and history[seen - 1] is not self._last):  # it is another one
            self._labels, seen = UNLABELLED, 0
        for index in range(seen, len(history)):
            self._labels |= labels_of(history[index])
        self._seen = len(history)
        self._last = history[-1] if self._seen else None
        return self._labels
