"""``python -m benchmarks agents``: our agents beside a bare asyncio loop and other agent frameworks.

Each subject runs in a process of its own, peers in the environment ``make bench-peers`` makes (``.venv-peers``). The
model is instant and in-process everywhere, so what is measured is the framework. ``conversations_1000`` is 1,000
conversations at once, three turns each, with a model that takes 50 ms: the ideal is 0.15 s of wall time.
``add_agent_6000`` is how many times the CPU of adding one of the first agents adding the 6,000th takes, with flows to
and from it (1.0 ± 0.3 is meant); ``agents_1000_mb`` are 1,000 agents with three tools each (7 MiB are meant at most),
``_asked`` once each has answered, and keeps its conversation. ``deferred_tools_60`` are the tokens (bytes over 4) of a
run that needs one of 60 tools and looks for it, ``_shown`` where it is shown all of them.
``growth_4000`` is how many times the CPU of a turn at 100 live conversations one at 4,000 takes, in one process; the
peers that are of interest for what is handed on, called or said once stand beside ours below the table.
"""

from __future__ import annotations

from functools import partial

from .harness import Case, Sample, Suite
from .harness.model import OURS
from .subjects.process import Worker, interpreter, start_workers

BASELINE = "bare"
# subject -> (module, in the peers' environment)
SUBJECTS = {
    "bare": ("agents_bare", False),
    OURS: ("agents_callboard", False),
    "pydantic-ai": ("agents_pydantic_ai", True),
    "openai-agents": ("agents_openai", True),
    "langgraph": ("agents_langgraph", True),
    "autogen": ("agents_autogen", True),
    "strands": ("agents_strands", True),
    "agent-framework": ("agents_microsoft", True),
}
# Units of work of one run at scale 1.
SIZES = {"turn": 2_000, "tools_3": 500, "tools_parallel_10": 200, "handoffs_10": 100}
CONVERSATIONS = (("conversations_100", 100), ("conversations_1000", 1_000), ("conversations_4000", 4_000))
GROWN = 4_000
"""Live conversations at which a turn should still cost what it costs at 100."""
BESIDE = {"turn": ("agent-framework",), "tools_3": ("agent-framework",), "handoffs_10": ("agent-framework", "autogen")}
"""The peers that we mean to be ahead of by a given factor, by scenario."""
ADDED = 6_000
"""The agent that should cost what one of the first did to add."""
TOOLS = 60
"""Tools of which a run needs one."""
QUICK = 0.1


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` takes a tenth of the size and leaves out 4,000 conversations."""
    workers, skipped = start_workers(SUBJECTS)
    cases = []
    for name, size in SIZES.items():
        for subject, worker in workers.items():
            if name in worker.scenarios:
                n = max(1, round(size * (QUICK if quick else 1) * worker.scale))
                beside = BESIDE.get(name, ()) if subject == OURS else ()
                cases.append(Case(name, subject, partial(worker.run, name, n), beside))
    for name, n in CONVERSATIONS[: 2 if quick else 3]:
        for subject, worker in workers.items():
            if "conversations" in worker.scenarios and (n <= 1_000 or worker.scale == 1):
                cases.append(Case(name, subject, partial(worker.run, "conversations", n)))
    for subject, worker in workers.items():
        if "growth" in worker.scenarios:
            cases.append(Case(f"growth_{GROWN}", subject, partial(_fresh, subject, "growth", GROWN)))
    for name, scenario, n in (
        ("memory_1000", "memory", 1_000),
        (f"add_agent_{ADDED}", "adding", ADDED),
        ("agents_1000_mb", "having", 1_000),
        (f"deferred_tools_{TOOLS}", "deferring", TOOLS),
        ("import", "import", 1),
    ):
        for subject, worker in workers.items():
            if scenario in worker.scenarios:
                cases.append(Case(name, subject, partial(_fresh, subject, scenario, n)))

    def close() -> None:
        for worker in workers.values():
            worker.close()

    notes = ("conversations_…: '_wall' in seconds (ideal 0.15), '_cpu' per turn, '_p99' of a turn, '_rss' growth",)
    return Suite(BASELINE, cases, skipped, repeats=5, notes=notes, close=close)


def _fresh(subject: str, scenario: str, n: int) -> list[Sample]:
    """Run once in a process of its own, which has warmed up neither its code nor its memory."""
    module, is_peer = SUBJECTS[subject]
    worker = Worker(module, interpreter(is_peer))
    try:
        return worker.run(scenario, n)
    finally:
        worker.close()
