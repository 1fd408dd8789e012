"""The skill ``webhooks``: workflows elsewhere (n8n, Zapier, a service of one's own) that a model may start, signed.

How they are signed is said in `handoffs.signing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .....providers.checks import HEADERS, MAPPING, SOME_SECONDS, TEXT, TOOL_NAME
from .....tools.errors import ToolError
from .....tools.from_schema import tool_from_schema
from .....tools.tool import Tool
from ...context import ToolContext
from ...errors import AgentUnavailable, DefinitionError
from ...handoffs.http_target import HttpTarget, as_json
from ...handoffs.signing import key_of, sign_webhook
from ...wishes import define
from ..skill import Skill

if TYPE_CHECKING:
    import httpx

_ANYTHING: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"data": {"type": "object", "description": "what it is told"}},
    "required": ["data"],
}


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
        key_of(self.secret)


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


class _Endpoint(HttpTarget):
    """A webhook's address, asked within bounds of time and size."""

    def __init__(self, webhook: Webhook, transport: httpx.AsyncBaseTransport | None) -> None:
        super().__init__("webhook", webhook.name, webhook.url, webhook.description, webhook.timeout, transport)
        self._webhook = webhook

    async def send(self, data: Mapping[str, Any], message_id: str) -> str:
        webhook = self._webhook
        body = as_json(data)
        headers = {**webhook.headers, "Idempotency-Key": message_id}
        if webhook.secret:
            headers |= sign_webhook(webhook.secret, message_id, body)
        answer = await self._post(body, headers, (webhook.url, webhook.secret, *webhook.headers.values()))
        return answer.decode(errors="replace")


def _tool(webhook: Webhook, transport: httpx.AsyncBaseTransport | None) -> Tool:
    endpoint = _Endpoint(webhook, transport)

    async def start(context: ToolContext, arguments: dict[str, Any]) -> str:
        data = arguments if webhook.parameters else arguments["data"]
        try:
            return await endpoint.send(data, f"msg_{context.idempotency_key}") or "(it answered nothing)"
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
        sends=True,
        idempotent=True,
        timeout=webhook.timeout + 5,
        max_result=20_000,
    )
