"""Recall of searches in a memory, a part of ``python -m benchmarks memory``.

``recall_hashing`` and ``recall_wordllama`` are the share of the right facts that are among the first ten found, in per
cent, for the questions of ``data/recall``: by words and by nearness, with that embedder. ``bare`` is full text (BM25)
alone; at least 10 points more are meant for an embedder that knows meanings (wordllama, whose model is in its wheel).
The hashing embedder knows none: its figure says what it is good for.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

from .harness import Case
from .harness.model import OURS
from .subjects.process import Worker

EMBEDDERS = ("hashing", "wordllama")


def cases(stack: ExitStack, baseline: str) -> Iterable[Case]:
    """Both embedders, each beside full text alone.

    Args:
        stack: has what is to be closed put on it.
        baseline: the subject that full text alone is.
    """
    worker = Worker("memory_recall", limit=300.0)
    stack.callback(worker.close)
    for embedder in EMBEDDERS:
        yield Case(f"recall_{embedder}", baseline, partial(worker.run, "words", 1))
        yield Case(f"recall_{embedder}", OURS, partial(worker.run, embedder, 1))
