"""Streamed answers in the responses API, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...messages import Completion, Delta
from .. import fields
from ..failures import cut, from_event, read_by
from ..pieces import pieces
from .answer import from_response, to_response
from .items import ORIGIN


def to_events(completion: Completion, *, id: str, created: int = 0, size: int = 16) -> Iterator[dict[str, Any]]:
    """The events a server streams for `completion`, text in pieces of `size` characters. Each one's ``type`` is also
    the event's name."""
    whole = to_response(completion, id=id, created=created)
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(whole["output"]):
        events += _item_events(index, item, size)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


def _item_events(index: int, item: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    at = {"output_index": index, "item_id": item.get("id", "")}
    kind = item["type"]
    filled = {"message": ("content", []), "function_call": ("arguments", ""), "reasoning": ("summary", [])}.get(kind)
    begun = item if filled is None else {**item, filled[0]: filled[1], "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    if kind == "message":
        for number, part in enumerate(item["content"]):
            form = {"output_text": "text", "refusal": "refusal"}.get(part["type"])
            if form is None:
                continue
            here = {**at, "content_index": number}
            word = "response.output_text" if form == "text" else "response.refusal"
            yield {"type": "response.content_part.added", **here, "part": {**part, form: ""}}
            for piece in pieces(part[form], size):
                yield {"type": f"{word}.delta", **here, "delta": piece}
            yield {"type": f"{word}.done", **here, form: part[form]}
            yield {"type": "response.content_part.done", **here, "part": part}
    elif kind == "function_call":
        for piece in pieces(item["arguments"], size):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
        done = {"arguments": item["arguments"], "name": item["name"]}
        yield {"type": "response.function_call_arguments.done", **at, **done}
    elif kind == "reasoning":
        for word, name in (("reasoning_summary_text", "summary"), ("reasoning_text", "content")):
            for number, part in enumerate(item.get(name) or ()):
                for piece in pieces(part["text"], size):
                    where = {"summary_index" if name == "summary" else "content_index": number}
                    yield {"type": f"response.{word}.delta", **at, **where, "delta": piece}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


class Assembler:
    """Builds the completion from a stream's events, and says what each one adds."""

    def __init__(self, *, provider: str = "", origin: str = ORIGIN) -> None:
        self._provider = provider
        self._origin = origin
        self._calls: dict[int, int] = {}
        self._items: dict[int, Any] = {}
        """The finished items, for vendors whose last event leaves them out."""
        self._whole: Any = None
        self._id = ""
        self.done = False

    def feed(self, event: Any, name: str = "") -> list[Delta]:
        """Take one event (`name` is the event's name, which its ``type`` repeats).

        Raises:
            ProviderError: the event is an error, or not the protocol.
        """
        kind = event.get("type") if isinstance(event, Mapping) else None
        if kind == "error":
            # `error` is an object here only if a proxy wrapped it; the API writes code and message beside the type.
            error = event.get("error") or {key: event.get(key) for key in ("code", "message")}
            raise from_event(error, provider=self._provider, request_id=self._id)
        return read_by(self._fed, event, provider=self._provider)

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come; here it comes with all the rest."""
        return self.done

    def end(self) -> None:
        """The stream has ended in good order; this protocol says so in `feed`, too."""

    def _fed(self, given: Any) -> list[Delta]:
        event = fields.mapping(given, "an event")
        kind = fields.text(event.get("type"), "an event's type")
        if kind == "response.failed":
            error = fields.mapping(event.get("response"), "response").get("error")
            raise from_event(error, provider=self._provider, request_id=self._id)
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            text = fields.text(event.get("delta"), "delta")
            return [Delta(text=text)] if text else []
        if kind == "response.function_call_arguments.delta":
            index = self._calls.get(fields.whole(event.get("output_index"), "output_index"))
            arguments = fields.text(event.get("delta"), "delta")
            # Of a call that was never begun nobody could say whose they are; the last event has them all.
            return [] if index is None else [Delta(tool_index=index, tool_arguments=arguments)]
        if kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            text = fields.text(event.get("delta"), "delta")
            return [Delta(reasoning=text)] if text else []
        if kind in ("response.output_item.added", "response.output_item.done"):
            return self._item(event, kind.endswith("done"))
        if kind in ("response.completed", "response.incomplete"):
            self._whole, self.done = dict(fields.mapping(event.get("response"), "response")), True
        elif kind == "response.created":
            self._id = fields.name(fields.mapping(event.get("response"), "response").get("id"))
        elif not kind:
            raise fields.WrongField("an event without a type")
        return []

    def _item(self, event: Mapping[str, Any], done: bool) -> list[Delta]:
        number = fields.whole(event.get("output_index"), "output_index")
        item = fields.mapping(event.get("item"), "item")
        if done:
            self._items[number] = item
            return []
        if item.get("type") != "function_call" or number in self._calls:
            return []
        index = self._calls[number] = len(self._calls)
        id, name, arguments = (fields.text(item.get(key), f"item.{key}") for key in ("call_id", "name", "arguments"))
        return [Delta(tool_index=index, tool_id=id, tool_name=name, tool_arguments=arguments)]

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: the event that carries it has not come.
            MalformedResponse: what came is not the protocol.
        """
        if not self.done:
            raise cut(provider=self._provider, request_id=self._id)
        if not self._whole.get("output") and self._items:
            self._whole["output"] = [self._items[number] for number in sorted(self._items)]
        return from_response(self._whole, provider=self._provider, origin=self._origin)
