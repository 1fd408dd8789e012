"""``python -m benchmarks pool``: our pool beside the raw openai SDK and LiteLLM's Router, over real sockets.

Each subject runs in a process of its own, LiteLLM in the environment ``make bench-peers`` makes if it is there; the
simulated providers run in another. ``cpu_N`` and ``stream`` are CPU time of the client's process per request with N
requests in flight (64 streams), ``wall_1000`` is wall time over the ideal of the connections allowed, ``…_rss`` what
the resident memory grew by meanwhile. In ``fault_…`` one of three providers goes wrong for a while (in ``all_…`` all of
them, for three seconds): ``lost`` are requests that got no answer.
In ``fault_model`` one of two models at one endpoint is out; in ``fault_second`` a vendor keeps its limit by the second,
in ``fault_bucket`` as a bucket, in ``fault_window`` over a sliding minute, in ``fault_tokens`` as a bucket of tokens,
and ``_time`` is over what its limit allows at best.
"""

from __future__ import annotations

import os
import sys

from .harness import Case, Suite
from .subjects.pool_faults import ALL, ONE
from .subjects.process import start_workers

BASELINE = "openai"
SUBJECTS = {
    "openai": ("pool_openai", False),
    "callboard": ("pool_callboard", False),
    "litellm": ("pool_litellm", True),
}
SIZES = {"cpu_1": 300, "cpu_64": 1_000, "cpu_256": 1_000, "stream": 500, "wall_1000": 4_000}
FAULTS = [
    *(f"fault_{name}" for name in (*ONE, *ALL)),
    "fault_model",
    "fault_limits",
    "fault_second",
    "fault_bucket",
    "fault_window",
    "fault_tokens",
    "fault_cut",
    "fault_kill",
]
# Scenarios in which LiteLLM does not end within minutes, or which it cannot be asked for.
NOT_LITELLM = ("fault_hang",)


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` takes a quarter of the requests and three runs instead of five."""
    os.environ["CALLBOARD_BENCH_PYTHON"] = sys.executable
    workers, skipped = start_workers(SUBJECTS, limit=300.0)

    def case(scenario: str, subject: str, count: int) -> Case:
        return Case(scenario, subject, lambda: workers[subject].run(scenario, count))

    part = 4 if quick else 1
    cases = [
        case(scenario, subject, max(count // part, 100))
        for scenario, count in SIZES.items()
        for subject, worker in workers.items()
        if scenario in worker.scenarios
    ]
    cases += [
        case(scenario, subject, 2_000 // part)
        for scenario in FAULTS
        for subject, worker in workers.items()
        if scenario in worker.scenarios and not (subject == "litellm" and scenario in NOT_LITELLM)
    ]

    def close() -> None:
        for worker in workers.values():
            worker.close()

    notes = (
        "every subject: gc.freeze() after the warm-up, as a service does after its start",
        "_bad: requests the faulty provider got beside single probes; _return, _herd: most at once on its return",
        "_late: how much later than first come, first served explains an answer came",
    )
    return Suite(BASELINE, cases, skipped, repeats=3 if quick else 5, notes=notes, close=close)
