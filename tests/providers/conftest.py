"""A simulated provider, a system, and providers of every kind that talk to it over loopback."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, System
from callboard.providers.registry.presets import PRESETS
from callboard.providers.registry.resolve import preset_spec
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.anthropic import AnthropicProvider
from callboard.providers.vendors.build import child_spec
from callboard.providers.vendors.openai import OpenAIProvider

KEY = "sk-contract-0123456789abcdef"


@dataclass
class Rig:
    """What a test of the contract works with."""

    server: SimulatedProvider
    system: System
    ref: ActorRef[Any]
    spec: ProviderSpec


def openai_spec(server: SimulatedProvider, **changes: Any) -> ProviderSpec:
    spec = ProviderSpec("openai", "openai", SecretStr(KEY), server.base_url, default_model="gpt-test", timeout=5.0)
    return replace(spec, **changes)


def anthropic_spec(server: Addressed, **changes: Any) -> ProviderSpec:
    spec = ProviderSpec("anthropic", "anthropic", SecretStr(KEY), server.url, default_model="claude-test", timeout=5.0)
    return replace(spec, **changes)


def _openai_sdk(server: SimulatedProvider, system: System, spec: ProviderSpec) -> ActorRef[Any]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=server.base_url, timeout=spec.timeout)
    return system.spawn(OpenAIProvider, spec, client)


def _anthropic_sdk(server: SimulatedProvider, system: System, spec: ProviderSpec) -> ActorRef[Any]:
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(api_key=KEY, base_url=server.url, timeout=spec.timeout, open_telemetry=False)
    return system.spawn(AnthropicProvider, spec, client)


def _plain(server: SimulatedProvider, system: System, spec: ProviderSpec) -> ActorRef[Any]:
    return system.spawn(child_spec(spec, restart="temporary"))


def compatible(name: str) -> Callable[[SimulatedProvider], ProviderSpec]:
    def make(server: SimulatedProvider, **changes: Any) -> ProviderSpec:
        spec = preset_spec(PRESETS[name], KEY, server.base_url)
        return replace(spec, default_model="some-model", timeout=5.0, **changes)

    return make


class Addressed(Protocol):
    """A server with an address."""

    @property
    def url(self) -> str: ...


def gemini_spec(server: Addressed, **changes: Any) -> ProviderSpec:
    spec = preset_spec(PRESETS["gemini"], KEY, f"{server.url}/v1beta")
    return replace(spec, default_model="gemini-test", timeout=5.0, **changes)


def azure_spec(server: SimulatedProvider, **changes: Any) -> ProviderSpec:
    spec = preset_spec(PRESETS["azure"], KEY, server.url, {"api_version": "2024-10-21"})
    return replace(spec, default_model="gpt-test", timeout=5.0, **changes)


def bedrock_spec(server: SimulatedProvider, **changes: Any) -> ProviderSpec:
    spec = preset_spec(PRESETS["bedrock"], KEY, server.url, {"region": "eu-central-1"})
    return replace(spec, default_model="eu.anthropic.claude-test-v1:0", timeout=5.0, **changes)


def vertex_spec(server: SimulatedProvider, **changes: Any) -> ProviderSpec:
    spec = preset_spec(PRESETS["vertex"], KEY, f"{server.url}/v1", {"project": "my-project", "location": "us-east5"})
    return replace(spec, default_model="claude-test@20250514", timeout=5.0, **changes)


Spawn = Callable[[SimulatedProvider, System, ProviderSpec], ActorRef[Any]]
KINDS: dict[str, tuple[Callable[..., ProviderSpec], Spawn]] = {
    "openai": (openai_spec, _plain),
    "openai-sdk": (openai_spec, _openai_sdk),
    "responses": (lambda server, **changes: openai_spec(server, kind="responses", **changes), _plain),
    "anthropic": (anthropic_spec, _plain),
    "anthropic-sdk": (anthropic_spec, _anthropic_sdk),
    "gemini": (gemini_spec, _plain),
    "azure": (azure_spec, _plain),
    "bedrock": (bedrock_spec, _plain),
    "vertex": (vertex_spec, _plain),
    # One preset for each dialect; that every preset answers is a test of its own.
    **{name: (compatible(name), _plain) for name in ("google", "mistral", "vllm")},
}
KINDS["litellm"] = (
    lambda server, **changes: replace(openai_spec(server, name="litellm", kind="litellm"), default_model="openai/m"),
    _plain,
)
_LITELLM = (
    pytest.mark.skipif(
        importlib.util.find_spec("litellm") is None,
        reason="LiteLLM is not installed: pip install 'callboard[litellm]'",
    ),
    pytest.mark.filterwarnings("ignore"),  # its own; it fails where they are errors
)


@pytest.fixture(params=[pytest.param(kind, marks=_LITELLM if kind == "litellm" else ()) for kind in KINDS])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """One provider of each kind, and the server it talks to."""
    make, spawn = KINDS[request.param]
    async with SimulatedProvider(keys=[KEY]) as server, System("contract") as system:
        spec = make(server)
        yield Rig(server, system, spawn(server, system, spec), spec)


@pytest.fixture(scope="module")
def without_litellm() -> Iterator[None]:
    """As if LiteLLM, which takes every model that nobody knows, were not installed beside the library."""
    found = importlib.util.find_spec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "litellm" else found(name, *rest))
        yield
