"""``python -m benchmarks.kills``: a worker that is killed at random moments until its work is done all the same.

The worker keeps its runs in a journal; it is killed with SIGKILL, or paused with SIGSTOP for longer than its lease and
continued, and started again on the same journal. What it does is written to one file (`history`), which is looked at
in the end: each turn ended once, nothing cancelled was executed, no effect came twice, and the completions bought are
those needed and those in flight at a kill.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callboard.actors.bench.columns import aligned

from .history import Findings, Log, check, read

ROOT = Path(__file__).parents[2]
SHOWN = 5
MOST_DEATHS = 3
"""Times that workers may die of themselves and are started again."""


@dataclass(frozen=True, slots=True)
class Options:
    """The campaign.

    Args:
        journal: an SQLite file or a PostgreSQL URL.
        folder: where the history is written.
        kills, pauses: how many, at random moments.
        conversations, turns: what there is to do.
        workers: processes that share the journal.
        seed: of all plans.
        every: seconds between two kills or pauses on average.
        pause: seconds of a pause; longer than the lease.
        patience: seconds in which something must happen.
        say: whether progress is told.
    """

    journal: str
    folder: Path
    kills: int = 100
    pauses: int = 0
    conversations: int = 1_000
    turns: int = 3
    workers: int = 1
    seed: int = 0
    every: float = 1.5
    pause: float = 15.0
    patience: float = 90.0
    say: bool = False

    @property
    def keys(self) -> list[str]:
        return [f"c{n}t{turn}" for n in range(self.conversations) for turn in range(self.turns)]

    @property
    def pace(self) -> float:
        """Turns that one worker begins a second, so that the work lasts as long as the kills."""
        blows = (self.kills + self.pauses) * self.every
        return max(1.0, 0.9 * self.conversations * self.turns / self.workers / max(blows, 5.0))


class Campaign:
    """The parent of the workers."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._path = options.folder / "history"
        self._log = Log(self._path)
        self._read = self._path.open("rb")
        self._due = 0.0
        self._rng = random.Random(f"{options.seed} kills")
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._paused: dict[int, float] = {}
        self._died: list[str] = []
        self.refused = False

    def run(self) -> Findings:
        """Until all workers have ended of themselves, or nothing happens any more."""
        options = self._options
        blows = ["kill"] * options.kills + ["pause"] * options.pauses
        self._rng.shuffle(blows)
        for index in range(options.workers):
            self._start(index)
        try:
            self._watch(blows)
        finally:
            for worker in self._workers.values():
                worker.kill()
                worker.wait()
        findings = check(read(self._path), options.keys)
        self._log.close()
        self._read.close()
        for death in self._died:
            findings.violated("a worker dies of nothing but a kill", death)
        if blows:
            findings.violated("all kills and pauses were made", f"{len(blows)} were not: the work was done before")
        return findings

    def _start(self, index: int) -> None:
        options = self._options
        given = {
            "journal": options.journal,
            "log": self._path,
            "conversations": options.conversations,
            "turns": options.turns,
            "seed": options.seed,
            "pace": options.pace,
            "index": index,
            "workers": options.workers,
        }
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        program = [sys.executable, "-m", "benchmarks.campaigns.worker", *words]
        self._workers[index] = subprocess.Popen(program, cwd=ROOT)

    def _watch(self, blows: list[str]) -> None:
        options = self._options
        self._due = time.monotonic() + self._gap()
        moved = told = time.monotonic()
        while self._workers:
            time.sleep(0.01)
            now = time.monotonic()
            for index, worker in list(self._workers.items()):
                if (code := worker.poll()) is not None:
                    self._ended(index, code)
                    if self.refused:
                        return
            self._continue(now)
            if blows and now >= self._due and self._strike(what := blows[-1]):
                blows.pop()
                # One in five hits a process that is only starting; the others one that is at work.
                alone = what == "kill" and options.workers == 1 and self._rng.random() < 0.8
                self._due = float("inf") if alone else now + self._gap()
            if new := self._read.read():
                moved = now
                if b" up\n" in new and self._due == float("inf"):
                    self._due = now + self._gap()
            if now - moved > options.patience:
                return
            if options.say and now - told > 10.0:
                told = now
                print(
                    f"… {len(blows)} kills and pauses to come, history {self._read.tell():,} bytes",
                    file=sys.stderr,
                    flush=True,
                )

    def _gap(self) -> float:
        return self._rng.uniform(0.1, 1.9) * self._options.every

    def _ended(self, index: int, code: int) -> None:
        del self._workers[index]
        if code == 2:
            self.refused = True
        elif code != 0:
            self._log.write("died", index, code)
            self._died.append(f"worker {index} with code {code}")
            if len(self._died) < MOST_DEATHS:
                self._start(index)

    def _strike(self, what: str) -> bool:
        """Kill or pause somebody; False if nobody can be now."""
        running = [index for index in self._workers if index not in self._paused]
        if not running:
            return False
        index = self._rng.choice(running)
        worker = self._workers[index]
        if what == "kill":
            worker.kill()
            worker.wait()
            self._log.write("kill", worker.pid)
            self._start(index)
        else:
            os.kill(worker.pid, signal.SIGSTOP)
            self._log.write("stop", worker.pid)
            self._paused[index] = time.monotonic() + self._options.pause
        return True

    def _continue(self, now: float) -> None:
        for index, until in list(self._paused.items()):
            if now >= until:
                del self._paused[index]
                worker = self._workers[index]
                self._log.write("cont", worker.pid)
                os.kill(worker.pid, signal.SIGCONT)


def report(findings: Findings) -> str:
    """The table and the verdict."""
    rows = [(name, f"{times:,}") for name, times in sorted(findings.counts.items())]
    lines = aligned([("what", "times"), *rows], left=(0,))
    for sentence, examples in sorted(findings.violations.items()):
        lines += ["", f"VIOLATED {sentence}: {len(examples)} times", *(f"    {one}" for one in examples[:SHOWN])]
    return "\n".join([*lines, "", "" if findings.violations else "nothing was violated"])


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if anything was violated, 2 if this version cannot do what is asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--journal", default="", help="the file, or postgresql://…; a new file by default")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pauses", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--conversations", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=15.0, help="seconds of a pause; longer than the lease")
    parser.add_argument("--keep", type=Path, help="where to write the history if anything was violated")
    given = parser.parse_args(argv)
    if given.store == "postgres" and not given.journal.startswith("postgresql://"):
        parser.error("--store postgres needs --journal postgresql://…")
    with tempfile.TemporaryDirectory(prefix="callboard-kills-") as folder:
        campaign = Campaign(
            Options(
                given.journal or f"{folder}/journal.db",
                Path(folder),
                given.kills,
                given.pauses,
                given.conversations,
                given.turns,
                given.workers,
                given.seed,
                pause=given.pause,
                say=True,
            )
        )
        findings = campaign.run()
        if findings.violations and given.keep:
            given.keep.write_text((Path(folder) / "history").read_text(encoding="utf-8"), encoding="utf-8")
    if campaign.refused:
        return 2
    print(report(findings))
    return 1 if findings.violations else 0
