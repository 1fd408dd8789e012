"""What is wanted of telemetry, as a value."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final
from uuid import uuid4

from .alerts import Alerting
from .checks import check_address
from .errors import MissingTelemetry, TelemetryError
from .metrics import LEAST_SERIES, MOST_SERIES
from .otlp import MetricsPush
from .spans import SpanWriter

ADDRESS: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable of the environment that says where a collector listens, for all kinds of telemetry."""

EVERY: Final = 60_000
"""Milliseconds between two sendings of figures, where ``OTEL_METRIC_EXPORT_INTERVAL`` says nothing else."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What an agency tells of itself.

    Args:
        spans: whether spans are written, by OpenTelemetry's conventions for generative AI.
        tracer_provider: an `opentelemetry.sdk.trace.TracerProvider`, with processors and exporters of one's own. None
            for the one that the process has set; where it has set none, spans go by OTLP over HTTP to ``endpoint``.
        endpoint: where an OpenTelemetry collector listens: ``http://localhost:4318``. Empty for what
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.
        metrics: whether figures are kept: for Prometheus, and sent to the collector where one is named.
        content: whether spans have what is said: questions, answers, a tool's arguments and results.
        redact: takes out of that what nobody may read; None for what the patterns of the guardrails find: keys,
            passwords, card numbers, bank accounts, addresses of mail.
        series: how many series the figures may have, besides those of the process, at least 200; what comes later is
            counted together, as ``other``.
        alerts: rules over the figures that are looked at all the time, and who is told; None for none.
        service: the name of the service, where no provider says it.

    Raises:
        TelemetryError: an argument is wrong.
    """

    spans: bool = True
    tracer_provider: Any = field(default=None, repr=False)
    endpoint: str = field(default="", repr=False)  # a password may stand in it
    metrics: bool = True
    content: bool = False
    redact: Callable[[str], str] | None = field(default=None, repr=False)
    series: int = MOST_SERIES
    alerts: Alerting | None = None
    service: str = "callboard"

    def __post_init__(self) -> None:
        for name in ("spans", "metrics", "content"):
            if not isinstance(getattr(self, name), bool):
                raise TelemetryError(f"{name} is {getattr(self, name)!r:.80}; it is True or False")
        for name in ("endpoint", "service"):
            if not isinstance(getattr(self, name), str):
                raise TelemetryError(f"{name} is {getattr(self, name)!r:.80}; it is a text")
        if isinstance(self.series, bool) or not isinstance(self.series, int) or self.series < LEAST_SERIES:
            raise TelemetryError(f"series is {self.series!r:.80}; it is a whole number, at least {LEAST_SERIES}")
        if self.endpoint:
            check_address("endpoint", self.endpoint)
            if "?" in self.endpoint or "#" in self.endpoint:
                raise TelemetryError("endpoint is an address without a query or a fragment: /v1/traces is added to it")
        if self.endpoint and self.tracer_provider is not None:
            raise TelemetryError("endpoint and tracer_provider: give one of them; a provider has exporters of its own")
        provider = self.tracer_provider
        if provider is not None and (isinstance(provider, type) or not hasattr(provider, "get_tracer")):
            raise TelemetryError(
                f"tracer_provider is {provider!r:.80}; it is an opentelemetry.sdk.trace.TracerProvider, as it was made"
            )
        if not isinstance(self.alerts, Alerting | None):
            raise TelemetryError(f"alerts is {self.alerts!r:.80}; it is an Alerting, or None")
        if self.alerts is not None and not self.metrics:
            raise TelemetryError("alerts look at figures: leave metrics=True")
        if self.redact is not None and not callable(self.redact):
            raise TelemetryError(f"redact is {self.redact!r:.80}; it is a function that takes a text and returns one")
        if inspect.iscoroutinefunction(self.redact):
            raise TelemetryError("redact is async; a span is written at once, so give a function that is not")

    def writer(self) -> SpanWriter | None:
        """What writes the spans; None where none are wanted, or nobody would take them.

        Raises:
            MissingTelemetry: the extra is not installed.
            TelemetryError: the tracer provider is of another kind.
        """
        if not self.spans or _disabled("TRACES"):
            return None
        if self.tracer_provider is not None:
            return SpanWriter(self.tracer_provider)
        try:
            from opentelemetry import trace
            from opentelemetry.sdk.trace import TracerProvider
        except ImportError:
            raise MissingTelemetry("writing spans") from None
        found = trace.get_tracer_provider()
        if not self.endpoint and isinstance(found, TracerProvider):
            return SpanWriter(found)
        if not self._sends("TRACES"):
            return None
        return SpanWriter(self._exporting(), owned=True)

    def pushing(self) -> MetricsPush | None:
        """What sends the figures to a collector; None where none are kept, or no collector is named.

        Raises:
            MissingTelemetry: the extra is not installed.
            TelemetryError: ``OTEL_METRIC_EXPORT_INTERVAL`` is no number of milliseconds.
        """
        if not self.metrics or _disabled("METRICS") or not self._sends("METRICS"):
            return None
        said = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or EVERY
        try:
            every = float(said) / 1000
        except ValueError:
            every = 0.0
        if not 0 < every < inf:
            raise TelemetryError(f"OTEL_METRIC_EXPORT_INTERVAL is {said!r:.80}; it is a number of milliseconds above 0")
        return MetricsPush(self._at("metrics"), self._resource(), every)

    def _sends(self, signal: str) -> bool:
        """Whether an address is known to send a kind of telemetry to."""
        return bool(self.endpoint or os.environ.get(ADDRESS) or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))

    def _at(self, path: str) -> str | None:
        return f"{self.endpoint.rstrip('/')}/v1/{path}" if self.endpoint else None

    def _resource(self) -> Any:
        try:
            from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
        except ImportError:
            raise MissingTelemetry("exporting") from None
        own = {SERVICE_INSTANCE_ID: str(uuid4())}  # the figures of several workers are told apart by it
        if not os.environ.get("OTEL_SERVICE_NAME"):
            own[SERVICE_NAME] = self.service
        return Resource.create(own)

    def _exporting(self) -> Any:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise MissingTelemetry("exporting spans") from None
        provider = TracerProvider(resource=self._resource())
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=self._at("traces"))))
        return provider


def _disabled(signal: str) -> bool:
    """Whether OpenTelemetry's variables say that nothing of a kind is to be sent."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return off or os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none"
