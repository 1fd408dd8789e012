"""``python -m benchmarks.soak``: a service of agents over three faulty providers, in which everything is killed.

One process, half a core: clients in the loop and in 16 threads ask a team of three agents; providers fail by a plan;
conversations, agents, the agency's, the pool's and the providers' actors are killed every few seconds and as events of
runs come. At the end each run must have had its outcome, no effect may have come twice or after a cancellation, the
books of providers, pool and runs must agree, memory must be flat and nothing may be left.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from callboard import Agency
from callboard.providers.pool import GetStats, PoolStats

from .account import Account
from .chaos import AGENCY, POOL, Chaos
from .governor import Governor
from .ledger import HANGS, Ledger, Run
from .leftovers import Memory, left_behind
from .load import PATIENCE, Shared, client, in_thread
from .report import Report
from .servers import MODEL, NAMES, Faulty, pool_spec
from .team import Person, team

LOOP_CLIENTS = 24
THREADS = 16


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how much.

    Args:
        seconds: of load.
        share: of a core.
        seed: of all choices.
        journal: an SQLite file; empty for the journal in memory.
        clients: in the loop.
        threads: clients in threads.
        every: seconds between two kills on average.
        patience: seconds that runs still open at the end of the load are waited for.
        say: whether progress is told.
    """

    seconds: float
    share: float = 0.5
    seed: int = 0
    journal: str = ""
    clients: int = LOOP_CLIENTS
    threads: int = THREADS
    every: float = 0.7
    patience: float = PATIENCE
    say: bool = False


def soak(options: Options) -> Report:
    """Run the campaign; return what is to be said of it."""
    logger = logging.getLogger("callboard")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # every kill would be told
    threads = set(threading.enumerate())
    try:
        report = asyncio.run(_campaign(options))
    finally:
        logger.setLevel(level)
    report.leftovers += [f"thread {thread.name}" for thread in set(threading.enumerate()) - threads]
    return report


async def _campaign(options: Options) -> Report:
    memory = Memory(options.seconds)
    files = memory.open_files()
    report = await _soak(options, memory)  # what it alone has held is gone once it has returned
    report.leftovers += await left_behind(files, memory)
    return report


async def _soak(options: Options, memory: Memory) -> Report:
    seed = options.seed
    loop = asyncio.get_running_loop()
    governor = Governor(options.share)
    ledger = Ledger(lambda begin, end: chaos.kills(begin, end), loop.time)
    servers = [Faulty(name, seed, ledger) for name in NAMES]
    for faulty in servers:
        await faulty.start()
    agency = Agency(
        *team(ledger, random.Random(f"{seed} tools"), model=MODEL),
        pool=pool_spec(servers, ledger, seed),
        journal=options.journal or None,
        name=AGENCY,
    )
    stop = threading.Event()
    async with agency:
        agency.subscribe(ledger.event)
        chaos = Chaos(agency, random.Random(f"{seed} kills"), options.every)
        person = Person(agency, random.Random(f"{seed} person"))
        shared = Shared(agency, ledger, governor, seed, stop)
        killing = asyncio.create_task(chaos.run())
        tasks = [asyncio.create_task(work) for work in (governor.run(), person.run())]
        tasks.append(asyncio.create_task(_watch(options, ledger, memory, servers, governor)))
        clients = [asyncio.create_task(client(shared, f"c{number}")) for number in range(options.clients)]
        callers = [
            threading.Thread(target=in_thread, args=(shared, f"t{number}"), name=f"caller {number}", daemon=True)
            for number in range(options.threads)
        ]
        for caller in callers:
            caller.start()
        await asyncio.sleep(options.seconds)
        stop.set()
        if killing.done():
            killing.result()
        killing.cancel()
        await asyncio.wait({killing})
        chaos.close()  # what is still open is left in peace: it must end now
        open_runs = await _all_ended(ledger, options.patience)
        for task in tasks:
            if task.done():
                task.result()  # the campaign's own work went wrong
        report = Report(options.seconds, ledger, chaos, person, memory, governor.used)
        for run in open_runs:
            report.hang(run)
            ledger.close(run, HANGS)
        for task in tasks:
            task.cancel()
        await asyncio.wait({*clients}, timeout=1.0)
        assert agency.system is not None
        pool = agency.system.find(POOL)
        assert pool is not None
        stats: PoolStats = await pool.ask(GetStats())
        ledger.sweep(0.0)
        report.account = Account(ledger.totals, stats, [faulty.server.stats for faulty in servers])
        system = agency.system
    report.leftovers += [f"actor {node.name} in the tree" for node in system.tree()]
    for caller in callers:  # what still hung has been told that the agency has stopped
        await asyncio.to_thread(caller.join, 5.0)
    await asyncio.wait({*tasks, *clients}, timeout=5.0)
    for faulty in servers:
        await faulty.server.stop()
    return report


async def _watch(
    options: Options, ledger: Ledger, memory: Memory, servers: Sequence[Faulty], governor: Governor
) -> None:
    began = told = time.monotonic()
    known = 0
    while True:
        await asyncio.sleep(0.1)
        ledger.sweep()
        for faulty in servers:
            faulty.plan_ahead()
        memory.look()
        if options.say and (wrong := ledger.totals.wrongs.total()) > known:
            known = wrong
            for sentence, examples in ledger.totals.wrong.items():
                print(f"not so: {sentence}: {examples[-1]}", file=sys.stderr, flush=True)
        if options.say and time.monotonic() - told >= 10.0:
            told = time.monotonic()
            ended = ledger.totals.outcomes.total()
            print(
                f"… {told - began:.0f} s, {ended} runs, {len(ledger.runs)} open or young, CPU {governor.used:.2f}, "
                f"wrong: {known}",
                file=sys.stderr,
                flush=True,
            )


async def _all_ended(ledger: Ledger, patience: float) -> list[Run]:
    """Wait for the outcomes of the runs that are open; return those that have none."""
    deadline = time.monotonic() + patience
    while True:
        open_runs = [run for run in ledger.runs.copy().values() if not run.outcome]
        if not open_runs or time.monotonic() > deadline:
            return open_runs
        await asyncio.sleep(0.05)


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--share", type=float, default=0.5, help="of one core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", default="", metavar="PATH", help="an SQLite file; in memory without")
    given = parser.parse_args(argv)
    report = soak(Options(given.minutes * 60.0, given.share, given.seed, given.journal, say=True))
    print(report.text())
    return 1 if report.violations() else 0
