"""Synchronous programs that use actors and end, or fork. `test_process_ends` runs each in a process of its own.

``python programs.py NAME`` runs one. What an actor does is written to the standard output at once, so that nothing is
left in a buffer when a process ends.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from typing import Any, NoReturn

from callboard.actors import Actor, ActorRef, ChildSpec, System, SystemClosed

COUNT = 500
WAIT = 5.0


def say(*words: Any) -> None:
    """Write a line in one piece."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Says(Actor):
    """Says what it gets, and that it has stopped."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.prefix = f"{name} " if name else ""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        say(f"{self.prefix}{message}")
        return message

    def on_stop(self) -> None:
        say(f"{self.prefix}stopped")


class Waits(Says):
    """The same, but waits for a moment before."""

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.0001)
        return super().on_receive(message)


class Parent(Says):
    """Has a child, which it tells of."""

    def __init__(self) -> None:
        super().__init__("parent")
        self.child = self.spawn(Waits, "child", name="child")

    def on_receive(self, message: Any) -> Any:
        return self.child if message == "child" else super().on_receive(message)


def tell(ref: ActorRef[Any], count: int = COUNT) -> None:
    for number in range(count):
        ref.tell(number)


# -- programs that end -------------------------------------------------------------------------------------------------


def default() -> None:
    tell(Says.start())


def default_async() -> None:
    tell(Waits.start())


def in_thread() -> None:
    system = System.in_thread()
    tell(system.spawn(Waits))


def several() -> None:
    one, two = System.in_thread("one"), System.in_thread("two")
    tell(one.spawn(Waits, "one"))
    tell(two.spawn(Waits, "two"))
    tell(Waits.start("default"))


def forgotten() -> None:
    """Nothing refers to the system or the actor any more."""

    def work() -> None:
        tell(System.in_thread().spawn(Waits))

    work()


def family() -> None:
    ref = Parent.start()
    child = ref.ask("child").get(timeout=WAIT)
    tell(child)
    tell(ref)


def asks() -> None:
    ref = Waits.start()
    for number in range(COUNT):
        ref.ask(number)


def restarts() -> None:
    system = System.in_thread()
    ref = system.supervise(ChildSpec(Says))
    tell(ref, COUNT // 2)
    ref.tell(ValueError("crash"))
    for number in range(COUNT // 2, COUNT):
        ref.tell(number)


def told_by_threads() -> None:
    ref = Waits.start()
    threads = [threading.Thread(target=tell, args=(ref, COUNT // 5)) for _ in range(5)]
    for thread in threads:
        thread.start()


def fails() -> None:
    tell(Waits.start())
    raise LookupError("the program failed")


def exits() -> None:
    tell(Waits.start())
    sys.exit(3)


def closed() -> None:
    """A system that the program has closed itself."""
    with System.in_thread() as system:
        ref = system.spawn(Says)
        ref.ask("asked").get(timeout=WAIT)
    say("closed")


def idle() -> None:
    """Actors that have nothing to do."""
    Says.start()
    System.in_thread().spawn(Says)


# -- programs with an actor that never ends ----------------------------------------------------------------------------


class Endless(Says):
    def on_receive(self, message: Any) -> Any:
        if message == "never":
            return self.never()
        return super().on_receive(message)

    async def never(self) -> None:
        await asyncio.Event().wait()


class Stubborn(Endless):
    async def never(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue


class Blocks(Says):
    def on_receive(self, message: Any) -> Any:
        if message == "never":
            threading.Event().wait()
        return super().on_receive(message)


def _hangs(kind: type[Actor]) -> None:
    system = System.in_thread()
    ref, other = system.spawn(kind), system.spawn(Says, "other")
    tell(ref, 10)
    tell(other, 10)
    ref.tell("never")


def endless() -> None:
    _hangs(Endless)


def stubborn() -> None:
    _hangs(Stubborn)


def blocks() -> None:
    system = System.in_thread()
    ref, other = system.spawn(Blocks), system.spawn(Says, "other")
    tell(ref, 10)
    tell(other, 10)
    other.ask("asked").get(timeout=WAIT)
    ref.tell("never")  # from here on the loop does nothing any more


# -- programs that fork ------------------------------------------------------------------------------------------------


def _fork(child: Any) -> None:
    """Run a function in a forked process, which ends as a program does; wait for it."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # a child that hangs ends
        child()
        return
    _, status = os.waitpid(pid, 0)
    say("child", os.waitstatus_to_exitcode(status))


def _refuses(what: str, call: Any) -> None:
    try:
        call()
    except SystemClosed:
        say("refused", what)
    except BaseException as error:
        say("NOT refused", what, repr(error))
    else:
        say("NOT refused", what)


def _refuses_all(system: System | None, ref: ActorRef[Any]) -> None:
    """Use a system of the parent's in a child."""
    _refuses("tell", lambda: ref.tell("lost"))
    ask = ref.ask("lost")
    say("ask done" if ask.done() else "ask NOT done")
    _refuses("ask", lambda: ask.get(timeout=WAIT))
    _refuses("blocking ask", lambda: ref.ask("lost", block=True, timeout=WAIT))
    _refuses("put", lambda: asyncio.run(ref.put("lost")))
    _refuses("stop", lambda: ref.stop(timeout=WAIT))
    _refuses("proxy", lambda: ref.proxy().on_stop().get(timeout=WAIT))
    if system is not None:
        _refuses("spawn", lambda: system.spawn(Says))


def fork_default() -> None:
    """The child starts actors as if nothing had been before."""
    ref = Says.start("parent's")

    def child() -> None:
        mine = Says.start("child's")
        say("answer", mine.ask("asked").get(timeout=WAIT))
        tell(mine, 100)

    ref.ask("asked").get(timeout=WAIT)
    _fork(child)
    if os.getpid() == PARENT:
        say("answer", ref.ask("asked again").get(timeout=WAIT))


def fork_refuses_default() -> None:
    ref = Says.start()
    ref.ask("asked").get(timeout=WAIT)
    _fork(lambda: _refuses_all(None, ref))
    if os.getpid() == PARENT:
        say("answer", ref.ask("asked again").get(timeout=WAIT))


def fork_refuses_in_thread() -> None:
    system = System.in_thread()
    ref = system.spawn(Says)
    ref.ask("asked").get(timeout=WAIT)
    _fork(lambda: _refuses_all(system, ref))
    if os.getpid() == PARENT:
        say("answer", ref.ask("asked again").get(timeout=WAIT))


def fork_refuses_own_loop() -> None:
    """The system lives on a loop of the thread that forks; no loop runs just then."""

    async def begin() -> tuple[System, ActorRef[Any]]:
        system = System()
        await system.__aenter__()
        return system, await system.spawn(Says).started()

    async def answered(ref: ActorRef[Any]) -> Any:
        return await ref.ask("asked again")

    with asyncio.Runner() as runner:
        system, ref = runner.run(begin())
        _fork(lambda: _refuses_all(system, ref))
        if os.getpid() != PARENT:
            os._exit(0)
        say("answer", runner.run(answered(ref)))
        runner.run(system.stop())


def fork_inside_with() -> None:
    """The child leaves the block of a system that is not its own."""
    with System.in_thread() as system:
        system.spawn(Says).ask("asked").get(timeout=WAIT)
        _fork(lambda: None)
    say("left the block")


def fork_pending_ask() -> None:
    """An ask of before the fork ends in the child too; in the parent it is answered."""
    go = threading.Event()

    class Holds(Actor):
        def on_receive(self, message: Any) -> Any:
            begun.set()
            go.wait(WAIT)
            return message

    begun = threading.Event()
    ask = Holds.start().ask("held")
    begun.wait(WAIT)
    _fork(lambda: _refuses("pending ask", lambda: ask.get(timeout=WAIT)))
    if os.getpid() == PARENT:
        go.set()
        say("answer", ask.get(timeout=WAIT))


def _answers(queue: Any) -> None:
    queue.put(Says.start().ask("asked").get(timeout=WAIT))


def fork_multiprocessing() -> None:
    ref = Says.start()
    ref.ask("before").get(timeout=WAIT)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_answers, args=(queue,)) for _ in range(3)]
    for process in processes:
        process.start()
    for _ in processes:
        say("answer", queue.get(timeout=WAIT))
    for process in processes:
        process.join(WAIT)
        say("child", process.exitcode)
    say("answer", ref.ask("after").get(timeout=WAIT))


def _answers_or_dies(kind: type[Actor]) -> NoReturn:
    """Leave a forked process with 0 if an actor answers there."""
    signal.alarm(20)
    code = 1
    try:
        code = 0 if kind.start().ask(1).get(timeout=WAIT) == 1 else 2
    finally:
        os._exit(code)


def fork_while_others_send() -> None:
    """Other threads are in the middle of whatever they do as the process forks."""
    end = threading.Event()

    class Quiet(Actor):
        def on_receive(self, message: Any) -> Any:
            return message

    def send() -> None:
        system = System.in_thread()
        ref = system.spawn(Quiet)
        while not end.is_set():
            shortly = Quiet.start()
            assert shortly.ask(1).get(timeout=WAIT) == 1
            shortly.stop()
            futures = [ref.ask(number) for number in range(20)]
            assert [future.get(timeout=WAIT) for future in futures] == list(range(20))
        system.close()

    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = []
    try:
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                _answers_or_dies(Quiet)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    finally:
        end.set()
        for thread in threads:
            thread.join(WAIT)
    say("codes", sorted(set(codes)))


PARENT = os.getpid()

if __name__ == "__main__":
    globals()[sys.argv[1]]()
