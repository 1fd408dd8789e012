"""The threads of executors: workers, each with a baton of its own, in pools that begin calls in order."""

from __future__ import annotations

import os
import sys
import threading
import time
from _thread import allocate_lock
from collections import deque
from dis import get_instructions
from threading import get_ident
from typing import Any, Final

from ..isolation import clocks, fence

PATIENCE: Final = 10.0
"""Real seconds in which a thread that has the baton neither gives it back nor computes: then it is given up."""
LOCK_PATIENCE: Final = 0.5
"""The same for one that is just taking what looks like a lock; and how often all are looked at."""
UNWOUND: Final = 1_000
"""How often a thread is told that the run is over; one that will not hear of it stays where it is."""

agents: dict[int, Any] = {}
"""Who runs in a thread, by its number: a call on an executor, or the loop of a run."""

_others: dict[int, Any] = {}


def _before_fork() -> None:
    """Only the thread that forks is in the new process, whose own ones are given the numbers of the others."""
    here = get_ident()
    _others.update((thread, agent) for thread, agent in agents.items() if thread != here)
    for thread in _others:
        agents.pop(thread, None)


def _after_fork() -> None:
    agents.update(_others)
    _others.clear()


# Done before, as what others have registered for the new process may come first there, and begin threads.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_others.clear)


class Worker:
    """A thread of one executor. It serves one call after the other, so that what is kept by thread stays."""

    def __init__(self, threads: Any, name: str) -> None:
        self.threads = threads
        self.call: Any = None
        self.lost = False
        self.out = False
        """Whether the thread has the baton."""
        self.waited_for = False
        """Whether the loop's thread waits for it to come back."""
        self.go, self.back = allocate_lock(), allocate_lock()
        self.go.acquire()
        self.back.acquire()
        with threads.unwatched(), fence.lowered():
            self.thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self.thread.start()

    def _serve(self) -> None:
        thread, owner = get_ident(), self.threads.owner
        self.go.acquire()
        with fence.joined(owner), clocks.joined(owner):
            while self.call is not None and not self.threads.closing:
                agents[thread] = self.call
                try:
                    self.call.run()
                finally:
                    del agents[thread]
                    self.call = None
                if self.lost:
                    return
                self.give_back()
                self.go.acquire()

    def give_back(self) -> None:
        """Give the baton back; called in the thread."""
        self.out = False
        self.back.release()

    def run(self) -> None:
        """Hand the baton to the thread, and wait until it comes back."""
        call = self.call
        self.out = self.waited_for = True
        self.go.release()
        before, still = -1.0, 0.0
        look = min(LOCK_PATIENCE, PATIENCE)
        while not self.back.acquire(timeout=look):
            now = self._computed()
            still = still + look if now == before else 0.0
            before = now
            ends = self.threads.loop.max_steps < 0  # a signal's handler has raised
            if ends or still >= (LOCK_PATIENCE if self._takes_a_lock() else PATIENCE):
                self.lost = True
                assert call is not None
                self.threads.loop.refuse(f"{call.lane.label} did not come back: it waits at {self._where()}, which is")
        self.waited_for = False

    def _came_back(self) -> bool:
        """Take the baton back where a signal's handler has raised while this was waited for."""
        for _ in range(int(PATIENCE * 100)):
            given = not self.out
            if self.back.acquire(timeout=0.01) or given:  # it may have been taken just before
                return True
        return False

    def _computed(self) -> float:
        """The thread's CPU seconds, or how far it is where those cannot be told."""
        ident = self.thread.ident
        assert ident is not None
        if hasattr(time, "pthread_getcpuclockid"):
            return time.clock_gettime(time.pthread_getcpuclockid(ident))
        frame = sys._current_frames().get(ident)
        return -2.0 if frame is None else hash((id(frame), frame.f_lasti))

    def _takes_a_lock(self) -> bool:
        """Whether it is entering a context, or calling something called so, that is made in C: a lock's, as a rule."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        if frame is None:
            return False
        code, at = frame.f_code, frame.f_lasti
        known = [it for it in get_instructions(code) if it.offset <= at][-3:]
        return any(it.opname == "BEFORE_WITH" or it.argval in ("acquire", "__enter__") for it in known)

    def _where(self) -> str:
        frame = sys._current_frames().get(self.thread.ident or 0)
        return "its end" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def end(self) -> None:
        """Have the thread end, with `Abandoned` in the call that it is in."""
        unwound = 0
        if self.waited_for and not self.lost:
            self.lost = not self._came_back()
        while not self.lost:
            idle = self.call is None  # looked at first: once it has been let go, the thread may end its call at once
            self.go.release()
            if idle:
                break
            unwound += 1
            self.lost = unwound > UNWOUND or not self.back.acquire(timeout=PATIENCE)
        if not self.lost:
            with self.threads.unwatched():
                self.thread.join()


class Pool:
    """What stands for one executor: at most ``most`` calls at a time, begun in order."""

    def __init__(self, threads: Any, name: str, most: int | None) -> None:
        self.threads = threads
        self.name = name
        self.most = most
        self.running = 0
        self.waiting: deque[Any] = deque()
        self.workers: list[Worker] = []
        self.idle: list[Worker] = []

    def submit(self, call: Any) -> None:
        if self.most is not None and self.running >= self.most:
            self.waiting.append(call)
            return
        self.running += 1
        call._ready()

    def worker(self) -> Worker:
        if self.idle:
            return self.idle.pop()
        worker = Worker(self.threads, f"{self.name}_{len(self.workers)}")
        self.workers.append(worker)
        return worker

    def over(self, call: Any) -> None:
        self.running -= 1
        if call.worker is not None:
            self.idle.append(call.worker)
        if self.waiting:
            self.submit(self.waiting.popleft())
