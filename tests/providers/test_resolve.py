"""Model names as users write them, and what the environment offers."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.core.base.errors import SpecError
from callboard.providers.errors import AuthenticationFailed, UnknownModel
from callboard.providers.messages import Message, Request
from callboard.providers.registry.presets import PRESETS
from callboard.providers.registry.resolve import Registry, Target, from_environment
from callboard.providers.spec import ProviderSpec

pytestmark = pytest.mark.usefixtures("without_litellm")

KEYS = {
    "OPENAI_API_KEY": "sk-o",
    "ANTHROPIC_API_KEY": "sk-a",
    "OPENROUTER_API_KEY": "sk-r",
    "OLLAMA_HOST": "127.0.0.1:11434",
    "LM_MODEL_LARGE": "openai:gpt-4o",
    "LM_MODEL_VERY_SMALL": "small",
    "LM_MODEL_SMALL": "claude-haiku-4-5",
}


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("o1", "openai", "o1"),
        ("o4-mini", "openai", "o4-mini"),
        ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        ("claude-sonnet-5", "anthropic", "claude-sonnet-5"),
        ("openai:gpt-4o", "openai", "gpt-4o"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("OpenAI:gpt-4o", "openai", "gpt-4o"),
        ("openrouter/anthropic/claude-3", "openrouter", "anthropic/claude-3"),
        ("openrouter:openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("ollama/llama3:8b", "ollama", "llama3:8b"),
        ("anthropic", "anthropic", "claude-sonnet-5"),
        ("offline", "offline", "offline"),
        ("large", "openai", "gpt-4o"),
        ("LARGE", "openai", "gpt-4o"),
        ("very-small", "anthropic", "claude-haiku-4-5"),
        ("very_small", "anthropic", "claude-haiku-4-5"),
        ("", "openai", "gpt-5.4-mini"),
    ],
)
def test_names_lead_where_users_mean_them_to(name: str, provider: str, model: str) -> None:
    assert from_environment(KEYS).resolve(name) == Target(provider, model)


def test_without_any_key_there_is_the_offline_model_only() -> None:
    registry = from_environment({"PATH": "/bin"})
    assert registry.names() == ["offline"]
    assert registry.resolve() == Target("offline", "offline")


@pytest.mark.parametrize(
    ("name", "variable"), [("gpt-4o", "OPENAI_API_KEY"), ("groq:x", "GROQ_API_KEY"), ("claude-x", "ANTHROPIC_API_KEY")]
)
def test_a_vendor_without_its_key_is_an_error_that_names_the_variable(name: str, variable: str) -> None:
    with pytest.raises(AuthenticationFailed, match=variable):
        from_environment({}).resolve(name)


def test_an_unknown_model_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(UnknownModel, match=r"provider:model.*offline"):
        from_environment({}).resolve("wombat-7")
    with pytest.raises(UnknownModel, match="did you mean 'openai'"):
        from_environment(KEYS).resolve("opnai:gpt-4o")
    with pytest.raises(UnknownModel):
        Registry().resolve()


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ("claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
        ("claude-3-5-sonnet", "claude-3-5-sonnet-20241022"),
        ("anthropic:claude-3.5-haiku", "claude-3-5-haiku-20241022"),
        ("claude-sonnet-3.7", "claude-3-7-sonnet-20250219"),
        ("claude-3-opus", "claude-3-opus-20240229"),
        ("claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("anthropic/claude-4-opus", "claude-opus-4-20250514"),
        ("claude-opus-4.1", "claude-opus-4-1"),
        ("claude-haiku-4.5", "claude-haiku-4-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-latest"),
        ("claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20240620"),
        ("claude-sonnet-5", "claude-sonnet-5"),
    ],
)
def test_short_names_mean_the_models_that_the_vendor_knows(written: str, model: str) -> None:
    assert from_environment(KEYS).resolve(written) == Target("anthropic", model)


def test_who_resells_a_model_gets_the_name_that_was_written() -> None:
    assert (
        from_environment(KEYS).resolve("openrouter/anthropic/claude-3.5-sonnet").model == "anthropic/claude-3.5-sonnet"
    )
    proxied = from_environment({**KEYS, "ANTHROPIC_BASE_URL": "http://proxy"})
    assert proxied.resolve("claude-3.5-sonnet").model == "claude-3.5-sonnet"


def test_the_vendors_own_address_written_out_changes_no_name() -> None:
    itself = from_environment({**KEYS, "ANTHROPIC_BASE_URL": "https://api.anthropic.com"})
    assert itself.resolve("claude-3.5-sonnet").model == "claude-3-5-sonnet-20241022"


def test_litellm_takes_what_nobody_else_knows() -> None:
    registry = from_environment({}).with_provider(ProviderSpec("litellm", "litellm"))
    assert registry.resolve("bedrock/some-model") == Target("litellm", "bedrock/some-model")
    assert registry.resolve("ollama:llama3") == Target("litellm", "ollama/llama3")
    with pytest.raises(AuthenticationFailed, match="GROQ_API_KEY"):
        registry.resolve("groq:llama")
    behind = registry.with_provider(ProviderSpec("litellm", "litellm", base_url="http://proxy"))
    assert behind.resolve("groq:llama") == Target("litellm", "groq/llama")


def test_litellm_is_found_where_it_is_installed_and_is_never_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UnknownModel):
        from_environment({}).resolve("replicate/some-model")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: name == "litellm" or None)
    registry = from_environment({})
    assert registry.resolve("replicate/some-model") == Target("litellm", "replicate/some-model")
    assert registry.resolve() == Target("offline", "offline")
    assert from_environment(KEYS).resolve("gpt-4o") == Target("openai", "gpt-4o")


def test_aliases_that_go_round_in_a_circle_are_an_error() -> None:
    with pytest.raises(UnknownModel, match="circle"):
        from_environment({"LM_MODEL_A": "b", "LM_MODEL_B": "a"}).resolve("a")


def test_a_default_model_has_the_name_that_its_vendor_takes() -> None:
    short = ProviderSpec("anthropic", "anthropic", default_model="claude-3-opus", models=("claude-3-haiku",))
    registry = Registry({"anthropic": short})
    for name in ("", "anthropic", "claude-3-opus"):
        assert registry.resolve(name) == Target("anthropic", "claude-3-opus-20240229")
    assert registry.resolve("claude-3-haiku") == Target("anthropic", "claude-3-haiku-20240307")
    another = Registry({"mine": ProviderSpec("mine", "anthropic", default_model="claude-3-opus")})
    assert another.resolve("claude-3-opus") == Target("mine", "claude-3-opus-20240229")


def test_a_key_that_cannot_be_sent_is_an_error_that_names_its_variable() -> None:
    with pytest.raises(SpecError, match=r"expected a key of printable characters.*OPENAI_API_KEY") as caught:
        from_environment({"OPENAI_API_KEY": "sk two words"})
    assert "two words" not in str(caught.value)
    registry = from_environment({"ACME_API_BASE": "https://llm.acme.example/v1", "ACME_API_KEY": "sk two words"})
    with pytest.raises(UnknownModel, match=r"expected a key of printable characters.*ACME_API_KEY") as told:
        registry.resolve("acme:m")
    assert "two words" not in str(told.value)


def test_a_default_model_can_be_set() -> None:
    registry = from_environment({**KEYS, "LM_MODEL_DEFAULT": "small"})
    assert registry.resolve() == Target("anthropic", "claude-haiku-4-5")


def test_a_custom_provider_comes_from_four_variables() -> None:
    env = {
        "ACME_API_BASE": "https://llm.acme.example/v1",
        "ACME_API_KEY": "k",
        "ACME_API_TYPE": "anthropic",
        "ACME_API_NAME": "acme-eu",
    }
    registry = from_environment(env)
    spec = registry.providers["acme-eu"]
    assert (spec.kind, spec.base_url, spec.secret) == ("anthropic", "https://llm.acme.example/v1", "k")
    assert registry.resolve("acme-eu:m1") == Target("acme-eu", "m1")
    assert from_environment({"ACME_API_BASE": "http://x/v1"}).providers["acme"].kind == "openai"


def test_a_custom_provider_is_never_the_default_unless_it_is_named() -> None:
    env = {"AAA_API_BASE": "http://x/v1", "AAA_API_KEY": "k"}
    assert from_environment(env).resolve() == Target("offline", "offline")
    assert from_environment({**env, **KEYS}).resolve().provider == "openai"
    assert from_environment({**env, "LM_MODEL_DEFAULT": "aaa:m1"}).resolve() == Target("aaa", "m1")


def test_a_custom_provider_of_an_unknown_type_is_an_error_that_lists_the_types_to_whoever_names_it() -> None:
    env = {"WEATHER_API_BASE": "http://x", "WEATHER_API_TYPE": "antropic"}
    registry = from_environment(env)
    assert registry.resolve() == Target("offline", "offline")
    assert "weather" not in registry.names()
    for name in ("weather:m", "Weather/m", "weather"):
        with pytest.raises(UnknownModel, match=r"WEATHER_API_TYPE is 'antropic': expected one of .*anthropic"):
            registry.resolve(name)


def test_addresses_of_vendors_can_be_changed_by_the_environment() -> None:
    registry = from_environment(
        {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://proxy/v1", "OLLAMA_HOST": "gpu:11434"}
    )
    assert registry.providers["openai"].base_url == "http://proxy/v1"
    assert registry.providers["ollama"].base_url == "http://gpu:11434/v1"


def test_an_address_without_the_key_it_needs_enables_nothing() -> None:
    assert from_environment({"OPENAI_BASE_URL": "http://proxy/v1"}).names() == ["offline"]


def test_providers_are_registered_listed_and_removed_at_run_time() -> None:
    registry = Registry().with_provider(ProviderSpec("a", models=("m",))).with_provider(ProviderSpec("b"))
    assert registry.names() == ["a", "b"]
    assert registry.resolve("m") == Target("a", "m")
    assert registry.with_alias("Quick-One", "b:x").resolve("quick_one") == Target("b", "x")
    assert registry.without_provider("a").names() == ["b"]


def test_a_token_of_github_alone_does_not_enable_its_models() -> None:
    assert from_environment({"GITHUB_TOKEN": "t"}).names() == ["offline"]
    assert "github" in from_environment({"GITHUB_MODELS_API_KEY": "t"}).names()


@given(st.text(max_size=30))
def test_any_name_is_resolved_or_refused_with_a_named_error(name: str) -> None:
    for registry in (from_environment({}), from_environment(KEYS)):
        with suppress(UnknownModel, AuthenticationFailed):
            assert registry.resolve(name).provider in registry.providers


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_every_preset_is_reached_through_its_own_variable(preset: object) -> None:
    from callboard.providers.registry.presets import Preset

    assert isinstance(preset, Preset)
    settings = {"base_url": "https://x", "api_version": "2024-10-21", "region": "us-east-1", "project": "p"}
    settings["location"] = "global"
    env = {names[0]: settings[name] for name, names in preset.settings.items()}
    if preset.keys or not env:
        env[(preset.keys or preset.bases)[0]] = "http://x/v1" if not preset.keys else "k"
    assert preset.name in from_environment(env).providers


def test_defaults_fill_what_a_request_leaves_open_and_nothing_else() -> None:
    spec = ProviderSpec(
        "p", default_model="m", defaults={"temperature": 0.2, "seed": 1}, model_defaults={"big": {"temperature": 0.9}}
    )
    request = Request((Message("user", "x"),), seed=7)
    assert spec.completed(request).temperature == 0.2
    assert spec.completed(request).seed == 7
    big = Request((Message("user", "x"),), model="p:big")
    assert spec.completed(big).temperature == 0.9
    assert spec.model_of(big) == "big"


def test_keys_are_in_no_repr() -> None:
    registry = from_environment(KEYS)
    assert "sk-" not in repr(registry)


def test_a_name_alone_leads_to_who_lists_it_to_its_vendor_and_last_to_whose_default_it_is() -> None:
    default = ProviderSpec("a", "openai", base_url="https://llm.example", default_model="gpt-4o")
    lists = ProviderSpec("b", "openai", base_url="https://llm.example", models=("gpt-4o",))
    registry = Registry({"a": default})
    assert registry.resolve("gpt-4o") == Target("a", "gpt-4o")
    registry = registry.with_provider(ProviderSpec("openai", "openai"))
    assert registry.resolve("gpt-4o") == Target("openai", "gpt-4o")
    assert registry.with_provider(lists).resolve("gpt-4o") == Target("b", "gpt-4o")


def test_a_name_that_is_hardly_like_another_is_not_taken_for_it() -> None:
    with pytest.raises(UnknownModel) as caught:
        Registry({"mine": ProviderSpec("mine", "offline")}).resolve("large")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("value", ["/api", "ftp://h", "admin:hunter2secret@h"])
def test_a_variable_that_only_looks_like_a_providers_does_no_harm(value: str) -> None:
    registry = from_environment({"OPENAI_API_KEY": "k", "VITE_API_BASE": value})
    assert registry.resolve() == Target("openai", "gpt-5.4-mini")
    with pytest.raises(UnknownModel, match="VITE_API_BASE is no address") as caught:
        registry.resolve("vite:m")
    assert "hunter2" not in str(caught.value)


def test_a_vendors_address_that_is_none_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(SpecError, match="OPENAI_BASE_URL"):
        from_environment({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "/api"})
