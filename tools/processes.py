"""Processes for tools that compute: one that runs in a thread holds the loop up at each of its steps, however many
threads there are, because the interpreter runs one of them at a time.

Workers are spawned when they are first needed, and kept. One whose caller gives up is killed, and so is what it
computes; another takes its place with the next call. A worker ends with its parent.

What crosses over is pickled: the name of the function, the arguments, the result.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, NamedTuple

from ..actors.core.base.errors import named, said
from .errors import NotPicklable, ProcessDied, ToolCrashed, ToolDefinitionError, ToolError
from .threads import Clock, Job, ToolThreads, call_in_loop, run_job

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

LIMIT = os.cpu_count() or 1
"""How many workers compute at once; more would only take each other's time."""

_TRIES = 2  # workers that may die before they have begun: they had been killed while they were idle


class Place(NamedTuple):
    """Where a function is found in another process."""

    module: str
    name: str


def place_of(function: Callable[..., Any]) -> Place:
    """Where a function is found in another process.

    Raises:
        ToolDefinitionError: nowhere: it is no function of a module.
    """
    name: str = getattr(function, "__qualname__", "")
    module: str | None = getattr(function, "__module__", None)
    if not isinstance(function, type(place_of)) or not module or "<" in name:
        raise ToolDefinitionError(
            f"{name or function!r:.80} cannot run in a process of its own: it has to be a plain function at the top of "
            "a module, so that the process can import it"
        )
    return Place(module, name)


async def in_process(place: Place, function: Callable[..., Any], values: Mapping[str, Any], clock: Clock) -> Any:
    """Call a function in a process of its own, and return or raise what it does. Cancelling kills it.

    Args:
        place: where it is found there.
        function: the same here: called where a loop runs no threads, as in a simulation.
        values: the arguments, by name.
        clock: is paused until the process has the function and its arguments.

    Raises:
        NotPicklable: the arguments or the result cannot be sent.
        ProcessDied: the process ended in the middle of the call.
    """
    try:
        sent = pickle.dumps((place, dict(values)))
    except Exception as error:
        raise NotPicklable(f"the arguments of {place.name} cannot be sent to its process: {said(error)}") from error
    begun = partial(call_in_loop, asyncio.get_running_loop(), clock.resume)
    call = _Call(place, sent, partial(function, **values), begun)
    clock.pause()
    try:
        return await run_job(Job(call, function), _threads, None)
    except asyncio.CancelledError:
        call.kill()
        raise


class _Call:
    """One call, made by a thread that waits for a worker's answer.

    Args:
        place: where its function is found.
        sent: what the worker is sent.
        here: makes the same call in this process.
        on_start: called when the worker begins.
    """

    def __init__(self, place: Place, sent: bytes, here: Callable[[], Any], on_start: Callable[[], object]) -> None:
        self._place = place
        self._sent = sent
        self._here = here
        self._on_start = on_start
        self._caller = threading.get_ident()
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._killed = False

    def __call__(self) -> Any:
        if threading.get_ident() == self._caller:
            return self._here()
        for left in reversed(range(_TRIES)):
            worker = _workers.take()
            with self._lock:
                self._worker = worker
                if self._killed:
                    worker.kill()
            try:
                answer = worker.ask(self._sent, self._on_start)
            except _NotBegun:
                worker.kill()
                if not left or self._killed:
                    raise ProcessDied(f"the process of {self._place.name} died before it had begun") from None
            except (EOFError, OSError):
                worker.kill()
                raise ProcessDied(f"the process of {self._place.name} died: {worker.how_it_ended()}") from None
            else:
                with self._lock:
                    self._worker = None
                _workers.give_back(worker)
                return answer()
        raise AssertionError("unreachable")

    def kill(self) -> None:
        """Nobody waits any more: end what computes."""
        with self._lock:
            self._killed = True
            if self._worker is not None:
                self._worker.kill()


class _NotBegun(Exception):
    """The worker has died before it had begun."""


class _Worker:
    """A process, and the connection to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_work, args=(theirs,), name="callboard-tool", daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, sent: bytes, on_start: Callable[[], object]) -> Callable[[], Any]:
        """Have a call made; the answer returns or raises what it did.

        Raises:
            _NotBegun: the process has died before it had begun.
            EOFError: it has died.
        """
        try:
            self._ours.send_bytes(sent)
            begun = self._ours.recv_bytes() == _BEGUN
        except (EOFError, OSError):
            raise _NotBegun from None
        on_start()
        if not begun:
            raise EOFError
        kind, told = pickle.loads(self._ours.recv_bytes())
        return partial(_ANSWERS[kind], told)

    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()

    def how_it_ended(self) -> str:
        self._process.join(5.0)
        code = self._process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"it ended with status {code}"


class _Workers:
    """The processes that have nothing to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def take(self) -> _Worker:
        """One that is idle, or a new one."""
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
        return _Worker()

    def give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)


_threads = ToolThreads(LIMIT, long=None, computing=False)
_threads.callboard_processes = True
_workers = _Workers()

_BEGUN = b"begun"


def _returned(value: bytes) -> Any:
    try:
        return pickle.loads(value)
    except Exception as error:
        raise NotPicklable(f"what the tool's process returned cannot be read here: {said(error)}") from error


def _raised(told: tuple[bytes | None, str, str]) -> Any:
    pickled, text, where = told
    error: BaseException = ToolCrashed(text)
    if pickled is not None:
        with suppress(Exception):
            error = pickle.loads(pickled)
    error.add_note(f"In the tool's process:\n{where}")
    raise error


def _not_sent(text: str) -> Any:
    raise NotPicklable(text)


_ANSWERS: dict[str, Callable[[Any], Any]] = {"returned": _returned, "raised": _raised, "not sent": _not_sent}


# -- in the process ----------------------------------------------------------------------------------------------------


def _work(connected: Connection[Any, Any]) -> None:
    """Make calls until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            sent = connected.recv_bytes()
        except (EOFError, OSError):
            return
        answer = _answer(sent, partial(connected.send_bytes, _BEGUN))
        with suppress(OSError):
            connected.send_bytes(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)


def _answer(sent: bytes, begin: Callable[[], None]) -> bytes:
    name, begun = "it", False
    try:
        place, values = pickle.loads(sent)
        name = place.name
        found = _found(place)
        begin()
        begun = True
        value = found(**values)
    except BaseException as error:
        if not begun:
            begin()
        return pickle.dumps(("raised", _described(error)))
    try:
        return pickle.dumps(("returned", pickle.dumps(value)))
    except Exception as error:
        text = f"what {name} returned, a {type(value).__name__}, cannot be sent from its process: {said(error)}"
        return pickle.dumps(("not sent", text))


def _found(place: Place) -> Callable[..., Any]:
    try:
        found: Any = sys.modules.get(place.module) or importlib.import_module(place.module)
        for step in place.name.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise ToolError(f"the process cannot import {place.name} from {place.module}: {error}") from error
    function: Callable[..., Any] = getattr(found, "function", found)  # what stands there is the tool made of it
    return function


def _described(error: BaseException) -> tuple[bytes | None, str, str]:
    """An exception, if it can be sent; what it says; and where it was raised."""
    where = "".join(traceback.format_exception(error))
    text = named(error)
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        return None, text, where
    return pickled, text, where
