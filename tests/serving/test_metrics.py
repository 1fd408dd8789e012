"""Figures over HTTP, and requests of clients that trace."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller, ChildSpec, Endpoint, Pool, Telemetry
from callboard.actors.observe.metrics import Bound, Family, Histogram, read, written
from callboard.actors.serving import serve
from callboard.actors.serving.operations.metrics import FOLDER
from tests.agents.support import function, until
from tests.agents.telemetry.tracing import Traces

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def agency(telemetry: Telemetry | None) -> Agency:
    return Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry)


def client(app: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def who(connection: HTTPConnection) -> Caller:
    return Caller("ann", scopes=frozenset(filter(None, connection.headers.get("x-scopes", "").split(","))))


@pytest.fixture
def traces() -> Traces:
    return Traces()


async def test_an_agency_that_keeps_figures_serves_them() -> None:
    async with agency(Telemetry(spans=False)) as it, client(serve(it)) as http:
        await http.post("/v1/chat/completions", json={"model": "A", "messages": [{"role": "user", "content": "go"}]})
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'callboard_runs_total{error="",gen_ai_agent_name="A"} 1.0' in answer.text
    assert "process_resident_memory_bytes" in answer.text


async def test_an_agency_that_keeps_none_says_so() -> None:
    async with agency(None) as it, client(serve(it)) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 404
    assert "telemetry=Telemetry()" in answer.text


@pytest.mark.parametrize(("scopes", "status"), [("", 403), ("approvals", 403), ("metrics", 200), ("admin", 200)])
async def test_where_it_is_asked_who_asks_figures_are_for_those_with_the_scope(scopes: str, status: int) -> None:
    async with agency(Telemetry(spans=False)) as it, client(serve(it, authenticate=who)) as http:
        assert (await http.get("/metrics", headers={"x-scopes": scopes})).status_code == status


@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_is_part_of_the_clients_trace(traces: Traces, stream: bool) -> None:
    body = {"model": "A", "messages": [{"role": "user", "content": "go"}], "stream": stream}
    async with agency(traces.telemetry) as it, client(serve(it)) as http:
        await http.post("/v1/chat/completions", json=body, headers={"traceparent": PARENT})
    run = traces.named("invoke_agent A")
    assert run.parent is not None
    assert (run.parent.trace_id, run.parent.span_id) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert {span.context.trace_id for span in traces.spans if span.context is not None} == {run.parent.trace_id}


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "é"])
async def test_a_header_that_names_no_span_names_none(traces: Traces, header: str) -> None:
    body = {"model": "A", "messages": [{"role": "user", "content": "go"}]}
    async with agency(traces.telemetry) as it, client(serve(it)) as http:
        await http.post("/v1/chat/completions", json=body, headers=[(b"traceparent", header.encode())])
    assert traces.named("invoke_agent A").parent is None


async def test_a_client_that_does_not_want_its_trace_kept_has_none_kept(traces: Traces) -> None:
    body = {"model": "A", "messages": [{"role": "user", "content": "go"}]}
    async with agency(traces.telemetry) as it, client(serve(it)) as http:
        await http.post("/v1/chat/completions", json=body, headers={"traceparent": PARENT[:-1] + "0"})
    assert traces.spans == []


async def test_whichever_worker_is_asked_tells_the_figures_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    key = (("A", ""),)
    other = Family("callboard_runs", "Runs", "counter", ("gen_ai_agent_name", "error"), dict.fromkeys(key, 7.0))
    (tmp_path / "1.json").write_text(written([other]))
    (tmp_path / "2.json").write_text("half a fi")
    old = tmp_path / "3.json"
    old.write_text(written([other]))
    os.utime(old, (1, 1))  # a worker that was killed long ago
    async with agency(Telemetry(spans=False)) as it:
        app = serve(it)
        async with app.router.lifespan_context(app), client(app) as http:
            await it.run("go")
            left = tmp_path / f"{os.getpid()}.json"
            await until(left.exists)
            text = (await http.get("/metrics")).text
        assert not left.exists()
    runs = [line for line in text.splitlines() if line.startswith("callboard_runs_total{")]
    assert runs == [
        f'callboard_runs_total{{error="",gen_ai_agent_name="A",worker="{os.getpid()}"}} 1.0',
        'callboard_runs_total{error="",gen_ai_agent_name="A",worker="1"} 7.0',
    ]
    used = [line for line in text.splitlines() if line.startswith("process_")]
    assert used, "each worker tells what it uses"
    assert all(f'{{worker="{os.getpid()}"}}' in line for line in used)


@pytest.mark.parametrize("workers", [False, True])
async def test_a_process_whose_agency_was_stopped_tells_what_it_uses_and_the_figures_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, workers: bool
) -> None:
    other = Family("callboard_runs", "Runs", "counter", ("gen_ai_agent_name", "error"), {("A", ""): 7.0})
    (tmp_path / "1.json").write_text(written([other]))
    if workers:
        monkeypatch.setenv(FOLDER, str(tmp_path))
        monkeypatch.setattr("callboard.actors.serving.operations.metrics.EVERY", 0.01)
    async with agency(Telemetry(spans=False)) as it:
        app = serve(it)
        async with app.router.lifespan_context(app), client(app) as http:
            await it.run("go")
            left = tmp_path / f"{os.getpid()}.json"
            await until(lambda: not workers or (left.exists() and "callboard_runs" in left.read_text()))
            await it.stop()
            await until(lambda: not workers or "callboard_runs" not in left.read_text())
            answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert "process_resident_memory_bytes" in answer.text
    runs = [line for line in answer.text.splitlines() if line.startswith("callboard_runs_total{")]
    assert runs == ['callboard_runs_total{error="",gen_ai_agent_name="A",worker="1"} 7.0'] * workers
    assert not caplog.records


def test_figures_are_the_same_when_another_process_has_read_them() -> None:
    times = Histogram(Bound(), "took_seconds", "Time", "tool")
    times.add(("add",), 0.5)
    assert read(written([times.read()])) == (times.read(),)
    with pytest.raises(ValueError, match="no figures"):
        read("[1]")


async def test_an_agency_says_how_its_providers_its_journal_and_its_process_do(tmp_path: Path) -> None:
    pool = ChildSpec(Pool, ((Endpoint("one", function(lambda request: "done"), models=("m",)),),), name="pool")
    it = Agency(Agent("A", model="m"), pool=pool, journal=tmp_path / "runs.db")
    async with it, client(serve(it, authenticate=who)) as http:
        await it.run("go")
        assert (await http.get("/agency/health", headers={"x-scopes": "approvals"})).status_code == 403
        told = (await http.get("/agency/health", headers={"x-scopes": "metrics"})).json()
    assert told["available"] is True
    (endpoint,) = told["pools"]["pool"]["endpoints"]
    assert (endpoint["name"], endpoint["state"], endpoint["models"][0]["model"]) == ("one", "closed", "m")
    assert told["journal_lag"] >= 0
    assert told["resources"]["memory"] > 1_000_000
    assert told["resources"]["processor"] > 0
    assert told["resources"]["disk_free"] > 0
