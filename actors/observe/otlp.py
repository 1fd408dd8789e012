"""Sends figures to an OpenTelemetry collector by OTLP, every so often, and a last time at the end.

They are the same figures, under the same names, that Prometheus is served. OpenTelemetry's own instruments are not
used: they count what they are told as it happens, and none of them can be given a histogram that was counted elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from ..core.base.log import logger_of
from .errors import MissingTelemetry
from .metrics import SECONDS, Family, Times

logger = logger_of()


class MetricsPush:
    """Sends an agency's figures.

    Args:
        endpoint: the address of a collector, with the path; None for what the usual variables say.
        resource: the `opentelemetry.sdk.resources.Resource` that they are of.
        every: seconds between two sendings.

    Raises:
        MissingTelemetry: the extra is not installed.
    """

    def __init__(self, endpoint: str | None, resource: Any, every: float) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ImportError:
            raise MissingTelemetry("sending figures") from None
        self._exporter = OTLPMetricExporter(endpoint=endpoint)
        self._resource = resource
        self._every = every
        self._since = time.time_ns()
        self._ending = asyncio.Event()

    async def run(self, read: Callable[[], Awaitable[Sequence[Family]]]) -> None:
        """Send the figures over and over, and once more after `end`.

        Args:
            read: gives the figures as they are now.
        """
        while not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._ending.wait()
            try:
                data = metrics_data(await read(), self._resource, self._since)
                await asyncio.to_thread(self._exporter.export, data)  # which logs what goes wrong
            except Exception:
                logger.exception("figures could not be sent")
        await asyncio.to_thread(self._exporter.shutdown)

    def end(self) -> None:
        """Send them once more, and no more then."""
        self._ending.set()


def metrics_data(families: Iterable[Family], resource: Any, since: int) -> Any:
    """Figures as OpenTelemetry's SDK hands them to an exporter: a `opentelemetry.sdk.metrics.export.MetricsData`.

    Args:
        families: the figures.
        resource: what they are of.
        since: when their counting began, in nanoseconds since 1970.
    """
    from opentelemetry.sdk.metrics import export
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    now, whole = time.time_ns(), export.AggregationTemporality.CUMULATIVE
    no_extreme: Any = None  # nobody has kept the shortest and the longest
    metrics = []
    for family in families:
        numbers, times = [], []
        for key, value in family.samples.items():
            labels = dict(zip(family.labels, key, strict=True))
            if isinstance(value, Times):
                said = (value.count, value.sum, value.counts, SECONDS, no_extreme, no_extreme)
                times.append(export.HistogramDataPoint(labels, since, now, *said))
            else:
                numbers.append(export.NumberDataPoint(labels, since, now, value))
        data: Any = export.Gauge(numbers)
        if family.kind == "counter":
            data = export.Sum(numbers, whole, is_monotonic=True)
        elif family.kind == "histogram":
            data = export.Histogram(times, whole)
        metrics.append(export.Metric(family.name, family.help, _unit(family.name), data))
    scope = export.ScopeMetrics(InstrumentationScope("callboard"), metrics, "")
    return export.MetricsData([export.ResourceMetrics(resource, [scope], "")])


def _unit(name: str) -> str:
    return "s" if name.endswith("_seconds") else "By" if name.endswith("_bytes") else ""
