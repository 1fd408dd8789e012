"""The other end of a worker: starting a subject's process, asking it for runs, ending it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.harness import Sample, Unsupported

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"


class WorkerFailed(Exception):
    """The subject's process answered with an error, died, or took too long."""


class Worker:
    """A subject in a process of its own, idle between runs.

    ``python`` is the interpreter of the subject's environment; ``limit`` bounds one run, in seconds. ``library`` is the
    checkout whose ``callboard`` it imports; the benchmarks are always those of this one.
    Raises :class:`WorkerFailed` when the subject cannot be imported there.
    """

    def __init__(self, subject: str, python: str = sys.executable, limit: float = 120.0, library: Path = ROOT) -> None:
        self.subject, self.python, self.limit, self.library = subject, python, limit, library
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(library / ".src")])}
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.subjects.worker", subject],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env=environment,
            text=True,
        )
        try:
            hello = self._read()
        except WorkerFailed:
            self.close()
            raise
        self.scenarios: list[str] = hello["scenarios"]
        self.scale: float = hello["scale"]

    def another(self) -> Worker:
        """Start the same subject in a process of its own."""
        return Worker(self.subject, self.python, self.limit, self.library)

    def run(self, scenario: str, n: int, uvloop: bool = False) -> list[Sample]:
        """Run ``scenario`` once over ``n`` units.

        Raises :class:`Unsupported` when the subject lacks something it needs.
        """
        assert self._process.stdin is not None
        try:
            print(json.dumps({"scenario": scenario, "n": n, "uvloop": uvloop}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise WorkerFailed(self._last_words()) from None
        return [Sample(*fields) for fields in self._read()["samples"]]

    def close(self) -> None:
        """End the process, politely at first."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    # Any: what an answer holds depends on the request; worker.py lists the kinds.
    def _read(self) -> Any:
        assert self._process.stdout is not None
        watchdog = threading.Timer(self.limit, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise WorkerFailed(self._last_words())
        answer = json.loads(line)
        if "unsupported" in answer:
            raise Unsupported(answer["unsupported"])
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._process.wait(10)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the process ended with {self._process.returncode}: {lines[-1] if lines else 'no output'}"


def interpreter(is_peer: bool) -> str:
    """The Python that a subject runs in: the peers' own, or this one."""
    return str(PEERS) if is_peer else sys.executable


def start_workers(
    subjects: Mapping[str, tuple[str, bool]], limit: float = 120.0, libraries: Mapping[str, Path] | None = None
) -> tuple[dict[str, Worker], dict[str, str]]:
    """Start a worker for each subject (its module, and whether it is a peer).

    ``libraries`` says which subjects import ``callboard`` from another checkout than this.
    Returns the workers by subject, and for each subject that is not there the reason.
    """
    workers: dict[str, Worker] = {}
    skipped: dict[str, str] = {}
    for subject, (module, is_peer) in subjects.items():
        if is_peer and not PEERS.exists():
            skipped[subject] = "no .venv-peers (make bench-peers)"
            continue
        try:
            workers[subject] = Worker(module, interpreter(is_peer), limit, (libraries or {}).get(subject, ROOT))
        except WorkerFailed as error:
            skipped[subject] = str(error)
    return workers, skipped
