"""Vendors that are known by name: where they are, which variable holds the key, how they differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..embeddings import EMBEDDING_LIMIT, EmbeddingLimit
from ..spec import Kind
from ..wire.openai_chat import OPENAI, Dialect

_PLAIN = Dialect(max_tokens="max_tokens", drops=frozenset({"top_k", "files", "audio"}))
"""What most vendors copied: chat completions before ``max_completion_tokens``."""
_OPEN = Dialect(max_tokens="max_tokens", drops=frozenset({"files"}), stops=0)
"""Servers of open models, which also sample by top_k."""
COMPATIBLE = Dialect(max_tokens="max_tokens", drops=frozenset(), stops=0)
"""A server of one's own that copied the protocol: the older name of the limit, and nothing held back."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A vendor.

    Args:
        name: how users call it.
        kind: its protocol.
        base_url: its address; empty where the SDK knows it.
        keys: environment variables that may hold its key, the first that is set wins. Empty if it wants none.
        keyless: whether a file may leave the key out, because its SDK finds credentials by itself.
        settings: environment variables of what else it needs (``base_url``, or a field of its `Cloud`), the first that
            is set wins; without them the environment does not offer it.
        bases: environment variables that may hold another address.
        default_model: the model of requests that name none; empty where there is no sensible one.
        models: what its models' names look like, so that a bare name leads here.
        dialect: how its protocol differs from OpenAI's.
        embedding_limit: how much it embeds in one call.
        rule: how it counts its rate limits; see `pool.Quota`. A bucket only where the vendor says so itself.
        cache_reads_count: whether tokens read from a prompt cache count against its token limits.
    """

    name: str
    kind: Kind
    base_url: str = ""
    keys: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    default_model: str = ""
    models: re.Pattern[str] | None = None
    dialect: Dialect = OPENAI
    embedding_limit: EmbeddingLimit = EMBEDDING_LIMIT
    rule: Literal["window", "bucket"] = "window"
    cache_reads_count: bool = True
    keyless: bool = False
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _looks(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_ALL = (
    Preset(
        "openai",
        "openai",
        keys=("OPENAI_API_KEY",),
        bases=("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        default_model="gpt-5.4-mini",
        models=_looks(r"(gpt|chatgpt|codex|text-embedding)-|o\d+(-|$)|ft:|computer-use"),
    ),
    Preset(
        "anthropic",
        "anthropic",
        keys=("ANTHROPIC_API_KEY",),
        bases=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        default_model="claude-sonnet-5",
        models=_looks(r"claude-"),
        # https://docs.claude.com/en/api/rate-limits: "token bucket algorithm", "cache-aware ITPM"
        rule="bucket",
        cache_reads_count=False,
    ),
    # No header tells its limits; what a 429 asks to wait stands in the error's details.
    Preset(
        "gemini",
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GOOGLE_GEMINI_BASE_URL",),
        "gemini-2.5-flash",
        _looks(r"gemini-|gemma-"),
        embedding_limit=EmbeddingLimit(texts=100),
    ),
    # The same models by the endpoint that copies OpenAI's protocol.
    Preset(
        "google",
        "openai",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GOOGLE_API_BASE",),
        "gemini-2.5-flash",
        dialect=Dialect(
            "max_tokens",
            frozenset({"top_k", "seed", "user", "parallel_tool_calls", "files"}),
            # What Google gives for histories of other models: https://ai.google.dev/gemini-api/docs/thought-signatures
            unsigned="skip_thought_signature_validator",
            stops=5,
        ),
        embedding_limit=EmbeddingLimit(texts=100),
    ),
    Preset(
        "mistral",
        "openai",
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        ("MISTRAL_API_BASE",),
        "mistral-small-latest",
        _looks(r"(mistral|ministral|magistral|codestral|devstral|pixtral|open-mi[sx]tral)-"),
        Dialect(
            "max_tokens",
            frozenset({"top_k", "user", "files", "audio"}),
            stream_usage=False,
            call_ids="[a-zA-Z0-9]{9}",
            user_last=True,
            # https://docs.mistral.ai/capabilities/reasoning: all or nothing, and not for those that always reason
            efforts=(("minimal", "high"), ("low", "high"), ("medium", "high"), ("xhigh", "high")),
            reasoners="^mistral-(small-(latest|26)|medium($|-latest|-3|-26))",
            stops=0,
        ),
    ),
    Preset(
        "xai",
        "openai",
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        ("XAI_API_BASE",),
        "grok-4",
        _looks(r"grok-"),
        Dialect("max_completion_tokens", frozenset({"top_k", "files", "audio"})),
    ),
    Preset(
        "groq",
        "openai",
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        ("GROQ_API_BASE",),
        "llama-3.3-70b-versatile",
        dialect=Dialect(drops=frozenset({"top_k", "files", "audio"})),
    ),
    Preset(
        "openrouter",
        "openai",
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        ("OPENROUTER_API_BASE",),
        "openrouter/auto",
        dialect=Dialect("max_tokens", frozenset(), call_ids="(?s:.+)", cache_marks=True, file_urls=True, stops=0),
    ),
    # GITHUB_TOKEN is not among the keys: it stands in every CI job, where nobody means to call a model with it.
    Preset(
        "github",
        "openai",
        "https://models.github.ai/inference",
        ("GITHUB_MODELS_API_KEY", "GITHUB_API_KEY"),
        ("GITHUB_API_BASE",),
        "openai/gpt-4.1-mini",
        dialect=_PLAIN,
    ),
    Preset(
        "ollama",
        "openai",
        "http://127.0.0.1:11434/v1",
        bases=("OLLAMA_API_BASE", "OLLAMA_HOST"),
        dialect=Dialect("max_tokens", frozenset({"top_k", "user", "parallel_tool_calls", "files", "audio"}), stops=0),
    ),
    Preset("vllm", "openai", "http://127.0.0.1:8000/v1", bases=("VLLM_API_BASE",), dialect=_OPEN),
    # Limits belong to a deployment; its headers tell them as OpenAI's do.
    Preset(
        "azure",
        "azure",
        keys=("AZURE_OPENAI_API_KEY",),
        settings={"base_url": ("AZURE_OPENAI_ENDPOINT",), "api_version": ("OPENAI_API_VERSION",)},
    ),
    # No header tells limits, neither here nor at Vertex AI. From the environment only with a key of Bedrock's own:
    # Amazon's other credentials stand on many machines where nobody means to call a model with them.
    Preset(
        "bedrock",
        "bedrock",
        keys=("AWS_BEARER_TOKEN_BEDROCK",),
        bases=("ANTHROPIC_BEDROCK_BASE_URL",),
        models=_looks(r"([a-z]+\.)?anthropic\.claude-"),
        keyless=True,
        settings={"region": ("AWS_REGION", "AWS_DEFAULT_REGION")},
    ),
    Preset(
        "vertex",
        "vertex",
        bases=("ANTHROPIC_VERTEX_BASE_URL",),
        settings={"project": ("ANTHROPIC_VERTEX_PROJECT_ID",), "location": ("CLOUD_ML_REGION",)},
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}
"""The vendors by name, those whose key is looked for first at the head."""
