"""Streamed answers in the protocol of chat completions, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...messages import Completion, Delta
from .. import fields
from ..failures import cut, from_event, read_by
from ..pieces import pieces
from .answer import completion_of, to_response
from .calls import Calls
from .messages import ORIGIN, REASONING

_SAID = ("content", "refusal", *REASONING)
"""Fields of a delta that are texts to append."""
_PLAIN = frozenset({"role", "content"})
"""Fields of a delta that is nothing but text."""
_EACH = frozenset({"choices", "usage", "object"})
"""Fields of a chunk that are of this chunk alone."""


def to_events(completion: Completion, *, id: str, created: int = 0, size: int = 16) -> Iterator[dict[str, Any]]:
    """The chunks a server streams for `completion`, text in pieces of `size` characters, without ``[DONE]``."""
    whole = to_response(completion, id=id, created=created)
    message = whole["choices"][0]["message"]
    head = {"id": id, "object": "chat.completion.chunk", "created": created, "model": completion.model}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice], "usage": None}

    yield chunk({"role": "assistant", "content": ""})
    for name in (*REASONING, "content", "refusal"):
        said = message.get(name)
        if isinstance(said, str):
            for piece in pieces(said, size):
                yield chunk({name: piece})
        elif said:
            yield chunk({name: said})
    for index, call in enumerate(message.get("tool_calls") or ()):
        if "function" not in call:
            yield chunk({"tool_calls": [{"index": index, **call}]})
            continue
        function = call["function"]
        yield chunk({"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]})
        for piece in pieces(function["arguments"], size):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    rest = {key: item for key, item in message.items() if key not in ("role", "tool_calls", *_SAID)}
    if rest:
        yield chunk(rest)
    yield chunk({}, whole["choices"][0]["finish_reason"])
    yield {**chunk({}), "choices": [], "usage": whole["usage"]}


class Assembler:
    """Builds the completion from a stream's chunks, and says what each one adds."""

    def __init__(self, *, provider: str = "", origin: str = ORIGIN) -> None:
        self._provider = provider
        self._origin = origin
        self._body: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._said: dict[str, list[str]] = {name: [] for name in _SAID}
        self._content: list[dict[str, Any]] = []
        """Content that comes in parts."""
        self._more: dict[str, Any] = {}
        """The message's other fields."""
        self._details: dict[Any, dict[str, Any]] = {}
        """Entries of ``reasoning_details`` by their index."""
        self._calls = Calls()
        self._index: Any = None
        """Of several choices the one that is read: the first that began."""
        self._others: set[str] = set()
        """The others that go on."""
        self._ended = False
        # Usage comes after the finish reason, so no chunk says that it is the last: ``[DONE]`` does, and is not one.
        self.done = False

    def feed(self, chunk: Any, name: str = "") -> list[Delta]:
        """Take one chunk (`name` is the event's name, which this protocol does not use).

        Raises:
            ProviderError: the chunk is an error, or not the protocol.
        """
        if (type(chunk) is dict or isinstance(chunk, Mapping)) and chunk.get("error"):
            id = fields.name(self._body.get("id"))
            raise from_event(chunk["error"], provider=self._provider, request_id=id)
        return read_by(self._fed, chunk, provider=self._provider)

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come; what is told beside the answer may still follow."""
        return self._choice.get("finish_reason") is not None and not self._others

    def end(self) -> None:
        """The stream has ended in good order (``[DONE]``). Some vendors give no other reason."""
        self._ended = True

    def _fed(self, given: Any) -> list[Delta]:
        chunk = fields.mapping(given, "a chunk")
        body = self._body
        for key, value in chunk.items():
            if value is not None and key not in body and key not in _EACH and not fields.blank(value):
                body[key] = value
        usage = chunk.get("usage")
        if not usage and chunk.get("x_groq") is not None:
            usage = fields.mapping(chunk["x_groq"], "x_groq").get("usage")
        if usage is not None:
            body["usage"] = fields.told(body.get("usage"), usage, "usage")
        choices = fields.mappings(chunk.get("choices"), "choices")
        if len(choices) == 1 and (choices[0].get("index") or 0) == self._index:
            return self._chosen(choices[0])  # nearly every chunk
        deltas: list[Delta] = []
        for choice in choices:
            index = choice.get("index") or 0
            if self._index is None:
                self._index = index
            if index == self._index:
                deltas += self._chosen(choice)
            elif choice.get("finish_reason") is None:
                self._others.add(fields.name(index))
            else:
                self._others.discard(fields.name(index))
        return deltas

    def _chosen(self, choice: Mapping[str, Any]) -> list[Delta]:
        ends = False
        for key, value in choice.items():
            if value is None or key == "delta" or key == "index":
                continue
            ends = ends or key == "finish_reason"
            if key == "logprobs":
                self._add_logprobs(value)
            elif not fields.blank(value):
                self._choice[key] = value
        deltas = self._taken(fields.mapping(choice.get("delta"), "delta"))
        return [*deltas, *self._calls.settled()] if ends else deltas

    def _add_logprobs(self, value: Any) -> None:
        so_far = self._choice.setdefault("logprobs", {})
        for key, items in fields.mapping(value, "logprobs").items():
            if isinstance(items, list):
                so_far.setdefault(key, []).extend(items)

    def _taken(self, delta: Mapping[str, Any]) -> list[Delta]:
        content = delta.get("content")
        more = len(delta) > 1 and [key for key, value in delta.items() if value is not None and key not in _PLAIN]
        if not more and type(content) is str and content and not self._content:
            # Nearly every chunk: 2 µs in place of 6.
            self._said["content"].append(content)
            return [Delta(text=content)]
        deltas: list[Delta] = []
        details = fields.mappings(delta.get("reasoning_details"), "reasoning_details")
        thought = ""
        for name in REASONING:
            piece = delta.get(name)
            if piece is not None and not fields.blank(piece):
                self._said[name].append(fields.text(piece, f"delta.{name}"))
                thought = thought or piece
        told = "".join(map(self._detail, details))
        if thought or told:
            deltas.append(Delta(reasoning=thought or told))
        if isinstance(content, list):
            deltas += self._parts(content)
        elif text := fields.text(content, "delta.content"):
            if self._content:
                deltas += self._parts([{"type": "text", "text": text}])
            else:
                self._said["content"].append(text)
                deltas.append(Delta(text=text))
        if refusal := fields.text(delta.get("refusal"), "delta.refusal"):
            self._said["refusal"].append(refusal)
            deltas.append(Delta(text=refusal))
        for piece in fields.mappings(delta.get("tool_calls"), "tool_calls"):
            deltas += self._calls.take(piece)
        for key, value in fields.rest(delta, "role", "tool_calls", "reasoning_details", *_SAID).items():
            self._more[key] = _joined(self._more.get(key), value, key)
        return deltas

    def _detail(self, detail: Mapping[str, Any]) -> str:
        """Take one of OpenRouter's details of reasoning; returns what it says."""
        slot = fields.name(detail.get("index")) or f"+{len(self._details)}"
        said = fields.text(detail.get("text"), "text") + fields.text(detail.get("summary"), "summary")
        so_far = self._details.get(slot)
        if so_far is None or so_far.get("type") != detail.get("type"):
            self._details[slot if so_far is None else f"{slot}+{len(self._details)}"] = dict(detail)
            return said
        for key, value in detail.items():
            if key in ("text", "summary", "data") and isinstance(so_far.get(key), str) and isinstance(value, str):
                so_far[key] += value
            elif value is not None:
                so_far[key] = value
        return said

    def _parts(self, content: list[Any]) -> list[Delta]:
        """Take content in parts, as Mistral's reasoning models stream it; neighbours of one kind are one."""
        deltas: list[Delta] = []
        for number, part in enumerate(fields.mappings(content, "delta.content")):
            at = f"delta.content[{number}]"
            last = self._content[-1] if self._content else {}
            if part.get("type") == "text":
                text = fields.text(part.get("text"), f"{at}.text")
                deltas.append(Delta(text=text))
                if last.get("type") == "text":
                    last["text"] += text
                    continue
                part = {**part, "text": text}
            elif part.get("type") == "thinking":
                inner = [dict(piece) for piece in fields.mappings(part.get("thinking"), f"{at}.thinking")]
                for piece in inner:
                    if piece.get("type") == "text":
                        piece["text"] = fields.text(piece.get("text"), f"{at}.thinking")
                        deltas.append(Delta(reasoning=piece["text"]))
                if last.get("type") == "thinking":
                    for piece in inner:
                        before = last["thinking"][-1] if last["thinking"] else {}
                        if piece.get("type") == "text" and before.get("type") == "text":
                            before["text"] += piece["text"]
                        else:
                            last["thinking"].append(piece)
                    last.update(fields.rest(part, "type", "thinking"))
                    continue
                part = {**part, "thinking": inner}
            self._content.append(dict(part))
        return [delta for delta in deltas if delta.text or delta.reasoning]

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: no finish reason has come.
            ProviderError: the answer is broken off, or not the protocol.
        """
        reason = self._choice.get("finish_reason")
        said = any(self._said.values()) or self._content or self._calls
        if reason is None and not (self._ended and said):
            raise cut(provider=self._provider, request_id=fields.name(self._body.get("id")))
        message = {name: "".join(said) for name, said in self._said.items() if said} | self._more
        if self._content:
            said_plainly = self._said["content"]
            plain = [{"type": "text", "text": "".join(said_plainly)}] if any(said_plainly) else []
            message["content"] = [*plain, *self._content]
        if self._details:
            message["reasoning_details"] = list(self._details.values())
        if self._calls:
            message["tool_calls"] = self._calls.written()
        choice = {**self._choice, "message": message, "finish_reason": reason or ""}
        return read_by(completion_of, self._body, choice, self._provider, self._origin, provider=self._provider)


def _joined(before: Any, value: Any, key: str) -> Any:
    """A field of the message that came before with what comes now."""
    if isinstance(before, list) and isinstance(value, list):
        return [*before, *value]
    if isinstance(before, Mapping) and isinstance(value, Mapping):
        return {
            **before,
            **{name: _joined(before.get(name), item, name) for name, item in value.items() if item is not None},
        }
    if key in ("data", "transcript") and isinstance(before, str) and isinstance(value, str):
        return before + value
    return value
