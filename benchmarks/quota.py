"""``python -m benchmarks quota``: what several processes send together of a limit that they share.

A simulated provider takes 600 requests in any minute, and answers what is over with 429. It is asked four times as
often: in ``base`` by one process alone, in ``callboard`` by three that share the limit by a journal in PostgreSQL.
``…_answered`` is how many were answered (goal: a ratio of at least 0.95), ``…_refused`` how many 429s there were
(goal: 0). In ``killed`` one of the three is killed in the midst of it, and another takes its place; what the killed one
had is nobody's for 40 seconds and, but for what it is known to have used before, a minute more.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from uuid import uuid4

from .harness import Case, Sample, Suite
from .harness.model import OURS
from .subjects.pool_load import Servers
from .subjects.postgres_server import PostgresServer
from .subjects.process import ROOT

BASELINE = "base"
LIMIT = 600
LOAD = 4 * LIMIT / 60.0
"""Requests a second."""

SECONDS = 245.0
QUICK = 64.0


def suite(quick: bool) -> Suite:
    """All scenarios, for some four minutes each; ``quick``: for one."""
    server = PostgresServer()
    seconds = QUICK if quick else SECONDS
    cases = [
        Case("shared", BASELINE, partial(measured, server, 1, seconds, False), repeats=1),
        Case("shared", OURS, partial(measured, server, 3, seconds, False), repeats=1),
        Case("killed", OURS, partial(measured, server, 3, seconds, True), repeats=1),
    ]
    return Suite(BASELINE, cases, close=server.close)


def measured(server: PostgresServer, count: int, seconds: float, killed: bool) -> list[Sample]:
    """Let processes ask for so long."""
    with ExitStack() as stack:
        vendor = stack.enter_context(Servers(1))
        vendor.order(set=0, latency=[0.05, 0.08], limits={"requests": LIMIT, "rule": "window"})
        journal = [server.url, f"quota_{uuid4().hex[:8]}"] if count > 1 else []

        def started(seconds: float) -> subprocess.Popen[str]:
            arguments = [vendor.urls[0], str(LIMIT), str(LOAD / count), str(seconds), *journal]
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.subjects.quota_process", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        processes = [started(seconds) for _ in range(count)]
        for process in processes:
            said(process)
        for process in processes:
            tell(process)
        if killed:
            time.sleep(seconds / 3)
            processes.pop().kill()
            processes.append(started(seconds / 2))
            said(processes[-1])
            tell(processes[-1])
        for process in processes:
            said(process)
        statuses = vendor.order(stats=0)["statuses"]
    return [
        Sample(statuses.get("200", 0), "answers", "_answered"),
        Sample(sum(number for status, number in statuses.items() if status != "200"), "429s", "_refused"),
    ]


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a process, which must say one."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process has ended"
    return line


def tell(process: subprocess.Popen[str]) -> None:
    """Have a process begin."""
    assert process.stdin is not None
    print(file=process.stdin, flush=True)
