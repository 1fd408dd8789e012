"""The scenarios of ``benchmarks serve`` at a tiny size: each server does the work that is counted. Nothing is timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from benchmarks import serve
from benchmarks.harness import Unsupported
from benchmarks.subjects import served
from starlette.testclient import TestClient


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[serve.Servers]:
    monkeypatch.setattr(serve, "WARM", 1)
    with ExitStack() as stack:
        yield serve.Servers(stack)


def test_what_is_compared_is_what_the_suite_has() -> None:
    suite = serve.suite(quick=True)
    try:
        assert {(case.scenario, case.subject) for case in suite.cases} == {
            *((scenario, subject) for scenario in ("plain", "chunks", "idle") for subject in ("bare", "callboard")),
            *((f"{scenario}_whole", "bare") for scenario in ("plain", "chunks")),
            *((f"{scenario}_whole", "callboard") for scenario in ("plain", "chunks")),
            *((f"{scenario}_whole", "litellm") for scenario in ("plain", "chunks")),
            ("kept", "callboard"),
        }
    finally:
        suite.close()


@pytest.mark.parametrize("kind", ["bare", "turn", "callboard"])
def test_each_server_writes_an_answer_whole_and_in_as_many_pieces(kind: str) -> None:
    body = {"model": "Agent", "messages": [{"role": "user", "content": "hello"}]}
    with TestClient(served.app(kind)) as client:
        whole = client.post("/v1/chat/completions", json=body).json()
        assert whole["choices"][0]["message"]["content"] == "one two three"
        stream = client.post("/v1/chat/completions", json={**body, "stream": True}).text
    assert stream.endswith("data: [DONE]\n\n")
    assert "".join(f"word {number} " for number in range(served.CHUNKS)).split() == [
        word for piece in stream.split('"content":"')[1:] for word in piece.partition('"')[0].split()
    ]


def test_requests_are_measured(servers: serve.Servers) -> None:
    for stream in (False, True):
        sample = servers.cost("callboard", stream, 3)
        assert (sample.unit, sample.value > 0) == ("µs", True)
        assert servers.apart(stream, 3).unit == "µs"


def test_memory_is_measured_of_streams_that_wait_and_of_requests_that_are_over(servers: serve.Servers) -> None:
    assert servers.idle("bare", 3).unit == servers.idle("callboard", 3).unit == "MB"
    assert servers.kept(3, 6).unit == "MB"


def test_a_proxy_that_is_not_installed_is_named(
    servers: serve.Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(serve, "PEERS", tmp_path / "python")
    with pytest.raises(Unsupported, match="make bench-peers"):
        servers.cost("litellm", False, 1)
