"""What Azure's endpoint gets to see; that its answers are understood is in the contract of all providers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, System
from callboard.providers.clouds import Azure
from callboard.providers.embeddings import EmbeddingRequest, Embeddings
from callboard.providers.messages import Completion, Message, Usage
from callboard.providers.provider import Supports
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.azure import AzureProvider
from callboard.providers.vendors.build import child_spec
from callboard.providers.wire import openai_chat, openai_embeddings
from tests.providers.conftest import KEY
from tests.providers.vendors.recording import ASK, recording

ANSWER = json.dumps(
    openai_chat.to_response(Completion(Message("assistant", "hi"), "stop", Usage(1, 1), "gpt-4o"), id="x")
).encode()
VECTOR = json.dumps(openai_embeddings.to_response(Embeddings(((0.5,),), Usage(1), "m"), encoding="base64")).encode()


def azure(url: str, **fields: Any) -> ProviderSpec:
    cloud = Azure(**{"api_version": "2024-10-21", **fields})
    return ProviderSpec("azure", "azure", SecretStr(KEY), url, headers={"x-team": "blue"}, cloud=cloud)


@pytest.mark.parametrize("address", ["", "/"])
async def test_the_model_is_the_deployment_in_the_path_and_the_version_in_the_query(address: str) -> None:
    async with recording(ANSWER) as azure_server, System("azure") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(azure(azure_server.url + address)))
        await ref.ask(replace(ASK, model="gpt-4o", headers={"x-trace": "t"}))
        (sent,) = azure_server.seen
        assert (sent.method, sent.path) == ("POST", "/openai/deployments/gpt-4o/chat/completions")
        assert sent.query == "api-version=2024-10-21"
        assert sent.headers["api-key"] == KEY
        assert "authorization" not in sent.headers
        assert (sent.headers["x-team"], sent.headers["x-trace"]) == ("blue", "t")
        assert json.loads(sent.body)["messages"] == [{"role": "user", "content": "hello"}]


async def test_one_deployment_can_serve_every_model() -> None:
    async with recording(ANSWER) as azure_server, System("azure") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(azure(azure_server.url, deployment="prod-eu")))
        await ref.ask(replace(ASK, model="gpt-4o"))
        await ref.ask(replace(ASK, model="gpt-5"))
        assert {sent.path for sent in azure_server.seen} == {"/openai/deployments/prod-eu/chat/completions"}


async def test_texts_are_embedded_by_their_own_deployment_and_in_base64() -> None:
    async with recording(VECTOR) as azure_server, System("azure") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(azure(azure_server.url)))
        made = await ref.ask(EmbeddingRequest(["tea"], "text-embedding-3-small"))
        assert made.vectors == ((0.5,),)
        (sent,) = azure_server.seen
        assert sent.path == "/openai/deployments/text-embedding-3-small/embeddings"
        assert sent.query == "api-version=2024-10-21"
        assert json.loads(sent.body)["encoding_format"] == "base64"


async def test_pro_models_stay_with_chat_completions_and_there_are_no_batches() -> None:
    async with recording(ANSWER) as azure_server, System("azure") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(azure(azure_server.url)))
        await ref.ask(replace(ASK, model="o1-pro"))
        assert azure_server.seen[0].path == "/openai/deployments/o1-pro/chat/completions"
        assert not await ref.ask(Supports("batch"))
        assert await ref.ask(Supports("embeddings"))


async def test_a_client_of_ones_own_is_used_with_its_credentials() -> None:
    from openai import AsyncAzureOpenAI

    async def token() -> str:
        return "entra-token"

    async with recording(ANSWER) as azure_server, System("azure") as system:
        client = AsyncAzureOpenAI(
            azure_endpoint=azure_server.url, api_version="2024-10-21", azure_ad_token_provider=token
        )
        spec = ProviderSpec("azure", "azure", base_url=azure_server.url, cloud=Azure("2024-10-21"))
        await system.spawn(AzureProvider, spec, client).ask(replace(ASK, model="gpt-4o"))
        assert azure_server.seen[0].headers["authorization"] == "Bearer entra-token"


async def test_the_simulated_server_wants_the_version_as_azure_does() -> None:
    from openai import AsyncAzureOpenAI, AsyncOpenAI, NotFoundError

    said: Any = [{"role": "user", "content": "hi"}]
    async with SimulatedProvider() as server:
        azure_client = AsyncAzureOpenAI(api_key=KEY, azure_endpoint=server.url, api_version="2024-10-21", max_retries=0)
        async with azure_client as client:
            await client.chat.completions.create(model="gpt-4o", messages=said)
            assert server.log[-1][0] == "/openai/deployments/gpt-4o/chat/completions"
        address = f"{server.url}/openai/deployments/gpt-4o"
        async with AsyncOpenAI(api_key=KEY, base_url=address, max_retries=0) as plain:
            with pytest.raises(NotFoundError):
                await plain.chat.completions.create(model="gpt-4o", messages=said)
