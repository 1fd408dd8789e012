"""The stream of a run as OpenAI's chunks. Pure: what it makes depends on nothing but what it is given.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ....providers.messages import Usage
from ....providers.wire.openai_chat.answer import write_usage
from ...agents.json_schema import JsonSchema
from ...agents.runs.reading.cursor import RunText
from ...agents.runs.reading.progress import RunRecord
from ..streams import TextBegunAnew
from .formats import as_json, fits

BETWEEN: Final = "\n\n"
"""Stands between the texts of two completions of one run."""

_AFTER: Final = '},"logprobs":null,"finish_reason":null}]}'
"""What stands behind the content of a chunk of text."""

_TOLD: Final = frozenset(
    {"tools_started", "tool_returned", "handoff_returned", "approval_asked", "approval_decided", "steered", "resumed"}
)
"""Records of which a chunk tells that has nothing to say: whoever reads sees that there is work going on."""


class Chunks:
    """What is sent of a run.

    Args:
        run: its id.
        model: the agent's name.
        include_usage: whether a last chunk, without choices, tells what was used.
        form: what the answer must fit; None where that is the agent's affair. One that does not is asked for anew, and
            nothing can be taken back here: so the answer comes whole.
    """

    __slots__ = ("_before", "_begun", "_created", "_form", "_include_usage", "_last", "_model", "_run", "_said")

    def __init__(self, run: str, model: str, *, include_usage: bool = False, form: JsonSchema | None = None) -> None:
        self._form = form
        self._run = run
        self._model = model
        self._created = 0
        self._before = ""
        """What stands before the content of a chunk of text, as JSON; empty until there is one."""
        self._include_usage = include_usage
        self._last = ""
        """The text of the last completion."""
        self._said = False
        """Whether there was text in those before the one under way."""
        self._begun = False
        """Whether there was text in the completion under way."""

    def take(self, item: RunRecord | RunText) -> Iterator[dict[str, Any] | str]:
        """The chunks that an item of the stream leads to.

        Raises:
            TextBegunAnew: what was sent of a text is void.
        """
        if isinstance(item, RunText):
            yield from self._text(item)
        elif item.type == "accepted":
            self._created, self._before = int(item.at), ""
            yield self._chunk({"role": "assistant", "content": ""})
        elif item.type == "completed":
            yield from self._completed(item.data)
        elif item.type == "ended":
            if item.data["error"] is None:
                yield from self._end(item.data)
        elif item.type in _TOLD:
            about = {
                "event": item.type,
                **{name: item.data[name] for name in ("call_id", "approval") if name in item.data},
            }
            yield {**self._chunk({}), "callboard": about}

    def _completed(self, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        text = data["text"]
        if self._form is not None:
            if data["tool_calls"] or not fits(self._form, text):
                return
            yield self._chunk({"content": as_json(text)})
        self._last = text
        self._said = self._said or bool(text)
        self._begun = False

    def _text(self, item: RunText) -> Iterator[dict[str, Any] | str]:
        if self._form is not None and item.kind == "text":
            return
        if item.restarted and (item.kind == "text" or self._begun):
            raise TextBegunAnew
        if item.kind == "reasoning":
            yield self._chunk({"reasoning_content": item.text})
            return
        text = BETWEEN + item.text if self._said and not self._begun else item.text
        self._begun = True
        yield self._content(text)

    def _end(self, data: Mapping[str, Any]) -> Iterator[dict[str, Any] | str]:
        text = data["text"]
        if text and text != self._last:  # of another agent, or a hook's
            text = text if self._form is None else as_json(text)
            yield self._chunk({"content": BETWEEN + text if self._said else text})
        for index, call in enumerate(data["tool_calls"]):
            function = {"name": call["name"], "arguments": call["arguments"]}
            yield self._chunk(
                {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]}
            )
        yield self._chunk({}, "tool_calls" if data["tool_calls"] else "stop")
        if self._include_usage:
            usage = write_usage(Usage(**data["usage"]))
            yield {**self._head(), "choices": [], "usage": usage}

    def _content(self, text: str) -> str:
        """A chunk of text as JSON: of the many chunks of a stream nothing but that is written anew."""
        if not self._before:
            self._before = json.dumps(self._chunk({"content": ""}), separators=(",", ":")).removesuffix(f'""{_AFTER}')
        return f"{self._before}{json.dumps(text)}{_AFTER}"

    def _head(self) -> dict[str, Any]:
        about = {"id": f"chatcmpl-{self._run}", "object": "chat.completion.chunk"}
        return {**about, "created": self._created, "model": self._model}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            **self._head(),
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }
