"""What a simulated schedule costs now, in parts of what it cost at an earlier commit: both measured in turns.

Each state of the code runs in a process of its own, which is told by a line what to run and answers with the CPU
seconds of one schedule. The two take turns, a dozen schedules at a time, so that a busy machine is busy for both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMIT = "565c8cf"
"""Before the simulator's rooms were cut."""
WORKER = Path(__file__).with_name("schedules.py")
BATCH = 12


@contextmanager
def checked_out() -> Iterator[Path]:
    """The earlier state: where ``CALLBOARD_EARLIER`` says, else in a worktree of git's that is gone afterwards."""
    if given := os.environ.get("CALLBOARD_EARLIER"):
        yield Path(given)
        return
    with tempfile.TemporaryDirectory(prefix="callboard-") as folder:
        path = Path(folder) / COMMIT
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run((*git, "add", "--detach", str(path), COMMIT), check=True, capture_output=True)
        try:
            yield path
        finally:
            subprocess.run((*git, "remove", "--force", str(path)), check=True, capture_output=True)


@contextmanager
def _worker(root: Path) -> Iterator[subprocess.Popen[str]]:
    packages = [path for path in sys.path if path.endswith("site-packages")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / ".src"), *packages]), "PYTHONHASHSEED": "0"}
    with subprocess.Popen(
        [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _seconds(process: subprocess.Popen[str], flow: str) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{flow} {BATCH}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def ratio(flow: str, turns: int) -> float:
    """Return the median of now's CPU over the earlier one's.

    Args:
        flow: ``tell``, ``ask`` or ``relay``.
        turns: how often the two take turns.
    """
    with ExitStack() as stack:
        earlier = stack.enter_context(_worker(stack.enter_context(checked_out())))
        now = stack.enter_context(_worker(ROOT))
        for process in (earlier, now):
            _seconds(process, flow)  # warm
        return statistics.median(_seconds(now, flow) / _seconds(earlier, flow) for _ in range(turns))
