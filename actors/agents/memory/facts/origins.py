"""Labels of text as labels of facts, so that what was remembered is told as what it was. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .....providers.messages import UNLABELLED, Labels
from .fact import Fact
from .labelling import CONFIDENTIAL, UNTRUSTED


def labels_of(facts: Iterable[Fact]) -> Labels:
    """The labels of the text of facts; what else a fact is labelled with is the application's own."""
    labels = UNLABELLED
    for fact in facts:
        untrusted = [text.removeprefix(UNTRUSTED) for text in fact.labels if text.startswith(UNTRUSTED)]
        kinds = [text.removeprefix(CONFIDENTIAL) for text in fact.labels if text.startswith(CONFIDENTIAL)]
        if untrusted or kinds:
            labels |= Labels(frozenset(untrusted), frozenset(kinds))
    return labels
