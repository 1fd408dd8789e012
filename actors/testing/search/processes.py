"""Work spread over processes, its results in order: forked, so that a scenario may be any closure."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import SimulationError
from ..trace.checks import is_whole
from ..trace.rendering import shown
from .stopping import at_once

T = TypeVar("T")
R = TypeVar("R")


def check(processes: object) -> None:
    """Refuse a number of processes that makes no sense, or that this platform cannot start.

    Raises:
        SimulationError: it does not, or it cannot.
    """
    if not is_whole(processes) or processes < 1:
        raise SimulationError(f"processes={processes!r}: how many processes to search in, from 1")
    if processes > 1 and "fork" not in multiprocessing.get_all_start_methods():
        raise SimulationError(
            f"processes={processes}: a scenario is handed to other processes by forking, which this platform cannot. "
            "Leave it out, and run ranges of seeds (seeds=range(1000, 2000)) in programs of their own"
        )


def spread(work: Callable[[T], R], parts: Sequence[T], processes: int) -> Generator[R, None, None]:
    """Yield what ``work`` returns for each part, in their order.

    Args:
        work: what each process does; its results are pickled.
        parts: what is to be done.
        processes: how many to fork. They are ended when the iterator is closed.

    Raises:
        SimulationError: a process ended before its work was done.
    """
    context = multiprocessing.get_context("fork")
    started = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: a run starts none
            for number in range(processes):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_serve, args=(theirs, work, parts[number::processes]), daemon=True)
                process.start()
                theirs.close()
                started.append((process, ours))
        for index in range(len(parts)):
            process, ours = started[index % processes]
            try:
                with at_once():
                    done, result = ours.recv()
            except EOFError:
                process.join()
                raise SimulationError(
                    f"a process that searched ended with exit code {process.exitcode} before it was done"
                ) from None
            if not done:
                raise SimulationError(f"a process that searched failed with {result}")
            yield result
    finally:
        for process, ours in started:
            ours.close()
            process.terminate()
        for process, _ in started:
            process.join()


def _serve(pipe: Connection, work: Callable[[Any], Any], parts: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by this
    with contextlib.suppress(BrokenPipeError):
        for part in parts:
            try:
                pipe.send((True, work(part)))
            except BrokenPipeError:
                raise
            except BaseException as error:
                pipe.send((False, shown(error)))
                return
