"""``python -m benchmarks memory``: what memory costs and finds, and what it costs to show a model less of a long
conversation.

``search_owner`` is a whole search within one user's facts, ``search_all`` one over everybody's, at 100,000 facts of 50
users on SQLite; at most 10 ms and 80 ms are meant for the 99th percentile. ``bare`` is numpy's product over the same
vectors; at most twice that is meant for a search over all. ``_cpu`` is the processor's time, in which others that use
the machine do not count.

``recall_…`` is what a search finds; see `recall`.

``context_fold`` is what a context strategy costs a step by itself, at 2,000 messages and more; at most 1 ms is meant.
``context_step`` is the CPU of a whole step there, ``bare`` without a strategy. ``context_paid`` is what a vendor bills
for the input of a step, in tokens, where it reads from its cache what a request and one before it begin with; ``bare``
is a window that slides at each step. The subjects are the strategies; ``callboard`` is `DropToolOutput` and `Window`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

from . import recall
from .harness import Case, Suite
from .harness.model import OURS
from .subjects.process import Worker

BASELINE = "bare"
STEPS = 1_000
REPEATS = 5
FACTS = 100_000


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` takes a fifth of the facts and of the steps."""
    smaller = 5 if quick else 1
    stack = ExitStack()
    try:
        cases = [*_search(stack, FACTS // smaller), *recall.cases(stack, BASELINE), *_context(stack, STEPS // smaller)]
    except BaseException:
        stack.close()
        raise
    return Suite(BASELINE, cases, repeats=REPEATS, close=stack.close)


def _search(stack: ExitStack, n: int) -> Iterable[Case]:
    worker = Worker("memory_search", limit=600.0)  # the first run fills the memory
    stack.callback(worker.close)
    for where in ("owner", "all"):
        yield Case(f"search_{where}", BASELINE, partial(worker.run, f"{where}_product", n))
        yield Case(f"search_{where}", OURS, partial(worker.run, where, n))


def _context(stack: ExitStack, n: int) -> Iterable[Case]:
    worker = Worker("context_steps")
    stack.callback(worker.close)
    named = {"bare": "bare", "whole": "whole", "window": "Window", "priority": "KeepPriority", "drop": OURS}
    for scenario in worker.scenarios:
        kind, _, subject = scenario.partition("_")
        yield Case(f"context_{kind}", named[subject], partial(worker.run, scenario, n))
