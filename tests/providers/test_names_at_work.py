"""What a pool of a file, or of the environment, makes of names that are used only once it is at work."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callboard.actors import ActorRef, System
from callboard.providers.config.llmfile import load_config
from callboard.providers.config.pool import pool_from_config
from callboard.providers.embeddings import EmbeddingRequest
from callboard.providers.errors import AuthenticationFailed, ProviderError, UnknownModel
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.pool import (
    AddEndpoint,
    Endpoint,
    FanOut,
    GetServing,
    Pool,
    Requester,
    Submit,
    SwitchProvider,
    pool_from_environment,
)
from callboard.providers.simulated import SimulatedProvider, error

from .pool.scripted import Script, endpoint

pytestmark = pytest.mark.usefixtures("without_litellm")


def named(request: Request) -> Completion:
    """An answer that says which model was asked for."""
    return Completion(Message("assistant", request.model), "stop", Usage(1, 1))


def asked(model: str = "") -> Request:
    return Request((Message("user", "hi"),), model)


@asynccontextmanager
async def pool_of(folder: Path, text: str) -> AsyncGenerator[ActorRef[Pool]]:
    path = folder / "llm.yaml"
    path.write_text(text, encoding="utf-8")
    async with System("names") as system:
        yield system.supervise(pool_from_config(load_config(path, {}), env={}))


ALIASES = """
aliases: {{large: acme:m, Quick-One: acme:n, emb: acme:e}}
default_model: large
providers:
  acme: {{base_url: "{url}", api_key: k, models: [m, n, e]}}
  other: {{base_url: "{url}", api_key: j, models: [o], default_model: o}}
"""


@pytest.mark.parametrize("alias", ["Quick-One", "quick_one"])
async def test_an_alias_of_the_file_leads_to_its_model_whoever_uses_it(tmp_path: Path, alias: str) -> None:
    async with SimulatedProvider(named) as server, pool_of(tmp_path, ALIASES.format(url=server.base_url)) as pool:
        assert (await pool.ask(asked(alias), timeout=20)).message.text == "n"
        assert (await pool.ask(FanOut(asked(alias)), timeout=20)).message.text == "n"
        assert (await pool.ask(EmbeddingRequest(["hi"], "emb"), timeout=20)).vectors
        await pool.ask(SwitchProvider(conversation="c", endpoint="acme", model=alias))
        switched = await pool.ask(Submit(asked(), Requester(conversation="c")), timeout=20)
        assert switched.message.text == "n"


TWICE = """
aliases: {{desk: desk-1, first: desk, north-desk: north:desk-1}}
default_model: {default}
routing: priority
providers:
  north: {{base_url: "{north}", api_key: k, models: [desk-1], limits: {{requests_per_minute: 1}}}}
  south: {{base_url: "{south}", api_key: j, models: [desk-1], model_limits: {{desk: {{concurrency: 3}}}}}}
"""


@pytest.mark.parametrize("default", ["desk", "desk-1"])
@pytest.mark.parametrize("model", ["", "desk", "first", "desk-1"])
async def test_an_alias_is_its_model_wherever_that_is_served(tmp_path: Path, model: str, default: str) -> None:
    async with SimulatedProvider(named) as north, SimulatedProvider(named) as south:
        text = TWICE.format(north=north.base_url, south=south.base_url, default=default)
        async with pool_of(tmp_path, text) as pool:
            assert await pool.ask(GetServing(model)) == ("north", "south")
            answers = [await pool.ask(asked(model), timeout=20) for _ in range(3)]
            assert [answer.provider for answer in answers] == ["north", "south", "south"]
            bound = await pool.ask(Submit(asked(model), Requester(endpoint="south")), timeout=20)
            assert (bound.provider, bound.message.text) == ("south", "desk-1")


async def test_an_alias_that_names_an_endpoint_is_that_endpoints_model_alone(tmp_path: Path) -> None:
    text = TWICE.format(north="http://127.0.0.1:9/v1", south="http://127.0.0.1:9/v1", default="north-desk")
    async with pool_of(tmp_path, text) as pool:
        assert await pool.ask(GetServing("north-desk")) == ("north",)


async def test_a_model_that_a_file_does_not_list_is_asked_of_the_provider_that_it_is_named_with(tmp_path: Path) -> None:
    async with SimulatedProvider(named) as server:
        text = f"""
            providers:
              openai: {{base_url: "{server.base_url}", api_key: k}}
              acme: {{base_url: "{server.base_url}", api_key: j}}
              closed: {{base_url: "{server.base_url}", api_key: i, models: [m]}}
        """
        async with pool_of(tmp_path, text) as pool:
            for model, provider in (("openai:gpt-4o", "openai"), ("gpt-4o", "openai"), ("acme:x", "acme")):
                answer = await pool.ask(asked(model), timeout=20)
                assert (answer.message.text, answer.provider) == (model.rpartition(":")[2], provider)
            bound = await pool.ask(Submit(asked("x"), Requester(endpoint="acme")), timeout=20)
            assert bound.provider == "acme", "a name that nobody else knows is that of the endpoint it is bound to"
            with pytest.raises(UnknownModel, match="closed has no model 'x'; expected one of m"):
                await pool.ask(asked("closed:x"), timeout=20)
            with pytest.raises(AuthenticationFailed, match="ANTHROPIC_API_KEY"):
                await pool.ask(asked("claude-opus-5"), timeout=20)
            assert (await pool.ask(asked(), timeout=20)).provider == "openai"


async def test_a_provider_without_a_default_model_is_not_asked_where_no_model_is_named(tmp_path: Path) -> None:
    async with SimulatedProvider(named) as server, SimulatedProvider(fault=error(503)) as down:
        text = f"""
            providers:
              bare: {{base_url: "{server.base_url}", api_key: k}}
              acme: {{base_url: "{down.base_url}", api_key: j, default_model: m}}
        """
        async with pool_of(tmp_path, text) as pool:
            with pytest.raises(ProviderError):
                await pool.ask(asked(), timeout=2)
            assert (await pool.ask(asked("bare:m"), timeout=20)).provider == "bare"
        assert [said["model"] for _, said, *_ in server.log] == ["m"]


@pytest.mark.parametrize("model", ["", "m", "acme:m", "n", "acme:n"])
async def test_a_provider_stands_in_for_every_model_of_another_one(tmp_path: Path, model: str) -> None:
    async with SimulatedProvider(fault=error(503)) as down, SimulatedProvider(named) as server:
        text = f"""
            providers:
              acme: {{base_url: "{down.base_url}", api_key: k, models: [m, n], fallback_provider: beta}}
              beta: {{base_url: "{server.base_url}", keys: [j, i], default_model: b}}
        """
        async with pool_of(tmp_path, text) as pool:
            assert (await pool.ask(asked(model), timeout=20)).message.text == "b"


async def test_vendors_of_the_environment_take_models_that_nobody_named_before() -> None:
    async with SimulatedProvider(named) as server, System("names") as system:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "LM_MODEL_QUICK": "openai:gpt-4o"}
        pool = system.supervise(pool_from_environment(env=env))
        for model in ("gpt-4o", "openai:gpt-4o", "openai/gpt-4o", "quick"):
            assert (await pool.ask(asked(model), timeout=20)).message.text == "gpt-4o"
        with pytest.raises(UnknownModel, match="offline, which is no endpoint of this pool"):
            await pool.ask(asked("offline"), timeout=20)


async def test_names_of_an_endpoint_that_is_added_later_are_its_own(tmp_path: Path) -> None:
    script = Script("later")
    later: Endpoint = endpoint(script, models=("z",))
    async with SimulatedProvider(named) as server, pool_of(tmp_path, ALIASES.format(url=server.base_url)) as pool:
        await pool.ask(AddEndpoint(later))
        for model in ("z", "later:z"):
            assert (await pool.ask(asked(model), timeout=20)).provider == "later"


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "mistral"])
async def test_a_vendors_type_brings_no_default_model_that_the_provider_does_not_list(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "llm.yaml"
    path.write_text(f"providers: {{acme: {{type: {kind}, base_url: http://h/v1, api_key: k, models: [a, b]}}}}")
    (made,) = pool_from_config(load_config(path, {}), env={}).args[0]
    assert made.default_model == "a"


PROVIDERS = """\
providers:
  acme: {base_url: "http://x/v1", api_key: k, models: [m, n], default_model: m}
  beta: {base_url: "http://y/v1", api_key: j, default_model: b}
"""


@pytest.mark.parametrize(
    "text",
    [
        "default_model: acme:wombat",
        "roles: {A: acme:wombat}",
        "aliases: {big: acme:wombat}",
        "fallback: {m: [acme:wombat]}",
        "fallback: {acme:wombat: [b]}",
        "agent_models: {A: {primary: acme, model: wombat}}",
        "prices: {acme:wombat: {input: 1, output: 1}}",
        "budgets: [{scope: model, name: acme:wombat, dollars: 1}]",
    ],
)
def test_a_model_that_its_provider_does_not_list_is_refused_wherever_it_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "llm.yaml"
    path.write_text(PROVIDERS + text)
    with pytest.raises(ValueError, match=r"line 4: .*acme has no model 'wombat'; expected one of m, n"):
        load_config(path, {})
