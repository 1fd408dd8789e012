"""Labels of text as labels of facts, so that what was remembered is told as what it was. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .....providers.messages import UNLABELLED, Labels
from .fact import Fact

_UNTRUSTED: Final = "untrusted: "
_CONFIDENTIAL: Final = "confidential: "


def as_texts(labels: Labels) -> tuple[str, ...]:
    """Labels as a fact has them."""
    untrusted = (f"{_UNTRUSTED}{source}" for source in sorted(labels.untrusted))
    return (*untrusted, *(f"{_CONFIDENTIAL}{kind}" for kind in sorted(labels.confidential)))


def labels_of(facts: Iterable[Fact]) -> Labels:
    """The labels of the text of facts; what else a fact is labelled with is the application's own."""
    labels = UNLABELLED
    for fact in facts:
        untrusted = [text.removeprefix(_UNTRUSTED) for text in fact.labels if text.startswith(_UNTRUSTED)]
        kinds = [text.removeprefix(_CONFIDENTIAL) for text in fact.labels if text.startswith(_CONFIDENTIAL)]
        if untrusted or kinds:
            labels |= Labels(frozenset(untrusted), frozenset(kinds))
    return labels
