"""A target on another machine: another Callboard, or any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ....providers.checks import SENDABLE_KEY, TEXT, Wish, is_key
from ....providers.messages import Message, Request
from ....providers.wire.secrets import public
from ..answer import Answer, step_of
from ..errors import RunFailed
from ..wishes import define
from .http_target import HttpTarget, host_of
from .target import AgentRequest

if TYPE_CHECKING:
    import httpx


KEY = Wish(f"{SENDABLE_KEY}; or none", lambda given: TEXT.fits(given) and (not given or is_key(given)))


class RemoteAgent(HttpTarget):
    """An agent behind ``{url}/chat/completions``.

    Two that are made of the same are the same.

    Args:
        name: as the model here knows it.
        url: the endpoint's address, up to and including ``/v1``.
        model: what the endpoint calls the agent; the name by default.
        api_key: sent as a bearer token; never shown.
        description: when to use it.
        timeout: seconds for the whole answer. Where the endpoint has too much to do (429), it is asked again within
            them, when it says.
        transport: for tests: an httpx transport in place of the network.

    Raises:
        DefinitionError: the address is none of the web, or another argument is of the wrong type.
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
        super().__init__("remote agent", name, url, description, timeout, transport)
        define(f"remote agent {name}", model=(model, TEXT), api_key=(api_key, KEY))
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model or name
        self._key = api_key

    @property
    def _there(self) -> str:
        return f"{self.name} at {public(self._url)}"

    async def answer(self, request: AgentRequest) -> Answer:
        """Do the task there.

        Raises:
            AgentUnavailable: the endpoint cannot be reached, or refuses.
            RunFailed: what came back is no completion.
        """
        from ....providers.errors import ProviderError
        from ....providers.wire.openai_chat import from_response, to_payload

        asked = (Message("system", "You are asked by another agent."), *request.messages)
        payload: dict[str, Any] = to_payload(Request(asked), model=self._model)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        body = await self._post(payload, headers, (self._key,) if self._key else ())
        try:
            completion = from_response(json.loads(body), provider=self.name)
        except (ValueError, RecursionError, ProviderError) as error:
            raise RunFailed(f"{self._there} sent no completion: {error}") from error
        return Answer(
            completion.message.text,
            self.name,
            usage=completion.usage,
            cost=completion.cost or 0.0,
            steps=(step_of(completion, self.name),),
            notes=completion.notes,
        )


def remote_at(url: str) -> RemoteAgent:
    """The remote agent at an address, called after its host."""
    return RemoteAgent(name_at(url), url, description=f"An agent at {host_of(url)}.")


def name_at(url: str) -> str:
    """What an agent at an address is called."""
    return re.sub(r"[^A-Za-z0-9]+", "_", host_of(url)).strip("_")[:40] or "remote"
