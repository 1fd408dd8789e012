"""What tests of other threads share: threads that are waited for, and an actor that blocks the loop's thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from callboard.actors import Actor

from .support import LOOPS

WAIT = 20.0
"""Seconds after which a thread that hangs is given up. Nothing is timed by it."""


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run ``work(index)`` in so many threads at once; return what each came to, an error included."""
    results: list[Any] = [None] * count
    go = threading.Barrier(count)

    def one(index: int) -> None:
        try:
            go.wait(WAIT)
            results[index] = work(index)
        except BaseException as error:
            results[index] = error

    # Daemons: a thread that hangs fails its test, and not the end of the test run too.
    threads = [threading.Thread(target=one, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive(), "a thread hangs"
    return results


def in_thread(work: Callable[[], Any]) -> Any:
    """Run a function in a thread of its own; return what it returns and raise what it raises."""
    result = in_threads(1, lambda _: work())[0]
    if isinstance(result, BaseException):
        raise result
    return result


def on_another_loop(main: Coroutine[Any, Any, Any], loop: str = "asyncio") -> Any:
    """Run a coroutine on a thread and a loop of its own; return what it returns and raise what it raises."""

    def work() -> Any:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            return runner.run(main)

    return in_thread(work)


@contextmanager
def often_switched() -> Iterator[None]:
    """Have Python switch between threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Block:
    """A message whose handler blocks the loop's thread: from `begun` on until `go`."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __enter__(self) -> Block:
        assert self.begun.wait(WAIT), "the loop's thread was not blocked"
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()


class Blocker(Actor):
    """Blocks the thread of its loop while a `Block` is handled."""

    def on_receive(self, message: Block) -> bool:
        message.begun.set()
        return message.go.wait(WAIT)


def blocked(blocker: Any) -> Block:
    """Block the loop of a `Blocker`: ``with blocked(ref): …``."""
    block = Block()
    blocker.tell(block)
    return block
