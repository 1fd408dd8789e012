"""Spans that go to a collector, and what is said where the extra is not installed."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from callboard import Agency, Agent, MissingTelemetry, Telemetry, load_team, prometheus_text
from tests.agents.support import function

INSTALL = r"pip install 'callboard\[telemetry\]'"


class Collector(http.server.ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Taking)


class _Taking(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

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
    telemetry = Telemetry(endpoint=where, service="shop")
    if by == "variable":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", where)
        telemetry = Telemetry(service="shop")
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
        await agency.run("go")
    paths, bodies = zip(*collector.got, strict=True)
    assert set(paths) == {"/v1/traces"}
    for said in (b"invoke_agent A", b"chat", b"shop", b"gen_ai.operation.name"):
        assert said in b"".join(bodies)


@pytest.mark.parametrize("module", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"])
def test_without_the_extra_spans_are_refused_with_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingTelemetry, match=INSTALL):
        Telemetry(endpoint="http://localhost:4318").writer()


def test_without_the_extra_figures_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingTelemetry, match=INSTALL):
        prometheus_text([])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{}", Telemetry()),
        (
            "{spans: false, content: true, series: 9, service: shop}",
            Telemetry(spans=False, content=True, series=9, service="shop"),
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
