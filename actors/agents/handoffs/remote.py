"""A target on another machine: another Callboard, or any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....providers.messages import Message, Request
from ..answer import Answer
from ..errors import AgentUnavailable, RunFailed
from .target import AgentRequest

if TYPE_CHECKING:
    import httpx


class RemoteAgent:
    """An agent behind ``{url}/chat/completions``.

    Args:
        name: as the model here knows it.
        url: the endpoint's address, up to and including ``/v1``.
        model: what the endpoint calls the agent; the name by default.
        api_key: sent as a bearer token; never shown.
        description: when to use it.
        timeout: seconds for the whole answer.
        transport: for tests: an httpx transport in place of the network.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        model: str = "",
        api_key: str = "",
        description: str = "",
        timeout: float = 300.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model or name
        self._key = api_key
        self._timeout = timeout
        self._transport = transport

    def __repr__(self) -> str:
        return f"<RemoteAgent {self.name} at {self._url}>"

    async def answer(self, request: AgentRequest) -> Answer:
        """Do the task there.

        Raises:
            AgentUnavailable: the endpoint cannot be reached, or refuses.
            RunFailed: what came back is no completion.
        """
        import httpx

        from ....providers.errors import ProviderError
        from ....providers.wire.openai_chat import from_response, to_payload

        instructions = (Message("system", "You are asked by another agent."), *request.messages)
        payload: dict[str, Any] = to_payload(Request(instructions), model=self._model)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with httpx.AsyncClient(timeout=self._timeout, transport=self._transport) as client:
                response = await client.post(self._url, json=payload, headers=headers)
        except httpx.HTTPError as error:
            raise AgentUnavailable(f"{self.name} at {self._url}: {type(error).__name__} {error}".strip()) from error
        if response.is_error:
            text = " ".join(response.text.split())[:200]
            raise AgentUnavailable(f"{self.name} at {self._url} answered {response.status_code}: {text}")
        try:
            completion = from_response(response.json(), provider=self.name)
        except (ValueError, ProviderError) as error:
            raise RunFailed(f"{self.name} at {self._url} sent no completion: {error}") from error
        return Answer(
            completion.message.text,
            self.name,
            usage=completion.usage,
            cost=completion.cost or 0.0,
            steps=1,
            notes=completion.notes,
        )
