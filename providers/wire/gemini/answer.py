"""Answers as Gemini's protocol has them, whole and as a stream's chunks, each of which is a whole response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...messages import Completion, Delta, FinishReason, Usage
from .. import fields
from ..failures import cut, from_event, malformed, read_by
from ..pieces import pieces
from .parts import appended, read_answer, spoken_parts

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
_FAILED = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"})
"""Reasons that mean: the model wrote something that is no answer. Asked again, it may do better."""
_REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "pause": "STOP",
}
_KNOWN = ("candidates", "usageMetadata", "modelVersion", "responseId", "promptFeedback", "createTime")


def from_response(body: Any, *, provider: str = "") -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error, or is not the protocol (`MalformedResponse`).
    """
    assembler = Assembler(provider=provider)
    assembler.feed(body)
    if not assembler.finished:
        raise malformed("JSON without a candidate that has a finish reason", provider=provider)
    return assembler.completion()


def to_response(completion: Completion, *, id: str) -> dict[str, Any]:
    """The response a server sends for `completion`."""
    reason = _REASONS[completion.finish_reason]
    return {
        "candidates": [_candidate(spoken_parts(completion.message), reason)],
        "usageMetadata": write_usage(completion.usage),
        "modelVersion": completion.model,
        "responseId": id,
    }


def to_events(completion: Completion, *, id: str, size: int = 16) -> Iterator[dict[str, Any]]:
    """The chunks a server streams for `completion`, text in pieces of `size` characters; a part with a signature comes
    in one piece, because a signature belongs to its whole part."""
    common = {"modelVersion": completion.model, "responseId": id}
    for part in spoken_parts(completion.message):
        divisible = set(part) <= {"text", "thought"}
        for piece in [{**part, "text": text} for text in pieces(part["text"], size)] if divisible else [part]:
            yield {"candidates": [_candidate([piece])], **common}
    reason = _REASONS[completion.finish_reason]
    yield {"candidates": [_candidate([], reason)], "usageMetadata": write_usage(completion.usage), **common}


class Assembler:
    """Builds the completion from a stream's chunks, each a whole response, and says what each one adds."""

    def __init__(self, *, provider: str = "") -> None:
        self._provider = provider
        self._parts: list[dict[str, Any]] = []
        self._calls = 0
        self._prefix = ""
        self._reason = ""
        self._blocked = ""
        self._usage = Usage()
        self._counts: dict[str, Any] = {}
        """What was told of it so far."""
        self._index: str | None = None
        """Of several candidates the one that is read: the first that began."""
        self._extra: dict[str, Any] = {}
        """What stands beside the message: grounding, safety ratings, citations, logprobs."""
        self._model = ""
        self._id = ""
        # No chunk says that it is the last: usage, and even a signature, may come after the finish reason.
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come, or that the prompt was blocked."""
        return bool(self._reason or self._blocked)

    def feed(self, chunk: Any, name: str = "") -> list[Delta]:
        """Take one chunk (`name` is the event's name, which this protocol does not use).

        Raises:
            ProviderError: the chunk is an error, or not the protocol.
        """
        if isinstance(chunk, Mapping) and chunk.get("error"):
            raise from_event(chunk["error"], provider=self._provider, request_id=self._id)
        return read_by(self._fed, chunk, provider=self._provider)

    def end(self) -> None:
        """The stream has ended in good order; this protocol has no word for that."""

    def _fed(self, given: Any) -> list[Delta]:
        chunk = fields.mapping(given, "body")
        self._id = self._id or fields.name(chunk.get("responseId"))
        self._model = self._model or fields.name(chunk.get("modelVersion"))
        if chunk.get("usageMetadata") is not None:
            self._counts = fields.told(self._counts, chunk["usageMetadata"], "usageMetadata")
            self._usage = read_usage(self._counts)
        feedback = fields.mapping(chunk.get("promptFeedback"), "promptFeedback")
        self._blocked = fields.text(feedback.get("blockReason"), "promptFeedback.blockReason") or self._blocked
        candidates = fields.mappings(chunk.get("candidates"), "candidates")
        if candidates and self._index is None:
            self._index = _index(candidates[0])
        candidate = next((one for one in candidates if _index(one) == self._index), {})
        content = fields.mapping(candidate.get("content"), "content")
        parts = fields.mappings(content.get("parts"), "content.parts")
        for number, part in enumerate(parts):
            fields.text(part.get("text"), f"content.parts[{number}].text")
            call = fields.mapping(part.get("functionCall"), f"content.parts[{number}].functionCall")
            fields.mapping(call.get("args"), f"content.parts[{number}].functionCall.args")
            blob = fields.mapping(part.get("inlineData"), f"content.parts[{number}].inlineData")
            for name in ("mimeType", "data"):
                fields.text(blob.get(name), f"content.parts[{number}].inlineData.{name}")
        self._reason = fields.text(candidate.get("finishReason"), "finishReason") or self._reason
        for source, known in ((chunk, _KNOWN), (candidate, ("content", "finishReason", "index"))):
            self._extra.update(fields.rest(source, *known))
        self._parts = appended(self._parts, parts)
        return [delta for part in parts for delta in self._said(part)]

    def _said(self, part: Mapping[str, Any]) -> list[Delta]:
        if isinstance(part.get("functionCall"), Mapping):
            if not self._calls:
                self._prefix = self._id  # whatever comes later, the completion names the calls as the deltas did
            index, self._calls = self._calls, self._calls + 1
            made = read_answer([part], self._prefix, index).tool_calls[0]
            return [Delta(tool_index=index, tool_id=made.id, tool_name=made.name, tool_arguments=made.arguments)]
        text = part.get("text")
        if not isinstance(text, str) or not text:
            return []
        return [Delta(reasoning=text) if part.get("thought") else Delta(text=text)]

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: no finish reason has come.
            MalformedResponse: the model wrote something that is no answer.
        """
        if not self.finished:
            raise cut(provider=self._provider, request_id=self._id)
        if self._reason in _FAILED:
            raise malformed(f"finish reason {self._reason}", provider=self._provider, request_id=self._id)
        message = read_answer(self._parts, self._prefix)
        finish = _FINISH.get(self._reason, "stop")
        if self._blocked and not self._reason:
            finish = "content_filter"
        return Completion(
            message,
            "tool_calls" if message.tool_calls and finish == "stop" else finish,
            self._usage,
            model=self._model,
            provider=self._provider,
            request_id=self._id,
            notes=(f"the prompt was blocked: {self._blocked}",) if self._blocked else (),
            extra=self._extra,
        )


def read_usage(usage: Any) -> Usage:
    """Usage as the protocol writes it: there what the model thought is not part of its answer's tokens.

    Raises:
        WrongField: it is not the protocol.
    """
    given = fields.mapping(usage, "usageMetadata")
    prompt, tools, said, thought, cached = (
        fields.count(given.get(f"{name}TokenCount"), f"usageMetadata.{name}TokenCount")
        for name in ("prompt", "toolUsePrompt", "candidates", "thoughts", "cachedContent")
    )
    return Usage(prompt + tools, said + thought, cached, reasoning_tokens=thought)


def write_usage(usage: Usage) -> dict[str, int]:
    """Usage as the protocol writes it."""
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "totalTokenCount": usage.total_tokens,
    }


def _index(candidate: Mapping[str, Any]) -> str:
    return fields.name(candidate.get("index")) or "0"


def _candidate(parts: list[dict[str, Any]], reason: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    return {**candidate, "finishReason": reason} if reason else candidate
