"""Ids of calls in a history that the vendor refuses: in another's form, too long, or the same in two calls."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from ...messages import Message


def with_fitting_ids(
    messages: Sequence[Message], pattern: re.Pattern[str], origin: str, *, once: bool = True
) -> list[Message]:
    """The messages with call ids that match `pattern`; a result goes on naming its call.

    An id that does not fit is replaced by one that is made of it, always the same, so that prompt caches hold. What
    comes from `origin` goes back with its own ids.

    Args:
        messages: the history.
        pattern: what an id must match as a whole.
        origin: whose state in a message says that the vendor itself made the ids.
        once: whether the vendor refuses an id that two messages use; two calls of one message never share one.
    """
    fitted: list[Message] = []
    theirs = {call.id for message in messages if _made_by(origin, message) for call in message.tool_calls}
    used = set(theirs) if once else set()
    tried: dict[str, int] = {}
    """How often an id has been made another: who tries all of them anew for each call takes the square of the time."""
    now: dict[str, deque[str]] = {}
    for message in messages:
        if message.tool_calls:
            own = _made_by(origin, message)
            if not once:
                used.clear()
                tried.clear()
            now.update((call.id, deque()) for call in message.tool_calls)
            ids = []
            for call in message.tool_calls:
                id = call.id if own and call.id else _fit(call.id, pattern)
                while not own and id in used:
                    tried[call.id] = tried.get(call.id, 0) + 1
                    id = _made(f"{call.id}#{tried[call.id]}", pattern)
                used.add(id)
                ids.append(id)
                now[call.id].append(id)
            if any(call.id != id for call, id in zip(message.tool_calls, ids, strict=True)):
                calls = tuple(replace(call, id=id) for call, id in zip(message.tool_calls, ids, strict=True))
                message = replace(message, tool_calls=calls)
        elif message.role == "tool":
            given = message.tool_call_id or ""
            left = now.get(given)
            id = _fit(given, pattern) if not left else left.popleft() if len(left) > 1 else left[0]
            if id != given:
                message = replace(message, tool_call_id=id)
        fitted.append(message)
    return fitted


def _made_by(origin: str, message: Message) -> bool:
    return message.state is not None and message.state.origin == origin


def _fit(id: str, pattern: re.Pattern[str]) -> str:
    return id if pattern.fullmatch(id) else _made(id, pattern)


def _made(id: str, pattern: re.Pattern[str]) -> str:
    digest = sha256(id.encode("utf-8", "surrogatepass")).hexdigest()
    made = f"call_{digest[:24]}"
    return made if pattern.fullmatch(made) else digest[:9]
