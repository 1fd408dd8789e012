"""The stream of a run as AG-UI's events. Pure: what it makes depends on nothing but what it is given.

https://docs.ag-ui.com/spec/1.0/events

A run of the protocol ends where a person is asked: the answer begins the next one. So one run of an agency may be
several of the protocol's, one behind the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from ...agents.runs.reading.cursor import RunText
from ...agents.runs.reading.progress import RunRecord
from ..problems import Problem
from .inputs import Input
from .interrupts import interrupt

Event: TypeAlias = dict[str, Any]

_TOLD: Final = frozenset(
    {"approval_asked", "approval_decided", "steered", "resumed", "interrupted", "handoff_returned"}
)
"""Records that the protocol has no event for."""

_COUNTS: Final = (
    ("input_tokens", "inputTokens"),
    ("output_tokens", "outputTokens"),
    ("cache_read_tokens", "cachedInputTokens"),
    ("cache_write_tokens", "cacheWriteInputTokens"),
    ("reasoning_tokens", "reasoningTokens"),
)


class Events:
    """What is sent of a run.

    Args:
        asked: the input.
        run: the id of the agency's run.
        agent: who is asked.
        client_tools: names of the tools that the client runs.
        begins: the position behind which the protocol's run begins; 0 for the run's beginning.
        answered: the approvals that the input answers.

    Attributes:
        over: whether the protocol's run has ended.
        told_of: the ids of the runs of which records came: the agency's run, and those in which others answer for it.
    """

    def __init__(
        self,
        asked: Input,
        run: str,
        agent: str,
        client_tools: frozenset[str],
        begins: int = 0,
        answered: frozenset[str] = frozenset(),
    ) -> None:
        self.over = False
        self.told_of = {run}
        self._ids = {"threadId": asked.thread, "runId": asked.run}
        self._history = list(asked.messages)
        self._run = run
        self._agent = agent
        self._speaking = run
        """The id of the run that the last record was of."""
        self._client_tools = client_tools
        self._begins = begins
        self._answered = answered
        self._number = 1
        """Of the completion under way."""
        self._step = False
        self._text = False
        self._reasoning = False
        self._made: list[Event] = []
        """The messages that were made in the protocol's run."""
        self._calls: dict[str, Mapping[str, Any]] = {}
        self._named: dict[str, str] = {}
        """The run whose call has an id as it is."""
        self._open: dict[str, str] = {}
        """Calls that this side works on, each with the run that it is of."""
        self._pending: dict[str, None] = {}
        """Calls for the client."""
        self._waiting: dict[str, Mapping[str, Any]] = {}
        """What was asked of a person, by call."""
        self._transferred = False
        self._last = ""
        self._usage: dict[tuple[str, str], dict[str, int]] = {}

    @property
    def works(self) -> bool:
        """Whether calls are under way of which others may ask a person."""
        return bool(self._open)

    def take(self, item: RunRecord | RunText) -> Iterator[Event]:
        """The events that an item of the stream leads to."""
        if isinstance(item, RunText):
            if self._text and item.kind == "text" and not (item.restarted or self._reasoning):
                yield from self._piece(item.text)  # most pieces are such, and cost a third of what the others do
            else:
                yield from self._said(item)
            return
        before = item.position <= self._begins
        stamp = int(item.at * 1000)
        for event in self._of(item):
            yield {**event, "timestamp": stamp}
        if before:  # another of the protocol's runs, which was sent to its end
            self.over = False
            self._made.clear()
            self._usage.clear()

    def _of(self, item: RunRecord) -> Iterator[Event]:
        data, kind = item.data, item.type
        self._speaking = item.run
        self.told_of.add(item.run)
        if "call_id" in data:
            data = {**data, "call_id": self._id(data["call_id"])}
        if kind == "started":
            self._agent = item.agent
        if kind in _TOLD:
            names = ("call_id", "approved", "reason", "text", "transferred", "error")
            value = {name: data[name] for name in names if name in data}
            yield {"type": "CUSTOM", "name": f"callboard.{kind}", "value": value}
        if kind == "completed":
            yield from self._completed(data)
        elif kind == "completion_failed":
            yield from self._void(data)
        elif kind in ("tool_returned", "handoff_returned"):
            yield from self._returned(data)
        elif kind == "approval_asked":
            if data["approval"] not in self._answered:
                self._waiting[data["call_id"]] = data
        elif kind in ("approval_decided", "limits_raised"):
            call = data.get("call_id", "")
            self._waiting.pop(call, None)
            if call in self._open and not data["approved"]:
                yield from self._result(call, f"denied: {data['reason']}" if data["reason"] else "denied", True)
        elif kind == "inner_called":
            self._calls[data["call_id"]] = {"name": data["tool"], "arguments": ""}
        elif kind == "condensed":
            self._used("", "", data["usage"])
        elif kind == "ended":
            yield from self._ended(data)
        if self._waiting and all(self._waits(call) for call, run in self._open.items() if run == self._speaking):
            found = [
                interrupt(self._run, item.cursor, asked, self._calls.get(id)) for id, asked in self._waiting.items()
            ]
            yield from self.interrupted(found)

    def _id(self, call: str) -> str:
        """The id of a call for the client: that of another agent may be the same as one before."""
        first = call.partition("/")[0]
        whose = self._named.setdefault(first, self._speaking)
        return call if not call or whose == self._speaking else f"{self._speaking}.{call}"

    def _waits(self, call: str) -> bool:
        """Whether a call waits for a person: for its own sake, for one that it makes, or as the run may use no more."""
        return not self._waiting.keys().isdisjoint(("", call)) or any(
            one.startswith(f"{call}/") for one in self._waiting
        )

    # -- what is said --------------------------------------------------------------------------------------------------

    def _said(self, item: RunText) -> Iterator[Event]:
        yield from self._begin_step()
        id = self._message
        if item.kind == "reasoning":
            thought = f"{id}.reasoning"
            if item.restarted and self._reasoning:
                yield self._snapshot({"id": thought, "role": "reasoning", "content": ""})
            elif not self._reasoning:
                self._reasoning = True
                yield {"type": "REASONING_START", "messageId": thought}
                yield {"type": "REASONING_MESSAGE_START", "messageId": thought, "role": "reasoning"}
            if item.text:
                yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": thought, "delta": item.text}
            return
        yield from self._end_reasoning()
        if item.restarted and self._text:
            yield self._snapshot({"id": id, "role": "assistant", "content": ""})
        elif not self._text:
            self._text = True
            yield {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}
        yield from self._piece(item.text)

    def _piece(self, text: str) -> tuple[Event, ...]:
        return ({"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message, "delta": text},) if text else ()

    @property
    def _message(self) -> str:
        return f"{self._run}.{self._number}"

    def _begin_step(self) -> Iterator[Event]:
        if not self._step:
            self._step = True
            yield {"type": "STEP_STARTED", "stepName": f"{self._agent} {self._number}"}

    def _end_reasoning(self) -> Iterator[Event]:
        if self._reasoning:
            self._reasoning = False
            yield {"type": "REASONING_MESSAGE_END", "messageId": f"{self._message}.reasoning"}
            yield {"type": "REASONING_END", "messageId": f"{self._message}.reasoning"}

    def _close(self) -> Iterator[Event]:
        """End what is open of the completion under way."""
        yield from self._end_reasoning()
        if self._text:
            self._text = False
            yield {"type": "TEXT_MESSAGE_END", "messageId": self._message}
        if self._step:
            self._step = False
            yield {"type": "STEP_FINISHED", "stepName": f"{self._agent} {self._number}"}

    def _completed(self, data: Mapping[str, Any]) -> Iterator[Event]:
        for call in [call for call, run in self._open.items() if run == self._speaking]:
            yield from self._result(call, "the call was not run", True)
        yield from self._begin_step()
        yield from self._end_reasoning()
        id = self._message
        if self._text:
            self._text = False
            yield {"type": "TEXT_MESSAGE_END", "messageId": id}
        calls: list[Mapping[str, Any]] = [{**one, "id": self._id(one["id"])} for one in data["tool_calls"]]
        for one in calls:
            yield from self._call(one, id)
        yield from self._close()
        if data["reasoning"]:
            self._made.append({"id": f"{id}.reasoning", "role": "reasoning", "content": data["reasoning"]})
        self._remember(id, data["text"], calls)
        self._used(data["provider"], data["model"], data["usage"])
        self._last = data["text"]
        self._number += 1

    def _remember(self, id: str, text: str, calls: list[Mapping[str, Any]]) -> None:
        if text or calls:
            message: Event = {"id": id, "role": "assistant"}
            if text:
                message["content"] = text
            if calls:
                message["toolCalls"] = [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": call["arguments"]},
                    }
                    for call in calls
                ]
            self._made.append(message)

    def _void(self, data: Mapping[str, Any]) -> Iterator[Event]:
        """A completion that failed: what was sent of it is taken back."""
        said = self._text or self._reasoning
        yield from self._close()
        if said:
            yield self._snapshot()
        self._used("", "", data["usage"])
        self._number += 1

    def _snapshot(self, *more: Event) -> Event:
        """All messages, in place of those that the client has."""
        return {"type": "MESSAGES_SNAPSHOT", "messages": [*self._history, *self._made, *more]}

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _call(self, call: Mapping[str, Any], parent: str) -> Iterator[Event]:
        id = call["id"]
        self._calls[id] = call
        if call["name"] in self._client_tools:
            self._pending[id] = None
        else:
            self._open[id] = self._speaking
        yield {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": call["name"], "parentMessageId": parent}
        if call["arguments"]:
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": call["arguments"]}
        yield {"type": "TOOL_CALL_END", "toolCallId": id}

    def _returned(self, data: Mapping[str, Any]) -> Iterator[Event]:
        self._transferred = self._transferred or bool(data.get("transferred"))
        if data.get("usage") and not (data.get("transferred") and len(self.told_of) > 1):  # it was counted there
            self._used("", "", data["usage"])
        yield from self._result(data["call_id"], data["content"], data["is_error"])

    def _result(self, call: str, content: str, is_error: bool) -> Iterator[Event]:
        self._open.pop(call, None)
        for one in [one for one in self._waiting if one == call or one.startswith(f"{call}/")]:
            del self._waiting[one]
        message = {"id": f"{self._run}.{call}", "role": "tool", "toolCallId": call, "content": content}
        if is_error:
            message["error"] = content or "the call failed"
        self._made.append(message)
        about = {"messageId": message["id"], "toolCallId": call, "content": content, "role": "tool"}
        yield {"type": "TOOL_CALL_RESULT", **about}

    # -- ends ----------------------------------------------------------------------------------------------------------

    def started(self) -> Event:
        """The first event."""
        return {"type": "RUN_STARTED", **self._ids, "protocolVersion": "1.0"}

    def interrupted(self, interrupts: list[Event]) -> Iterator[Event]:
        """The end of the protocol's run where people are asked."""
        self.over = True
        yield from self._close()
        yield self._snapshot()
        yield self._finished({"type": "interrupt", "interrupts": interrupts})

    def failed(self, problem: Problem) -> Event:
        """The last event of a run that has ended in an error, or of a stream that cannot be gone on with."""
        self.over = True
        if problem.code == "run_cancelled":
            return self._finished({"type": "cancelled"})
        event: Event = {"type": "RUN_ERROR", "message": problem.message, "code": problem.code}
        if usage := self._usages():
            event["usage"] = usage
        return event

    def _ended(self, data: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._close()
        self._waiting.clear()
        if data["error"] is not None:
            return
        self.over = True
        for call in data["tool_calls"]:
            if call["id"] not in self._calls:  # of the agent that the conversation was transferred to
                yield from self._call(call, self._message)
            self._pending[call["id"]] = None
        text = data["text"]
        if text and text != self._last:
            yield from self._other(text)
        outcome: Event = {"type": "success"}
        if self._pending:
            outcome["pendingToolCallIds"] = list(self._pending)
        yield self._finished(outcome)

    def _other(self, text: str) -> Iterator[Event]:
        """An answer that was not said in a completion of this run: another agent's, or what a hook made of it."""
        mine = next((one for one in reversed(self._made) if one["role"] == "assistant" and "content" in one), None)
        if self._transferred or mine is None:
            id = self._message
            self._remember(id, text, [])
            yield {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": text}
            yield {"type": "TEXT_MESSAGE_END", "messageId": id}
        else:
            mine["content"] = text
            yield self._snapshot()

    def _finished(self, outcome: Event) -> Event:
        event: Event = {"type": "RUN_FINISHED", **self._ids, "outcome": outcome}
        if usage := self._usages():
            event["usage"] = usage
        return event

    def _used(self, provider: str, model: str, usage: Mapping[str, int]) -> None:
        spent = self._usage.setdefault((provider, model), {})
        for name, count in usage.items():
            spent[name] = spent.get(name, 0) + count

    def _usages(self) -> list[Event]:
        told = []
        for (provider, model), spent in self._usage.items():
            entry: Event = {}
            if provider:
                entry["provider"] = provider
            if model:
                entry["model"] = model
            entry |= {name: spent[ours] for ours, name in _COUNTS if spent.get(ours)}
            if len(entry) > bool(provider) + bool(model):
                entry["totalTokens"] = entry.get("inputTokens", 0) + entry.get("outputTokens", 0)
                told.append(entry)
        return told
