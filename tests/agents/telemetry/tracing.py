"""What the tests of spans share: a provider that keeps what is exported, and looks at whole traces."""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from callboard import Telemetry


class Traces:
    """Keeps the spans that agencies with `telemetry` export."""

    def __init__(self, *, sampler: Sampler | None = None, **wanted: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler, Resource.get_empty())  # others are looked for on threads
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = Telemetry(tracer_provider=self.provider, **wanted)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, f"{len(found)} spans are called {name!r}; there are {self.names}"
        return found[0]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def tree(self) -> list[str]:
        """Each span's name behind those of its parents."""
        by_id = {id_of(span): span for span in self.spans}

        def path(span: ReadableSpan) -> str:
            parent = None if span.parent is None else by_id.get(span.parent.span_id)
            return span.name if parent is None else f"{path(parent)} > {span.name}"

        return sorted(map(path, self.spans))

    def check(self) -> None:
        """Every span but the first of a trace has its parent in the trace; nothing is told twice."""
        spans = self.spans
        ids = Counter(id_of(span) for span in spans)
        twice = [span.name for span in spans if ids[id_of(span)] > 1]
        assert not twice, f"told more than once: {twice}"
        traces = {span.context.trace_id for span in spans if span.context is not None}
        for trace in traces:
            within = [span for span in spans if span.context is not None and span.context.trace_id == trace]
            first = [span for span in within if span.parent is None]
            assert len(first) == 1, f"{[span.name for span in first]} begin one trace of {[s.name for s in within]}"
            lost = [span.name for span in within if span.parent is not None and span.parent.span_id not in ids]
            assert not lost, f"nobody has told of the parents of {lost}"


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def seconds(span: ReadableSpan) -> float:
    """How long it took."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def told(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def check_times(spans: list[ReadableSpan]) -> None:
    """None begins before the one it is a part of, or ends before it begins."""
    by_id = {id_of(span): span for span in spans}
    for span in spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time, f"{span.name} ends {span.start_time - span.end_time} ns too early"
        within = by_id.get(span.parent.span_id) if span.parent is not None else None
        if within is not None and within.start_time is not None:
            early = within.start_time - span.start_time
            assert early <= 0, f"{span.name} begins {early} ns before {within.name}"
