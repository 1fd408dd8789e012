"""Signals: real processes are sent real ones, on each loop and with a system in a thread."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from callboard.actors import CoreError, NotMainThread, SpecError, System, SystemClosed, stop_on_signals
from tests.cli.command import offline

from .support import LOOPS, run

HEAD = """
import asyncio, signal, threading, time
from callboard.actors import Actor, System, stop_on_signals

def say(*words):
    print(*words, flush=True)

class Worker(Actor):
    async def on_receive(self, message):
        say("at work")
        try:
            await asyncio.sleep(message)
            say("finished")
        except asyncio.CancelledError:
            say("cancelled")
            raise

    async def on_stop(self):
        await asyncio.sleep(0.01)
        say("stopped")

def until(condition):
    while not condition():
        time.sleep(0.005)

async def until_on_the_loop(condition):
    while not condition():
        await asyncio.sleep(0.005)

def found(number, frame):
    say("found handler", signal.Signals(number).name, threading.current_thread() is threading.main_thread())
"""

ON_A_LOOP = """
async def main():
    PREPARE
    async with System() as system:
        with stop_on_signals(system, OPTIONS):
            system.spawn(Worker).tell(WORK)
            await BODY
            say("waited")
    AFTER

with asyncio.Runner(loop_factory=FACTORY) as runner:
    runner.run(main())
say("end")
"""

IN_A_THREAD = """
def main():
    PREPARE
    with System.in_thread() as system:
        with stop_on_signals(system, OPTIONS):
            system.spawn(Worker).tell(WORK)
            BODY
            say("waited")
    AFTER

main()
say("end")
"""

FACTORIES = {"asyncio": "asyncio.new_event_loop", "uvloop": "__import__('uvloop').new_event_loop"}
PLACES = [*LOOPS, "thread"]


@contextmanager
def started(
    place: str,
    *,
    prepare: str = "pass",
    options: str = "signals=[signal.SIGTERM]",
    work: str = "0.05",
    body: str = "",
    after: str = "pass",
) -> Iterator[Program]:
    """A program with an actor at work."""
    if place == "thread":
        # In pieces: a signal in the very moment in which the main thread begins to wait does not wake it.
        text, body = IN_A_THREAD, body or "until(lambda: False)"
    else:
        text, body = ON_A_LOOP.replace("FACTORY", FACTORIES[place]), body or "system.wait()"
    parts = {"PREPARE": prepare, "OPTIONS": options, "WORK": work, "BODY": body, "AFTER": after}
    for name, part in parts.items():
        text = text.replace(name, part)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-c", HEAD + text],
        env=offline(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    program = Program(process)
    try:
        program.reads("at work")
        yield program
    finally:
        process.kill()
        process.communicate()


class Program:
    """A process that says what it does, line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def reads(self, line: str) -> None:
        """Wait until it says this."""
        assert self.process.stdout is not None
        while True:
            read = self.process.stdout.readline()
            if not read:
                raise AssertionError(f"it ended without {line!r}: {self.said} {self.process.stderr.read()}")  # type: ignore[union-attr]
            self.said.append(read.strip())
            if self.said[-1] == line:
                return

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self) -> tuple[list[str], int]:
        """What it has said, and its status."""
        out, err = self.process.communicate(timeout=60)
        assert "Traceback" not in err, err
        assert "never" not in err, err
        return [*self.said, *out.split("\n")[:-1]], self.process.returncode


@pytest.mark.parametrize("place", PLACES)
def test_with_the_default_action_the_process_ends_by_the_signal_when_the_system_has_stopped(place: str) -> None:
    with started(place) as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert said[:3] == ["at work", "finished", "stopped"]
    assert status == -signal.SIGTERM


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_found_is_called_in_the_main_thread_after_the_stop_and_the_program_goes_on(place: str) -> None:
    with started(
        place,
        prepare="signal.signal(signal.SIGTERM, found)",
        body="until(lambda: signal.getsignal(signal.SIGTERM) is found)" if place == "thread" else "",
        after="say(signal.getsignal(signal.SIGTERM) is found)",
    ) as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert [line for line in said if line != "waited"] == [
        "at work",
        "finished",
        "stopped",
        "found handler SIGTERM True",
        "True",
        "end",
    ]
    assert status == 0


@pytest.mark.parametrize("place", PLACES)
def test_where_the_signal_was_ignored_the_program_goes_on_after_the_stop(place: str) -> None:
    with started(
        place,
        prepare="signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        body="until(lambda: signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)" if place == "thread" else "",
        after="say(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)",
    ) as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert said == ["at work", "finished", "stopped", "waited", "True", "end"]
    assert status == 0


def test_a_handler_of_the_loops_own_is_called_after_the_stop_and_put_back() -> None:
    with started(
        "asyncio",
        prepare="asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, say, 'found in the loop')",
        after="await asyncio.sleep(0.1); signal.raise_signal(signal.SIGTERM); await asyncio.sleep(0.1)",
    ) as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert said == ["at work", "finished", "stopped", "waited", "found in the loop", "found in the loop", "end"]
    assert status == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_second_signal_stops_at_once(place: str) -> None:
    # Two different ones: of two alike, the second is lost where the first has not been taken up yet.
    both = "signals=[signal.SIGTERM, signal.SIGUSR1], timeout=1000"
    with started(place, work="1000", prepare="Worker.shutdown_timeout = 1000", options=both) as program:
        program.send(signal.SIGTERM)
        program.send(signal.SIGUSR1)
        said, status = program.ends()
    assert "finished" not in said
    assert "stopped" not in said
    assert status in (-signal.SIGTERM, -signal.SIGUSR1)  # whichever was taken up first


@pytest.mark.parametrize("place", PLACES)
def test_what_has_not_stopped_within_the_timeout_is_killed(place: str) -> None:
    with started(place, work="1000", options="timeout=0.05") as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert "finished" not in said
    assert status == -signal.SIGTERM


@pytest.mark.parametrize("place", PLACES)
def test_any_of_the_signals_given_stops_and_is_the_one_raised_again(place: str) -> None:
    with started(place, options="signals=[signal.SIGTERM, signal.SIGUSR1]") as program:
        program.send(signal.SIGUSR1)
        said, status = program.ends()
    assert said[:3] == ["at work", "finished", "stopped"]
    assert status == -signal.SIGUSR1


CLEAN_UP = "import atexit; atexit.register(say, 'atexit'); "


@pytest.mark.parametrize("place", PLACES)
def test_the_default_action_leaves_no_clean_up_of_the_programs_own_but_in_an_actors_on_stop(place: str) -> None:
    with started(place, prepare=CLEAN_UP, after="say('behind the block')") as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert "stopped" in said
    assert not {"behind the block", "end", "atexit"}.intersection(said)
    assert status == -signal.SIGTERM


@pytest.mark.parametrize("place", PLACES)
def test_with_a_handler_installed_before_all_of_the_programs_clean_up_runs_after_the_stop(place: str) -> None:
    with started(
        place,
        prepare=CLEAN_UP + "signal.signal(signal.SIGTERM, lambda *_: None)",
        body="until(lambda: system.closed)" if place == "thread" else "",
        after="say('behind the block')",
    ) as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert [line for line in said if line != "waited"] == [
        "at work",
        "finished",
        "stopped",
        "behind the block",
        "end",
        "atexit",
    ]
    assert status == 0


@pytest.mark.parametrize("place", LOOPS)
def test_ctrl_c_stops_first_and_then_does_what_it_does_under_asyncio_run(place: str) -> None:
    with started(place, options="signals=[signal.SIGINT]", body="asyncio.sleep(30)") as program:
        program.send(signal.SIGINT)
        out, err = program.process.communicate(timeout=60)
    assert [*program.said, *out.split()][:3] == ["at work", "finished", "stopped"]
    assert "KeyboardInterrupt" in err
    assert program.process.returncode == -signal.SIGINT


@pytest.mark.parametrize("place", PLACES)
def test_a_block_left_while_the_stop_is_under_way_leaves_the_rest_to_its_end(place: str) -> None:
    body = f"{'until' if place == 'thread' else 'until_on_the_loop'}(lambda: system.closing)"
    with started(place, work="0.4", prepare="signal.signal(signal.SIGTERM, found)", body=body) as program:
        program.send(signal.SIGTERM)
        said, status = program.ends()
    assert said.index("stopped") < said.index("found handler SIGTERM True")
    assert said.count("found handler SIGTERM True") == 1
    assert "waited" in said
    assert status == 0


# -- without a signal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_leaving_the_block_puts_the_handlers_back(loop: str) -> None:
    async def main() -> None:
        async with System() as system:
            before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
            with stop_on_signals(system, [signal.SIGTERM, signal.SIGUSR1]):
                assert signal.getsignal(signal.SIGTERM) != before[0]
            assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == before

    run(main(), loop)


@pytest.mark.skipif("uvloop" not in LOOPS, reason="uvloop is not installed")
def test_a_handler_that_could_not_be_put_back_is_refused_by_name_and_left_alone() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, print, "never")
        found = signal.getsignal(signal.SIGUSR1)
        async with System() as system:
            with pytest.raises(CoreError, match="SIGUSR1 has a handler that cannot be put back"):
                stop_on_signals(system, [signal.SIGTERM, signal.SIGUSR1]).__enter__()
        assert signal.getsignal(signal.SIGUSR1) == found
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main(), "uvloop")


WRONG: dict[str, tuple[Callable[[System], Any], str]] = {
    "no system": (lambda _: stop_on_signals(3), "3 is no System"),  # type: ignore[arg-type]
    "no signals": (lambda system: stop_on_signals(system, []), "there is no signal"),
    "one, not in a tuple": (
        lambda system: stop_on_signals(system, signal.SIGTERM),  # type: ignore[arg-type]
        "signals is signal.SIGTERM, which is one: give a tuple: (signal.SIGTERM,)",
    ),
    "a number, not in a tuple": (lambda system: stop_on_signals(system, 15), "give a tuple: (15,)"),  # type: ignore[arg-type]
    "no signal": (lambda system: stop_on_signals(system, [1000]), "signals is [1000]: give a tuple"),  # type: ignore[list-item]
    "a name": (lambda system: stop_on_signals(system, "SIGTERM"), "signals is 'SIGTERM': give a tuple"),  # type: ignore[arg-type]
    "one that cannot be caught": (lambda system: stop_on_signals(system, [signal.SIGKILL]), "SIGKILL cannot be caught"),
    "a negative timeout": (lambda system: stop_on_signals(system, timeout=-1), "timeout"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_named(what: str) -> None:
    make, said = WRONG[what]
    with pytest.raises(SpecError, match=re.escape(said)):
        make(System())


def test_in_another_thread_than_the_main_one_it_is_refused_by_name() -> None:
    raised: list[BaseException] = []
    with System.in_thread() as system:

        def enter() -> None:
            try:
                stop_on_signals(system).__enter__()
            except NotMainThread as error:
                raised.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert len(raised) == 1
    assert isinstance(raised[0], CoreError)


def test_a_system_that_does_not_run_is_refused_by_name() -> None:
    with System.in_thread() as system:
        pass
    for closed in (system, System()):
        with pytest.raises(SystemClosed), stop_on_signals(closed):
            pass
