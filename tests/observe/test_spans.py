"""Spans under ids that follow from what they are of, and the headers that name them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from callboard import MissingTelemetry
from callboard.actors.observe.spans import Place, SpanWriter, nanoseconds, place, trace_headers
from tests.agents.telemetry.tracing import Traces, id_of, seconds, told

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECOND = 1_000_000_000


def test_a_header_names_a_span_as_w3c_has_it() -> None:
    writer = SpanWriter(TracerProvider())
    for header in (HEADER, f" {HEADER.upper()} "):
        context = writer.remote(header)
        assert context is not None
        assert (context.trace_id, context.span_id) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
        assert context.is_remote
        assert context.trace_flags.sampled
    unsampled = writer.remote(f"{HEADER[:-1]}0")
    assert unsampled is not None
    assert not unsampled.trace_flags.sampled


@pytest.mark.parametrize(
    "header",
    ["", "x", f"{HEADER}-x", HEADER.replace("00-", "01-", 1), HEADER.replace("b7ad6b7169203331", "0" * 16),
     HEADER.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), HEADER.replace("b7", "g7")],
)  # fmt: skip
def test_a_header_that_names_no_span_is_none(header: str) -> None:
    assert SpanWriter(TracerProvider()).remote(header) is None


def test_what_belongs_to_a_header_is_told_as_its_part_unless_a_span_is_in_force() -> None:
    traces = Traces()
    writer = SpanWriter(traces.provider)
    assert writer.caller() == ""
    with writer.part_of(HEADER):
        assert writer.caller() == HEADER
        with writer.part_of(HEADER.replace("b7", "c7")):
            assert writer.caller() == HEADER, "that is in force already"
    with writer.part_of("nonsense"):
        assert writer.caller() == ""
    assert writer.caller() == ""


def test_a_span_s_ids_follow_from_what_it_is_of() -> None:
    ids = []
    for _ in range(2):
        traces = Traces()
        first = Place(SpanWriter(traces.provider), "run", "r1", "root", {"a": 1})
        within = Place(first.writer, "call", "r1|c1", first, {}, client=True)
        within.end({"b": 2, "c": None})
        first.end({})
        run, call = traces.named("run"), traces.named("call")
        assert (told(run), told(call)) == ({"a": 1}, {"b": 2})
        assert (run.kind, call.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
        assert call.parent is not None
        assert (run.parent, call.parent.span_id) == (None, id_of(run))
        assert first.header() in repr(first)
        assert first.header() == f"00-{first.trace:032x}-{id_of(run):016x}-03"
        ids.append((first.trace, id_of(run), id_of(call)))
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_a_span_begins_and_ends_when_it_is_said_to() -> None:
    traces = Traces()
    writer = SpanWriter(traces.provider)
    root = Place(writer, "run", "r1", "root", {}, at=nanoseconds(5.0))
    root.tell("attempt one", 2.0, {"a": 1}, client=True)
    root.tell("attempt one", -1.0, {}, error="Timeout")
    root.end({}, error="RunFailed", at=nanoseconds(7.5))
    run = traces.named("run")
    assert (run.start_time, run.end_time) == (5 * SECOND, 7 * SECOND + SECOND // 2)
    assert told(run) == {"error.type": "RunFailed"}
    one, other = (span for span in traces.spans if span.name == "attempt one")
    assert (seconds(one), told(one), one.kind) == (2.0, {"a": 1}, SpanKind.CLIENT)
    assert (seconds(other), told(other), other.kind) == (0.0, {"error.type": "Timeout"}, SpanKind.INTERNAL)
    traces.check()


class Interrupted(SpanProcessor):
    def __init__(self, where: str) -> None:
        self.where = where

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.where == "start":
            raise KeyboardInterrupt

    def on_end(self, span: Any) -> None:
        if self.where == "end":
            raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["start", "end"])
def test_an_interrupt_from_the_keyboard_goes_on_its_way(where: str) -> None:
    traces = Traces()
    traces.provider.add_span_processor(Interrupted(where))
    with pytest.raises(KeyboardInterrupt):
        Place(SpanWriter(traces.provider), "run", "r1", "root", {}).end({})


def test_a_long_name_is_cut_and_a_name_that_fits_is_left() -> None:
    traces = Traces()
    writer = SpanWriter(traces.provider)
    for name in ("x" * 200, "y" * 201, "é"):
        Place(writer, name, name, "root", {"said": "z" * 500}).end({})
    assert traces.names == ["x" * 200, "y" * 199 + "…", "é"]
    assert {told(span)["said"] for span in traces.spans} == {"z" * 500}


def test_where_nobody_traces_there_is_no_place_and_no_header() -> None:
    assert place() is None
    assert trace_headers() == {}
    assert not trace.get_current_span().get_span_context().is_valid


def test_without_the_extra_no_spans_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(MissingTelemetry, match="writing spans"):
        SpanWriter(object())
