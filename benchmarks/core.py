"""``python -m benchmarks core``: our actors beside bare asyncio, pykka and other actor libraries.

Each subject runs in a process of its own, peers in the environment ``make bench-peers`` makes (``.venv-peers``). What
the scenarios do is in :mod:`benchmarks.subjects.loop`. Costs are CPU time of the whole process per unit of work; the
rows ``…_p50`` and ``…_p99`` are wall-clock latencies. Scenarios whose actors are many start a fresh process for every
run: an allocator that still has the last run's memory makes new actors cheap. Logging is off.
"""

from __future__ import annotations

from functools import partial

from .harness import Case, Sample, Suite
from .subjects.process import Worker, interpreter, start_workers

BASELINE = "callsoon"
# subject -> (module, in the peers' environment)
SUBJECTS = {
    "callsoon": ("callsoon", False),
    "taskqueue": ("taskqueue", False),
    "callboard": ("callboard", False),
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
}
QUICK = 0.1
MEMORY = (1_000, 10_000, 100_000)
GROWING = ("spawn", "tree")
# A thread or a process each: a machine is full long before 100,000 of them.
MEMORY_LIMITS = {"pykka": 10_000}
OF_PROCESSES = ("thespian", "ray")
ON_UVLOOP = ("callsoon", "taskqueue", "callboard")
# These rows stand in for the `_async` ones of the baseline, which has plain handlers only.
PLAIN_ONLY = ("callsoon",)


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` takes a tenth of the size and leaves out memory at 100,000."""
    workers, skipped = start_workers(SUBJECTS)
    cases = [case for name in SIZES for case in _cases(name, workers, quick)]
    cases += [case for n in MEMORY[: 2 if quick else 3] for case in _memory(n, workers)]

    def close() -> None:
        for worker in workers.values():
            worker.close()

    notes = (
        "spread: the lowest and the highest run; 'stored ratio' is from benchmarks/baselines/core.json",
        "…_async: async def handlers (callsoon keeps plain ones); …_uvloop: the same on uvloop",
    )
    return Suite(BASELINE, cases, skipped, repeats=5, notes=notes, close=close)


def _cases(name: str, workers: dict[str, Worker], quick: bool) -> list[Case]:
    full = SIZES[name] * (QUICK if quick else 1)
    cases = []
    for suffix in ("", "_async"):
        for loop in ("", "_uvloop"):
            for subject, worker in workers.items():
                inner = name if subject in PLAIN_ONLY else name + suffix
                if inner not in worker.scenarios or (loop and subject not in ON_UVLOOP):
                    continue
                if suffix and not any(name + suffix in other.scenarios for other in workers.values()):
                    continue
                n = max(1, round(full * worker.scale))
                run = partial(worker.run, inner, n, bool(loop))
                if name in GROWING and subject not in OF_PROCESSES:
                    run = partial(_fresh, subject, inner, n, bool(loop))
                cases.append(Case(name + suffix + loop, subject, run))
    return cases


def _memory(n: int, workers: dict[str, Worker]) -> list[Case]:
    return [
        Case(f"memory_{n}", subject, partial(_fresh, subject, "memory", n))
        for subject, worker in workers.items()
        if "memory" in worker.scenarios and n <= MEMORY_LIMITS.get(subject, n)
    ]


def _fresh(subject: str, scenario: str, n: int, uvloop: bool = False) -> list[Sample]:
    """Run once in a process of its own, which has warmed its code up but not its memory."""
    module, is_peer = SUBJECTS[subject]
    worker = Worker(module, interpreter(is_peer))
    try:
        if scenario != "memory":
            worker.run(scenario, 100, uvloop)
        return worker.run(scenario, n, uvloop)
    finally:
        worker.close()
