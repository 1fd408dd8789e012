"""Arguments that make no sense: refused by name where they are given, before anything is done."""

from __future__ import annotations

import asyncio
import math
import random
from functools import partial
from typing import Any

import pytest

from callboard.actors import (
    Actor,
    Backoff,
    ChildSpec,
    Mailbox,
    SpecError,
    Supervision,
    Supervisor,
    System,
)
from callboard.actors.testing import virtual_time

from .support import Echo, Log, on_each_loop

BEYOND_ALL_TIME = [10**400, math.inf, 1e300]  # no float holds the first one
IDS = ["a number no float holds", "infinite", "large"]


@pytest.mark.parametrize("intensity", ["3", 1.5, True, None, -1, math.nan, math.inf, [3]])
def test_an_intensity_that_is_no_whole_number_is_refused(intensity: Any) -> None:
    with pytest.raises(SpecError, match="intensity"):
        Supervision(intensity=intensity)
    with pytest.raises(SpecError, match="intensity"):
        Supervisor.spec([], intensity=intensity)


@pytest.mark.parametrize("period", [None, "5", 0, -1, math.nan, True, [5]])
def test_a_period_that_is_no_number_of_seconds_is_refused(period: Any) -> None:
    with pytest.raises(SpecError, match="period"):
        Supervision(period=period)


@pytest.mark.parametrize("strategy", [None, 3, "one", [], ["one_for_one"]])
def test_a_strategy_that_there_is_none_of_is_refused(strategy: Any) -> None:
    with pytest.raises(SpecError, match="strategy"):
        Supervision(strategy)


@pytest.mark.parametrize("field", ["initial", "factor", "maximum", "jitter"])
@pytest.mark.parametrize("value", ["1", None, math.nan, -1, [1], True])
def test_a_backoff_of_what_is_no_number_is_refused(value: Any, field: str) -> None:
    with pytest.raises(SpecError):
        Backoff(**{"initial": 1.0, field: value})


@pytest.mark.parametrize("attempt", [0, 1, 5, 60, 64, 1000, 10**6])
@pytest.mark.parametrize("maximum", [0.001, 30.0, 1e300])
@pytest.mark.parametrize("factor", [1.0, 2.0, 1e6, 1e300])
def test_a_wait_is_never_longer_than_its_maximum_whatever_the_factor(
    attempt: int, maximum: float, factor: float
) -> None:
    backoff = Backoff(initial=0.001, factor=factor, maximum=maximum)
    delay = backoff.delay(attempt, random.Random(0))
    assert min(0.001, maximum) <= delay <= maximum
    if attempt >= 60 and factor >= 1e6:
        assert delay == maximum


@pytest.mark.parametrize("kwargs", [{1: 2}, {None: 1}, {"fine": 1, 3: 1}])
def test_arguments_by_keyword_whose_names_are_no_text_are_refused(kwargs: Any) -> None:
    with pytest.raises(SpecError, match="kwargs"):
        ChildSpec(Echo, (), kwargs)


@pytest.mark.parametrize("children", ["x", ["x"], [Echo], [None], {"child": 1}, [ChildSpec(Echo), Echo]])
def test_children_that_are_no_child_specs_are_refused(children: Any) -> None:
    with pytest.raises(SpecError):
        Supervisor.spec(children)


@pytest.mark.parametrize("name", [[], 3, None, b"name"])
def test_a_system_whose_name_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(SpecError, match="name"):
        System(name=name)


@on_each_loop
async def test_a_buffer_that_is_no_number_of_items_is_refused_before_anything_is_sent() -> None:
    log = Log()

    class Streams(Actor):
        async def on_receive(self, message: Any) -> Any:
            log(message)
            yield message

    async with System() as system:
        ref = system.spawn(Streams)
        wrong: list[Any] = [0, -1, math.nan, "x", None, [], 1.5, True]
        for buffer in wrong:
            with pytest.raises(SpecError, match="buffer"):
                ref.stream("never sent", buffer=buffer)
        assert [item async for item in ref.stream("sent", buffer=1)] == ["sent"]
    assert log.lines == ["sent"]


@pytest.mark.parametrize("subscriber", [5, None, "x", [], object()])
@on_each_loop
async def test_a_subscriber_that_cannot_be_told_is_refused(subscriber: Any) -> None:
    async with System() as system:
        with pytest.raises(SpecError):
            system.subscribe(subscriber)
        with pytest.raises(SpecError):
            system.dead_letters.subscribe(subscriber)
        ref = system.spawn(Echo)
        assert await ref.ask("alive") == "alive"


@pytest.mark.parametrize("path", [None, 3, [], b"a"])
@on_each_loop
async def test_a_path_that_is_no_text_is_refused(path: Any) -> None:
    async with System() as system:
        with pytest.raises(SpecError):
            system.find(path)


@pytest.mark.parametrize("priority", [None, [], True, "1", 1.0, math.nan])
@on_each_loop
async def test_a_priority_that_is_no_whole_number_is_a_type_error_and_nothing_is_sent(priority: Any) -> None:
    log = Log()

    class Logs(Actor):
        def on_receive(self, message: Any) -> None:
            log(message)

    async with System() as system:
        ref = system.spawn(Logs)
        with pytest.raises(TypeError, match="priority"):
            ref.tell("never sent", priority=priority)
        with pytest.raises(TypeError, match="priority"):
            ref.ask("never sent", priority=priority)
        with pytest.raises(TypeError, match="priority"):
            await ref.put("never sent", priority=priority)
        await ref.ask("sent")
    assert log.lines == ["sent"]


@pytest.mark.parametrize("method", ["x", None, 3, []])
@on_each_loop
async def test_a_call_of_what_is_no_method_is_a_type_error(method: Any) -> None:
    async with System() as system:
        ref = system.spawn(Echo)
        with pytest.raises(TypeError):
            ref.call(method)
        assert await ref.ask("alive") == "alive"


# -- times that never come ---------------------------------------------------------------------------------------------


class Waits(Actor):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        match message:
            case ("schedule", delay):
                self.timer = self.schedule(delay, "never")
                return "scheduled"
            case ("schedule_every", interval):
                self.timer = self.schedule_every(interval, "never")
                return "scheduled"
            case ("set_receive_timeout", seconds):
                self.set_receive_timeout(seconds)
                return "set"
            case "sleep":
                await asyncio.sleep(1000)
        self.log(message)
        return message


@pytest.mark.parametrize("timeout", BEYOND_ALL_TIME, ids=IDS)
@virtual_time
async def test_an_ask_with_a_timeout_beyond_all_time_is_an_ask_without_one(timeout: float) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log)
        assert await ref.ask("sleep", timeout=timeout) == "sleep"
        assert await ref.ask("next", timeout=1) == "next", "and other deadlines go on"


@pytest.mark.parametrize("timeout", BEYOND_ALL_TIME, ids=IDS)
@on_each_loop
async def test_a_timeout_beyond_all_time_is_none_on_real_loops_too(timeout: float) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log)
        assert await ref.ask("answer", timeout=timeout) == "answer"
        assert await ref.ask("next", timeout=5) == "next"


@pytest.mark.parametrize("seconds", BEYOND_ALL_TIME, ids=IDS)
@pytest.mark.parametrize("how", ["schedule", "schedule_every", "set_receive_timeout"])
@virtual_time
async def test_a_timer_beyond_all_time_never_comes_due(how: str, seconds: float) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log)
        assert await ref.ask((how, seconds)) in ("scheduled", "set")
        await asyncio.sleep(10**8)
        assert await ref.ask("alive") == "alive"
    assert log.lines == ["alive"]


@pytest.mark.parametrize("seconds", BEYOND_ALL_TIME, ids=IDS)
@pytest.mark.parametrize("how", ["schedule", "schedule_every", "set_receive_timeout"])
@on_each_loop
async def test_a_timer_beyond_all_time_is_taken_on_real_loops_too(how: str, seconds: float) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log)
        assert await ref.ask((how, seconds)) in ("scheduled", "set")
        await asyncio.sleep(0)
        assert await ref.ask("alive") == "alive"
    assert log.lines == ["alive"]


# -- child specs -------------------------------------------------------------------------------------------------------


def test_the_error_about_a_child_spec_tells_the_childs_name_or_else_the_factorys() -> None:
    with pytest.raises(SpecError, match=r"^child 'one': restart 'always' is not one of"):
        ChildSpec(Echo, name="one", restart="always")  # type: ignore[call-overload]
    with pytest.raises(SpecError, match=r"^child Echo: restart 'always' is not one of"):
        ChildSpec(Echo, restart="always")  # type: ignore[call-overload]
    with pytest.raises(SpecError, match=r"^child partial: shutdown"):
        ChildSpec(partial(Echo), shutdown=-1.0)


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = ["\ud83d", "x\udc00y", "\x1b[31mred", "two\nlines", "nul\x00", "tab\t", "bell\x07", "delete\x7f", "\x85", "\r"]
"""Half of a character, and control characters: in a log or on a terminal they are something else than a name."""

FINE = ["name", "Ä", "日本", "😀", "a b", "x.y:z-1", "é", "😀" * 50]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@on_each_loop
async def test_a_name_that_no_terminal_could_show_is_refused(name: str) -> None:
    class Parent(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.spawn(Echo, name=message)

    with pytest.raises(SpecError):
        ChildSpec(Echo, name=name)
    with pytest.raises(SpecError):
        Supervisor.spec([], name=name)
    async with System() as system:
        with pytest.raises(SpecError) as refused:
            system.spawn(Echo, name=name)
        assert str(refused.value).isprintable(), "the error can be shown"
        with pytest.raises(SpecError):
            system.spawn(ChildSpec(Echo), name=name, mailbox=Mailbox(5))
        with pytest.raises(SpecError):
            await system.spawn(Parent).ask(name)
        assert {node.name for node in system.tree()} == {"Parent-1"}


@pytest.mark.parametrize("name", FINE)
@on_each_loop
async def test_a_name_in_any_language_is_a_name(name: str) -> None:
    async with System() as system:
        ref = system.supervise(ChildSpec(Echo, name=name))
        assert ref.path == ref.name == name
        assert system.find(name) is ref
        assert await ref.ask("alive") == "alive"
