"""llm.yaml: providers, limits, fallbacks, roles, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from callboard.actors import System
from callboard.providers.config.config import load_config, pool_from_config
from callboard.providers.config.yamlfile import ConfigError
from callboard.providers.messages import Message, Request
from callboard.providers.registry.resolve import Target
from callboard.providers.simulated import SimulatedProvider

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
    assert config.fallbacks() == {"large": ("small",)}
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


def test_a_file_without_providers_leaves_the_environments(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "default_model: gpt-4o"), ENV)
    assert config.registry(ENV).resolve() == Target("openai", "gpt-4o")


def test_a_list_of_fallbacks_is_the_default_models(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "default_model: gpt-4o\nfallback: [gpt-5.4-mini]"), ENV)
    assert config.fallbacks() == {"": ("gpt-5.4-mini",), "gpt-4o": ("gpt-5.4-mini",)}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("providers:\n  openai:\n    api_key: ${NOPE}\n", 3, ["NOPE"]),
        ("providers:\n  groq: {}\n", 2, ["api_key", "GROQ_API_KEY"]),
        ("providers:\n  mine: {api_key: k}\n", 2, ["base_url"]),
        ("providers:\n  mine:\n    type: grok\n", 3, ["expected one of", "openai"]),
        ("providers:\n  openai:\n    limits: {requests_per_minute: 0}\n", 3, ["greater than or equal to 1"]),
        ("providers:\n  openai:\n    timeot: 5\n", 3, ["did you mean 'timeout'"]),
        ("providers:\n  openai:\n    defaults: {temprature: 1}\n", 3, ["fields of a request", "temprature"]),
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
