"""Spans that go to a collector, and what is said where the extra is not installed."""

from __future__ import annotations

import asyncio
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from callboard import (
    Agency,
    Agent,
    Alerting,
    ConfigError,
    ErrorRate,
    LatencyRise,
    MissingTelemetry,
    SpendPerHour,
    Telemetry,
    TelemetryError,
    load_team,
    prometheus_text,
    to_log,
)
from callboard.actors.cli.parts.team import running
from callboard.actors.observe.metrics import SECONDS, Family
from callboard.actors.observe.otlp import MetricsPush
from tests.agents.support import function

CUMULATIVE = 2
INSTALL = r"pip install 'callboard\[telemetry\]'"


class Collector(http.server.ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.third = threading.Event()
        super().__init__(("127.0.0.1", 0), _Taking)


class _Taking(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()
        if len(self.server.got) >= 3:
            self.server.third.set()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("by", ["endpoint", "variable"])
async def test_spans_go_to_a_collector_the_last_of_them_as_the_agency_stops(
    collector: Collector, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"http://127.0.0.1:{collector.server_port}"
    telemetry = Telemetry(endpoint=f"{where}/", service="shop")
    if by == "variable":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", where)
        telemetry = Telemetry(service="shop")
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
        await agency.run("go")
    spans = b"".join(body for path, body in collector.got if path == "/v1/traces")
    for said in (b"invoke_agent A", b"chat", b"shop", b"gen_ai.operation.name"):
        assert said in spans


async def test_figures_go_to_a_collector_the_last_of_them_as_the_agency_stops(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    telemetry = Telemetry(spans=False, service="shop")
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
        await agency.run("go")
        (runs,) = [one for one in await agency.metrics() if one.name == "callboard_runs"]
    ((path, body),) = collector.got
    assert path == "/v1/metrics"
    sent = ExportMetricsServiceRequest.FromString(body).resource_metrics[0]
    of = {each.key: each.value.string_value for each in sent.resource.attributes}
    assert of["service.name"] == "shop"
    assert of["service.instance.id"]
    metrics = {each.name: each for each in sent.scope_metrics[0].metrics}
    counted = metrics["callboard_runs"]
    assert counted.description == runs.help
    assert counted.sum.is_monotonic
    assert counted.sum.aggregation_temporality == CUMULATIVE
    (point,) = counted.sum.data_points
    assert {each.key: each.value.string_value for each in point.attributes} == {"gen_ai_agent_name": "A", "error": ""}
    assert point.as_double == 1
    assert 0 < point.start_time_unix_nano < point.time_unix_nano
    took = metrics["gen_ai_invoke_agent_duration_seconds"]
    assert took.unit == "s"
    assert took.histogram.aggregation_temporality == CUMULATIVE
    (times,) = took.histogram.data_points
    assert (times.count, sum(times.bucket_counts), tuple(times.explicit_bounds)) == (1, 1, SECONDS)
    assert times.sum > 0
    assert not times.HasField("min")
    assert metrics["callboard_runs_under_way"].gauge.data_points is not None
    assert metrics["callboard_actors"].gauge.data_points[0].as_double >= 0


async def test_the_environment_may_name_the_service(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of the environment")
    telemetry = Telemetry(endpoint=f"http://127.0.0.1:{collector.server_port}", service="shop")
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
        await agency.run("go")
    assert {path for path, _ in collector.got} == {"/v1/traces", "/v1/metrics"}
    assert all(b"of the environment" in body and b"shop" not in body for _, body in collector.got)


async def test_figures_go_to_a_collector_as_often_as_the_variable_says(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
    where = f"http://127.0.0.1:{collector.server_port}"
    telemetry = Telemetry(endpoint=where, spans=False)
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry):
        assert await asyncio.to_thread(collector.third.wait, 60)
    assert {path for path, _ in collector.got} == {"/v1/metrics"}


async def test_figures_that_cannot_be_read_or_sent_are_logged_and_sent_the_next_time(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    push = MetricsPush(f"http://127.0.0.1:{collector.server_port}/v1/metrics", Resource.get_empty(), 0.001)
    reads: list[int] = []

    async def read() -> tuple[Family, ...]:
        reads.append(1)
        if len(reads) == 1:
            raise OSError("no disk")
        push.end()
        return (Family("depth_bytes", "D", "gauge", ("class",), {("A",): 3.0}),)

    await push.run(read)
    assert "figures could not be sent" in caplog.text
    (sent,) = (ExportMetricsServiceRequest.FromString(body) for _, body in collector.got)
    (metric,) = sent.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit, metric.gauge.data_points[0].as_double) == ("depth_bytes", "By", 3)


@pytest.mark.parametrize(
    ("variables", "spans", "figures"),
    [
        ({}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost:4318/v1/metrics"}, False, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, False, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_METRICS_EXPORTER": "none"}, True, False),
    ],
)
def test_opentelemetrys_variables_say_what_is_sent(
    variables: dict[str, str], spans: bool, figures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    writer = Telemetry().writer()
    assert (writer is not None, Telemetry().pushing() is not None) == (spans, figures)
    if writer is not None:
        writer.close()


@pytest.mark.parametrize("wrong", ["often", "0", "-5", "inf", "nan"])
def test_an_interval_that_is_none_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", wrong)
    with pytest.raises(TelemetryError, match="a number of milliseconds above 0"):
        Telemetry(endpoint="http://localhost:4318").pushing()


async def test_with_opentelemetry_disabled_a_provider_of_ones_own_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = Telemetry(tracer_provider=TracerProvider())
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
        assert (await agency.run("go")).text == "done"


@pytest.mark.parametrize("module", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"])
def test_without_the_extra_spans_are_refused_with_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingTelemetry, match=INSTALL):
        Telemetry(endpoint="http://localhost:4318").writer()


@pytest.mark.parametrize(
    "module", ["opentelemetry.sdk.resources", "opentelemetry.exporter.otlp.proto.http.metric_exporter"]
)
def test_without_the_extra_sending_figures_is_refused_with_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingTelemetry, match=INSTALL):
        Telemetry(endpoint="http://localhost:4318").pushing()


def test_without_the_extra_figures_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingTelemetry, match=INSTALL):
        prometheus_text([])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{}", Telemetry()),
        (
            "{spans: false, content: true, series: 900, service: shop}",
            Telemetry(spans=False, content=True, series=900, service="shop"),
        ),
        (
            "{endpoint: 'http://collector:4318', metrics: false}",
            Telemetry(endpoint="http://collector:4318", metrics=False),
        ),
    ],
)
def test_a_team_file_says_what_is_told(written: str, said: Telemetry, tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(f"agents: {{A: {{model: offline}}}}\ntelemetry: {written}\n")
    assert load_team(tmp_path / "team.yaml", env={}).options["telemetry"] == said


def test_a_team_file_says_which_alerts_are_looked_at_and_who_is_told(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(
        """
agents: {A: {model: offline}}
telemetry:
  alerts:
    every: 5
    webhook: https://ops.example/alerts
    headers: {authorization: "Bearer ${OPS_KEY}"}
    rules:
      ErrorRate: {above: 0.5, below: 0.1, over: 60, least: 3, holds: 30}
      LatencyRise: {past: 7200}
      SpendPerHour: {above: 20}
"""
    )
    telemetry = load_team(tmp_path / "team.yaml", env={"OPS_KEY": "swordfish"}).options["telemetry"]
    assert "swordfish" not in repr(telemetry)
    alerts = telemetry.alerts
    assert alerts.every == 5
    assert alerts.rules == (
        ErrorRate(above=0.5, below=0.1, over=60, least=3, holds=30),
        LatencyRise(past=7200),
        SpendPerHour(above=20),
    )
    assert alerts.tell[0] is to_log
    assert len(alerts.tell) == 2


def test_a_team_file_may_leave_the_rules_to_us(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text("agents: {A: {model: offline}}\ntelemetry: {alerts: {}}\nlogs: json\n")
    team = load_team(tmp_path / "team.yaml", env={})
    assert team.options["telemetry"] == Telemetry(alerts=Alerting())
    assert team.logs == "json"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{rules: {Errors: {}}}", "telemetry.alerts.rules.Errors: there is no such rule; there are ErrorRate"),
        ("{rules: {QueueAge: {least: 3}}}", "telemetry.alerts.rules.QueueAge.least: QueueAge has no such number"),
        ("{rules: {QueueAge: {abov: 3}}}", "telemetry.alerts.rules.QueueAge.abov: unknown entry"),
        ("{rules: {QueueAge: {above: 3, below: 4}}}", "telemetry.alerts.rules.QueueAge: .*it would never be over"),
        ("{rules: {QueueAge: {above: -3}}}", "greater than or equal to 0"),
        ("{rules: {SpendPerHour: {}}}", "telemetry.alerts.rules.SpendPerHour: say above how many dollars an hour"),
        ("{webhook: ops}", "telemetry.alerts.webhook: expected an address"),
        ("{headers: {x: y}}", "telemetry.alerts.headers: these are sent to a webhook"),
        ("{every: 0}", "greater than 0"),
        ("{}, metrics: false", "leave metrics=True"),
    ],
)
def test_what_is_wrong_with_alerts_in_a_team_file_is_said_with_its_place(
    written: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "team.yaml").write_text(f"agents: {{A: {{model: offline}}}}\ntelemetry: {{alerts: {written}}}\n")
    with pytest.raises(ConfigError, match=says):
        load_team(tmp_path / "team.yaml", env={})


async def test_a_command_sends_what_it_does_where_the_environment_names_a_collector(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team.yaml").write_text("agents: {A: {model: offline}}\n")
    (tmp_path / "quiet.yaml").write_text("agents: {A: {model: offline}}\ntelemetry: {spans: false, metrics: false}\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    async with running(tmp_path / "quiet.yaml", tmp_path) as agency:
        await agency.run("go")
    assert not collector.got
    async with running(tmp_path / "team.yaml", tmp_path) as agency:
        await agency.run("go")
    assert {path for path, _ in collector.got} == {"/v1/traces", "/v1/metrics"}


async def test_a_command_says_that_nothing_is_sent_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "team.yaml").write_text("agents: {A: {model: offline}}\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    async with running(tmp_path / "team.yaml", tmp_path) as agency:
        assert agency.telemetry is None
    assert "nothing is sent there: pip install" in capsys.readouterr().err
