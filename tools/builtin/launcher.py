"""Starting a command so that it cannot look into other processes: their environment and memory hold keys.

Linux lets a process read another one's ``/proc/N/environ`` and memory, or trace it, where both have the same user and
the reader has every capability that the other one has (`ptrace(2)`, "ptrace access mode checking"). So a command is
started with less than its parent has:

- as root, without the capabilities that let one look into everything, and without one more (``setpriv``);
- as another user, in a user namespace of its own (``unshare``), from which no process outside of it may be looked into;
- where the kernel or a container allows neither, this process declares itself not dumpable. That keeps it closed to its
  own user, but no other process of that user, and holds for as long as it runs: no core dumps, no debugger.

What is taken is what has been seen to work: a command is started so, and tries to read this process's environment.
"""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence

logger = logging.getLogger(__name__)

# The first three may look into everything (the last two of them by `perfmon_capable` in the kernel's `mm_access`). A
# container's root, which never had them, would without the fourth still have all that its parent has.
_GIVEN_UP = ",".join(f"-{capability}" for capability in ("sys_ptrace", "sys_admin", "perfmon", "mknod"))
_AS_ROOT = ("setpriv", f"--bounding-set={_GIVEN_UP}", f"--inh-caps={_GIVEN_UP}", "--")
_AS_USER = ("unshare", "--user", "--map-current-user", "--")
_CLOSED = 7  # the status by which the attempt says that it ran, and could not read
_ATTEMPT = f'head -c 1 "/proc/$1/environ" >/dev/null 2>&1 || exit {_CLOSED}'
_PR_SET_DUMPABLE = 4

_lock = threading.Lock()
_found: tuple[str, ...] | None = None


def launcher() -> tuple[str, ...]:
    """What is put before a command. It is looked for once in a process, which takes milliseconds: call it in a thread.

    Where nothing keeps a command out (no Linux, a root that may give nothing up), it is empty, and a warning says so.
    """
    global _found
    with _lock:
        if _found is None:
            _found = _look()
        return _found


def _look() -> tuple[str, ...]:
    for prefix in ((_AS_ROOT, _AS_USER) if os.geteuid() == 0 else (_AS_USER,)) if sys.platform == "linux" else ():
        if _keeps_out(prefix):
            return prefix
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 and _keeps_out(()):
        return ()
    logger.warning("commands of the tool Bash can read the environment of this process: nothing here keeps them out")
    return ()


def _keeps_out(prefix: Sequence[str]) -> bool:
    try:
        tried = subprocess.run(
            [*prefix, "sh", "-c", _ATTEMPT, "sh", str(os.getpid())],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):  # there is no such program
        return False
    return tried.returncode == _CLOSED
