"""Whatever stands anywhere in a configuration file: it is refused by name and line, or an agency starts with it."""

from __future__ import annotations

import copy
import datetime
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.agents.teamfile import load_team, open_agency
from callboard.providers.config.yamlfile import ConfigError

EVERYTHING = """\
default_model: large
aliases: {large: "one:big", small: two:little}
roles: {Planner: large}
agent_models: {Writer: {primary: two, model: little}}
fallback: {large: [small]}
routing: weighted
retry: {attempts: 3, initial: 0.1, factor: 2.0, maximum: 5, retry_after_cap: 10, attempt_timeout: 20}
breaker: {window: 5, error_rate: 0.5, max_age: 30, pause: 1, factor: 2, max_pause: 10, ramp: 8}
hedge: {quantile: 0.9, minimum: 0.1, maximum: 1.0, budget: 0.05}
cache: {size: 10, ttl: 60}
batching: {size: 5}
budgets:
  - {scope: tenant, name: acme, dollars: 5, period: day}
  - {scope: pool, name: "", dollars: 100}
prices: {big: {input: 1, output: 2, cache_read: 0.1, cache_write: 1.2}}
coalesce: true
queue_timeout: 20
probe_interval: 600
providers:
  one:
    type: offline
    keys: [first-key, {api_key: second-key, limits: {requests_per_minute: 5}}]
    models: [big]
    limits: {requests_per_minute: 60, tokens_per_minute: 1000, concurrency: 4, requests_per_day: 9, rule: bucket}
    model_limits: {big: {requests_per_minute: 5}}
    headers: {X-Team: callboard}
    timeout: 30
    connect_timeout: 5
    max_in_flight: 8
    fallback_provider: two
    priority: 1
    weight: 2.0
    capabilities: [tools]
    defaults: {temperature: 0.2, stop: [END]}
    model_defaults: {big: {max_tokens: 100}}
  two:
    type: offline
    api_key: a-key
    default_model: little
    rate_limit_rpm: 30
    retry: {attempts: 2}
    breaker: {window: 3}
    enabled: true
agents:
  Planner:
    instructions: Plan.
    description: Plans.
    tools: ["pathlib:Path.cwd"]
    handoffs: [Writer]
    autonomy: supervised
    output_type: "fractions:Fraction"
    limits: {steps: 5, tokens: 1000, cost: 0.5, seconds: 60, ask: false}
    settings: {temperature: 0.5, max_tokens: 50, batch: true}
  Writer: {hooks: [], skills: [], mcp: []}
flows: [[Planner, Writer], [Writer, "*"]]
on_usage: builtins:id
shared_instructions: Be brief.
mcp_servers:
  files: {command: [no-such-program], prefix: fs_, timeout: 5, trust_hints: true}
  web: {url: "https://tools.example/mcp"}
retention: {finished: 3600, ephemeral: 60}
handoff_limits: {depth: 3, visits: 2, repeats: 1, total: 9}
approvals_expire: 60
telemetry: {spans: false, endpoint: "http://collector:4318", content: true, series: 900}
"""


@pytest.fixture(scope="module", autouse=True)
def _nobody_collects() -> Iterator[None]:
    """What cannot be sent to the collector is given up soon: each agency that starts would try for 5 s at its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.01")
        yield


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in entries:
        yield from places(item, (*at, step))


WHOLE = yaml.safe_load(EVERYTHING)
PLACES = [place for place in places(WHOLE) if place]
# No names of modules that could be imported: what they do would be done.
TEXTS = st.sampled_from(
    ["", "big", "one", "two", "Planner", "offline", "*", "${X}", "$", "a b", "\0", "é", "1", "../x"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**400]),
    st.floats(),
    TEXTS,
    st.text(max_size=5).filter(lambda text: ":" not in text),
    st.dates(),
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.binary(max_size=3),
    st.just({"a", "b"}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(TEXTS | st.integers() | st.booleans() | st.dates() | st.none(), inner, max_size=2)
    ),
    max_leaves=3,
)


def damaged(place: tuple[Any, ...], value: Any) -> str:
    whole = copy.deepcopy(WHOLE)
    inner: Any = whole
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


async def check(path: Path) -> None:
    """Start the team of a file, or look at why it is refused."""
    refused: ConfigError | None = None
    try:
        team = load_team(path, env={"HOME": "/"})
    except ConfigError as error:
        refused = error
    if refused is not None:
        assert refused.line >= 1, refused
        assert str(refused).startswith(f"{path}, line "), refused
        assert "a-key" not in str(refused), refused
    elif not team.servers:
        async with open_agency(team) as agency:
            assert set(agency.agents) == set(team.agents)


async def test_the_whole_file_as_it_stands_starts(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(EVERYTHING)
    team = load_team(tmp_path / "team.yaml", env={})
    assert repr(team).count("-key") == 0
    await check(tmp_path / "team.yaml")


def at_the(place: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda inner, step: inner[step], place, WHOLE)


@pytest.mark.parametrize("place", [one for one in PLACES if type(at_the(one)) in (int, float)], ids=str)
async def test_a_number_too_large_to_reckon_with_is_refused_with_its_line_or_starts(
    tmp_path: Path, place: tuple[Any, ...]
) -> None:
    for value in (10**15 + 1, -(10**16), 1e300):
        (tmp_path / "team.yaml").write_text(damaged(place, value))
        await check(tmp_path / "team.yaml")


@given(place=st.sampled_from(PLACES), value=VALUES)
async def test_any_value_at_any_place_is_refused_with_its_line_or_starts(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    path = tmp_path_factory.mktemp("any", numbered=True) / "team.yaml"
    path.write_text(damaged(place, value), encoding="utf-8")
    await check(path)
