"""``python -m benchmarks core``: our actors beside bare asyncio, pykka and other actor libraries.

Each subject runs in a process of its own, peers in the environment ``make bench-peers`` makes (``.venv-peers``). What
the scenarios do is in :mod:`benchmarks.subjects.loop`. Costs are CPU time of the whole process per unit of work; the
rows ``…_p50`` and ``…_p99`` are wall-clock latencies. Scenarios whose actors are many start a fresh process for every
run: an allocator that still has the last run's memory makes new actors cheap. So do those with timeouts and scopes,
which an actor library may look for from the first one on. Logging is off but in ``crash_logged…``.

``--before COMMIT`` adds the subject ``before``: the same scenarios with the library of another commit of this
repository, which is checked out for the time being.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from .harness import Case, Sample, Suite
from .harness.checkout import checkout
from .harness.model import OURS
from .subjects.process import Worker, start_workers

BASELINE = "callsoon"
BEFORE = "before"
# subject -> (module, in the peers' environment)
SUBJECTS = {
    "callsoon": ("callsoon", False),
    "taskqueue": ("taskqueue", False),
    OURS: ("callboard", False),
    BEFORE: ("callboard", False),
    "pykka": ("pykka_threads", False),
    "xoscar": ("xoscar_pool", True),
    "autogen-core": ("autogen_runtime", True),
    "thespian": ("thespian_system", True),
    "ray": ("ray_actors", True),
}
# Units of work of one run at scale 1: some 50 ms for the baseline.
SIZES = {
    "spawn": 20_000,
    "tell": 100_000,
    "tell_1000": 200_000,
    "ask_seq": 20_000,
    "ask_100": 50_000,
    "fan": 50_000,
    "ring": 20_000,
    "tree": 10_000,
    "crash": 5_000,
    "ask_thread": 2_000,
    "put": 100_000,
    "crash_logged": 1_000,
    "crash_logged_once": 1_000,
    "ask_timeout": 20_000,
    "ask_scoped": 20_000,
    "ask_scoped_timeout": 20_000,
    "tell_scoped": 100_000,
    "tell_scoped_timeout": 100_000,
    "ask_measured": 200_000,
    "fan_measured": 500_000,
    "tell_measured": 500_000,
    "ask_intercepted": 20_000,
    "tell_intercepted": 50_000,
}
QUICK = 0.1
REPEATS = 5
REPEATS_BEFORE = 9  # what an earlier commit cost differs by a few percent, what peers cost by far more
# Scenarios named by how many actors there are; the last of them is left out when it is to be quick.
ACTORS = {"memory": (1_000, 10_000, 100_000), "rest_for_one": (10_000, 100_000)}
ON_ONE_LOOP = ("memory",)
# In a fresh process, whose code, but not whose memory, another run has warmed up …
GROWING = ("spawn", "tree", "rest_for_one")
# … or which has done nothing yet.
UNTOUCHED = ("memory", "ask_timeout", "ask_scoped", "ask_scoped_timeout", "tell_scoped", "tell_scoped_timeout")
# A thread or a process each: a machine is full long before 100,000 of them.
MEMORY_LIMITS = {"pykka": 10_000}
OF_PROCESSES = ("thespian", "ray")
ON_UVLOOP = ("callsoon", "taskqueue", OURS, BEFORE)
# These rows stand in for the `_async` ones of the baseline, which has plain handlers only.
PLAIN_ONLY = ("callsoon",)
# Where ours is set beside another subject than the baseline, pykka is the one that blocks as it does.
BESIDE_PYKKA = ("ask_thread",)
# pykka's scale is for what starts threads; one that asks another can do as many asks as anybody.
FULL_SIZE = {("pykka", "ask_thread")}


def suite(quick: bool, before: str | None = None) -> Suite:
    """All scenarios; ``quick`` takes a tenth of the size and leaves out what has 100,000 actors.

    ``before`` names a commit. Raises :class:`.harness.checkout.CheckoutFailed` when it cannot be checked out.
    """
    with ExitStack() as stack:
        libraries = {} if before is None else {BEFORE: stack.enter_context(checkout(before))}
        subjects = {subject: how for subject, how in SUBJECTS.items() if subject != BEFORE or subject in libraries}
        workers, skipped = start_workers(subjects, libraries=libraries)
        for worker in workers.values():
            stack.callback(worker.close)
        cases = []
        for name, size in SIZES.items():
            cases += _cases(name, name, round(size * (QUICK if quick else 1)), workers)
        for name, numbers in ACTORS.items():
            for n in numbers[:-1] if quick else numbers:
                cases += _cases(name, f"{name}_{n}", n, workers)
        notes = [
            "'stored ratio' is from benchmarks/baselines/core.json",
            "…_async: async def handlers (callsoon keeps plain ones); …_uvloop: the same on uvloop",
            "…_over_…: how many times what the subject's own plain send (or crash) costs",
        ]
        if before is not None:
            notes.append(f"{BEFORE}: the library as it was at {before}")
        repeats = REPEATS if before is None else REPEATS_BEFORE
        return Suite(BASELINE, cases, skipped, repeats, notes, close=stack.pop_all().close)


def _cases(name: str, label: str, n: int, workers: dict[str, Worker]) -> list[Case]:
    cases = []
    for suffix in ("", "_async"):
        for loop in ("",) if name in ON_ONE_LOOP else ("", "_uvloop"):
            for subject, worker in workers.items():
                inner = name if subject in PLAIN_ONLY else name + suffix
                if inner not in worker.scenarios or (loop and subject not in ON_UVLOOP):
                    continue
                if suffix and not any(name + suffix in other.scenarios for other in workers.values()):
                    continue
                if name == "memory" and n > MEMORY_LIMITS.get(subject, n):
                    continue
                scaled = name not in ACTORS and (subject, name) not in FULL_SIZE
                size = max(1, round(n * worker.scale)) if scaled else n
                if (name in GROWING and subject not in OF_PROCESSES) or name in UNTOUCHED:
                    run = partial(_fresh, worker, inner, size, bool(loop), name in GROWING)
                else:
                    run = partial(worker.run, inner, size, bool(loop))
                cases.append(Case(label + suffix + loop, subject, run, _beside(name, subject)))
    return cases


def _beside(name: str, subject: str) -> tuple[str, ...]:
    if subject != OURS:
        return ()
    return (BEFORE, "pykka") if name in BESIDE_PYKKA else (BEFORE,)


def _fresh(worker: Worker, scenario: str, n: int, uvloop: bool, warm: bool) -> list[Sample]:
    """Run once in a process of its own."""
    fresh = worker.another()
    try:
        if warm:
            fresh.run(scenario, 100, uvloop)
        return fresh.run(scenario, n, uvloop)
    finally:
        fresh.close()
