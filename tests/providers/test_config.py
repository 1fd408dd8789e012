"""llm.yaml: providers, limits, fallbacks, roles, and errors that name the line."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from callboard.actors import System
from callboard.providers.clouds import CLOUDS
from callboard.providers.config.llmfile import LlmConfig, load_config
from callboard.providers.config.pool import pool_from_config
from callboard.providers.config.provider import ProviderSettings
from callboard.providers.config.yamlfile import ConfigError
from callboard.providers.embeddings import EMBEDDING_LIMIT, EmbeddingLimit
from callboard.providers.messages import Message, Request
from callboard.providers.pool import (
    Batching,
    BreakerPolicy,
    Budget,
    Cheapest,
    Endpoint,
    GetHealth,
    GetStats,
    Hedge,
    Pool,
    Price,
    Quota,
    Requester,
    RetryPolicy,
    SqliteCache,
    Submit,
    SwitchProvider,
)
from callboard.providers.registry.dated import dated
from callboard.providers.registry.presets import PRESETS
from callboard.providers.registry.resolve import Target, from_environment
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.spec import ProviderSpec
from tests.pages.page import Page

pytestmark = pytest.mark.usefixtures("without_litellm")

ENV = {"OPENAI_API_KEY": "sk-secret-1", "ACME_KEY": "sk-secret-2"}
GOOD = """
default_model: large
aliases: {large: openai:gpt-5.4, small: acme-1}
fallback:
  large: [small]
roles: {Planner: large, Developer: small}
providers:
  openai:
    api_key: ${OPENAI_API_KEY}
    limits: {requests_per_minute: 500, tokens_per_minute: 200000, concurrency: 64}
  acme:
    type: anthropic
    base_url: ${ACME_URL:-https://llm.acme.example}
    api_key: ${ACME_KEY:?ask for one}
    models: [acme-1]
    defaults: {temperature: 0.2, stop: [END]}
    model_defaults: {acme-1: {max_tokens: 100}}
  spare:
    type: groq
    api_key: ${NEVER_SET}
    enabled: false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "llm.yaml"
    path.write_text(text)
    return path


def test_a_file_says_which_providers_and_models_there_are(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD), ENV)
    registry = config.registry(ENV)
    assert registry.names() == ["openai", "acme", "offline"]
    assert registry.resolve() == Target("openai", "gpt-5.4")
    assert registry.resolve("small") == Target("acme", "acme-1")
    assert config.model_for("Developer") == "small"
    assert config.model_for("Somebody") == "large"
    assert pool_from_config(config, env=ENV).kwargs["fallbacks"] == {"openai:gpt-5.4": ("small",)}
    acme = registry.providers["acme"]
    assert (acme.kind, acme.base_url, acme.secret) == ("anthropic", "https://llm.acme.example", "sk-secret-2")
    completed = acme.completed(Request((Message("user", "x"),), model="acme-1"))
    assert (completed.temperature, completed.stop, completed.max_tokens) == (0.2, ("END",), 100)
    assert config.providers["openai"].limits.requests_per_minute == 500


def test_no_key_shows_in_the_configurations_repr(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD), ENV)
    assert "sk-secret" not in repr(config) + repr(config.registry(ENV)) + repr(pool_from_config(config, env=ENV))


def test_a_vendors_key_may_come_from_its_own_variable(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "providers: {openai: {}}"), ENV)
    assert config.registry(ENV).providers["openai"].secret == "sk-secret-1"


def test_a_vendors_variables_are_read_alike_with_a_file_and_without(tmp_path: Path) -> None:
    env = {
        "OPENAI_API_KEY": " ",
        "GEMINI_API_KEY": "\t",
        "GOOGLE_API_KEY": " sk-secret-1\n",
        "AZURE_OPENAI_API_KEY": "sk-secret-2 ",
        "AZURE_OPENAI_ENDPOINT": " https://my.openai.azure.com ",
        "OPENAI_API_VERSION": "2024-10-21\n",
    }
    around = from_environment(env).providers
    registry = load_config(written(tmp_path, "providers: {gemini: {}, azure: {default_model: m}}"), env).registry(env)
    for name, key in (("gemini", "sk-secret-1"), ("azure", "sk-secret-2")):
        said = registry.providers[name]
        assert said.secret == key
        assert (said.secret, said.base_url, said.cloud) == (
            around[name].secret,
            around[name].base_url,
            around[name].cloud,
        )
    with pytest.raises(ConfigError, match="expected an api_key, or OPENAI_API_KEY in the environment"):
        load_config(written(tmp_path, "providers: {openai: {}}"), env)


def test_a_file_without_providers_leaves_the_environments(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "default_model: gpt-4o"), ENV)
    assert config.registry(ENV).resolve() == Target("openai", "gpt-4o")


def test_a_list_of_fallbacks_is_the_default_models(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "default_model: gpt-4o\nfallback: [gpt-5.4-mini]"), ENV)
    fallbacks = pool_from_config(config, env=ENV).kwargs["fallbacks"]
    assert fallbacks == {"openai:gpt-4o": ("gpt-5.4-mini",)}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("providers:\n  openai:\n    api_key: ${NOPE}\n", 3, ["NOPE"]),
        ("providers:\n  groq: {}\n", 2, ["api_key", "GROQ_API_KEY"]),
        ("providers:\n  mine: {api_key: k}\n", 2, ["base_url"]),
        ("providers:\n  mine:\n    type: grok\n", 3, ["expected one of", "openai"]),
        (
            "providers:\n  openai:\n    limits: {requests_per_minute: 0}\n",
            3,
            ["requests_per_minute is 0", "at least 1"],
        ),
        ("providers:\n  openai:\n    timeot: 5\n", 3, ["did you mean 'timeout'"]),
        (
            "providers:\n  openai:\n    defaults: {temprature: 1}\n",
            3,
            ["no field of a request", "did you mean 'temperature'"],
        ),
        ("default_model: gpt-4o\nroles:\n  Planner: claude-x\n", 3, ["ANTHROPIC_API_KEY"]),
        ("roles:\n  Planner: wombat\n", 2, ["wombat", "provider:model"]),
        ("fallback:\n  gpt-4o:\n    - gpt-5.4\n    - wombat\n", 4, ["wombat"]),
        ("provider: {}\n", 1, ["did you mean 'providers'"]),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_expectation(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text), {"OPENAI_API_KEY": "sk-secret-1"})
    assert caught.value.line == line, str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert "sk-secret" not in str(caught.value)


async def test_a_pool_made_from_a_file_serves_its_models_and_falls_back(tmp_path: Path) -> None:
    async with SimulatedProvider() as good, SimulatedProvider() as bad:
        text = f"""
            default_model: one:m1
            fallback: [two:m2]
            providers:
              one: {{base_url: "{bad.base_url}", models: [m1]}}
              two: {{type: anthropic, base_url: "{good.url}", models: [m2], api_key: k}}
        """
        config = load_config(written(tmp_path, text), {})
        async with System("config") as system:
            pool = system.supervise(pool_from_config(config, env={}))
            request = Request((Message("user", "hello"),))
            assert (await pool.ask(request, timeout=20)).provider == "one"
            await bad.stop()
            assert (await pool.ask(request, timeout=20)).provider == "two"


ASSIGNED = """
providers:
  openai:
    api_key: ${OPENAI_API_KEY}
    default_model: gpt-5.4
    rate_limit_rpm: 500
    fallback_provider: acme
    enabled: true
  acme:
    base_url: https://llm.acme.example/v1
    api_key: ${ACME_KEY}
    default_model: acme-1
    fallback_provider: openai
  spare:
    api_key: ${NEVER_SET}
    enabled: false
agent_models:
  planner: {primary: openai, model: gpt-5.4-pro}
  tool-maker: {primary: acme}
"""


def endpoints_of(config: LlmConfig, *models: str, **env: str) -> dict[str, Endpoint]:
    return {endpoint.name: endpoint for endpoint in pool_from_config(config, models or ("",), env or ENV).args[0]}


def test_agents_are_assigned_to_providers_which_stand_in_for_each_other(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ASSIGNED), ENV)
    assert config.model_for("Planner") == "openai:gpt-5.4-pro"
    assert config.model_for("Tool_Maker") == "acme"
    assert config.model_for("Somebody") == ""
    made = endpoints_of(config)
    assert made["openai"].limits == Quota(requests_per_minute=500, concurrency=256)
    fallbacks = pool_from_config(config, env=ENV).kwargs["fallbacks"]
    assert fallbacks == {"openai:*": ("acme:acme-1",), "acme:*": ("openai:gpt-5.4",)}
    lesser = load_config(written(tmp_path, ASSIGNED + "fallback: {acme: [openai:gpt-5.4-mini]}"), ENV)
    fallbacks = pool_from_config(lesser, env=ENV).kwargs["fallbacks"]
    assert fallbacks["acme:acme-1"] == ("openai:gpt-5.4-mini", "openai:gpt-5.4")


def test_who_stands_in_is_preferred_to_others_and_one_that_is_switched_off_is_passed_over(tmp_path: Path) -> None:
    text = """
        providers:
          a: {type: offline, default_model: m, fallback_provider: b}
          x: {type: offline, default_model: m}
          b: {type: offline, default_model: m, fallback_provider: c, enabled: false}
          c: {type: offline, default_model: m, fallback_provider: a}
    """
    config = load_config(written(tmp_path, text), {})
    assert config.stand_ins("a") == ["c"]
    made = endpoints_of(config, "a:m", "x:m", "c:m")
    assert sorted(made, key=lambda name: made[name].priority) == ["a", "c", "x"]


async def test_while_a_provider_is_down_the_one_that_stands_in_answers(tmp_path: Path) -> None:
    async with SimulatedProvider() as good, SimulatedProvider() as bad:
        text = f"""
            providers:
              one: {{base_url: "{bad.base_url}", default_model: m1, fallback_provider: two}}
              two: {{base_url: "{good.base_url}", default_model: m2}}
        """
        config = load_config(written(tmp_path, text), {})
        async with System("config") as system:
            pool = system.supervise(pool_from_config(config, ["one:m1"], {}))
            await bad.stop()
            answer = await pool.ask(Request((Message("user", "hello"),), model="one:m1"), timeout=20)
    assert answer.provider == "two"
    assert "degraded to model two:m2" in answer.notes


KEYS = """
providers:
  acme:
    base_url: {base}
    models: [m1]
    limits: {{requests_per_minute: 1}}
    keys:
      - ${{FIRST}}
      - {{api_key: "${{SECOND}}", limits: {{requests_per_minute: 2}}}}
"""


async def test_each_key_of_a_provider_has_its_limits_to_itself(tmp_path: Path) -> None:
    env = {"FIRST": "sk-secret-1", "SECOND": "sk-secret-2"}
    async with SimulatedProvider() as server:
        config = load_config(written(tmp_path, KEYS.format(base=server.base_url)), env)
        spec = pool_from_config(config, ["acme:m1"], env)
        assert "sk-secret" not in repr(spec) + repr(config)
        async with System("config") as system:
            pool = system.supervise(spec)
            request = Request((Message("user", "hello"),), model="acme:m1")
            for _ in range(3):
                assert (await pool.ask(request, timeout=20)).provider == "acme"
            assert not (await pool.ask(GetHealth())).available
            stats = await pool.ask(GetStats())
    assert {name: counts.answered for name, counts in stats.endpoints.items()} == {"acme-1": 1, "acme-2": 2}


async def test_a_provider_of_several_keys_is_addressed_by_its_own_name(tmp_path: Path) -> None:
    env = {"FIRST": "sk-secret-1", "SECOND": "sk-secret-2"}
    async with SimulatedProvider() as server:
        text = f"{KEYS.format(base=server.base_url)}  other: {{type: offline}}\n"
        text += "budgets: [{scope: provider, name: acme, dollars: 1}]\nprices: {m1: {input: 1, output: 1}}\n"
        config = load_config(written(tmp_path, text), env)
        async with System("config") as system:
            pool = system.supervise(pool_from_config(config, ["other:rules"], env))
            request = Request((Message("user", "hello"),), model="acme:m1")
            assert (await pool.ask(request, timeout=20)).provider == "acme"
            await pool.ask(SwitchProvider(agent="planner", endpoint="acme"))
            switched = Submit(Request(request.messages, "m1"), Requester(agent="planner"))
            assert (await pool.ask(switched, timeout=20)).provider == "acme"
            spent = (await pool.ask(GetStats())).spent
    assert spent["provider:acme"] == pytest.approx(spent["pool:"])


def test_requests_at_once_are_those_of_the_limits_or_else_what_is_sent_at_once(tmp_path: Path) -> None:
    text = """
        providers:
          a: {type: offline, default_model: m, limits: {concurrency: 4}, max_in_flight: 9}
          b: {type: offline, default_model: m, max_in_flight: 9}
          c:
            type: offline
            default_model: m
            limits: {concurrency: 4}
            keys: [k, {api_key: l, limits: {concurrency: 2}}]
    """
    made = endpoints_of(load_config(written(tmp_path, text), {}), "a:m", "b:m", "c:m")
    at_once = {name: endpoint.limits.concurrency for name, endpoint in made.items()}
    assert at_once == {"a": 4, "b": 9, "c-1": 4, "c-2": 2}


def test_what_the_pool_offers_stands_under_its_own_names(tmp_path: Path) -> None:
    text = """
        routing: cheapest
        retry: {attempts: 3}
        breaker: {pause: 2}
        hedge: {quantile: 0.5}
        batching: {size: 3}
        cache: {path: answers.db, ttl: 60}
        budgets:
          - {scope: user, name: "*", dollars: 2.5, period: day}
          - {scope: tenant, name: a, tokens: 7, requests: 8}
          - {scope: pool, dollars: 50}
        prices: {m: {input: 1, output: 2}}
        coalesce: true
        queue_timeout: 5
        probe_interval: 60
        providers:
          a: {type: offline, default_model: m, weight: 2, priority: 7, model_limits: {m: {concurrency: 1}}}
          b: {type: offline, default_model: m, retry: {attempts: 1}, breaker: {pause: 1}}
    """
    config = load_config(written(tmp_path, text), {})
    spec = pool_from_config(config, ["a:m", "b:m"], {})
    other = ("memory", "cache", "fallbacks", "registry")
    options = {name: value for name, value in spec.kwargs.items() if name not in other}
    assert options == {
        "routing": Cheapest(),
        "hedge": Hedge(quantile=0.5),
        "batching": Batching(size=3),
        "budgets": (
            Budget("user", "*", 2.5, "day"),
            Budget("tenant", "a", tokens=7, requests=8),
            Budget("pool", dollars=50.0),
        ),
        "prices": {"m": Price(1, 2)},
        "coalesce": True,
        "queue_timeout": 5,
        "probe_interval": 60,
    }
    assert isinstance(spec.kwargs["cache"], SqliteCache)
    assert config.cache is not None
    assert config.cache.path == str(tmp_path / "answers.db")
    a, b = spec.args[0]
    assert (a.retry, a.breaker, a.weight, a.priority) == (RetryPolicy(3), BreakerPolicy(pause=2), 2, 7)
    assert a.model_limits == {"m": Quota(concurrency=1)}
    assert (b.retry, b.breaker) == (RetryPolicy(1), BreakerPolicy(pause=1))


def test_every_option_of_the_pool_that_is_plain_data_can_stand_in_a_file() -> None:
    not_data = {"registry", "memory", "clock", "on_usage", "journal", "seed", "endpoints", "self"}
    said = {"fallbacks": "fallback"}
    options = set(inspect.signature(Pool.__init__).parameters) - not_data
    missing = {name for name in options if said.get(name, name) not in LlmConfig.model_fields}
    assert not missing, "add a line to LlmConfig, and to the page"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("retry:\n  attempts: 0", 2, ["attempts is 0", "at least 1"]),
        ("retry:\n  atempts: 3", 2, ["did you mean 'attempts'"]),
        ("retry: 3", 1, ["expected a mapping of attempts, initial", "not 3"]),
        ("breaker:\n  error_rate: 2", 2, ["error_rate is 2", "a share"]),
        ("hedge:\n  quantile: .nan", 2, ["quantile", "finite"]),
        ("prices:\n  m:\n    input: 1", 2, ["'output' is missing"]),
        ("prices:\n  m:\n    input: -1\n    output: 1", 3, ["input is -1", "at least 0"]),
        (
            "budgets:\n  - scope: planet\n    name: earth\n    dollars: 1",
            2,
            ["scope", "expected 'pool'", "not 'planet'"],
        ),
        ("budgets:\n  - {scope: tenant, name: a, dollars: 1, period: week}", 2, ["period", "'day'", "not 'week'"]),
        ("budgets:\n  - {scope: tenant, name: a, dollars: -1}", 2, ["not below 0"]),
        ("budgets:\n  - {scope: tenant, dollars: 1}", 2, ["tenant", "needs a name, or '*' for each"]),
        ("routing: fastest", 1, ["'priority'", "not 'fastest'"]),
        ("cache: {path: nowhere/answers.db}", 1, ["folder that exists", "nowhere/answers.db"]),
        ("cache: {ttl: 0}", 1, ["greater than 0"]),
        ("providers:\n  a b: {type: offline}", 2, ["letters, digits"]),
        ("providers:\n  a:\n    base_url: llm.example", 3, ["expected an address", "not 'llm.example'"]),
        ("providers:\n  a: {type: offline, keys: sk-secret-9}", 2, ["expected a list of keys", "what stands there"]),
        ('providers:\n  a: {type: offline, keys: [k, ""]}', 2, ["keys.1", "at least 1"]),
        ("providers:\n  a: {type: offline, api_key: sk secret-9}", 2, ["printable characters"]),
        ("providers:\n  a: {type: offline, api_key: k, keys: [l]}", 2, ["write one of them"]),
        (
            "providers:\n  a: {type: offline, rate_limit_rpm: 1, limits: {requests_per_minute: 1}}",
            2,
            ["write one of them"],
        ),
        ("providers:\n  a: {type: offline, keys: [k]}\n  a-1: {type: offline}", 2, ["another name", "a-1"]),
        ("providers:\n  aa: {type: offline, fallback_provider: bb}\n  bc: {type: offline}", 2, ["did you mean 'bc'"]),
        ("providers:\n  aa: {type: offline}\nagent_models:\n  P: {primary: ab}", 4, ["no provider", "'ab'"]),
        ("roles: {P: offline}\nagent_models:\n  p: {primary: offline}", 3, ["stands in roles, too"]),
        ("providers:\n  a: {type: offline, defaults: {temperature: hot}}", 2, ["temperature is wrong", "number"]),
        ("aliases: {4: offline}", 1, ["YAML reads '4' as a number", "in quotes"]),
        ("agents: {}", 1, ["unknown entry"]),
        ("providers:\n  a: {type: offline, limits: {rule: leaky}}", 2, ["rule", "'window' or 'bucket'", "not 'leaky'"]),
        ("queue_timeout: true", 1, ["expected a number, not True"]),
        ("retry:\n  attempts: yes", 2, ["expected a number, not True"]),
        ("providers:\n  a: {type: offline, model_limits: {m: {concurrency: on}}}", 2, ["expected a number, not True"]),
        ("budgets:\n  - {scope: user, name: a, dollars: true}", 2, ["expected a number, not True"]),
        ("providers:\n  a: {type: offline, defaults: {temperature: .nan}}", 2, ["temperature", "finite"]),
        ("providers:\n  a: {type: offline, keys: []}", 2, ["expected a list of keys", "not an empty list"]),
        (
            "providers:\n  a:\n    type: offline\n    keys:\n      - secret-9\n      - b\n      - secret-9",
            7,
            ["keys.0"],
        ),
        ("providers:\n  aa: {type: offline, fallback_provider: aa}", 2, ["cannot stand in for itself"]),
        ("providers:\n  aa: {type: offline, fallback_provider: zz}", 2, ["'zz'", "has no provider"]),
        ("cache:\n  path: a.db\n  size: 10", 3, ["size is for a cache in memory"]),
        ("aliases:\n  one-two: offline\n  One_Two: offline", 3, ["the same name as 'one-two'"]),
        ("roles:\n  Planner: offline\n  planner: offline", 3, ["the same name as 'Planner'"]),
    ],
)
def test_wrong_settings_are_refused_with_line_and_expectation(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text), {})
    assert caught.value.line == line, str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert "secret-9" not in str(caught.value)


TWO = """\
aliases: {large: "one:big", little: small}
providers:
  one: {type: offline, models: [big, tiny], default_model: big, keys: [k, l]}
  two: {type: offline, models: [big, small], default_model: small}
"""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("fallback:\n  large: [one:big]", 6, ["'one:big' is the model itself"]),
        ("fallback:\n  - small\n  - large", 7, ["'large' is the model itself"]),
        ("fallback:\n  large: [small, little]", 6, ["'little' stands there already"]),
        ("fallback:\n  large: [small]\n  one:big: [two]", 7, ["the same model as 'large'"]),
        ("budgets:\n  - {scope: provider, name: nobody, dollars: 1}", 6, ["no provider", "one, one-1, one-2, two"]),
        ("budgets:\n  - {scope: key, name: one, dollars: 1}", 6, ["no key is called 'one'", "did you mean 'one-"]),
        ("budgets:\n  - {scope: model, name: wombat, dollars: 1}", 6, ["no provider knows the model 'wombat'"]),
        (
            "budgets:\n  - {scope: user, name: '*', dollars: 1}\n  - {scope: user, name: '*', dollars: 2}",
            7,
            ["user:* has a budget already"],
        ),
        (
            "budgets:\n  - {scope: model, name: little, dollars: 1}\n  - {scope: model, name: two:small, dollars: 2}",
            7,
            ["model:small has a budget already"],
        ),
        ("prices:\n  wombat: {input: 1, output: 1}", 6, ["no provider knows the model 'wombat'"]),
        (
            "prices:\n  small: {input: 1, output: 1}\n  little: {input: 1, output: 2}",
            7,
            ["'small' stands there already by another name"],
        ),
        ("  acme: {type: offline, models: [m], model_limits: {w: {concurrency: 1}}}", 5, ["acme has no model 'w'"]),
        (
            "  acme: {type: offline, model_defaults: {little: {seed: 1}}}",
            5,
            ["'little' is a model of two; expected one of acme"],
        ),
        ("  acme: {type: offline, model_limits: {two:small: {concurrency: 1}}}", 5, ["a model of two"]),
    ],
)
def test_what_nothing_in_the_file_knows_or_what_is_said_twice_is_refused(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, TWO + text), {})
    for word in words:
        assert word in str(caught.value)
    assert caught.value.line == line, str(caught.value)


def test_an_alias_is_a_model_wherever_one_is_named(tmp_path: Path) -> None:
    text = """
        aliases: {large: acme:big, tiny: large}
        providers:
          acme:
            base_url: https://llm.example
            default_model: small
            models: [big]
            model_limits: {large: {concurrency: 3}, acme:small: {concurrency: 2}}
            model_defaults: {tiny: {seed: 7}}
        prices: {large: {input: 1, output: 2}, small: {input: 0, output: 0}}
        budgets:
          - {scope: model, name: large, dollars: 1}
          - {scope: model, name: acme:small, dollars: 1}
          - {scope: model, name: "*", dollars: 1}
    """
    spec = pool_from_config(load_config(written(tmp_path, text), {}), env={})
    acme = spec.args[0][0]
    assert acme.model_limits == {"big": Quota(concurrency=3), "small": Quota(concurrency=2)}
    assert acme.spec.args[0].model_defaults == {"big": {"seed": 7}}
    assert spec.kwargs["prices"] == {"big": Price(1, 2), "small": Price(0, 0)}
    assert [budget.name for budget in spec.kwargs["budgets"]] == ["big", "small", "*"]


def test_a_model_that_a_provider_lists_is_its_own_also_where_an_alias_is_called_so(tmp_path: Path) -> None:
    text = """
        aliases: {small: other:big}
        providers:
          acme: {type: offline, models: [small], model_limits: {small: {concurrency: 3}}}
          other: {type: offline, models: [big]}
    """
    spec = pool_from_config(load_config(written(tmp_path, text), {}), env={})
    limits = {endpoint.name: endpoint.model_limits for endpoint in spec.args[0]}
    assert limits == {"acme": {"small": Quota(concurrency=3)}, "other": {}}


@pytest.mark.parametrize("listed", ["claude-3-haiku", "claude-3.5-sonnet", "claude-3-haiku-20240307"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("default", [True, False])
def test_what_is_said_of_a_model_holds_where_its_vendor_calls_it_by_a_date(
    tmp_path: Path, listed: str, default: bool, first: bool
) -> None:
    text = f"""
        providers:
          offline: {{enabled: {not first}}}
          anthropic:
            api_key: k
            models: [{listed}, claude-opus-4-1]
            default_model: {listed if default else "claude-opus-4-1"}
            model_limits: {{{listed}: {{requests_per_minute: 5}}}}
            model_defaults: {{{listed}: {{max_tokens: 7}}}}
        """
    spec = pool_from_config(load_config(written(tmp_path, text), {}), env={})
    *_, endpoint = spec.args[0]
    (provider,) = endpoint.spec.args
    own = endpoint.serves(listed)
    assert own == dated(listed)
    assert endpoint.model_limits == {own: Quota(requests_per_minute=5)}
    assert dict(provider.model_defaults) == {own: {"max_tokens": 7}}
    assert endpoint.default_model == provider.default_model == (own if default else "claude-opus-4-1")


def test_a_budget_of_a_provider_that_is_switched_off_waits_for_it(tmp_path: Path) -> None:
    text = """
        providers:
          a: {type: offline}
          b: {type: offline, enabled: %s}
        budgets: [{scope: provider, name: b, dollars: 1}, {scope: user, name: b, dollars: 1}]
    """
    for enabled, scopes in (("false", ["user"]), ("true", ["provider", "user"])):
        spec = pool_from_config(
            load_config(written(tmp_path, text % enabled), {}), ["b:m" if enabled == "true" else ""]
        )
        assert [budget.scope for budget in spec.kwargs["budgets"]] == scopes


@pytest.mark.parametrize("text", ["", "providers: {}", "default_model: offline", "providers: {offline: {}}"])
def test_a_file_that_says_nothing_of_providers_or_says_so_answers_offline(tmp_path: Path, text: str) -> None:
    assert load_config(written(tmp_path, text), {}).registry({}).resolve() == Target("offline", "offline")


def test_a_file_whose_providers_are_all_switched_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1: providers: none of them is enabled; .*offline: \{\}"):
        load_config(written(tmp_path, "providers:\n  openai: {enabled: false}\n  groq: {enabled: false}"), {})


def test_capital_letters_of_a_providers_name_are_its_own(tmp_path: Path) -> None:
    text = "providers: {Acme: {type: offline, default_model: m, models: [m]}}\ndefault_model: Acme:m"
    assert load_config(written(tmp_path, text), {}).registry({}).resolve() == Target("Acme", "m")


ELSEWHERE = {
    # of ProviderSpec
    "name": "the provider's place in the file",
    "kind": "type",
    "cloud": "the fields of `Azure`, `Bedrock` and `Vertex`, by their own names",
    "dialect": "a known vendor's comes with its type; a server that has copied the protocol speaks its older form",
    "token_counters": "a counter is code; a file has none",
    # of Endpoint
    "spec": "made of all the rest",
    "aliases": "the file's, which lead to a provider and its model",
    "unlisted": "so it is where models are left out",
    "vendor": "the type's; what a server of one's own takes is said by price",
    "group": "the provider's name, where there are keys",
    "key": "the names of the keys' endpoints",
}


def test_each_field_of_a_provider_and_of_an_endpoint_can_stand_in_a_file_or_is_said_elsewhere() -> None:
    wanted = {item.name for made in (ProviderSpec, Endpoint) for item in fields(made)}
    sayable = set(ProviderSettings.model_fields)
    assert wanted - sayable == set(ELSEWHERE), "add a line to ProviderSettings and to the page, or a reason here"
    assert {item.name for made in CLOUDS.values() for item in fields(made)} <= sayable
    assert "aliases" in LlmConfig.model_fields


def test_how_long_and_how_much_and_for_what_a_provider_takes_is_said_in_a_file(tmp_path: Path) -> None:
    text = """
        providers:
          a:
            base_url: https://llm.example
            default_model: m
            total_timeout: 600
            embedding_limit: {texts: 16, tokens: 4000}
            price: {input: 0.1, output: 0.2}
          voyage:
            base_url: https://embed.example
            default_model: m
            embedding_limit: {texts: 8}
          openai: {api_key: sk-secret-1}
    """
    config = load_config(written(tmp_path, text), {})
    a, voyage, openai = endpoints_of(config, "", "voyage:m", "openai:gpt-5.4").values()
    assert a.price == Price(0.1, 0.2)
    assert a.embedding_limit == EmbeddingLimit(16, 4000)
    assert (a.spec.args[0].total_timeout, a.spec.args[0].embedding_limit) == (600, EmbeddingLimit(16, 4000))
    assert voyage.embedding_limit == EmbeddingLimit(8, EMBEDDING_LIMIT.tokens)
    assert (openai.price, openai.spec.args[0].total_timeout, openai.embedding_limit) == (None, 1800, EMBEDDING_LIMIT)


def test_a_vendors_own_embedding_limit_stays_where_the_file_says_none(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "providers: {gemini: {api_key: sk-secret-1, default_model: m}}"), {})
    assert endpoints_of(config, "")["gemini"].embedding_limit == PRESETS["gemini"].embedding_limit


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("total_timeout: 0", ["total_timeout", "greater than 0"]),
        ("embedding_limit: {texts: 0}", ["texts is 0", "at least 1"]),
        ("embedding_limit: {vectors: 2}", ["vectors"]),
        ("price: {input: -1, output: 1}", ["input is -1", "at least 0"]),
    ],
)
def test_wrong_values_of_them_are_refused_with_their_line(tmp_path: Path, said: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, f"providers:\n  a:\n    type: offline\n    {said}\n"), {})
    assert "line 4: providers.a." in str(caught.value)
    for word in words:
        assert word in str(caught.value)


async def test_the_pages_file_is_taken_as_it_stands_and_says_everything(tmp_path: Path) -> None:
    text = Page("providers/README.md").block("yaml")
    keys = {name: f"sk-secret-{name}" for name in re.findall(r"\$\{(\w+)\}", text)}
    file = written(tmp_path, text)
    config = load_config(file, keys)
    assert set(LlmConfig.model_fields) == set(yaml.safe_load(text)), "each section is on the page"
    said = {name for provider in yaml.safe_load(text)["providers"].values() for name in provider}
    clouds = {"region", "profile", "project", "location"}  # on the page under Vendors
    assert set(ProviderSettings.model_fields) - clouds == said
    assert set(endpoints_of(config, "", **keys)) == {"openai", "anthropic-1", "anthropic-2", "acme", "azure"}
    assert "sk-secret" not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        "providers: {openai: sk-hush-4711}",
        "providers: {acme: {base_url: http://h, headers: Bearer sk-hush-4711}}",
        "providers: {acme: {base_url: http://h, headers: {X-Team: [sk-hush-4711]}}}",
        'providers: {acme: {base_url: http://h, api_key: "${ACME_KEY:-sk hush-4711}"}}',
        'providers: {acme: {base_url: http://h, api_key: "sk-hush-4711${"}}',
        "providers: {acme: {base_url: admin:hush-4711@llm.example.com/v1}}",
        "providers: {acme: {base_url: '${ACME_URL:-ftp://admin:hush-4711@llm.example.com}'}}",
    ],
)
def test_a_refusal_shows_no_key_and_no_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text), {})
    assert "hush" not in str(caught.value)
    assert caught.value.line == 1


def test_no_password_of_an_address_shows_in_the_configurations_repr(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "providers: {acme: {base_url: 'https://ada:hush@llm.example/v1'}}"), {})
    assert "hush" not in repr(config)
    assert "https://llm.example/v1" in repr(config)


@pytest.mark.parametrize("said", ["false", "${OTHER_ON:-false}", "${OTHER_ON:-No}", "${OFF}"])
def test_a_provider_may_be_switched_by_a_variable(tmp_path: Path, said: str) -> None:
    text = f"providers: {{offline: {{}}, other: {{enabled: '{said}', base_url: http://y, api_key: '${{NEVER_SET}}'}}}}"
    assert list(load_config(written(tmp_path, text.replace("'false'", "false")), {"OFF": "0"}).enabled()) == ["offline"]
    if "OTHER_ON" in said:
        with pytest.raises(ConfigError, match="NEVER_SET"):
            load_config(written(tmp_path, text), {"OTHER_ON": "true"})


def test_the_schema_takes_a_key_as_the_page_writes_it_and_says_how_long_a_cache_keeps() -> None:
    schema = LlmConfig.model_json_schema()
    assert {"type": "string"} in schema["$defs"]["ProviderSettings"]["properties"]["keys"]["items"]["anyOf"]
    ttl = inspect.signature(SqliteCache).parameters["ttl"].default
    assert schema["$defs"]["CacheSettings"]["properties"]["ttl"]["default"] == ttl


@pytest.mark.parametrize("kind", ["xai", "mistral", "groq"])
def test_a_vendor_under_another_name_has_its_vendors_prices_at_its_own_address_only(tmp_path: Path, kind: str) -> None:
    text = f"providers: {{one: {{type: {kind}, api_key: k}}, two: {{type: {kind}, api_key: j, base_url: http://h}}}}"
    one, two = pool_from_config(load_config(written(tmp_path, text), {}), env={}).args[0]
    assert (one.vendor, two.vendor) == (kind, "two")
