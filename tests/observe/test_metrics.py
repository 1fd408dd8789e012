"""Figures: counted, bounded, and written as Prometheus reads them."""

from __future__ import annotations

import asyncio
import http.server
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callboard import MissingTelemetry
from callboard.actors.observe.labels import OTHER
from callboard.actors.observe.metrics import (
    SECONDS,
    Bound,
    Counter,
    Family,
    Gauges,
    Histogram,
    labelled,
    process_figures,
    prometheus_text,
    push_metrics,
    together,
)
from callboard.actors.observe.metrics import read as parsed


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
    assert sum(map(len, found.values())) <= 500 + 2 + len(SECONDS) + 3
    assert sum(found["c_total"].values()) == sum(found["h_count"].values()) == sum(found["g"].values()) == 10_000
    assert found["c_total"][(OTHER,)] > 9_000


def test_what_was_named_once_keeps_its_name() -> None:
    gauges = Gauges(Bound(1))
    for _ in range(2):
        read = gauges.family("depth", "D", "gauge", ("class",), [(("A",), 1.0), (("B",), 2.0), (("C",), 5.0)])
        assert read.samples == {("A",): 1.0, (OTHER,): 7.0}
    oldest = gauges.family("age", "A", "gauge", ("class",), [(("B",), 2.0), (("C",), 5.0)], most=True)
    assert oldest.samples == {(OTHER,): 5.0}


def test_what_comes_too_late_for_a_series_of_its_own_keeps_the_name_of_its_error() -> None:
    runs = Counter(Bound(5), "runs", "Runs", "agent", "error")
    for number in range(10):
        runs.add((f"agent {number}", ""))
        runs.add((f"agent {number}", "TimeLimit"))
    read = runs.read()
    assert read.total(error="") == read.total(error="TimeLimit") == 10
    assert set(read.samples) >= {(OTHER, ""), (OTHER, "TimeLimit")}


def test_what_is_counted_leaves_room_for_what_is_read() -> None:
    bound = Bound(500)
    times, gauges = Histogram(bound, "h", "H", "who"), Gauges(bound)
    for number in range(1_000):
        times.add((f"tool {number}",), 0.5)
    read = gauges.family("g", "G", "gauge", ("pool",), [((f"pool {number}",), 1.0) for number in range(100)])
    assert (OTHER,) not in read.samples
    assert len(read.samples) == 100


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


async def test_a_job_pushes_its_figures() -> None:
    got: list[tuple[str, str]] = []

    class Gateway(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            got.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    counter = Counter(Bound(), "runs", "Runs")
    counter.add(())
    try:
        await push_metrics([counter.read()], f"http://127.0.0.1:{server.server_port}", "nightly")
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()
    assert got[0][0] == "/metrics/job/nightly"
    assert "runs_total 1.0" in got[0][1]


def test_buckets_are_those_of_the_conventions() -> None:
    assert SECONDS == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


def test_as_many_series_as_are_allowed_have_names_of_their_own() -> None:
    for allowed, named in ((0, 0), (5, 4), (9, 8), (10, 8)):  # one of five is kept for what is read
        counter = Counter(Bound(allowed), "c", "C", "who")
        for number in range(20):
            counter.add((f"user {number}",))
        assert sum(key != (OTHER,) for key in counter.read().samples) == named
        assert counter.read().total() == 20
    gauges = Gauges(Bound(7))
    read = gauges.family("g", "G", "gauge", ("who",), (((f"user {n}",), 1.0) for n in range(20)))
    assert sum(key != (OTHER,) for key in read.samples) == 7
    assert read.total() == 20


def test_what_is_read_takes_what_is_kept_for_it_first() -> None:
    bound = Bound(10)
    gauges, counter = Gauges(bound), Counter(bound, "c", "C", "who")
    gauges.family("g", "G", "gauge", ("pool",), [(("one",), 1.0), (("two",), 1.0), (("three",), 1.0)])
    for number in range(20):
        counter.add((f"user {number}",))
    assert sum(key != (OTHER,) for key in counter.read().samples) == 7


def test_a_histogram_takes_as_many_series_as_it_has_lines() -> None:
    for allowed, named in ((0, 0), (21, 1), (20, 0), (42, 2)):
        times = Histogram(Bound(allowed), "h", "H", "who")
        for number in range(5):
            times.add((f"user {number}",), 1.0)
        assert sum(key != (OTHER,) for key in times.read().samples) == named
        assert times.read().total() == 5


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
    with pytest.raises(MissingTelemetry, match="figures for a push gateway"):
        await push_metrics([], "http://127.0.0.1:1", "nightly")


async def test_a_gateway_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="refused"):
        await push_metrics([], "http://127.0.0.1:1", "nightly")


@pytest.mark.parametrize("text", ["", "5", "[5]", '[["a", "b"]]', '[["a", "b", "gauge", [], [[["x"], {}]]]]'])
def test_what_is_no_figures_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parsed(text)
