"""Figures: counted, bounded, and written as Prometheus reads them."""

from __future__ import annotations

import asyncio
import http.server
import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callboard.actors.observe.labels import OTHER
from callboard.actors.observe.metrics import (
    READ,
    SECONDS,
    Bound,
    Counter,
    Gauges,
    Histogram,
    prometheus_text,
    push_metrics,
)


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
    assert read.samples[OTHER, OTHER] > 800


def test_each_name_has_a_series_for_what_comes_when_all_are_used_up() -> None:
    bound = Bound(200)
    kinds = [Counter(bound, f"c{number}", "C", "who") for number in range(7)]
    times = [Histogram(bound, f"h{number}", "H", "who") for number in range(5)]
    gauges = Gauges(bound)
    for number in range(1_000):
        kinds[0].add((f"user {number}",))
    for number in range(1_000):
        gauges.family("g0", "G", "gauge", ("who",), [((f"user {number}",), 1.0)])
    for each in (*kinds[1:], *times):
        each.add(("late",), 1.0)
    late = [each.read() for each in (*kinds, *times)]
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
