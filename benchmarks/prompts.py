"""``python -m benchmarks prompts``: what a step costs that a prompt function makes.

``step_50`` is the CPU of one step (a completion and a tool call, with a model that answers at once) of a prompt
function with 50 definitions, beside a plain agent that is told and offered the same, and a ``bare`` one with one tool;
at most twice the plain one's is meant. ``plain_agent`` is a step of that plain agent beside the same with the library
as it was before there were prompt functions (1.0 is meant). Both are measured in turns.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from .harness import Case, Suite
from .harness.checkout import CheckoutFailed, checkout
from .harness.model import OURS
from .subjects.process import Worker

BASELINE = "plain"
BEFORE = "a2331285"
"""The last commit before there were prompt functions."""
MODULE = "prompts_steps"
STEPS = 2_000
REPEATS = 9


def suite(quick: bool) -> Suite:
    """Both scenarios; ``quick`` takes a tenth of the steps."""
    n = STEPS // 10 if quick else STEPS
    stack = ExitStack()
    skipped: dict[str, str] = {}
    cases = []
    try:
        now = Worker(MODULE)
        stack.callback(now.close)
        for subject, kind in ((BASELINE, "plain"), ("bare", "bare"), (OURS, "prompt")):
            cases.append(Case("step_50", subject, partial(now.run, kind, n)))
        try:
            before = Worker(MODULE, library=stack.enter_context(checkout(BEFORE)))
        except CheckoutFailed as error:
            skipped[f"plain_agent at {BEFORE}"] = str(error)
        else:
            stack.callback(before.close)
            cases.append(Case("plain_agent", BASELINE, partial(before.run, "plain", n)))
            cases.append(Case("plain_agent", OURS, partial(now.run, "plain", n)))
    except BaseException:
        stack.close()
        raise
    notes = (f"plain_agent: {BASELINE} is the library as it was at {BEFORE}",)
    return Suite(BASELINE, cases, skipped, repeats=REPEATS, notes=notes, close=stack.close)
