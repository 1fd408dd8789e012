"""Settings in place of a file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import ConfigError, load_config, load_team
from callboard.providers.config.changes import changes_of

FILE = """
providers:
  acme.eu: {base_url: http://127.0.0.1:1, api_key: k, limits: {concurrency: 3, requests_per_minute: 60}}
  offline: {enabled: false}
hedge: {budget: 0.1, minimum: 0.5}
routing: weighted
"""
READ: dict[str, dict[str, Any]] = {
    "routing=cheapest": {"routing": "cheapest"},
    "routing=weighted,hedge=null": {"routing": "weighted", "hedge": None},
    "a={b: 1, c: [2, 3]} , d.e=1.5": {"a": {"b": 1, "c": [2, 3]}, "d.e": 1.5},
    "coalesce=true": {"coalesce": True},
    "default_model=a=b": {"default_model": "a=b"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "llm.yaml").write_text(FILE)
    return tmp_path / "llm.yaml"


@pytest.mark.parametrize("text", READ)
def test_settings_are_read_by_name(text: str) -> None:
    assert changes_of(text) == READ[text]


@pytest.mark.parametrize(
    "text", ["", "routing", "=1", "routing=", "a=1,a=2", "a=[1", "a={b: 1, b: 2}", "headers={}", "a=[{api_key: 1}]"]
)
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        changes_of(text)


def test_what_is_said_stands_in_place_of_the_files_and_the_rest_stays(file: Path) -> None:
    changes = changes_of("routing=cheapest,hedge.budget=0.3,queue_timeout=5,providers.*.limits.concurrency=8")
    found = load_config(file, changes=changes)
    assert (found.routing, found.queue_timeout) == ("cheapest", 5)
    assert found.hedge is not None
    assert (found.hedge.budget, found.hedge.minimum) == (0.3, 0.5)
    limits = found.providers["acme.eu"].limits
    assert (limits.concurrency, limits.requests_per_minute) == (8, 60)
    assert found.providers["offline"].limits.concurrency == 8
    assert load_config(file, changes=changes_of("providers.acme.eu.weight=4")).providers["acme.eu"].weight == 4
    assert load_config(file, changes={"hedge": None}).hedge is None
    assert load_config(file).routing == "weighted"


def test_of_a_team_they_are_those_of_the_file_that_has_the_models(file: Path) -> None:
    for said in (FILE, "config: llm.yaml"):
        (file.parent / "team.yaml").write_text(f"agents: {{Clerk: {{}}}}\n{said}")
        assert load_team(file.parent / "team.yaml", changes={"routing": "cheapest"}).config.routing == "cheapest"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing of the kind": ({"rout": "x"}, "no setting is called 'rout'; did you mean 'routing'?"),
    "of a team": ({"journal": "x"}, "no setting is called 'journal'; there are providers, "),
    "no provider": ({"providers.acme.weight": 2}, "no provider is called 'acme'; did you mean 'acme.eu'?"),
    "nothing there": ({"prices.*.input": 2}, "prices.*.input: the file has nothing there"),
    "within a text": ({"routing.x": 2}, "routing has no 'x' in it"),
    "twice": ({"providers.*.weight": 2, "providers.offline.weight": 3}, "providers.offline.weight is set twice"),
    "an entry": ({"hedge.most": 2}, "line 5: hedge.most: unknown entry"),
    "a value": ({"hedge.budget": "x"}, "line 5: hedge.budget: expected"),
    "a model": ({"default_model": "nope"}, "no provider knows the model 'nope'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_leads_nowhere_or_does_not_fit_is_refused_by_name(file: Path, name: str) -> None:
    changes, said = WRONG[name]
    with pytest.raises(ConfigError) as raised:
        load_config(file, changes=changes)
    assert said in str(raised.value)
