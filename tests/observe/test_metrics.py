"""Figures: counted, bounded, and written as Prometheus reads them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from callboard import Agency, Agent, ChildSpec, MissingTelemetry, Telemetry
from callboard.actors.observe.errors import PushFailed, TelemetryError
from callboard.actors.observe.labels import OTHER
from callboard.actors.observe.metrics import (
    READ,
    SECONDS,
    Bound,
    Counter,
    Family,
    Gauges,
    Histogram,
    Times,
    labelled,
    together,
)
from callboard.actors.observe.metrics import read as parsed
from callboard.actors.observe.prometheus import process_figures, prometheus_text, push_metrics
from callboard.testing import FunctionModel
from tests.pages.page import Page


def written(*families: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of an exposition, by name and labels' values, without those of the process."""
    text, content_type = prometheus_text(families)
    assert content_type.startswith("text/plain")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if not sample.name.startswith("process_"):
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_the_handler_that_the_page_shows_answers_what_prometheus_reads() -> None:
    page = Page("actors/observe/README.md")
    (block,) = [block for block in page.blocks("python") if "def metrics" in block.text]
    names = page.given()
    exec(block.code, names)
    agency = Agency(Agent("A"), model=ChildSpec(FunctionModel, (lambda request: "hello",)), telemetry=Telemetry())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with agency:
            await agency.run("hello")
            app.state.agency = agency
            yield

    with TestClient(Starlette(lifespan=lifespan, routes=[Route("/metrics", names["metrics"])])) as client:
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "callboard_runs" in families


def test_a_counter_is_written_with_its_labels() -> None:
    counter = Counter(Bound(), "runs", "Runs", "agent", "error")
    counter.add(("A", ""))
    counter.add(("A", "TimeLimit"), 2)
    assert written(counter.read()) == {"runs_total": {("A", ""): 1.0, ("A", "TimeLimit"): 2.0}}
    assert counter.read().total(agent="A") == 3
    assert counter.read().total(error="TimeLimit") == 2
    with pytest.raises(KeyError, match="no label 'user'; there are agent, error"):
        counter.read().total(user="ann")


def test_a_histogram_is_written_in_buckets_that_add_up() -> None:
    times = Histogram(Bound(), "took_seconds", "Time", "tool")
    for seconds in (0.005, 0.01, 0.3, 1000.0):
        times.add(("add",), seconds)
    found = written(times.read())
    assert found["took_seconds_count"] == {("add",): 4.0}
    assert found["took_seconds_sum"] == {("add",): pytest.approx(1000.315)}
    buckets = {end: value for (end, _), value in found["took_seconds_bucket"].items()}
    assert (buckets["0.01"], buckets["0.16"], buckets["0.32"], buckets["81.92"], buckets["+Inf"]) == (2, 2, 3, 3, 4)
    assert len(buckets) == len(SECONDS) + 1


def test_however_many_labels_there_are_the_series_stay_few_and_the_sums_right() -> None:
    bound = Bound(500)
    counter, times, gauges = Counter(bound, "c", "C", "who"), Histogram(bound, "h", "H", "who"), Gauges(bound)
    for number in range(10_000):
        counter.add((f"user {number}",))
        times.add((f"user {number}",), 0.5)
    read = gauges.family("g", "G", "gauge", ("who",), (((f"user {n}",), 1.0) for n in range(10_000)))
    found = written(counter.read(), times.read(), read)
    assert sum(map(len, found.values())) <= 500
    assert sum(found["c_total"].values()) == sum(found["h_count"].values()) == sum(found["g"].values()) == 10_000
    assert found["c_total"][(OTHER,)] > 9_000


def test_what_was_named_once_keeps_its_name() -> None:
    gauges = Gauges(Bound(READ + 2))  # one is kept for errors
    for _ in range(2):
        read = gauges.family("depth", "D", "gauge", ("class",), [(("A",), 1.0), (("B",), 2.0), (("C",), 5.0)])
        assert read.samples == {("A",): 1.0, (OTHER,): 7.0}
    oldest = gauges.family("age", "A", "gauge", ("class",), [(("B",), 2.0), (("C",), 5.0)], most=True)
    assert oldest.samples == {(OTHER,): 5.0}


def test_what_comes_too_late_for_a_series_of_its_own_keeps_the_name_of_its_error() -> None:
    runs = Counter(Bound(100), "runs", "Runs", "agent", "error")
    for number in range(100):
        runs.add((f"agent {number}", ""))
        runs.add((f"agent {number}", "TimeLimit"))
    read = runs.read()
    assert read.total(error="") == read.total(error="TimeLimit") == 100
    assert set(read.samples) >= {(OTHER, ""), (OTHER, "TimeLimit")}


def test_however_many_errors_there_are_the_series_stay_as_few() -> None:
    runs = Counter(Bound(100), "runs", "Runs", "agent", "error")
    for number in range(1_000):
        runs.add((f"agent {number}", f"Error{number}"))
    read = runs.read()
    assert len(read.samples) <= 100
    assert read.total() == 1_000
    assert Family("last", "", "counter", (), {(): read.samples[OTHER, OTHER]}).total() > 800


def test_each_name_has_a_series_for_what_comes_when_all_are_used_up() -> None:
    bound = Bound(200)
    kinds = [Counter(bound, f"c{number}", "C", "who") for number in range(7)]
    times = [Histogram(bound, f"h{number}", "H", "who") for number in range(5)]
    gauges = Gauges(bound)
    for number in range(1_000):
        kinds[0].add((f"user {number}",))
    for number in range(1_000):
        gauges.family("g0", "G", "gauge", ("who",), [((f"user {number}",), 1.0)])
    counters: list[Counter | Histogram] = [*kinds, *times]
    for each in counters[1:]:
        each.add(("late",), 1.0)
    late = [each.read() for each in counters]
    late += [gauges.family(f"g{number}", "G", "gauge", ("who",), [(("late",), 1.0)]) for number in range(1, READ)]
    assert all(family.total() for family in late)
    first = gauges.family("g0", "G", "gauge", ("who",), [((f"user {number}",), 1.0) for number in range(1_000)])
    assert sum(map(len, written(*late, first).values())) <= 200


def test_what_is_counted_leaves_room_for_what_is_read() -> None:
    bound = Bound(500)
    times, gauges = Histogram(bound, "h", "H", "who"), Gauges(bound)
    for number in range(1_000):
        times.add((f"tool {number}",), 0.5)
    read = gauges.family("g", "G", "gauge", ("pool",), [((f"pool {number}",), 1.0) for number in range(68)])
    assert (OTHER,) not in read.samples
    assert len(read.samples) == 68


@pytest.mark.parametrize(
    "value", ["half \ud800 a letter", "x" * 100_000, 'q"uote', "new\nline", "\x1b[31m", "\x00", "é😀", ""]
)
def test_whatever_a_label_is_it_is_written(value: str) -> None:
    bound = Bound()
    counter, times, gauges = Counter(bound, "c", "C", "w"), Histogram(bound, "h", "H", "w"), Gauges(bound)
    for _ in range(2):
        counter.add((value,))
        times.add((value,), 1.0)
        read = gauges.family("g", "G", "gauge", ("w",), [((value,), 1.0)])
    found = written(counter.read(), times.read(), read)
    assert list(found["c_total"].values()) == list(found["h_count"].values()) == [2.0]
    assert list(found["g"].values()) == [1.0]
    (label,) = next(iter(found["g"]))
    assert len(label) <= 200
    assert label == value or "\ud800" in value or len(value) > 200


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def gateway(answering: Answering) -> AsyncIterator[str]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answering(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def saying(answer: str) -> Answering:
    async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        await writer.drain()

    return said


def counted() -> list[Family]:
    counter = Counter(Bound(), "runs", "Runs")
    counter.add(())
    return [counter.read()]


@pytest.mark.parametrize(
    ("job", "path"),
    [("nightly", "/job/nightly"), ("a job/1", "/job@base64/YSBqb2IvMQ=="), ("..", "/job@base64/Li4=")],
)
async def test_a_job_pushes_its_figures(job: str, path: str) -> None:
    got: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line.split()[1] for line in head.splitlines() if line.lower().startswith("content-length"))
        got.extend((head, (await reader.readexactly(int(length))).decode()))
        writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")

    async with gateway(take) as url:
        await push_metrics(counted(), f"{url}/", job)
    assert got[0].startswith(f"PUT /metrics{path} ")
    assert "runs_total 1.0" in got[1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("HTTP/1.1 500 Oh\r\ncontent-length: 6\r\n\r\nsecret", "answered 500$"),
        ("HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n", "answered 302, to look elsewhere"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "cannot be reached: RemoteProtocolError"),
        ("", "cannot be reached: "),
    ],
)
async def test_a_gateway_that_refuses_is_named_by_its_host(answer: str, says: str) -> None:
    async with gateway(saying(answer)) as url:
        with pytest.raises(PushFailed, match=says) as failed:
            await push_metrics(counted(), f"{url}/secret", "nightly")
    assert isinstance(failed.value, OSError)
    assert "the push gateway at 127.0.0.1" in str(failed.value)
    assert "secret" not in str(failed.value)


async def test_a_gateway_that_is_not_there_is_named() -> None:
    async with gateway(saying("")) as url:
        pass
    with pytest.raises(PushFailed, match=r"the push gateway at 127\.0\.0\.1 cannot be reached: ConnectError"):
        await push_metrics(counted(), url, "nightly")


async def test_a_gateway_that_never_answers_is_waited_for_as_long_as_is_said() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:  # each piece comes in time
            writer.write(b"x-more: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with gateway(trickle) as url:
        with pytest.raises(PushFailed, match=r"has not answered within 0\.2 seconds|cannot be reached"):
            await push_metrics(counted(), url, "nightly", timeout=0.2)


FAMILY: Any = Family("c", "C", "counter", ("who",), {("ann",): 1.0})


def but(**wrong: Any) -> Any:
    """A family with something wrong."""
    return replace(FAMILY, **wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"families": None}, "families is a NoneType; it is what `await agency.metrics\\(\\)` gives"),
        ({"families": FAMILY}, "families is a Family"),
        ({"families": "text"}, "families is a str"),
        ({"families": ["text"]}, r"families\[0\] is a str; it is a Family"),
        ({"families": [but(name="no name")]}, "no name of figures"),
        ({"families": [but(name=1)]}, "no name of figures"),
        ({"families": [but(help=None)]}, "help is a text"),
        ({"families": [but(kind="sum")]}, "kind is 'sum'; it is counter, gauge or histogram"),
        ({"families": [but(labels=["who"])]}, "labels is a tuple of names"),
        ({"families": [but(labels=("a-b",))]}, "labels is a tuple of names"),
        ({"families": [but(labels=())]}, "are no values of no labels"),
        ({"families": [but(samples=[1])]}, "samples is a list"),
        ({"families": [but(samples={"ann": 1.0})]}, "are no values of who: a tuple of as many texts"),
        ({"families": [but(samples={("ann",): "1"})]}, "it is a number"),
        ({"families": [but(kind="histogram")]}, "it is Times, with 15 counts"),
        ({"families": [but(kind="histogram", samples={("ann",): Times((1,), 1.0)})]}, "it is Times"),
        ({"gateway": None}, "gateway is an address http://… or https://…, not None"),
        ({"gateway": "localhost:9091"}, "gateway is an address"),
        ({"gateway": "ftp://host"}, "gateway is an address"),
        ({"gateway": "http://"}, "gateway is an address"),
        ({"gateway": "http://host:99999"}, "gateway is an address"),
        ({"gateway": "http://host?a=1"}, "without a query or a fragment"),
        ({"job": ""}, "job is ''; it is a text"),
        ({"job": 7}, "job is 7; it is a text"),
        ({"timeout": 0}, "timeout is 0; it is a number of seconds above 0"),
        ({"timeout": None}, "timeout is None"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"timeout": True}, "timeout is True"),
    ],
)
async def test_what_is_wrong_with_a_push_is_said_by_name(wrong: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"families": [FAMILY], "gateway": "http://127.0.0.1:9", "job": "nightly", **wrong}
    with pytest.raises(TelemetryError, match=says) as failed:
        await push_metrics(given.pop("families"), given.pop("gateway"), given.pop("job"), **given)
    assert not isinstance(failed.value, PushFailed)


async def test_figures_that_are_not_waited_for_are_refused() -> None:
    async def metrics() -> list[Family]:
        return []

    forgotten: Any = metrics()
    with pytest.raises(TelemetryError, match="families is a coroutine"):
        await push_metrics(forgotten, "http://127.0.0.1:9", "nightly")
    forgotten.close()


def test_buckets_are_those_of_the_conventions() -> None:
    assert SECONDS == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


def test_a_name_of_two_hundred_letters_is_told_whole() -> None:
    counter = Counter(Bound(), "c", "C", "who")
    for length in (200, 201):
        counter.add(("x" * length,))
    assert list(counter.read().samples) == [("x" * 200,), ("x" * 199 + "…",)]


def test_figures_of_several_places_stand_together_under_their_name() -> None:
    def depth(worker: str, value: float) -> Iterable[Family]:
        return labelled([Family("depth", "D", "gauge", ("class",), {("A",): value})], "worker", worker)

    other = Family("age", "A", "gauge")
    both = together([*depth("1", 2.0), other, *depth("2", 3.0)])
    wanted = Family("depth", "D", "gauge", ("class", "worker"), {("A", "1"): 2.0, ("A", "2"): 3.0})
    assert both == (wanted, other)


def test_a_process_tells_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {family.name: family.kind for family in process_figures()}
    assert kinds["process_cpu_seconds"] == "counter"
    assert kinds["process_resident_memory_bytes"] == "gauge"
    ours = Family("process_resident_memory_bytes", "M", "gauge", ("worker",), {("1",): 5.0})
    assert b"process_cpu_seconds" in prometheus_text([])[0]
    assert b"process_cpu_seconds" not in prometheus_text([ours])[0], "that of several processes is told by each"
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert process_figures() == ()


async def test_without_the_extra_nothing_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingTelemetry, match="figures for Prometheus needs"):
        await push_metrics([], "http://127.0.0.1:1", "nightly")


@pytest.mark.parametrize("text", ["", "5", "[5]", '[["a", "b"]]', '[["a", "b", "gauge", [], [[["x"], {}]]]]'])
def test_what_is_no_figures_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parsed(text)
