"""Ctrl-C, or what another signal's handler raises, ends a search at the next step, and leaves neither threads, folders
nor anything replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard import Actor
from callboard.testing import Simulation, explore, simulate

from .test_nested import AT_FIRST, now


class Pressed:
    """Which signal it is."""

    signal = signal.SIGINT


def press() -> None:
    """Press Ctrl-C, which Python's main thread hears of as it goes on."""
    os.kill(os.getpid(), Pressed.signal)


@pytest.fixture(autouse=True)
def _python_handles_it() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    Pressed.signal = signal.SIGINT
    signal.signal(signal.SIGINT, before)


class Presses(Actor):
    def on_receive(self, message: object) -> None:
        press()


def pressing(where: str) -> tuple[Callable[..., Any], list[Any], list[Path]]:
    folders: list[Path] = []

    def in_a_thread() -> None:
        lock = threading.Lock()
        for _ in range(5):
            with lock:
                time.sleep(1)
            if where == "thread":
                press()

    async def scenario(sim: Simulation) -> None:
        folders.append(sim.folder)
        threads = [asyncio.create_task(asyncio.to_thread(in_a_thread)) for _ in range(2)]
        await asyncio.sleep(2)
        if where == "scenario":
            press()
        elif where == "actor":
            sim.system.spawn(Presses, name="presses").tell(1)
        elif where == "follow":
            sim.follow(sim.system.spawn(Presses, name="presses"), it=lambda _: press())
        await asyncio.gather(*threads)

    return scenario, [lambda _: press()] if where == "invariant" else [], folders


@pytest.mark.parametrize("where", ["scenario", "actor", "thread", "follow", "invariant"])
@pytest.mark.parametrize("search", [simulate, explore])
def test_ctrl_c_ends_a_search_and_leaves_nothing_behind(search: Any, where: str) -> None:
    threads = set(threading.enumerate())
    scenario, invariants, folders = pressing(where)
    with pytest.raises(KeyboardInterrupt):
        search(scenario, invariants=invariants)
    assert now() == AT_FIRST
    assert set(threading.enumerate()) <= threads
    assert folders
    assert not any(folder.exists() for folder in folders)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    simulate(lambda: asyncio.sleep(1), seeds=2)


def test_a_second_ctrl_c_ends_a_step_that_does_not_end() -> None:
    async def scenario() -> None:
        while True:
            press()

    with pytest.raises(KeyboardInterrupt):
        simulate(scenario)
    assert now() == AT_FIRST


def test_the_step_that_is_under_way_ends_where_ctrl_c_is_pressed_once() -> None:
    log: list[int] = []

    async def scenario() -> None:
        for times in (1, 2, 3):
            press()
            log.append(times)

    with pytest.raises(KeyboardInterrupt):
        simulate(scenario)
    assert log == [1]


def test_a_handler_of_somebody_elses_is_left_alone() -> None:
    pressed = []
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    scenario, _, _ = pressing("scenario")
    run = simulate(scenario, seeds=0)
    assert run.ok
    assert pressed in ([True], [True, True])  # the first run in a process that has threads begins anew


def test_a_handler_that_raises_while_a_thread_has_the_baton_leaves_no_thread() -> None:
    pressed = []

    def stop(*_: object) -> None:
        pressed.append(True)
        if len(pressed) == 1:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    threads = set(threading.enumerate())
    scenario, _, _ = pressing("thread")
    with pytest.raises(KeyboardInterrupt):
        simulate(scenario)
    assert set(threading.enumerate()) <= threads


class TimeIsUp(BaseException):
    """What a time limit raises, as pytest-timeout does."""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this platform has no such signal")
@pytest.mark.parametrize("where", ["scenario", "actor", "thread", "follow", "invariant"])
@pytest.mark.parametrize("error", [LookupError, TimeIsUp, SystemExit])
def test_what_the_handler_of_another_signal_raises_ends_a_search_and_leaves_nothing_behind(
    error: type[BaseException], where: str
) -> None:
    def stop(*_: object) -> None:
        raise error("time is up")

    Pressed.signal = signal.SIGUSR1
    handled = signal.signal(signal.SIGUSR1, stop)
    try:
        before, threads = now(), set(threading.enumerate())
        scenario, invariants, folders = pressing(where)
        with pytest.raises(error, match="time is up"):
            simulate(scenario, invariants=invariants)
        assert now() == before
        assert set(threading.enumerate()) <= threads
        assert folders
        assert not any(folder.exists() for folder in folders)
        assert signal.getsignal(signal.SIGUSR1) is stop
        simulate(lambda: asyncio.sleep(1), seeds=2)
    finally:
        signal.signal(signal.SIGUSR1, handled)


def test_ctrl_c_while_a_thread_is_busy_ends_the_search_and_says_which_thread_is_left() -> None:
    over = threading.Event()
    threads = {*threading.enumerate()}

    def goes_round() -> None:
        press()
        while not over.is_set():
            pass

    async def scenario() -> None:
        await asyncio.to_thread(goes_round)

    try:
        with pytest.raises(KeyboardInterrupt) as pressed:
            simulate(scenario)
    finally:
        over.set()
    assert "goes_round did not come back to the simulation" in "".join(pressed.value.__notes__)
    for left in {*threading.enumerate()} - threads:
        left.join(60)
        assert not left.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this platform has no such signal")
def test_a_time_limit_ends_a_step_that_does_not_end_though_it_comes_once() -> None:
    def stop(*_: object) -> None:
        raise TimeIsUp

    pressed: list[bool] = []

    async def scenario() -> None:
        while True:
            if not pressed:
                pressed.append(True)
                press()

    Pressed.signal = signal.SIGUSR1
    handled = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(TimeIsUp):
            simulate(scenario)
    finally:
        signal.signal(signal.SIGUSR1, handled)
