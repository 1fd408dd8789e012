"""Vendors that are known by name: where they are, which variable holds the key, how they differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..spec import Kind
from ..wire.openai_chat import OPENAI, Dialect

_PLAIN = Dialect(max_tokens="max_tokens", drops=frozenset({"top_k"}))
"""What most vendors copied: chat completions before ``max_completion_tokens``."""
_OPEN = Dialect(max_tokens="max_tokens", drops=frozenset())
"""Servers of open models, which also sample by top_k."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A vendor.

    Args:
        name: how users call it.
        kind: its protocol.
        base_url: its address; empty where the SDK knows it.
        keys: environment variables that may hold its key, the first that is set wins. Empty if it wants none.
        bases: environment variables that may hold another address.
        default_model: the model of requests that name none; empty where there is no sensible one.
        models: what its models' names look like, so that a bare name leads here.
        dialect: how its protocol differs from OpenAI's.
    """

    name: str
    kind: Kind
    base_url: str = ""
    keys: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    default_model: str = ""
    models: re.Pattern[str] | None = None
    dialect: Dialect = OPENAI


def _looks(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_ALL = (
    Preset(
        "openai",
        "openai",
        keys=("OPENAI_API_KEY",),
        bases=("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        default_model="gpt-5.4-mini",
        models=_looks(r"(gpt|chatgpt|codex)-|o\d+(-|$)|ft:|computer-use"),
    ),
    Preset(
        "anthropic",
        "anthropic",
        keys=("ANTHROPIC_API_KEY",),
        bases=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        default_model="claude-sonnet-5",
        models=_looks(r"claude-"),
    ),
    Preset(
        "google",
        "openai",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GOOGLE_API_BASE",),
        "gemini-2.5-flash",
        _looks(r"gemini-|gemma-"),
        Dialect("max_tokens", frozenset({"top_k", "seed", "user", "parallel_tool_calls"})),
    ),
    Preset(
        "mistral",
        "openai",
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        ("MISTRAL_API_BASE",),
        "mistral-small-latest",
        _looks(r"(mistral|ministral|magistral|codestral|devstral|pixtral|open-mi[sx]tral)-"),
        Dialect("max_tokens", frozenset({"top_k", "user", "reasoning_effort"}), stream_usage=False),
    ),
    Preset(
        "xai",
        "openai",
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        ("XAI_API_BASE",),
        "grok-4",
        _looks(r"grok-"),
        Dialect("max_completion_tokens", frozenset({"top_k"})),
    ),
    Preset(
        "groq",
        "openai",
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        ("GROQ_API_BASE",),
        "llama-3.3-70b-versatile",
        dialect=OPENAI,
    ),
    Preset(
        "openrouter",
        "openai",
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        ("OPENROUTER_API_BASE",),
        "openrouter/auto",
        dialect=_OPEN,
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
        dialect=Dialect("max_tokens", frozenset({"top_k", "user", "parallel_tool_calls"})),
    ),
    Preset("vllm", "openai", "http://127.0.0.1:8000/v1", bases=("VLLM_API_BASE",), dialect=_OPEN),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}
"""The vendors by name, those whose key is looked for first at the head."""
