"""The stream of a run as the events of a response. Pure: what it makes depends on nothing but what it is given.

https://platform.openai.com/docs/api-reference/responses-streaming

**Numbers.** ``sequence_number`` counts the events from 0. Each reader counts the same: text is cut where the text says
so itself (`cut_at`), and not where it happened to arrive. Where text may have been lost, because a completion failed or
the run was taken up by another process, the numbers go on in other thousands of millions (`LEAP`); likewise where text
that was sent turns out to be void: its item is closed as incomplete, and another begins.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

from ....agents.runs.reading.cursor import Kind, RunText
from ....agents.runs.reading.progress import RunRecord
from ...problems import Problem
from ..errors import error_body
from ..formats import begins_as_json
from .resource import Response, message_item, reasoning_item, summary_part, text_part

LEAP: Final = 2**32
"""More than there are events between two losses of text."""

MOST_VOIDED: Final = 64

LONGEST_PIECE: Final = 12
"""Characters of a piece of text without a space, at most."""

_PIECE: Final = re.compile(rf"\S{{0,{LONGEST_PIECE - 1}}}\s|\S{{{LONGEST_PIECE}}}")


def cut_at(text: str, start: int) -> int:
    """Where the piece ends that begins at a place of a text: behind the next space, or after `LONGEST_PIECE`; ``start``
    where nobody knows yet."""
    found = _PIECE.match(text, start)
    return start if found is None else found.end()


class _Open:
    """An item whose text comes.

    Args:
        kind: of the text.
        index: which item of the output it is.
        id: the item's.
    """

    __slots__ = ("closed", "id", "index", "kind", "sent", "text")

    def __init__(self, kind: Kind, index: int, id: str) -> None:
        self.kind = kind
        self.index = index
        self.id = id
        self.text = ""
        self.sent = 0
        self.closed = False


class ResponseEvents:
    """What is sent of a run.

    Args:
        response: what is known of it so far: nothing but the request.
        voided: how often text that was sent to this reader has turned out to be void.

    Attributes:
        response: as the events tell it.
        count: of the events so far, without those that were void.
        base: that number where the completion under way began.
        lost: how often text may have been lost.
        voided: see above.
    """

    def __init__(self, response: Response, voided: int = 0) -> None:
        self.response = response
        self.count = 0
        self.base = 0
        self.lost = 0
        self.voided = voided
        self._reasoning: _Open | None = None
        self._message: _Open | None = None
        self._held = ""
        """Text of a structured answer of which nobody knows yet whether it is one."""

    # -- what is open --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Which item is open, and a checksum of what was sent of it: empty, ``r`` for reasoning, ``m`` for a message,
        ``b`` for a message behind reasoning."""
        for item, letter in ((self._message, "m"), (self._reasoning, "r")):
            if item is not None and not item.closed:
                letter = "b" if letter == "m" and self._reasoning is not None else letter
                return f"{letter}{zlib.crc32(item.text[: item.sent].encode('utf-8', 'surrogatepass')):08x}"
        return ""

    def given_up(self, number: int, letter: str, done: int) -> Iterator[dict[str, Any]]:
        """The end of an item that this reader was sent before, and that is void; nothing more is known of it here.

        Args:
            number: of the last event that they were sent.
            letter: which item was open then, see `state`; empty for none, or where that is not known.
            done: how many completions were over then.
        """
        if letter:
            index = len(self.response.items) + (letter == "b") + 2 * self.voided
            id = self.response.item_id("rs" if letter == "r" else "msg", self.voided, done)
            item = reasoning_item(id, "", "incomplete") if letter == "r" else message_item(id, "", "incomplete")
            item["summary" if letter == "r" else "content"] = []
            event: dict[str, Any] = {"type": "response.output_item.done", "output_index": index, "item": item}
            yield {**event, "sequence_number": number + 1}
        self.voided += 1

    def anew(self) -> Iterator[dict[str, Any]]:
        """The events of the completion under way, once more."""
        texts = [("reasoning", self._reasoning), ("text", self._message)]
        said: list[tuple[Any, str]] = [(kind, item.text) for kind, item in texts if item is not None]
        self._forget()
        for kind, text in said:
            yield from self._grow(kind, text)

    def _forget(self) -> None:
        self.count = self.base
        self._reasoning = self._message = None
        self._held = ""

    # -- what comes ----------------------------------------------------------------------------------------------------

    def take(self, item: RunRecord | RunText) -> Iterator[dict[str, Any]]:
        """The events that an item of the stream leads to."""
        if isinstance(item, RunText):
            if item.restarted:
                yield from self._void(item.kind)
            yield from self._grow(item.kind, item.text)
            return
        response = self.response
        if item.type == "completed":
            yield from self._completed(item)
        elif item.type == "completion_failed":
            yield from self._void("reasoning")
            self.lost += 1
            response.take(item, ())
        elif item.type == "resumed":
            self.lost += 1
        else:
            was = response.status
            new = response.items_of(item)
            if response.completed is None:
                response.take(item, new)
            if item.type == "accepted":
                yield self._told("created")
                yield self._told(response.status)
                self.base = self.count
            elif item.type == "started" and was == "queued":
                yield self._told("in_progress")
                self.base = self.count
            elif item.type == "ended" and item.data["error"] is None:
                for number, one in enumerate(new, len(response.items) - len(new)):
                    yield from self._whole(one, number + 2 * self.voided)
                yield self._told("completed")

    def failed(self) -> Iterator[dict[str, Any]]:
        """The events at the end of a run that ended in an error; the response knows it."""
        yield from self._broken_off()
        yield self._told("incomplete" if self.response.status == "incomplete" else "failed")

    def broken(self, problem: Problem) -> dict[str, Any]:
        """The event that tells why the stream cannot go on here."""
        about = error_body(problem)["error"]
        own = {"code": problem.code, "message": problem.message, "param": problem.where or None}
        return self._numbered({"type": "error", **own, "error": about})

    def _completed(self, record: RunRecord) -> Iterator[dict[str, Any]]:
        data = record.data
        if self._reasoning is None and data["reasoning"]:
            yield from self._grow("reasoning", data["reasoning"])
        said = self.response.said(data)
        if said and self._message is None:
            yield from self._say(said)
        elif not said and self._message is not None:
            yield from self._void("text")
        new = self.response.items_of(record, self.voided)
        late = self._message is not None and self._reasoning is None and new and new[0]["type"] == "reasoning"
        if late:  # its model told of its reasoning once the text had begun
            new.reverse()
        yield from self._closings({item["id"]: item for item in new})
        if late:
            yield from self._whole(new[-1], len(self.response.items) + len(new) - 1 + 2 * self.voided)
        self.response.take(record, new)
        self._reasoning = self._message = None
        self._held = ""
        self.base = self.count

    def _grow(self, kind: Kind, text: str) -> Iterator[dict[str, Any]]:
        if kind == "text":
            if self.response.form is not None and self._message is None:
                self._held += text
                if not begins_as_json(self._held):
                    return
                text, self._held = self._held, ""
            if text:
                yield from self._say(text)
            return
        if self._reasoning is None and text and self._message is None:
            self._reasoning = self._opened("reasoning", "rs", 0)
            yield from self._begun(self._reasoning)
        if self._reasoning is not None and not self._reasoning.closed:
            self._reasoning.text += text
            yield from self._pieces(self._reasoning)

    def _say(self, text: str) -> Iterator[dict[str, Any]]:
        if self._message is None:
            if self._reasoning is not None:
                yield from self._closed(self._reasoning)
            self._message = self._opened("text", "msg", self._reasoning is not None)
            yield from self._begun(self._message)
        self._message.text += text
        yield from self._pieces(self._message)

    def _opened(self, kind: Kind, prefix: str, behind: int) -> _Open:
        index = len(self.response.items) + behind + 2 * self.voided
        return _Open(kind, index, self.response.item_id(prefix, self.voided))

    def _void(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """Close what was begun of a kind, and what comes behind it."""
        self._held = ""
        if (self._message or (kind == "reasoning" and self._reasoning)) is None:
            return
        kept = self._reasoning if kind == "text" else None
        yield from self._broken_off()
        self.voided += 1
        self._forget()
        if kept is not None:
            yield from self._grow("reasoning", kept.text)

    # -- events --------------------------------------------------------------------------------------------------------

    def _numbered(self, event: dict[str, Any]) -> dict[str, Any]:
        number = (self.lost * MOST_VOIDED + self.voided) * LEAP + self.count
        self.count += 1
        return {**event, "sequence_number": number}

    def _told(self, what: str) -> dict[str, Any]:
        return self._numbered({"type": f"response.{what}", "response": self.response.written()})

    def _begun(self, item: _Open) -> Iterator[dict[str, Any]]:
        here = {"item_id": item.id, "output_index": item.index}
        if item.kind == "reasoning":
            empty: dict[str, Any] = {**reasoning_item(item.id, "", "in_progress"), "summary": []}
            part = summary_part("")
            added = {"type": "response.reasoning_summary_part.added", **here, "summary_index": 0, "part": part}
        else:
            empty = {**message_item(item.id, "", "in_progress"), "content": []}
            added = {"type": "response.content_part.added", **here, "content_index": 0, "part": text_part("")}
        yield self._numbered({"type": "response.output_item.added", "output_index": item.index, "item": empty})
        yield self._numbered(added)

    def _pieces(self, item: _Open, *, last: bool = False) -> Iterator[dict[str, Any]]:
        while item.sent < len(item.text):
            end = cut_at(item.text, item.sent)
            if end == item.sent:
                if not last:
                    return
                end = len(item.text)
            piece, item.sent = item.text[item.sent : end], end
            here = {"item_id": item.id, "output_index": item.index, "delta": piece}
            if item.kind == "reasoning":
                about = {"type": "response.reasoning_summary_text.delta", **here, "summary_index": 0}
            else:
                about = {"type": "response.output_text.delta", **here, "content_index": 0, "logprobs": []}
            yield self._numbered(about)

    def _broken_off(self) -> Iterator[dict[str, Any]]:
        """Close what is open as incomplete. Of its text nothing more is said: clients take it for the whole then."""
        for item in (self._reasoning, self._message):
            if item is not None and not item.closed:
                item.closed = True
                made = reasoning_item if item.kind == "reasoning" else message_item
                whole = made(item.id, item.text[: item.sent], "incomplete")
                done = {"type": "response.output_item.done", "output_index": item.index, "item": whole}
                yield self._numbered(done)

    def _closings(self, final: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for item in (self._reasoning, self._message):
            if item is not None:
                yield from self._closed(item, final.get(item.id))

    def _closed(self, item: _Open, final: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        if item.closed:
            return
        yield from self._pieces(item, last=True)
        text, here = item.text, {"item_id": item.id, "output_index": item.index}
        more: dict[str, Any] = {}
        if item.kind == "reasoning":
            word, ends, part = (
                "reasoning_summary_text",
                "reasoning_summary_part",
                {"type": "summary_text", "text": text},
            )
            place, whole = {"summary_index": 0}, reasoning_item(item.id, text)
        else:
            word, ends, part = "output_text", "content_part", text_part(text)
            place, whole, more = {"content_index": 0}, message_item(item.id, text), {"logprobs": []}
        yield self._numbered({"type": f"response.{word}.done", **here, **place, "text": text, **more})
        yield self._numbered({"type": f"response.{ends}.done", **here, **place, "part": part})
        item.closed = True
        done = {"type": "response.output_item.done", "output_index": item.index, "item": final or whole}
        yield self._numbered(done)

    def _whole(self, item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
        """The events of an item that comes whole."""
        here = {"item_id": item["id"], "output_index": index}
        added = {"type": "response.output_item.added", "output_index": index}
        if item["type"] == "message":
            text = item["content"][0]["text"]
            place = {**here, "content_index": 0}
            yield self._numbered({**added, "item": {**item, "content": [], "status": "in_progress"}})
            yield self._numbered({"type": "response.content_part.added", **place, "part": text_part("")})
            if text:
                yield self._numbered({"type": "response.output_text.delta", **place, "delta": text, "logprobs": []})
            yield self._numbered({"type": "response.output_text.done", **place, "text": text, "logprobs": []})
            yield self._numbered({"type": "response.content_part.done", **place, "part": item["content"][0]})
        elif item["type"] == "reasoning":
            word, part = "response.reasoning_summary", item["summary"][0]
            place = {**here, "summary_index": 0}
            yield self._numbered({**added, "item": {**item, "summary": [], "status": "in_progress"}})
            yield self._numbered({"type": f"{word}_part.added", **place, "part": summary_part("")})
            yield self._numbered({"type": f"{word}_text.delta", **place, "delta": part["text"]})
            yield self._numbered({"type": f"{word}_text.done", **place, "text": part["text"]})
            yield self._numbered({"type": f"{word}_part.done", **place, "part": part})
        else:
            said = item["arguments"]
            word = "response.function_call_arguments"
            yield self._numbered({**added, "item": {**item, "arguments": "", "status": "in_progress"}})
            yield self._numbered({"type": f"{word}.delta", **here, "delta": said})
            yield self._numbered({"type": f"{word}.done", **here, "name": item["name"], "arguments": said})
        yield self._numbered({"type": "response.output_item.done", "output_index": index, "item": item})
