"""``python -m benchmarks simulation``: finding bugs by simulation, and what a simulated schedule costs.

The bugs are those of ``tests/testing/gallery.py``, and of services around language models in ``llm_gallery.py``.
``gallery`` hunts each of them once a run, with workloads drawn anew by Hypothesis (the run's number is the seed): how
many were found within 500 schedules, the most schedules any needed, the largest report, and the median CPU of search
and shrinking together. ``twins`` counts alarms on the fixed twins. ``llm_gallery`` and ``llm_twins`` are the same.
``feedback`` compares a search with feedback to one by chance (see `learning`): how many bugs take chance more than 20
schedules, and the worst ratio of the medians of fifteen searches among them.
``feedback_deep`` searches the bugs of ``tests/testing/deep.py`` with feedback for 10,000 schedules each: how many are
found, and the most schedules that any needed; and by chance: 10,000 schedules each in all runs together.
``replay`` replays a token of each bug in fresh processes under other hash seeds, and in other Pythons where there are
any: those named in ``CALLBOARD_PYTHONS`` (separated like ``PATH``), else ``python3.11`` to ``python3.13`` on the path.
``schedule_…`` is the CPU of one simulated run; the baseline beside it runs the same flow on a stock event loop, once.
``schedule_…_cpu`` is that CPU over that of an earlier commit, both measured in turns (see `earlier`).
``step_…`` is the CPU of one step of the loop.
``explore_3x8`` and ``explore_4x10`` explore flows of 3 actors and 8 messages, and of 4 and 10, of tells and of asks:
the CPU of both, their schedules, and how many are known to be left.
``shrink_50x500`` makes small two failures among 50 actors and 500 messages (see `shrinking`): the CPU from failure to
report of the slower, and the deviations left of both, of which 3 are needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from tests.testing.deep import DEEP
from tests.testing.gallery import GALLERY, Bug
from tests.testing.hunt import hunt
from tests.testing.llm_gallery import LLM_GALLERY

from callboard.actors import System
from callboard.actors.testing import SimulationFailed, simulate

from .earlier import COMMIT, ratio
from .exploring import FOUR, THREE, Sends, explored
from .harness import Case, Sample, Suite
from .learning import compared, deep, until
from .schedules import FLOWS, MESSAGES, Echo, Flow
from .shrinking import shrunk

BASELINE = "asyncio"
BUDGET = 500
TWIN_SCHEDULES = 1_000
DEEP_SCHEDULES = 10_000
REPEATS = 5
FRESH_SEEDS = 900_000_000
"""The first of those that nothing was tried out with."""
ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` tries a tenth of the schedules on the twins and in the cost measurements."""
    logging.getLogger("callboard").setLevel(logging.CRITICAL)
    tenth = 10 if quick else 1
    seeds = count()
    pythons, missing = _pythons()
    cases = [
        Case("gallery", "callboard", lambda: _gallery(GALLERY, next(seeds))),
        Case("twins", "callboard", lambda: _twins(GALLERY, next(seeds), TWIN_SCHEDULES // tenth)),
        Case("llm_gallery", "callboard", lambda: _gallery(LLM_GALLERY, next(seeds))),
        Case("llm_twins", "callboard", lambda: _twins(LLM_GALLERY, next(seeds), TWIN_SCHEDULES // tenth)),
        Case("replay", "callboard", lambda: _replay(pythons)),
        Case("feedback", "callboard", lambda: _compared(next(seeds), 400 if quick else 1_000)),
        Case("feedback_deep", "callboard", lambda: _deep(next(seeds), DEEP_SCHEDULES // tenth)),
    ]
    for name, flow in FLOWS.items():
        scenario = f"schedule_{name}_{MESSAGES}"
        cases.append(Case(scenario, BASELINE, partial(_plain, flow(MESSAGES))))
        cases.append(Case(scenario, "callboard", partial(_schedule, flow(MESSAGES), 300 // tenth)))
        cases.append(Case(f"{scenario}_cpu", "callboard", partial(_against, name, 60 // tenth)))
    for size in (50, 5_000):
        cases.append(Case(f"step_{size}", "callboard", partial(_step, _burst(size), max(3, 20_000 // size))))
    for name, sends in (("3x8", THREE), ("4x10", FOUR)):
        cases.append(Case(f"explore_{name}", "callboard", partial(_explore, sends, 20_000 // tenth)))
    cases.append(Case("shrink_50x500", "callboard", lambda: _shrink(next(seeds))))
    notes = (
        f"gallery: {len(GALLERY)} bugs, llm_gallery: {len(LLM_GALLERY)}, at most {BUDGET} schedules each; "
        "rows: the worst bug's, cpu: the median",
        f"replay: processes that agreed: hash seeds 0, 1, 4711 in each of {len(pythons)} Pythons",
        *missing,
    )
    return Suite(BASELINE, cases, repeats=REPEATS, notes=notes)


# -- finding -----------------------------------------------------------------------------------------------------------


def _gallery(bugs: Sequence[Bug], seed: int) -> list[Sample]:
    found = [hunted for bug in bugs if (hunted := hunt(bug, seed=seed, budget=BUDGET)) is not None]
    return [
        Sample(len(found), "bugs", "_found"),
        Sample(max(hunted.schedules for hunted in found), "schedules", "_schedules"),
        Sample(max(len(hunted.operations) for hunted in found), "operations", "_operations"),
        Sample(max(hunted.failure.run.deviations for hunted in found), "deviations", "_deviations"),
        Sample(statistics.median(hunted.cpu for hunted in found), "s", "_cpu"),
        Sample(max(hunted.cpu for hunted in found), "s", "_cpu_worst"),
    ]


def _twins(bugs: Sequence[Bug], seed: int, schedules: int) -> Sample:
    rng = random.Random(seed)
    alarms = 0
    for bug in bugs:
        for first in range(0, schedules, 50):
            operations = [rng.choice(bug.alphabet) for _ in range(rng.randint(1, bug.longest))]
            try:
                simulate(
                    bug.build(operations, True), seeds=range(first, first + 50), faults=bug.faults, timing=bug.timing
                )
            except SimulationFailed:
                alarms += 1
    return Sample(alarms, "alarms")


def _compared(seed: int, budget: int) -> list[Sample]:
    slow = compared(FRESH_SEEDS + seed * 100_000, budget)
    return [
        Sample(len(slow), "bugs", "_slow_by_chance"),
        Sample(max((learned / chance for _, chance, learned in slow), default=0.0), "of chance's", "_worst"),
    ]


def _deep(seed: int, schedules: int) -> list[Sample]:
    first = FRESH_SEEDS + seed * DEEP_SCHEDULES
    by_chance = range(first, first + schedules // REPEATS)
    needed = [until(deep(bug, bug.steps), "feedback", range(first, first + schedules)) for bug in DEEP]
    found = [count for count in needed if count is not None]
    return [
        Sample(len(found), "bugs", "_found"),
        Sample(max(found, default=0), "schedules", "_schedules"),
        Sample(sum(until(deep(bug, bug.steps), "mix", by_chance) is not None for bug in DEEP), "bugs", "_by_chance"),
    ]


# -- replaying ---------------------------------------------------------------------------------------------------------

_PROGRAM = """
import ast, logging, sys
logging.disable(logging.CRITICAL)
from callboard.actors.testing import SimulationFailed, simulate
from tests.testing.gallery import GALLERY
for line in sys.stdin:
    number, operations, token = line.split("\\t")
    bug = GALLERY[int(number)]
    try:
        simulate(bug.build(ast.literal_eval(operations), False), faults=bug.faults, replay=token)
    except SimulationFailed as failed:
        print(failed.run.trace.digest())
"""


def _pythons() -> tuple[list[str], list[str]]:
    named = os.environ.get("CALLBOARD_PYTHONS", "").split(os.pathsep)
    candidates = [name for name in named if name] or [shutil.which(f"python{version}") or "" for version in VERSIONS]
    found = [sys.executable]
    missing = []
    for name in candidates:
        if name and _works(name):
            if _version(name) not in {_version(known) for known in found}:
                found.append(name)
        elif name:
            missing.append(f"replay: left out {name}: it does not run callboard")
    if len(found) < len(VERSIONS):
        missing.append(f"replay: only {len(found)} of {len(VERSIONS)} Python versions here; see CALLBOARD_PYTHONS")
    return found, missing


def _environment(hash_seed: str = "0") -> dict[str, str]:
    # The packages of this interpreter serve the others too: what the gallery imports is pure Python.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    path = os.pathsep.join([str(ROOT / ".src"), str(ROOT), *packages])
    return {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed}


def _run(python: str, program: str, text: str = "", hash_seed: str = "0") -> str | None:
    done = subprocess.run(
        [python, "-c", program], input=text, env=_environment(hash_seed), capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout if done.returncode == 0 else None


def _works(python: str) -> bool:
    return _run(python, "import tests.testing.gallery") is not None


def _version(python: str) -> str | None:
    return _run(python, "import sys; print(sys.version_info[:2])")


def _replay(pythons: list[str]) -> Sample:
    lines, digests = [], []
    for number, bug in enumerate(GALLERY):
        found = hunt(bug, budget=BUDGET)
        if found is not None:
            lines.append(f"{number}\t{tuple(found.operations)!r}\t{found.failure.token}")
            digests.append(found.failure.run.trace.digest())
    text = "\n".join(lines) + "\n"
    agreed = 0
    for python in pythons:
        for hash_seed in ("0", "1", "4711"):
            output = _run(python, _PROGRAM, text, hash_seed)
            agreed += output is not None and output.split() == digests
    return Sample(agreed, f"of {3 * len(pythons)}")


# -- cost --------------------------------------------------------------------------------------------------------------


def _burst(asks: int) -> Flow:
    async def flow(system: System) -> None:
        actors = [system.spawn(Echo, name=f"echo{number}") for number in range(5)]

        async def one(number: int) -> None:
            await actors[number % len(actors)].ask(number)

        async with asyncio.TaskGroup() as group:
            for number in range(asks):
                group.create_task(one(number), name=f"ask{number}")

    return flow


def _simulated(flow: Flow, schedules: int) -> Iterator[float]:
    """The number of steps of one schedule, then the CPU seconds of one."""
    steps = simulate(lambda sim: flow(sim.system), seeds=1, max_steps=10**9).steps
    yield steps
    began = time.process_time()
    simulate(lambda sim: flow(sim.system), seeds=schedules, max_steps=10**9)
    yield (time.process_time() - began) / (schedules + 1)


def _schedule(flow: Flow, schedules: int) -> Sample:
    _, seconds = _simulated(flow, schedules)
    return Sample(seconds * 1e3, "ms")


def _against(flow: str, turns: int) -> Sample:
    return Sample(ratio(flow, turns), f"of {COMMIT}")


def _step(flow: Flow, schedules: int) -> Sample:
    steps, seconds = _simulated(flow, schedules)
    return Sample(seconds / steps * 1e6, "µs")


def _explore(sends: Sends, most: int) -> list[Sample]:
    seconds, found = explored(sends, most)
    return [
        Sample(seconds, "s", "_cpu"),
        Sample(sum(each.schedules for each in found), "schedules", "_schedules"),
        Sample(sum(each.left for each in found), "schedules", "_left"),
    ]


def _shrink(seed: int) -> list[Sample]:
    seconds, deviations = zip(*shrunk(seed * BUDGET, BUDGET), strict=True)
    return [Sample(max(seconds), "s", "_cpu"), Sample(sum(deviations), "deviations", "_deviations")]


def _plain(flow: Flow) -> Sample:
    async def main() -> float:
        began = time.process_time()
        async with System() as system:
            await flow(system)
        return time.process_time() - began

    runs = [asyncio.run(main()) for _ in range(20)]
    return Sample(statistics.median(runs) * 1e3, "ms")
