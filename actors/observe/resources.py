"""What a process uses of its machine."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process uses, and what is left.

    Args:
        memory: bytes of it in the machine's memory; where the system does not say, the most that it ever had there.
        processor: seconds of the processor's time that it has used.
        load: processes that wanted to run in the last minute, on average, for each processor; None where the system
            does not say.
        disk_free: bytes left on the disk of its journal; None where that is no file.
    """

    memory: int
    processor: float
    load: float | None
    disk_free: int | None


def resources(file: Path | None = None) -> Resources:
    """Look at this process.

    Args:
        file: the journal's.
    """
    load = None
    with suppress(OSError, AttributeError):
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
    free = None
    if file is not None:
        with suppress(OSError):
            free = shutil.disk_usage(file.parent).free
    times = os.times()
    return Resources(_memory(), times.user + times.system, load, free)


def _memory() -> int:
    with suppress(OSError, ValueError, IndexError, AttributeError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return 0
