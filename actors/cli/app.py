"""Reads the command line. Each command imports what it needs when it runs, so that ``callboard --help`` is quick."""

from __future__ import annotations

import errno
import io
import logging
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from cyclopts import App, CycloptsError, Parameter

from ..core.base.errors import CallboardError
from .chat.commands import chat
from .config import config
from .demo.commands import demo, init
from .journals.approvals import approvals
from .journals.commands import replay, show
from .journals.journal import journal
from .journals.keys import keys
from .measure.commands import bench, evaluate
from .parts.mistakes import told
from .parts.printed import no_more_to, plain, say
from .parts.version import version
from .run.commands import run
from .serve.commands import acp, mcp, serve, simulate_provider
from .tool import tool
from .watch.commands import dashboard, top, tree

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells report a command that Ctrl-C ended."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a file or a terminal says that takes no more; commands name other errors of files themselves."""

_UNREACHABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)
"""What a path that is given may come to already where it is only looked for."""

DETAILS = 400
"""Characters of an error's second line."""

LONGEST = 100
"""Characters of a path in an error."""


def _default(value: object) -> str | None:
    """A default as the help shows it: one that says nothing is not shown."""
    if isinstance(value, timedelta):
        return f"{value.total_seconds() / 3600:g}h"
    return None if value is False or value in ("", ()) else str(value)


app = App(
    name="callboard",
    help="Supervised actors for LLM agents.",
    version=version,
    result_action="return_value",
    default_parameter=Parameter(negative=(), show_default=_default),
)
app.command(demo)
app.command(init)
app.command(run)
app.command(chat)
app.command(bench)
app.command(serve)
app.command(mcp)
app.command(acp)
app.command(tree)
app.command(top)
app.command(dashboard)
app.command(show)
app.command(replay)
app.command(simulate_provider)
app.command(tool)
app.command(journal)
app.command(approvals)
app.command(keys)
app.command(config)
app.command(evaluate, name="eval")


def main(arguments: Sequence[str] | None = None) -> int:
    """See `callboard.actors.cli.main`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrows still gets the words
    if isinstance(sys.stdin, io.TextIOWrapper):
        with suppress(io.UnsupportedOperation):  # something was read already
            sys.stdin.reconfigure(errors="surrogateescape")  # as with UTF-8 mode: a run says what it makes of them
    # What goes wrong is shown by the commands themselves; tracebacks in between would only hide it.
    logging.getLogger("callboard").addHandler(logging.NullHandler())
    try:
        status = app(arguments, exit_on_error=False, print_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # what fails as the process ends nobody can name
    except CycloptsError as error:
        return _refuse(told(error))
    except CallboardError as error:
        return _refuse(str(error) or type(error).__name__, BAD_INPUT if _is_bad_input(error) else FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has seen enough, `head` for example
        no_more_to(1)
        return 0
    except OSError as error:
        if error.errno in _UNREACHABLE and error.filename is not None:
            return _refuse(f"{_short(str(error.filename))}: {error.strerror}")
        if error.errno not in _FULL:
            raise
        no_more_to(1)
        return _refuse(f"what it says cannot be written: {error.strerror}", FAILED)
    return status if isinstance(status, int) else 0


def _is_bad_input(error: CallboardError) -> bool:
    """Whether it is for the user to mend; else the input was right, and the work failed."""
    from ...providers.errors import AuthenticationFailed, InvalidRequest, NoProvider, ProviderError
    from ..agents.errors import AgentUnavailable, HandoffError, RunError
    from ..core.base.errors import CoreError

    causes: list[BaseException | None] = [error]
    for cause in causes:
        if isinstance(cause, AuthenticationFailed | InvalidRequest):
            return True
        if cause is not None and cause.__cause__ not in causes:
            causes.append(cause.__cause__)
        if isinstance(cause, NoProvider):
            causes.extend(each for each in cause.causes.values() if each not in causes)
    return not isinstance(error, RunError | HandoffError | AgentUnavailable | ProviderError | CoreError)


def _short(path: str) -> str:
    """A path of a length that can be read, with the end by which it is known."""
    return path if len(path) <= LONGEST else f"…{path[-LONGEST:]}"


def _refuse(message: str, status: int = BAD_INPUT) -> int:
    """Print an error as one line, or two where it has details; tools' errors are longer, being written for models."""
    first, *details = [line.strip() for line in message.splitlines() if line.strip()]
    say(f"callboard: {plain(first)}", sys.stderr)
    if details:
        say(plain(textwrap.shorten("; ".join(line.removeprefix("- ") for line in details), DETAILS)), sys.stderr)
    return status
