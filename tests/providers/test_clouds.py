"""Azure, Bedrock, Vertex AI and Gemini in the registry and in files, and what is said where something lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import SpecError
from callboard.providers.clouds import Azure, Bedrock, Vertex
from callboard.providers.config.llmfile import load_config
from callboard.providers.config.yamlfile import ConfigError
from callboard.providers.embeddings import EmbeddingLimit
from callboard.providers.errors import AuthenticationFailed
from callboard.providers.registry.resolve import Target, from_environment
from callboard.providers.spec import ProviderSpec

pytestmark = pytest.mark.usefixtures("without_litellm")

AZURE = {
    "AZURE_OPENAI_API_KEY": "sk-azure",
    "AZURE_OPENAI_ENDPOINT": "https://blue.openai.azure.com/",
    "OPENAI_API_VERSION": "2024-10-21",
}
BEDROCK = {"AWS_BEARER_TOKEN_BEDROCK": "sk-aws", "AWS_DEFAULT_REGION": "eu-west-1"}
VERTEX = {"ANTHROPIC_VERTEX_PROJECT_ID": "my-project", "CLOUD_ML_REGION": "global"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Azure(""), "api_version is missing: expected a date such as 2024-10-21"),
        (lambda: Azure("v1"), "api_version is 'v1': expected a date"),
        (lambda: Azure(20241021), "api_version is int"),  # type: ignore[arg-type]
        (lambda: Azure("2024-10-21", "a/b"), "deployment is 'a/b'"),
        (lambda: Bedrock(""), "region is missing: expected a region such as us-east-1"),
        (lambda: Bedrock("evil.example/#"), "region is 'evil.example/#'"),
        (lambda: Vertex("", "global"), "project is missing"),
        (lambda: Vertex("p", ""), "location is missing: expected a location such as us-east5 or global"),
        (lambda: Vertex("p", "evil.example/?"), "location is 'evil.example/"),
        (lambda: Vertex("p/../q", "global"), "project is 'p/../q'"),
        (lambda: ProviderSpec("x", "azure"), r"'x' of kind azure: expected cloud=Azure\(…\), not None"),
        (lambda: ProviderSpec("x", "azure", cloud=Bedrock("us-east-1")), r"expected cloud=Azure"),
        (lambda: ProviderSpec("x", "openai", cloud=Bedrock("us-east-1")), "expected no cloud"),
        (lambda: ProviderSpec("x", "azure", cloud=Azure("2024-10-21")), "expected the endpoint as base_url"),
        (
            lambda: ProviderSpec("x", "bedrock", SecretStr("k"), cloud=Bedrock("us-east-1", "work")),
            "an api_key or a profile, not both",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named_when_it_is_made(make: Any, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        make()


def test_the_environment_offers_clouds_by_the_variables_of_their_vendors() -> None:
    registry = from_environment({**AZURE, **BEDROCK, **VERTEX})
    assert registry.names() == ["azure", "bedrock", "vertex", "offline"]
    azure, bedrock, vertex = (registry.providers[name] for name in ("azure", "bedrock", "vertex"))
    assert (azure.secret, azure.base_url, azure.cloud) == (
        "sk-azure",
        "https://blue.openai.azure.com/",
        Azure("2024-10-21"),
    )
    assert (bedrock.secret, bedrock.cloud) == ("sk-aws", Bedrock("eu-west-1"))
    assert (vertex.api_key, vertex.cloud) == (None, Vertex("my-project", "global"))
    assert "sk-" not in repr(registry)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("azure:gpt-4o", Target("azure", "gpt-4o")),
        ("bedrock:anthropic.claude-opus-4-v1:0", Target("bedrock", "anthropic.claude-opus-4-v1:0")),
        ("anthropic.claude-opus-4-v1:0", Target("bedrock", "anthropic.claude-opus-4-v1:0")),
        ("eu.anthropic.claude-opus-4-v1:0", Target("bedrock", "eu.anthropic.claude-opus-4-v1:0")),
        ("vertex:claude-sonnet-4@20250514", Target("vertex", "claude-sonnet-4@20250514")),
        ("gemini-2.5-pro", Target("gemini", "gemini-2.5-pro")),
        ("gemini:gemini-3-pro", Target("gemini", "gemini-3-pro")),
        ("google:gemini-3-pro", Target("google", "gemini-3-pro")),
        ("text-embedding-3-small", Target("openai", "text-embedding-3-small")),
        ("gemini-embedding-001", Target("gemini", "gemini-embedding-001")),
    ],
)
def test_names_lead_where_users_mean_them_to(name: str, target: Target) -> None:
    env = {**AZURE, **BEDROCK, **VERTEX, "GEMINI_API_KEY": "g", "OPENAI_API_KEY": "o"}
    assert from_environment(env).resolve(name) == target


@pytest.mark.parametrize("missing", sorted(AZURE))
def test_a_cloud_that_lacks_something_is_an_error_that_names_all_it_needs(missing: str) -> None:
    env = {name: value for name, value in AZURE.items() if name != missing}
    with pytest.raises(AuthenticationFailed, match=f"set {' and '.join(AZURE)}"):
        from_environment(env).resolve("azure:gpt-4o")


def test_what_they_can_do_is_known_before_they_are_asked() -> None:
    providers = from_environment({**AZURE, **BEDROCK, **VERTEX, "GEMINI_API_KEY": "g"}).providers
    for name in ("azure", "bedrock", "vertex", "gemini"):
        assert not providers[name].supports("batch")
        assert providers[name].supports("tools")
        assert providers[name].supports("embeddings") == (name in ("azure", "gemini"))
    assert providers["google"].embedding_limit == providers["gemini"].embedding_limit == EmbeddingLimit(texts=100)
    assert providers["azure"].embedding_limit == EmbeddingLimit(texts=2048, tokens=200_000)


def test_amazons_other_credentials_alone_do_not_enable_bedrock() -> None:
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    assert from_environment(env).names() == ["offline"]
    with pytest.raises(AuthenticationFailed, match="AWS_BEARER_TOKEN_BEDROCK and AWS_REGION or AWS_DEFAULT_REGION"):
        from_environment(env).resolve("bedrock:anthropic.claude-x")


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SpecError, match=r"api_version is 'v1'.*AZURE_OPENAI_ENDPOINT, OPENAI_API_VERSION"):
        from_environment({**AZURE, "OPENAI_API_VERSION": "v1"})


FILE = """
providers:
  blue:
    type: azure
    api_key: sk-file
    base_url: https://blue.openai.azure.com
    api_version: 2024-10-21-preview
    deployment: prod
  claude:
    type: bedrock
    region: us-east-1
    profile: work
  gcp:
    type: vertex
    project: my-project
    location: us-east5
  gemini:
    api_key: sk-gemini
"""


def test_a_file_says_all_that_clouds_need(tmp_path: Path) -> None:
    path = tmp_path / "llm.yaml"
    path.write_text(FILE)
    providers = load_config(path, {}).registry({"AWS_BEARER_TOKEN_BEDROCK": "of-somebody-else"}).providers
    assert (providers["blue"].kind, providers["blue"].cloud) == ("azure", Azure("2024-10-21-preview", "prod"))
    assert (providers["blue"].secret, providers["blue"].base_url) == ("sk-file", "https://blue.openai.azure.com")
    assert (providers["claude"].kind, providers["claude"].cloud) == ("bedrock", Bedrock("us-east-1", "work"))
    assert providers["claude"].api_key is None, "a profile that the file names is stronger than a variable"
    assert (providers["gcp"].kind, providers["gcp"].cloud) == ("vertex", Vertex("my-project", "us-east5"))
    assert (providers["gemini"].kind, providers["gemini"].secret) == ("gemini", "sk-gemini")
    assert providers["gemini"].default_model == "gemini-2.5-flash"


def test_what_a_file_leaves_out_is_taken_from_the_vendors_variables(tmp_path: Path) -> None:
    path = tmp_path / "llm.yaml"
    path.write_text("providers:\n  azure: {}\n  bedrock: {}\n  vertex: {}\n")
    env = {**AZURE, **BEDROCK, **VERTEX}
    assert load_config(path, env).registry(env).providers == from_environment(env).providers


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("type: azure, base_url: https://x, api_version: 2024-10-21", "expected an api_key, or AZURE_OPENAI_API_KEY"),
        ("type: azure, api_key: k, api_version: 2024-10-21", "expected base_url, or AZURE_OPENAI_ENDPOINT in the"),
        ("type: azure, api_key: k, base_url: https://x", "expected api_version, or OPENAI_API_VERSION in the env"),
        ("type: azure, api_key: k, base_url: https://x, api_version: now", "api_version is 'now': expected a date"),
        ("type: bedrock", "expected region, or AWS_REGION or AWS_DEFAULT_REGION in the environment"),
        ("type: bedrock, region: us-east-1, profile: p, api_key: k", "an api_key or a profile, not both"),
        ("type: vertex, project: p", "expected location, or CLOUD_ML_REGION in the environment"),
        ("type: openai, api_key: k, region: us-east-1", "region is not for openai: only bedrock takes it"),
        ("type: vertex, project: p, location: eu, profile: q", "profile is not for vertex: only bedrock takes it"),
        ("type: gemini", "expected an api_key, or GEMINI_API_KEY or GOOGLE_API_KEY"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_wish(tmp_path: Path, settings: str, says: str) -> None:
    path = tmp_path / "llm.yaml"
    path.write_text(f"providers:\n  fine:\n    type: offline\n  wrong: {{{settings}}}\n")
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(path, {})
    assert caught.value.line == 4
