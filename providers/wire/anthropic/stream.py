"""Streamed answers in Anthropic's protocol, both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...messages import Completion, Delta
from .. import fields
from ..failures import cut, from_event, read_by
from ..pieces import pieces
from .answer import REASONS, completion_of, to_response, write_usage
from .blocks import ORIGIN, answer_blocks


def to_events(completion: Completion, *, id: str, size: int = 16) -> Iterator[dict[str, Any]]:
    """The events a server streams for `completion`, text in pieces of `size` characters. Each one's ``type`` is also
    the event's name."""
    usage = write_usage(completion.usage)
    start = {**to_response(completion, id=id), "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": {**start, "usage": {**usage, "output_tokens": 1}}}
    for index, block in enumerate(answer_blocks(completion.message, [], history=False)):
        empty, deltas = _split(block, size)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reason = {"stop_reason": REASONS[completion.finish_reason], "stop_sequence": None}
    yield {"type": "message_delta", "delta": reason, "usage": usage}
    yield {"type": "message_stop"}


def _split(block: Mapping[str, Any], size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as its empty start and the deltas that fill it."""
    if block["type"] == "text":
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
        said = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"], size)]
        return {**block, "text": "", **({"citations": []} if cited else {})}, [*cited, *said]
    if block["type"] in ("tool_use", "server_tool_use", "mcp_tool_use") and isinstance(block.get("input"), dict):
        text = json.dumps(block["input"], ensure_ascii=False)
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text, size)]
        ]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"], size)]
        signature = {"type": "signature_delta", "signature": block.get("signature", "")}
        return {**block, "thinking": "", "signature": ""}, [*deltas, signature]
    return dict(block), []


class _Block:
    """A block that has begun."""

    __slots__ = ("call", "filling", "what")

    def __init__(self, what: dict[str, Any]) -> None:
        self.what = what
        self.filling: list[str] = []
        """Its text, its thinking or its input's JSON."""
        self.call: int | None = None
        """Its number among the calls."""

    def whole(self) -> dict[str, Any]:
        """It as it stands in an answer that comes whole."""
        kind, text = self.what.get("type"), "".join(self.filling)
        if kind in ("text", "thinking"):
            return {**self.what, kind: text}
        if not text:
            return self.what
        if kind == "tool_use":
            return {**self.what, "input": text}
        try:
            return {**self.what, "input": fields.loads(text)}
        except ValueError:  # the vendor's own tool, cut off: it is only ever sent back
            return {**self.what, "input": {"invalid_json": text}}


class Assembler:
    """Builds the completion from a stream's events, and says what each one adds."""

    def __init__(self, *, provider: str = "", origin: str = ORIGIN) -> None:
        self._provider = provider
        self._origin = origin
        self._body: dict[str, Any] = {}
        self._blocks: list[_Block] = []
        """In the order in which they began: whoever reads along got them in that."""
        self._at: dict[int, _Block] = {}
        """By the vendor's index, of which a gateway may use one twice."""
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._ending = False
        self.done = False

    def feed(self, event: Any, name: str = "") -> list[Delta]:
        """Take one event (`name` is the event's name, which its ``type`` repeats).

        Raises:
            ProviderError: the event is an error, or not the protocol.
        """
        if isinstance(event, Mapping) and event.get("type") == "error":
            id = fields.name(event.get("request_id"))
            raise from_event(event.get("error"), provider=self._provider, request_id=id)
        return read_by(self._fed, event, provider=self._provider)

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come; what is told beside the answer may still follow."""
        return bool(self._body.get("stop_reason"))

    def end(self) -> None:
        """The stream has ended in good order; this protocol says so in `feed`, too."""

    def _fed(self, given: Any) -> list[Delta]:
        event = fields.mapping(given, "an event")
        kind = fields.text(event.get("type"), "an event's type")
        if kind == "content_block_delta":
            return self._delta(event)
        if kind == "content_block_start":
            return self._begin(event)
        if kind == "content_block_stop":
            return self._stop(event)
        if kind == "message_start":
            self._body = dict(fields.mapping(event.get("message"), "message"))
            self._usage.update(fields.mapping(self._body.get("usage"), "usage"))
        elif kind == "message_delta":
            given = {**fields.mapping(event.get("delta"), "delta"), **fields.rest(event, "type", "delta", "usage")}
            self._body.update((key, value) for key, value in given.items() if value is not None)
            usage = fields.mapping(event.get("usage"), "usage")
            if usage.get("output_tokens") is not None and not self._ending:
                self._usage.pop("output_tokens", None)  # at the beginning it is a guess
                self._ending = True
            self._usage = fields.told(self._usage, usage, "usage")
            return [delta for block in self._blocks for delta in self._given(block)]
        elif kind == "message_stop":
            self.done = True
        elif not kind:
            raise fields.WrongField("an event without a type")
        return []

    def _begin(self, event: Mapping[str, Any]) -> list[Delta]:
        index = fields.whole(event.get("index"), "index")
        block = dict(fields.mapping(event.get("content_block"), "content_block"))
        kind = fields.text(block.get("type"), "content_block.type")
        before = self._at.get(index)
        if before is not None and kind == "tool_use" and before.what.get("id") == block.get("id"):
            return []  # said again
        begun = self._at[index] = _Block(block)
        self._blocks.append(begun)
        if kind == "tool_use":
            begun.call, self._calls = self._calls, self._calls + 1
            id, name = (fields.text(block.get(key), f"content_block.{key}") for key in ("id", "name"))
            return [Delta(tool_index=begun.call, tool_id=id, tool_name=name)]
        if kind not in ("text", "thinking"):
            return []
        first = fields.text(block.get(kind), f"content_block.{kind}")
        begun.filling.append(first)
        if not first:
            return []
        return [Delta(text=first) if kind == "text" else Delta(reasoning=first)]

    def _stop(self, event: Mapping[str, Any]) -> list[Delta]:
        block = self._at.get(fields.whole(event.get("index"), "index"))
        return [] if block is None else self._given(block)

    def _given(self, block: _Block) -> list[Delta]:
        """The input of a call that gave it whole as it began, as gateways do."""
        given = block.what.get("input")
        if block.call is None or not given or any(block.filling):
            return []
        given = fields.mapping(given, "content_block.input")
        block.filling.append(json.dumps(given, ensure_ascii=False))
        return [Delta(tool_index=block.call, tool_arguments=block.filling[-1])]

    def _delta(self, event: Mapping[str, Any]) -> list[Delta]:
        index, delta = fields.whole(event.get("index"), "index"), fields.mapping(event.get("delta"), "delta")
        at = self._at.get(index)
        if at is None:
            raise fields.WrongField("a delta of a block that was never started")
        block, filling = at.what, at.filling
        kind = fields.text(delta.get("type"), "delta.type")
        if kind == "text_delta":
            piece = fields.text(delta.get("text"), "delta.text")
            filling.append(piece)
            return [Delta(text=piece)] if piece and block.get("type") == "text" else []
        if kind == "thinking_delta":
            piece = fields.text(delta.get("thinking"), "delta.thinking")
            filling.append(piece)
            return [Delta(reasoning=piece)] if piece and block.get("type") == "thinking" else []
        if kind == "input_json_delta":
            piece = fields.text(delta.get("partial_json"), "delta.partial_json")
            filling.append(piece)
            return [Delta(tool_index=at.call, tool_arguments=piece)] if piece and at.call is not None else []
        if kind == "signature_delta":
            so_far = fields.text(block.get("signature"), "content_block.signature")
            block["signature"] = so_far + fields.text(delta.get("signature"), "delta.signature")
        elif kind == "citations_delta":
            cited = fields.sequence(block.get("citations"), "content_block.citations")
            block["citations"] = [*cited, delta.get("citation")]
        else:  # compaction, and what is to come: the fields of the block themselves
            block.update(fields.rest(delta, "type"))
        return []

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: no stop reason has come.
            MalformedResponse: what came is not the protocol.
        """
        if not self.finished:
            raise cut(provider=self._provider, request_id=fields.name(self._body.get("id")))
        content = [block.whole() for block in self._blocks]
        body = {**self._body, "content": content, "usage": self._usage}
        return read_by(completion_of, body, self._provider, self._origin, provider=self._provider)
