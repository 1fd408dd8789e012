"""The scenarios of ``benchmarks serve`` at a tiny size: each server does the work that is counted. Nothing is timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from benchmarks import serve
from benchmarks.harness import Unsupported
from benchmarks.subjects import served


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[serve.Servers]:
    monkeypatch.setattr(serve, "WARM", 1)
    with ExitStack() as stack:
        yield serve.Servers(stack)


def test_what_is_compared_is_what_the_suite_has() -> None:
    suite = serve.suite(quick=True)
    try:
        assert {(case.scenario, case.subject) for case in suite.cases} == {
            *((scenario, subject) for scenario in (*served.PROTOCOLS, "idle") for subject in ("bare", "callboard")),
            *((f"{scenario}_whole", "bare") for scenario in ("plain", "chunks")),
            *((f"{scenario}_whole", "callboard") for scenario in ("plain", "chunks")),
            *((f"{scenario}_whole", "litellm") for scenario in ("plain", "chunks")),
            ("kept", "callboard"),
        }
    finally:
        suite.close()


@pytest.mark.parametrize("scenario", served.PROTOCOLS)
def test_each_server_writes_what_ours_writes(servers: serve.Servers, scenario: str) -> None:
    ours = servers.started("callboard", scenario).ask(scenario, 1)
    assert "three" in str(ours) or "word 19" in str(ours)
    for kind in ("bare", "turn"):
        assert _shape(servers.started(kind).ask(scenario, 1)) == _shape(ours)


def _shape(answer: Any) -> Any:
    """An answer without what is another each time; pieces of text are told together."""
    if isinstance(answer, dict):
        return {name: _shape(value) for name, value in answer.items()}
    if isinstance(answer, list):
        shapes = [_shape(one) for one in answer]
        return [one for one, before in zip(shapes, (None, *shapes), strict=False) if one != before]
    return type(answer)


def test_requests_are_measured(servers: serve.Servers) -> None:
    for scenario in served.PROTOCOLS:
        sample = servers.cost("callboard", scenario, 3)
        assert (sample.unit, sample.value > 0) == ("µs", True)
        assert servers.apart(scenario, 3).unit == "µs"


def test_memory_is_measured_of_streams_that_wait_and_of_requests_that_are_over(servers: serve.Servers) -> None:
    assert servers.idle("bare", 3).unit == servers.idle("callboard", 3).unit == "MB"
    assert servers.kept(3, 6).unit == "MB"


def test_a_proxy_that_is_not_installed_is_named(
    servers: serve.Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(serve, "PEERS", tmp_path / "python")
    with pytest.raises(Unsupported, match="make bench-peers"):
        servers.cost("litellm", "plain", 1)
