"""The scenarios of ``benchmarks core`` at a tiny size: each does the work it counts. Nothing is timed."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest
from benchmarks.harness import Sample, Unsupported
from benchmarks.subjects import callboard, callsoon, loop

from callboard.actors import current_send_context

MODULES = {"callboard": callboard, "callsoon": callsoon}
TINY = 7
BURST = loop.LONG_BURST


class Work:
    """What the handlers of a subject's actors were seen to do."""

    def __init__(self) -> None:
        self.handled: list[Any] = []
        self.contexts: list[Any] = []
        self.made = 0


def _seen(kind: type, handler: str, work: Work, context: Callable[[], Any]) -> type:
    """The class, with a handler that notes its messages and then does what it did."""
    original: Any = getattr(kind, handler)

    def plain(self: Any, message: Any) -> Any:
        work.handled.append(message)
        work.contexts.append(context())
        return original(self, message)

    async def asynchronous(self: Any, message: Any) -> Any:
        work.handled.append(message)
        work.contexts.append(context())
        return await original(self, message)

    def make(self: Any, *arguments: Any) -> None:
        work.made += 1
        kind.__init__(self, *arguments)  # type: ignore[misc]

    body = asynchronous if asyncio.iscoroutinefunction(original) else plain
    return type(kind.__name__, (kind,), {handler: body, "__init__": make})


@pytest.fixture(params=["callboard", "callboard_async", "callsoon"])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str, Work]:
    """A subject's module, the suffix of its scenarios, and what its actors are seen to do."""
    name = request.param.removesuffix("_async")
    module = MODULES[name]
    work = Work()
    for kind in ("Echo", "Sink", "Fragile", "LoudFragile", "Member", "BoundedSink", "ScopedEcho", "ScopedSink"):
        for prefix in ("", "Async"):
            if (actor := getattr(module, prefix + kind, None)) is not None:
                handler = "receive" if kind.startswith("Scoped") else "on_receive"
                monkeypatch.setattr(module, prefix + kind, _seen(actor, handler, work, _context_of(name)))
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # as in a worker's process
    return module, request.param.removeprefix(name), work


def _context_of(name: str) -> Callable[[], Any]:
    return callsoon.carried.get if name == "callsoon" else current_send_context


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def on_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    monkeypatch.setattr(loop, "_loop_factory", None)
    loop.use_uvloop(request.param == "uvloop")


def _run(subject: tuple[Any, str, Work], name: str, n: int) -> tuple[dict[str, Sample], Work]:
    module, suffix, work = subject
    samples = {sample.suffix: sample for sample in module.SCENARIOS[name + suffix](n)}
    gc.collect()
    return samples, work


def test_every_further_scenario_has_plain_and_async_handlers() -> None:
    for name in loop.FURTHER:
        for module in MODULES.values():
            assert {name, f"{name}_async"} <= set(module.SCENARIOS)


def test_put_sends_as_many_messages_as_it_tells(subject: tuple[Any, str, Work]) -> None:
    samples, work = _run(subject, "put", 3 * BURST)
    assert work.handled == [*range(BURST)] * 6
    assert (samples[""].unit, samples["_over_tell"].unit) == ("CPU µs/message", "× tell")


def test_every_logged_crash_is_a_crash_and_a_restart(subject: tuple[Any, str, Work]) -> None:
    samples, work = _run(subject, "crash_logged", TINY)
    assert work.handled.count("boom") == 2 * TINY  # half of them with logging off
    assert len(work.handled) == 4 * TINY
    assert samples["_over_crash"].unit == "× crash"
    assert 0 < samples["_records"].value <= 1


def test_crashes_of_many_actors_are_one_each(subject: tuple[Any, str, Work]) -> None:
    samples, work = _run(subject, "crash_logged_once", TINY)
    assert work.handled == ["boom", 0] * TINY
    assert work.made == (2 * TINY if subject[0] is callboard else TINY)  # callsoon restarts in place
    assert 0 < samples["_records"].value <= 1


def test_logging_is_as_it_was_after_a_logged_crash(subject: tuple[Any, str, Work]) -> None:
    handlers = list(logging.root.handlers)
    _run(subject, "crash_logged", 1)
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == logging.CRITICAL


def test_only_the_last_of_a_rest_for_one_group_is_restarted(subject: tuple[Any, str, Work]) -> None:
    samples, work = _run(subject, "rest_for_one", TINY)
    assert work.handled == [part for number in range(loop.FAILURES) for part in ("boom", number)]
    assert work.made == (TINY + loop.FAILURES if subject[0] is callboard else TINY)
    assert set(samples) == {"", "_p50"}


@pytest.mark.parametrize("name", ["ask_timeout", "ask_scoped", "ask_scoped_timeout"])
def test_asks_are_answered_as_often_plain_as_not(subject: tuple[Any, str, Work], name: str) -> None:
    samples, work = _run(subject, name, 2 * TINY)
    assert work.handled == [0, *range(2 * TINY)] * 2  # one to warm up
    assert (samples[""].unit, samples["_over_ask"].unit) == ("CPU µs/ask", "× ask")


@pytest.mark.parametrize("name", ["tell_scoped", "tell_scoped_timeout"])
def test_messages_are_handled_as_often_plain_as_not(subject: tuple[Any, str, Work], name: str) -> None:
    samples, work = _run(subject, name, 2 * BURST)
    assert work.handled == [*range(BURST)] * 6  # a burst to warm up, and two, of either
    assert (samples[""].unit, samples["_over_tell"].unit) == ("CPU µs/message", "× tell")


@pytest.mark.parametrize("name", ["ask_scoped", "ask_scoped_timeout", "tell_scoped", "tell_scoped_timeout"])
def test_a_send_context_arrives_with_the_messages_sent_in_it_and_with_no_other(
    subject: tuple[Any, str, Work], name: str
) -> None:
    _, work = _run(subject, name, 1)
    half = len(work.contexts) // 2
    assert half
    assert not any(sent and sent.baggage for sent in work.contexts[:half])
    for sent in work.contexts[half:]:
        assert sent.baggage == {"trace": "benchmark"}
        assert (sent.deadline is not None) == name.endswith("_timeout")


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("ask_measured", 2 * TINY),
        ("ask_intercepted", 2 * TINY),
        ("fan_measured", 2 * loop.FLIGHT),
        ("tell_measured", 2 * loop.BURST),
        ("tell_intercepted", 2 * loop.BURST),
    ],
)
def test_messages_are_handled_as_often_looked_at_as_not(subject: tuple[Any, str, Work], name: str, units: int) -> None:
    if subject[0] is callsoon:
        with pytest.raises(Unsupported):
            _run(subject, name, units)
        return
    samples, work = _run(subject, name, units)
    warm = len(work.handled) - 2 * units
    assert 0 < warm <= units
    assert {"ask": "× ask", "fan": "× ask", "tell": "× tell"}[name.partition("_")[0]] in {
        sample.unit for sample in samples.values()
    }


def test_a_blocking_ask_from_a_thread_is_answered_each_time(subject: tuple[Any, str, Work]) -> None:
    samples, work = _run(subject, "ask_thread", TINY)
    assert work.handled == [*range(TINY)]
    assert samples[""].unit == "CPU µs/ask"


def test_in_turn_takes_all_of_both_in_parts_and_plain_first_one_after_the_other() -> None:
    taken: list[tuple[str, int]] = []

    def steps(name: str) -> Callable[[int], Any]:
        async def take(n: int) -> None:
            taken.append((name, n))

        return take

    asyncio.run(loop._in_turn(12, steps("costly"), steps("plain"), "ask", "ask"))
    parts = [n for name, n in taken if name == "costly"]
    assert sum(parts) == 12
    assert taken == [(name, n) for n in parts for name in ("costly", "plain")]

    taken.clear()
    asyncio.run(loop._plain_first(12, steps("costly"), steps("plain"), "ask", "ask"))
    assert taken == [("plain", 1), ("plain", 12), ("costly", 1), ("costly", 12)]
