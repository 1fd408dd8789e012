"""The JSON of answers and errors, as schemas that the OpenAPI document names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

TEXT: Final = {"type": "string"}
OBJECT: Final = {"type": "object"}
WHOLE: Final = {"type": "integer"}
NUMBER: Final = {"type": "number"}
FLAG: Final = {"type": "boolean"}
ANYTHING: Final[Schema] = {}


def named(name: str) -> Schema:
    """One of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def several(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def maybe(schema: Schema) -> Schema:
    """A value or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def words(*known: str) -> Schema:
    """One of some texts."""
    return {"enum": list(known)}


def record(fields: Mapping[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """An object with these fields, and perhaps others.

    Args:
        fields: what they are.
        optional: which of them need not be there.
    """
    left_out = set(optional)
    return {
        "type": "object",
        "required": [name for name in fields if name not in left_out],
        "properties": dict(fields),
    }


def _texts(*names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, TEXT)


STATES: Final = ("queued", "running", "waiting", "ended", "failed")

_USAGE: Final = record({"input_tokens": WHOLE, "output_tokens": WHOLE})
_CALL: Final = record(_texts("id", "name", "arguments"))
_CALLS: Final = several(_CALL)
_ABILITY: Final = record({"name": TEXT, "description": TEXT})
_REF: Final = record(_texts("agent", "id"))

_ANSWER: Final = record(
    {
        **_texts("text", "agent"),
        "handoffs": several(record(_texts("sender", "target", "kind", "failed"))),
        "tool_calls": _CALLS,
        "usage": _USAGE,
        "cost": NUMBER,
        "notes": several(TEXT),
    }
)
_ABOUT_CHAT: Final = record(
    {**_texts("run", "conversation"), "agents": several(TEXT), "notes": several(TEXT), "cost": NUMBER}
)
_CHOICE: Final = record(
    {
        "index": WHOLE,
        "message": record(
            {"role": words("assistant"), "content": maybe(TEXT), "tool_calls": several(OBJECT)}, ["tool_calls"]
        ),
        "finish_reason": words("stop", "tool_calls", "length", "content_filter"),
    }
)
_VIEW_OF_RUN: Final = record(
    {
        **_texts("id", "question", "answer", "user", "agent"),
        "status": words("queued", "running", "waiting", "answered", "failed"),
        "error": maybe(TEXT),
        "steps": WHOLE,
        "usage": _USAGE,
        "cost": NUMBER,
        "at": NUMBER,
        "rewound": FLAG,
    }
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Problem": record({**_texts("type", "title", "code", "detail", "where", "run"), "status": WHOLE}, ["where", "run"]),
    "OpenAIError": record(
        {"error": record({**_texts("message", "type", "code", "run"), "param": maybe(TEXT)}, ["run"])}
    ),
    "RunError": record({"type": words("RUN_ERROR"), **_texts("message", "code")}),
    "Health": record({"available": FLAG, "pools": OBJECT, "journal_lag": maybe(NUMBER), "resources": OBJECT}),
    "Events": record(
        {
            "stream": TEXT,
            "events": several(
                record(
                    {
                        **_texts("stream", "type"),
                        "position": WHOLE,
                        "version": WHOLE,
                        "at": NUMBER,
                        "data": ANYTHING,
                    }
                )
            ),
        }
    ),
    "Appended": record({"stream": TEXT, "version": WHOLE}),
    "Document": record({"openapi": TEXT, "info": OBJECT, "paths": OBJECT}),
    "Status": record({"status": TEXT}),
    "ChatCompletion": record(
        {
            **_texts("id", "model"),
            "object": words("chat.completion"),
            "created": WHOLE,
            "choices": several(_CHOICE),
            "usage": OBJECT,
            "callboard": _ABOUT_CHAT,
        }
    ),
    "Item": record({**_texts("id", "type"), "status": TEXT}, ["status"]),
    "Items": record(
        {
            "object": words("list"),
            "data": several(named("Item")),
            "first_id": maybe(TEXT),
            "last_id": maybe(TEXT),
            "has_more": FLAG,
        }
    ),
    "Response": record(
        {
            **_texts("id", "model"),
            "object": words("response"),
            "created_at": WHOLE,
            "completed_at": maybe(WHOLE),
            "status": words("queued", "in_progress", "completed", "incomplete", "cancelled", "failed"),
            "error": maybe(record(_texts("code", "message"))),
            "incomplete_details": maybe(record(_texts("reason"))),
            "output": several(named("Item")),
            "usage": maybe(OBJECT),
            "metadata": {"type": "object", "additionalProperties": TEXT},
            "callboard": record({"run": TEXT, "notes": several(TEXT), "cost": NUMBER}),
        }
    ),
    "OpenAIConversation": record(
        {
            "id": TEXT,
            "object": words("conversation"),
            "created_at": WHOLE,
            "metadata": {"type": "object", "additionalProperties": TEXT},
            "callboard": record({"agent": TEXT, "responses": several(TEXT)}),
        }
    ),
    "Deleted": record({**_texts("id", "object"), "deleted": FLAG}),
    "Model": record({**_texts("id", "owned_by", "description"), "object": words("model"), "created": WHOLE}),
    "Models": record({"object": words("list"), "data": several(named("Model"))}),
    "Agent": record(
        {
            **_texts("name", "description", "output_type"),
            "intents": several(TEXT),
            **dict.fromkeys(("tools", "handoffs", "skills", "routes"), several(_ABILITY)),
            "endpoints": record(_texts("chat_completions", "responses", "a2a")),
            "url": TEXT,
        },
        ["url"],
    ),
    "Agents": record({"agents": several(named("Agent"))}),
    "RunBegun": record(_texts("id", "agent", "conversation")),
    "Run": record(
        {
            **_texts("id", "agent", "conversation"),
            "status": words(*STATES),
            "answer": maybe(_ANSWER),
            "error": maybe(named("Problem")),
        }
    ),
    "Runs": record(
        {
            "runs": several(
                record(
                    {
                        **_texts("id", "agent", "conversation", "user"),
                        "status": words(*STATES),
                        "at": NUMBER,
                        "steps": WHOLE,
                        "usage": _USAGE,
                        "cost": NUMBER,
                    }
                )
            ),
            "next": maybe(TEXT),
        }
    ),
    "Approvals": record(
        {
            "approvals": several(
                record(
                    {
                        **_texts("id", "agent", "conversation", "run", "root", "tool", "user", "why"),
                        "arguments": ANYTHING,
                        "expires_at": maybe(NUMBER),
                    }
                )
            )
        }
    ),
    "Decision": record({"id": TEXT, "approved": FLAG}),
    "ConversationRef": _REF,
    "ConversationRewound": record({**_texts("agent", "id"), "to": WHOLE}),
    "Conversations": record(
        {
            "conversations": several(
                record(
                    {
                        **_texts("agent", "id", "user", "damaged"),
                        "unfinished": FLAG,
                        "version": WHOLE,
                        "created_at": NUMBER,
                        "updated_at": NUMBER,
                    },
                    ["damaged"],
                )
            ),
            "next": maybe(TEXT),
        }
    ),
    "Conversation": record(
        {
            **_texts("agent", "id", "user"),
            "status": words("idle", "running", "waiting"),
            "messages": several(record({"role": TEXT, "content": ANYTHING, "tool_calls": _CALLS}, ["tool_calls"])),
            "steps": several(record({"number": WHOLE, **_texts("run", "agent", "text"), "calls": several(OBJECT)})),
            "runs": several(_VIEW_OF_RUN),
            "owner": maybe(record(_texts("agent", "conversation"))),
            "usage": _USAGE,
            "cost": NUMBER,
            "version": WHOLE,
            "created_at": NUMBER,
            "updated_at": NUMBER,
        }
    ),
}
"""Those that are named in the document."""
