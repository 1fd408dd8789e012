"""What every agency answers, by method and path: what the operations of the OpenAPI document take and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .schemas import FLAG, NUMBER, OBJECT, STATES, TEXT, WHOLE, Schema, maybe, record, several, words


@dataclass(frozen=True, slots=True)
class Described:
    """An operation.

    Args:
        answer: which of `SCHEMAS` it gives; empty for none.
        status: of the answer.
        stream: whether the answer may come as server-sent events, too.
        body: what it takes.
        query: what may stand in its query.
        needs_body: whether there must be a body.
        text: whether the answer is plain text.
        also: other answers that are no problems, by their status: which schema they have, empty for none.
    """

    answer: str = ""
    status: int = 200
    stream: bool = False
    body: Schema | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    needs_body: bool = True
    text: bool = False
    also: Mapping[int, str] = field(default_factory=dict)


_MESSAGE: Final = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"anyOf": [TEXT, several(OBJECT), {"type": "null"}]},
    },
}
_MESSAGES: Final[Schema] = {"type": "array", "minItems": 1, "items": _MESSAGE}
_SAID: Final[Schema] = {"anyOf": [TEXT, _MESSAGES]}
_METADATA: Final[Schema] = {"type": "object", "additionalProperties": TEXT, "maxProperties": 16}

_CHAT_FIELDS: Final = {"model": TEXT, "messages": _MESSAGES, "stream": FLAG}
_RESPONSE: Final = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "model": TEXT,
        "input": {"anyOf": [TEXT, {"type": "array", "minItems": 1, "items": OBJECT}]},
        "stream": FLAG,
        "background": FLAG,
        "previous_response_id": maybe(TEXT),
        "conversation": {"anyOf": [TEXT, record({"id": TEXT}), {"type": "null"}]},
    },
}


def _closed(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    """An object of these fields and no others."""
    return {**record({**required, **optional}, optional), "additionalProperties": False}


_RUN: Final = _closed(
    {"input": _SAID},
    when_busy=words("queue", "reject", "interrupt", "rollback"),
    agent=TEXT,
    conversation=TEXT,
    webhook=TEXT,
)
_LIMITS: Final = _closed({}, steps=WHOLE, tokens=WHOLE, cost=NUMBER)
_PAGE: Final[Mapping[str, Schema]] = {"after": TEXT, "limit": {"type": "integer", "minimum": 1, "maximum": 1_000}}
_ITEMS: Final[Mapping[str, Schema]] = {
    "after": TEXT,
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "order": words("asc", "desc"),
}

_ITEM: Final = "/v1/conversations/{conversation}/items"
_CONVERSATION: Final = "/agency/conversations/{agent}/{conversation}"
_EVENTS: Final = "/agency/events/{stream}"
_APPROVAL: Final = "/agency/approvals/{approval}"
_RESPONDED: Final = Described("Response", stream=True, body=_RESPONSE)

DESCRIBED: Final[Mapping[tuple[str, str], Described]] = {
    ("post", "/v1/chat/completions"): Described("ChatCompletion", stream=True, body=record(_CHAT_FIELDS, ["stream"])),
    ("post", "/{agent}/chat/completions"): Described(
        "ChatCompletion", stream=True, body=record(_CHAT_FIELDS, ["model", "stream"])
    ),
    ("get", "/v1/chat/completions/{completion}"): Described("ChatCompletion", stream=True),
    ("post", "/v1/responses"): _RESPONDED,
    ("post", "/{agent}/responses"): _RESPONDED,
    ("get", "/v1/responses/{response}"): Described(
        "Response", stream=True, query={"stream": FLAG, "starting_after": {"type": "integer", "minimum": 0}}
    ),
    ("delete", "/v1/responses/{response}"): Described("Deleted"),
    ("post", "/v1/responses/{response}/cancel"): Described("Response"),
    ("get", "/v1/responses/{response}/input_items"): Described("Items", query=_ITEMS),
    ("post", "/v1/conversations"): Described(
        "OpenAIConversation", body=_closed({}, items=several(OBJECT), metadata=_METADATA)
    ),
    ("get", "/v1/conversations/{conversation}"): Described("OpenAIConversation"),
    ("post", "/v1/conversations/{conversation}"): Described("OpenAIConversation", body=_closed({}, metadata=_METADATA)),
    ("delete", "/v1/conversations/{conversation}"): Described("Deleted"),
    ("get", _ITEM): Described("Items", query=_ITEMS),
    ("post", _ITEM): Described("Items", body=_closed({"items": several(OBJECT)})),
    ("get", f"{_ITEM}/{{item}}"): Described("Item"),
    ("delete", f"{_ITEM}/{{item}}"): Described("OpenAIConversation"),
    ("get", "/v1/models"): Described("Models"),
    ("get", "/v1/models/{model}"): Described("Model"),
    ("get", "/healthz"): Described("Status"),
    ("get", "/readyz"): Described("Status", also={503: "Status"}),
    ("get", "/metrics"): Described(text=True),
    ("get", "/agency/health"): Described("Health"),
    ("get", "/agency/events"): Described(stream=True, query={"after": WHOLE, "prefix": TEXT}),
    ("get", "/agency/events/{stream}"): Described("Events", query={"after": WHOLE, "limit": _PAGE["limit"]}),
    ("post", "/agency/events/{stream}"): Described(
        "Appended", 201, body=_closed({"events": several(OBJECT)}, expected=WHOLE)
    ),
    ("get", "/agency/runs"): Described(
        "Runs", query={"agent": TEXT, "conversation": TEXT, "status": words(*STATES), **_PAGE}
    ),
    ("post", "/agency/runs"): Described("RunBegun", 202, body=_RUN),
    ("get", "/agency/runs/{run}"): Described("Run"),
    ("get", "/agency/runs/{run}/events"): Described(stream=True, also={204: ""}),
    ("post", "/agency/runs/{run}/cancel"): Described("Run", body=_closed({}, reason=TEXT), needs_body=False),
    ("get", "/agency/approvals"): Described("Approvals"),
    ("post", f"{_APPROVAL}/approve"): Described(
        "Decision", body=_closed({}, arguments=OBJECT, limits=_LIMITS), needs_body=False
    ),
    ("post", f"{_APPROVAL}/deny"): Described("Decision", body=_closed({}, reason=TEXT), needs_body=False),
    ("get", "/agency/conversations"): Described("Conversations", query={"agent": TEXT, "unfinished": FLAG, **_PAGE}),
    ("get", _CONVERSATION): Described("Conversation"),
    ("delete", _CONVERSATION): Described(status=204),
    ("post", f"{_CONVERSATION}/fork"): Described(
        "ConversationRef", 201, body=_closed({}, at=WHOLE, to=TEXT), needs_body=False
    ),
    ("post", f"{_CONVERSATION}/rewind"): Described("ConversationRewound", body=_closed({"to": WHOLE})),
    ("post", f"{_CONVERSATION}/steer"): Described("ConversationRef", 202, body=_closed({"input": _SAID})),
    ("get", "/agency/agents"): Described("Agents", query={"q": TEXT}),
    ("get", "/openapi.json"): Described("Document"),
    ("get", "/{agent}"): Described("Agent"),
    ("post", "/ag-ui/{agent}"): Described(stream=True, body=OBJECT),
}
