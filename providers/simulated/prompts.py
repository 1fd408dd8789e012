"""What vendors do with prompts: they refuse those that are too long, and cache how they begin. Pure."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Final

from ..messages import Completion, Message, Request, Usage
from ..tokens import estimate, estimate_message

LEAST: Final = 1_024
"""Tokens from which a beginning is cached: https://platform.openai.com/docs/guides/prompt-caching ·
https://docs.claude.com/en/docs/build-with-claude/prompt-caching"""
_MOST: Final = 100_000
"""Beginnings that are kept."""


def too_long(request: Request, window: int | None) -> str:
    """What a vendor says whose model takes no more tokens than ``window``; empty where it takes the request."""
    tokens = estimate(request) if window is not None else 0
    return f"prompt is too long: {tokens} tokens > {window} maximum" if window is not None and tokens > window else ""


class PromptCache:
    """How earlier prompts began, tools first, message by message, as vendors cache it without being asked to."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def usage(self, request: Request) -> Usage:
        """The input tokens of a request, with those of its beginning that an earlier one had, too."""
        read = total = estimate(Request((), tools=request.tools))
        for beginning, tokens in _beginnings(request):
            total += tokens
            if beginning in self._known:
                self._known.move_to_end(beginning)
                read = total
            else:
                self._known[beginning] = None
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return Usage(total, 0, cache_read_tokens=read if read >= LEAST else 0)


def counted(made: Completion, input: Usage | None) -> Completion:
    """An answer with what its prompt had."""
    if input is None:
        return made
    return replace(made, usage=replace(input, output_tokens=made.usage.output_tokens))


def _beginnings(request: Request) -> Iterator[tuple[bytes, int]]:
    """A digest of the request up to each message, and that message's tokens."""
    digest = sha256(
        repr([(tool.name, tool.description, json.dumps(tool.parameters)) for tool in request.tools]).encode()
    )
    for message in request.messages:
        digest.update(_written(message))
        yield digest.digest(), estimate_message(message)


def _written(message: Message) -> bytes:
    content = message.content
    said = (
        content if isinstance(content, str) else [getattr(part, "text", getattr(part, "url", "")) for part in content]
    )
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    state = message.state.content if message.state is not None else ""
    return repr((message.role, said, calls, message.tool_call_id, state)).encode("utf-8", "replace")
