"""``python -m benchmarks memory``: what memory costs.

``search_owner`` is a whole search within one user's facts, ``search_all`` one over everybody's, at 100,000 facts of 50
users on SQLite; at most 10 ms and 80 ms are meant for the 99th percentile. ``bare`` is numpy's product over the same
vectors; at most twice that is meant for a search over all. ``_cpu`` is the processor's time, in which others that use
the machine do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

from .harness import Case, Suite
from .harness.model import OURS
from .subjects.process import Worker

BASELINE = "bare"
REPEATS = 5
FACTS = 100_000


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` takes a fifth of the facts."""
    stack = ExitStack()
    try:
        cases = list(_search(stack, FACTS // 5 if quick else FACTS))
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
