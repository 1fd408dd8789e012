"""From a provider's data to the child spec of its actor."""

from __future__ import annotations

from typing import Any

from ...actors.core.base.restart import Backoff
from ...actors.core.base.spec import ChildSpec
from ..spec import ProviderSpec


def provider_class(kind: str) -> Any:
    """The actor class that speaks a protocol. Its SDK is imported when the actor starts, not here."""
    if kind == "anthropic":
        from .anthropic import AnthropicProvider

        return AnthropicProvider
    if kind == "azure":
        from .azure import AzureProvider

        return AzureProvider
    if kind == "bedrock":
        from .bedrock import BedrockProvider

        return BedrockProvider
    if kind == "vertex":
        from .vertex import VertexProvider

        return VertexProvider
    if kind == "gemini":
        from .gemini import GeminiProvider

        return GeminiProvider
    if kind == "offline":
        from ..offline import OfflineProvider

        return OfflineProvider
    if kind == "litellm":
        from .litellm import LiteLLMProvider

        return LiteLLMProvider
    from .openai import OpenAIProvider

    return OpenAIProvider


def child_spec(spec: ProviderSpec, **settings: Any) -> ChildSpec:
    """The child spec that starts a provider's actor; `settings` go to the child spec."""
    settings.setdefault("name", spec.name)
    settings.setdefault("backoff", Backoff(initial=0.1, maximum=5.0, jitter=0.2))
    return ChildSpec(provider_class(spec.kind), args=(spec,), **settings)
