"""Items of responses and conversations, listed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request

from .....providers.messages import Message
from .....providers.wire.openai_responses.items import history_items
from ...problems import refuse

MOST: Final = 100
"""Items in a page."""

_PREFIXES: Final[Mapping[str, str]] = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def input_items(messages: Iterable[Message], named: str) -> list[dict[str, Any]]:
    """Messages as items that have an id.

    Args:
        messages: what was said.
        named: the end of the ids, before the items' numbers.
    """
    found: list[dict[str, Any]] = []
    for message in messages:
        for item in history_items(message, []):
            kind = item.get("type", "message")
            if isinstance(item.get("content"), str):
                word = "output_text" if message.role == "assistant" else "input_text"
                part: dict[str, Any] = {"type": word, "text": item["content"]}
                if message.role == "assistant":
                    part |= {"annotations": [], "logprobs": []}
                item = {**item, "content": [part]}
            id = f"{_PREFIXES.get(kind, 'msg')}_{named}_{len(found)}"
            found.append({**item, "type": kind, "id": id, "status": "completed"})
    return found


def page(items: Sequence[Mapping[str, Any]], request: Request, *, newest_first: bool) -> dict[str, Any]:
    """A page of items, as the request wants it.

    Args:
        items: all of them, the oldest first.
        request: says ``limit``, ``order`` and ``after``.
        newest_first: the order where it says none.

    Raises:
        Refused: one of these is wrong.
    """
    asked = request.query_params
    limit = asked.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST):
        raise refuse(400, "invalid_request", f"limit: expected a number from 1 to {MOST}", "limit")
    order = asked.get("order", "desc" if newest_first else "asc")
    if order not in ("asc", "desc"):
        raise refuse(400, "invalid_request", "order: expected asc or desc", "order")
    ordered = list(items) if order == "asc" else list(reversed(items))
    if after := asked.get("after"):
        place = next((number for number, item in enumerate(ordered) if item["id"] == after), None)
        if place is None:
            raise refuse(400, "invalid_request", f"after: there is no item {after!r:.100}", "after")
        ordered = ordered[place + 1 :]
    shown = ordered[: int(limit)]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(shown) < len(ordered),
    }
