"""Figures as Prometheus reads them, and sent to its push gateway: what needs ``prometheus_client``."""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .checks import check_address, is_number
from .errors import MissingTelemetry, PushFailed, TelemetryError
from .labels import Key, fitting
from .metrics import SECONDS, Family, Kind, Times

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
"""What is written into an address as it is."""


def process_figures() -> tuple[Family, ...]:
    """What this process uses: memory, processor time, open files; nothing where the extra is not installed."""
    try:
        from prometheus_client import ProcessCollector
    except ImportError:
        return ()
    return tuple(
        Family(one.name, one.documentation, "counter" if one.type == "counter" else "gauge", (), {(): sample.value})
        for one in ProcessCollector(registry=None).collect()
        for sample in one.samples
    )


def prometheus_text(families: Iterable[Family]) -> tuple[bytes, str]:
    """Figures as Prometheus reads them, with those of this process where there are none of processes among them.

    Returns:
        the text, and its content type.

    Raises:
        MissingTelemetry: the extra is not installed.
        TelemetryError: these are no figures.
    """
    read = _checked(families)
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    except ImportError:
        raise MissingTelemetry("figures for Prometheus") from None
    return generate_latest(_registry(read)), CONTENT_TYPE_LATEST


async def push_metrics(families: Iterable[Family], gateway: str, job: str, *, timeout: float = 30.0) -> None:
    """Send figures to a push gateway: for a job that has ended before anybody comes to read them. Those of an earlier
    job of this name are replaced.

    Args:
        families: the figures.
        gateway: where it is, such as ``http://localhost:9091``.
        job: the name of the job.
        timeout: seconds that it may take in all.

    Raises:
        MissingTelemetry: the extra is not installed.
        TelemetryError: an argument is wrong.
        PushFailed: the gateway cannot be reached, takes longer, or refuses. It is named by its host: the rest of its
            address may be a secret.
    """
    check_address("gateway", gateway)
    if "?" in gateway or "#" in gateway:
        raise TelemetryError("gateway is an address without a query or a fragment: /metrics/job/… is added to it")
    if not isinstance(job, str) or not job:
        raise TelemetryError(f"job is {job!r:.80}; it is a text, the name of the job")
    if not is_number(timeout) or not timeout:
        raise TelemetryError(f"timeout is {timeout!r:.80}; it is a number of seconds above 0")
    import httpx

    text, content_type = prometheus_text(families)
    name = fitting(job)
    path = name if _PLAIN.fullmatch(name) else urlsafe_b64encode(name.encode()).decode()
    url = f"{gateway.rstrip('/')}/metrics/job{'' if path == name else '@base64'}/{path}"
    who = f"the push gateway at {urlsplit(gateway).hostname}"
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(timeout=None) as client,
            client.stream("PUT", url, content=text, headers={"content-type": content_type}) as answer,
        ):
            status, redirects, accepts = answer.status_code, answer.is_redirect, answer.is_success
    except TimeoutError:
        raise PushFailed(f"{who} has not answered within {timeout:g} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PushFailed(f"{who} cannot be reached: {type(error).__name__}") from None
    if redirects:
        raise PushFailed(f"{who} answered {status}, to look elsewhere: give the address that it stands for")
    if not accepts:
        raise PushFailed(f"{who} answered {status}")


def _checked(families: Iterable[Family]) -> tuple[Family, ...]:
    """Figures that can be written.

    Raises:
        TelemetryError: they are none.
    """
    if isinstance(families, Family | str | bytes) or not isinstance(families, Iterable):
        raise TelemetryError(f"families is a {type(families).__name__}; it is what `await agency.metrics()` gives")
    read = tuple(families)
    for at, family in enumerate(read):
        if not isinstance(family, Family):
            raise TelemetryError(f"families[{at}] is a {type(family).__name__}; it is a Family")
        if why := _wrong(family):
            raise TelemetryError(f"families[{at}], {family.name!r:.80}: {why}")
    return read


def _wrong(family: Family) -> str:
    """Why figures cannot be written; empty where they can."""
    name, labels, times = family.name, family.labels, family.kind == "histogram"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "that is no name of figures: it has letters, digits and _"
    if not isinstance(family.help, str):
        return "help is a text"
    if family.kind not in ("counter", "gauge", "histogram"):
        return f"kind is {family.kind!r:.80}; it is counter, gauge or histogram"
    if not isinstance(labels, tuple) or not all(isinstance(one, str) and _LABEL.fullmatch(one) for one in labels):
        return "labels is a tuple of names: letters, digits and _"
    if not isinstance(family.samples, Mapping):
        return f"samples is a {type(family.samples).__name__}; it is figures by the values of their labels"
    for key, value in family.samples.items():
        if not isinstance(key, tuple) or len(key) != len(labels) or not all(isinstance(one, str) for one in key):
            return f"{key!r:.80} are no values of {', '.join(labels) or 'no labels'}: a tuple of as many texts"
        if times and not (isinstance(value, Times) and len(value.counts) == len(SECONDS) + 1):
            return f"of {key!r:.80} there is {value!r:.80}; it is Times, with {len(SECONDS) + 1} counts"
        if not times and (isinstance(value, bool) or not isinstance(value, int | float)):
            return f"of {key!r:.80} there is {value!r:.80}; it is a number"
    return ""


def _registry(read: tuple[Family, ...]) -> Any:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.registry import Collector

    if not any(family.name.startswith("process_") for family in read):
        read += process_figures()
    kinds: Mapping[Kind, Any] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}

    class Read(Collector):
        def collect(self) -> Iterator[Any]:
            for family in read:
                if family.kind == "histogram":
                    yield _histogram(HistogramMetricFamily, family)
                    continue
                made = kinds[family.kind](family.name, family.help, labels=family.labels)
                for key, value in family.samples.items():
                    made.add_metric(_written(key), value)
                yield made

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Read())
    return registry


def _written(key: Key) -> Key:
    return tuple(fitting(value, None) for value in key)


def _histogram(make: Any, family: Family) -> Any:
    made = make(family.name, family.help, labels=family.labels)
    for key, times in family.samples.items():
        assert isinstance(times, Times)
        reached, buckets = 0, []
        for end, count in zip((*map(str, SECONDS), "+Inf"), times.counts, strict=True):
            reached += count
            buckets.append((end, reached))
        made.add_metric(_written(key), buckets, times.sum)
    return made
