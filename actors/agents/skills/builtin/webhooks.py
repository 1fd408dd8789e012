"""The skill ``webhooks``: workflows elsewhere (n8n, Zapier, a service of one's own) that a model may start, signed.

Signed as Standard Webhooks (standardwebhooks.com) has it: an HMAC-SHA256 of id, time and body, so that the receiver
knows who sent it, that nothing was changed, and that it is no old one sent again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .....providers.checks import HEADERS, MAPPING, SOME_SECONDS, TEXT, TOOL_NAME
from .....tools.errors import ToolError
from .....tools.from_schema import tool_from_schema
from .....tools.tool import Tool
from ...context import ToolContext
from ...errors import AgentUnavailable, DefinitionError
from ...handoffs.http_target import HttpTarget
from ...wishes import define
from ..skill import Skill

if TYPE_CHECKING:
    import httpx

TOLERANCE: Final = 300.0
"""Seconds that the clocks of sender and receiver may be apart."""

_PREFIX: Final = "whsec_"
_ANYTHING: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"data": {"type": "object", "description": "what it is told"}},
    "required": ["data"],
}


class WebhookRefused(ToolError):
    """A webhook's signature is missing, wrong, or too old. Says which, and nothing of the secret."""


@dataclass(frozen=True)
class Webhook:
    """A workflow that a model may start.

    Args:
        name: of its tool.
        url: its address; a secret, as everybody who has it may start the workflow.
        description: when to use it, and what it does.
        secret: signs what is sent: a text, or ``whsec_`` and base64; empty for no signature.
        headers: sent along, such as a key.
        parameters: a JSON schema of what it is told; by default any object, as ``data``.
        timeout: seconds for the whole answer.

    Raises:
        DefinitionError: a field is of the wrong type, or the secret is none.
    """

    name: str
    url: str = field(repr=False)
    description: str = ""
    secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0

    def __post_init__(self) -> None:
        define("a webhook", name=(self.name, TOOL_NAME))
        define(
            f"webhook {self.name}",
            description=(self.description, TEXT),
            headers=(self.headers, HEADERS),
            parameters=(self.parameters, MAPPING),
            timeout=(self.timeout, SOME_SECONDS),
        )
        if not isinstance(self.secret, str):
            raise DefinitionError(
                f"webhook {self.name}: secret is of type {type(self.secret).__name__}; expected a text"
            )
        _key(self.secret)


def webhooks_skill(
    *webhooks: Webhook, name: str = "webhooks", transport: httpx.AsyncBaseTransport | None = None
) -> Skill:
    """A tool for each of some webhooks. They are risky: what they are told leaves the house.

    A call that is made again after a crash has the same ``webhook-id`` (and ``Idempotency-Key``), by which a receiver
    knows that it has it already.

    Args:
        webhooks: where to.
        name: of the skill.
        transport: for tests: in place of the network.

    Raises:
        DefinitionError: an address is none, a schema is none, or two have one name.
    """
    if len({each.name for each in webhooks}) < len(webhooks):
        raise DefinitionError(f"skill {name}: two webhooks have one name: {', '.join(each.name for each in webhooks)}")
    return Skill(
        name,
        tools=[_tool(webhook, transport) for webhook in webhooks],
        description=f"Starts workflows elsewhere: {', '.join(each.name for each in webhooks) or 'none'}.",
    )


def sign_webhook(secret: str, message_id: str, body: bytes, *, now: float | None = None) -> dict[str, str]:
    """The headers that sign a webhook.

    Args:
        secret: a text, or ``whsec_`` and base64.
        message_id: the same each time the same message is sent.
        body: exactly what is sent.
        now: seconds since 1970; by default the clock's.

    Raises:
        DefinitionError: the secret is none.
    """
    at = str(int(time.time() if now is None else now))
    signature = _signature(_key(secret), message_id, at, body)
    return {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> str:
    """Look whether a webhook comes from whoever has the secret.

    Args:
        secret: see `sign_webhook`.
        headers: of the request, in whatever case; ``webhook-signature`` may hold several, of which one suffices.
        body: exactly what has come.
        now: seconds since 1970; by default the clock's.

    Returns:
        The message's id: one that has come before is the same message again.

    Raises:
        WebhookRefused: it does not, something is missing, or it was signed more than five minutes ago, or ahead.
        DefinitionError: the secret is none.
    """
    key = _key(secret)
    if not key:
        raise DefinitionError("a webhook is verified by a secret, and there is none")
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise WebhookRefused(f"the webhook has no {', '.join(missing)}")
    message_id, at = given["webhook-id"], given["webhook-timestamp"]
    if not at.isascii() or not at.isdigit() or len(at) > 15:
        raise WebhookRefused("the webhook's timestamp is none")
    if abs((time.time() if now is None else now) - int(at)) > TOLERANCE:
        raise WebhookRefused(f"the webhook was signed more than {TOLERANCE:g} seconds ago, or ahead")
    wanted = _signature(key, message_id, at, body).encode()
    for each in given["webhook-signature"].split(" "):
        version, _, signature = each.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode("utf-8", "replace"), wanted):
            return message_id
    raise WebhookRefused("the webhook's signature is wrong")


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise DefinitionError(
            f"a webhook's secret that begins with {_PREFIX} goes on in base64; this does not"
        ) from None
    if not key:
        raise DefinitionError(f"a webhook's secret has something behind {_PREFIX}")
    return key


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    signed = b".".join((message_id.encode("utf-8", "replace"), at.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class _Endpoint(HttpTarget):
    """A webhook's address, asked within bounds of time and size."""

    def __init__(self, webhook: Webhook, transport: httpx.AsyncBaseTransport | None) -> None:
        super().__init__("webhook", webhook.name, webhook.url, webhook.description, webhook.timeout, transport)
        self._webhook = webhook

    async def send(self, data: Mapping[str, Any], message_id: str) -> str:
        webhook = self._webhook
        body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        headers = {**webhook.headers, "Idempotency-Key": message_id}
        if webhook.secret:
            headers |= sign_webhook(webhook.secret, message_id, body)
        answer = await self._post(body, headers, (webhook.url, webhook.secret, *webhook.headers.values()))
        return answer.decode(errors="replace")


def _tool(webhook: Webhook, transport: httpx.AsyncBaseTransport | None) -> Tool:
    endpoint = _Endpoint(webhook, transport)

    async def start(context: ToolContext, arguments: dict[str, Any]) -> str:
        data = arguments if webhook.parameters else arguments["data"]
        called = f"{context.run}/{context.call_id}/{webhook.name}"
        message_id = f"msg_{hashlib.sha256(called.encode('utf-8', 'replace')).hexdigest()[:32]}"
        try:
            return await endpoint.send(data, message_id) or "(it answered nothing)"
        except AgentUnavailable as error:
            raise ToolError(f"the webhook {error}") from error
        except ValueError:
            raise ToolError("what it is told cannot be written as JSON") from None

    return tool_from_schema(
        name=webhook.name,
        description=webhook.description or f"Start the workflow {webhook.name}.",
        schema=webhook.parameters or _ANYTHING,
        handler=start,
        risk="risky",
        idempotent=True,
        timeout=webhook.timeout + 5,
        max_result=20_000,
    )
