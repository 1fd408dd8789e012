"""The ``callboard`` command, as a script and as ``python -m callboard``.

It imports next to nothing before it has seen to Ctrl-C: the library takes half a second to load.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""128 + SIGINT, as shells report a command that Ctrl-C ended."""


def main() -> int:
    """Run the command that the process was started with.

    Returns:
        Its exit status, see `callboard.actors.cli.main`. Ctrl-C ends it with 130 and without a word at any time, also
        while the library is loaded and once the command is done; where SIGINT is ignored it still is.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from .actors.cli.app import main as run

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run()
        if ours:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End at once: there is nothing yet, or nothing any more, that would have to be put in order."""
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
