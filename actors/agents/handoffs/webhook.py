"""A target behind a webhook, such as a workflow of n8n or Zapier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ....providers.checks import HEADERS
from ..answer import Answer
from ..wishes import define
from .http_target import HttpTarget, as_json
from .signing import key_of, sign_webhook
from .target import AgentRequest

if TYPE_CHECKING:
    import httpx

_NOTHING: Mapping[str, str] = MappingProxyType({})


class WebhookTarget(HttpTarget):
    """A workflow that is started by a POST, and answers it.

    It is sent a JSON object: ``task``, ``context``, ``summary``, ``input``, ``sender`` (the agent that asks) and
    ``run``; the user's name stays here. ``run`` is also the ``Idempotency-Key``: one that is asked again after a crash
    is asked under the same. What it answers is the agent's answer: the ``text`` of a JSON object, or else the body as
    it is. Two targets that are made of the same are the same.

    Args:
        name: as the model knows it.
        url: the webhook's address. It is a secret, as everybody who has it may start the workflow: no repr, error or
            log shows more of it than the host.
        description: when to use it.
        headers: sent along, such as a key; never shown.
        secret: signs what is sent, as Standard Webhooks has it, see `sign_webhook`; empty for no signature.
        timeout: seconds for the whole answer.
        transport: for tests: an httpx transport in place of the network.

    Raises:
        DefinitionError: the address is none of the web, or another argument is of the wrong type.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        description: str = "",
        headers: Mapping[str, str] = _NOTHING,
        secret: str = "",
        timeout: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__("webhook", name, url, description, timeout, transport)
        define(f"webhook {name}", headers=(headers, HEADERS))
        self._headers = dict(headers)
        key_of(secret)
        self._secret = secret

    async def answer(self, request: AgentRequest) -> Answer:
        """Start the workflow, and wait for what it answers.

        Raises:
            AgentUnavailable: it cannot be reached, refuses, is too late, or says too much.
        """
        handoff, run = request.handoff, request.context.run
        payload: dict[str, Any] = {"task": request.text, "run": run}
        if handoff is not None:
            payload |= {"sender": handoff.sender, "context": handoff.context, "summary": handoff.summary}
            payload["input"] = handoff.plain_input()
        headers = {**self._headers, "Idempotency-Key": run}
        sent = as_json(payload)
        if self._secret:
            headers |= sign_webhook(self._secret, run, sent)
        body = await self._post(sent, headers, (self._url, self._secret, *self._headers.values()))
        return Answer(_text_of(body.decode(errors="replace")), self.name)


def _text_of(body: str) -> str:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(said, list) and len(said) == 1:  # so n8n sends the one item that is left at the end
        said = said[0]
    text = said.get("text") if isinstance(said, dict) else said
    return text if isinstance(text, str) else body
