"""Names and paths are read in any thread at any time, and nobody loses anything by it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, Outcome, System, Terminated

from .parallel import WAIT, in_threads, often_switched
from .support import Echo, timers

COUNT = 1500


class Made:
    """What has come of what the actors made; `all` is set when all have told."""

    def __init__(self) -> None:
        self.count = 0
        self.all = threading.Event()

    def __call__(self) -> None:
        self.count += 1
        if self.count == COUNT:
            self.all.set()


class Makes(Actor):
    """Makes what an actor seldom has, when it is told to."""

    def __init__(self, made: Made) -> None:
        super().__init__()
        self.made = made

    def on_receive(self, message: Any) -> Any:
        match message:
            case "timer":
                self.schedule(0, "timer fired")
            case "timers":
                self.schedule_every(1000, "never")
            case "job":
                self.pipe(asyncio.sleep(0, "job"))
            case "child":
                return self.spawn(Echo)
            case "named child":
                return self.spawn(Echo, name="child")
            case "watch":
                child = self.spawn(Echo)
                self.watch(child)
                child.stop()
                return child
            case Outcome() | Terminated() | "timer fired":
                self.made()
        return None


def read(refs: list[ActorRef[Any]]) -> list[tuple[str, str]]:
    return [(ref.name, ref.path) for ref in refs]


MADE = ["timer", "job", "watch"]


@pytest.mark.parametrize("what", [*MADE, "timers", "child", "named child"])
def test_reading_a_name_in_a_thread_takes_nothing_from_an_actor_that_makes_something_just_then(what: str) -> None:
    with System.in_thread() as system, often_switched():
        made = Made()
        refs = [system.spawn(Makes, made) for _ in range(COUNT)]

        def work(index: int) -> Any:
            if index == 0:
                for ref in refs:
                    ref.tell(what) if "child" not in what else children.append(ref.ask(what))
                return None
            return read(refs if index == 1 else refs[::-1])

        children: list[Any] = []
        results = in_threads(3, work)
        assert results[1] == results[2][::-1]
        assert len(set(results[1])) == COUNT
        if what in MADE:
            assert made.all.wait(WAIT), f"{made.count} of {COUNT}"
        for ref, ask in zip(refs, children, strict="child" in what):
            child = ask.get(timeout=WAIT)
            assert child.path == f"{ref.path}/{child.name}"
            assert ref.proxy().find_child(child.name).get(timeout=WAIT) is child
        for ref in refs:
            assert ref.stop(timeout=WAIT)
        assert not any(ask.get(timeout=WAIT).is_alive() for ask in children)
    # The system's loop has been closed in order: no timer of a stopped actor had been left to fire.
    assert system.dead_letters.count == 0


def test_a_timer_made_while_a_thread_reads_the_name_ends_with_its_actor() -> None:
    class Ticks(Actor):
        def on_receive(self, message: Any) -> None:
            self.schedule_every(1000, "tick")  # one that fires as its actor stops would be a dead letter, and rightly

    async def timers_left() -> list[Any]:
        return timers(asyncio.get_running_loop())

    with System.in_thread() as system, often_switched():
        before = len(system.run(timers_left(), WAIT))
        refs = [system.spawn(Ticks) for _ in range(COUNT)]

        def work(index: int) -> Any:
            if index == 0:
                for ref in refs:
                    ref.tell("go")
                return None
            return read(refs)

        in_threads(3, work)
        for ref in refs:
            ref.stop(timeout=WAIT)
        assert len(system.run(timers_left(), WAIT)) == before
        assert system.dead_letters.count == 0


def test_all_threads_and_the_actor_itself_read_the_same_name_and_no_two_actors_have_one() -> None:
    class Knows(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.name, self.path

    with System.in_thread() as system, often_switched():
        refs = [system.spawn(Knows) for _ in range(COUNT)]

        def work(index: int) -> list[Any]:
            if index == 0:
                return [ref.ask("name") for ref in refs]
            return read(refs[:: 1 if index % 2 else -1])[:: 1 if index % 2 else -1]

        asked, *results = in_threads(4, work)
        names = [ask.get(timeout=WAIT) for ask in asked]
        for result in results:
            assert result == names
        assert len(set(names)) == COUNT
        for ref, (name, _) in zip(refs, names, strict=True):
            assert system.find(name) is ref


def test_a_thread_that_spawns_while_the_loop_and_others_read_names_gives_each_its_own() -> None:
    class Reads(Actor):
        """Reads names on the loop for as long as it is told to."""

        def on_receive(self, refs: list[ActorRef[Any]]) -> list[tuple[str, str]]:
            return read(refs)

    class Children(Actor):
        def on_receive(self, message: Any) -> Any:
            return [self.spawn(Echo) for _ in range(message)]

    with System.in_thread() as system, often_switched():
        reader, parent = system.spawn(Reads), system.spawn(Children, name="parent")
        refs: list[ActorRef[Any]] = []
        spawned = threading.Event()

        def work(index: int) -> Any:
            if index == 0:
                for _ in range(20):
                    refs.extend(system.spawn(Echo) for _ in range(10))
                    refs.extend(parent.ask(10).get(timeout=WAIT))
                spawned.set()
                return None
            while not spawned.is_set():
                known = list(refs)
                if index == 1:
                    assert reader.ask(known).get(timeout=WAIT) == read(known)
                else:
                    assert read(known) == read(known)
            return None

        assert in_threads(3, work) == [None, None, None]
        names = read(refs)
        assert len({path for _, path in names}) == 400
        for ref, (_, path) in zip(refs, names, strict=True):
            assert system.find(path) is ref


def test_a_name_that_a_thread_reads_of_a_dying_actor_is_free_for_the_next() -> None:
    with System.in_thread() as system, often_switched():
        refs = [system.spawn(Echo) for _ in range(COUNT)]

        def work(index: int) -> Any:
            if index == 0:
                for ref in refs:
                    ref.stop(block=False)
                return None
            return read(refs)

        _, names, again = in_threads(3, work)
        assert names == again
        for ref in refs:
            assert ref.actor_stopped.wait(WAIT)
        assert names == read(refs)
        for name, _ in names:
            assert system.find(name) is None
        assert system.spawn(Echo, name=names[0][0]).ask(1).get(timeout=WAIT) == 1
