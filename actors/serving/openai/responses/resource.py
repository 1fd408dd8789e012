"""A run as a response: what was asked for, how far it is, and what came of it. Pure.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .....providers.messages import Usage
from .....providers.wire.openai_parts import write_usage
from ....agents.json_schema import JsonSchema
from ....agents.runs.reading.progress import RunRecord
from ...problems import Problem
from ..formats import as_json, fits

ABOUT: Final = "serving.response"
"""Where in a run's metadata that stands which its request said of the response."""

ADDED: Final = "instructed"
"""Where it stands beside it whether the run's first message is the request's instructions."""

PREFIX: Final = "resp_"

_USUAL: Final[Mapping[str, Any]] = {
    "background": False,
    "conversation": None,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, where that said nothing."""

ECHOED: Final = frozenset(_USUAL)

INCOMPLETE: Final[Mapping[str, str]] = {
    "token_limit": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Codes of problems that leave an answer incomplete, and the protocol's reasons for it."""


@dataclass(slots=True)
class Response:
    """What is known of a response.

    Args:
        run: the run's id.
        agent: which the protocol calls the model.
        about: what the request said, as far as the response repeats it.
        notes: what of the request was left out.
        form: what the answer must fit; None where that is the agent's affair.

    Attributes:
        status, created, completed, usage, problem: as far as the run is.
        items: the output.
    """

    run: str
    agent: str
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    form: JsonSchema | None = None
    status: str = "in_progress"
    created: int = 0
    completed: int | None = None
    usage: Usage | None = None
    cost: float = 0.0
    problem: Problem | None = None
    items: list[dict[str, Any]] = field(default_factory=list)
    last: str = ""
    """The text of the last completion, as far as it is among the items."""
    done: int = 0
    """Completions that are over."""

    @property
    def id(self) -> str:
        """The response's."""
        return f"{PREFIX}{self.run}"

    def item_id(self, kind: str, again: int = 0, done: int | None = None) -> str:
        """The id of an item of a completion.

        Args:
            kind: ``rs``, ``msg`` or ``fc``.
            again: how often text was begun anew for whoever reads.
            done: how many completions were over then; None for the one under way.
        """
        return f"{kind}_{self.run}_{self.done if done is None else done}" + (f"_{again}" if again else "")

    def items_of(self, record: RunRecord, again: int = 0) -> list[dict[str, Any]]:
        """The output items that the next record of the run leads to, in their final form.

        Args:
            record: the record.
            again: how often text was begun anew for whoever reads.
        """
        data = record.data
        if record.type == "completed":
            new = []
            if data["reasoning"]:
                new.append(reasoning_item(self.item_id("rs", again), data["reasoning"]))
            if text := self.said(data):
                phase = "commentary" if data["tool_calls"] else "final_answer"
                new.append(message_item(self.item_id("msg", again), text, phase=phase))
            return new
        return self._at_end(data) if record.type == "ended" and data["error"] is None else []

    def take(self, record: RunRecord, items: Iterable[dict[str, Any]]) -> None:
        """Take the next record of the run, and the items that it leads to."""
        kind, data = record.type, record.data
        if kind == "accepted":
            self.created = int(record.at)
            self.status = "queued" if self.about.get("background") else "in_progress"
        elif kind == "started":
            self.status = "in_progress"
        elif kind == "completed":
            self.last = data["text"] if self.said(data) else ""
            self.done += 1
        elif kind == "completion_failed":
            self.done += 1
        elif kind == "ended":
            self.completed = int(record.at)
            if data["error"] is None:
                self.status, self.usage, self.cost = "completed", Usage(**data["usage"]), data["cost"]
        self.items += items

    def said(self, data: Mapping[str, Any]) -> str:
        """The text of a completion as it is told; empty where it is no answer, and is asked for anew.

        Args:
            data: of the completion's record.
        """
        text: str = data["text"]
        if self.form is None or data["tool_calls"]:
            return text
        return as_json(text) if fits(self.form, text) else ""

    def _at_end(self, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        new: list[dict[str, Any]] = []
        text = data["text"]
        if (text and text != self.last) or not (text or self.items or data["tool_calls"]):  # of another agent, a hook's
            said = text if self.form is None else as_json(text)
            new.append(message_item(self.item_id("msg"), said, phase="final_answer"))
        for index, call in enumerate(data["tool_calls"]):
            new.append(call_item(f"fc_{self.run}_{self.done}_{index}", call))
        return new

    def failed(self, problem: Problem, usage: Usage | None = None, cost: float = 0.0) -> None:
        """The run has ended in an error.

        Args:
            problem: what it means.
            usage, cost: what was used all the same.
        """
        self.problem, self.usage, self.cost = problem, usage, cost
        self.status = (
            "incomplete" if problem.code in INCOMPLETE else "cancelled" if problem.code == "run_cancelled" else "failed"
        )

    def written(self, items: Iterable[Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """The response as the protocol writes it.

        Args:
            items: in place of its output.
        """
        problem = self.problem
        error = None
        if self.status == "failed" and problem is not None:
            error = {"code": _error_code(problem), "message": problem.message}
        reason = INCOMPLETE.get(problem.code) if problem is not None else None
        repeated = {name: self.about.get(name, usual) for name, usual in _USUAL.items()}
        if repeated["conversation"] is not None:
            repeated["conversation"] = {"id": repeated["conversation"]}
        own: dict[str, Any] = {"run": self.run, "notes": list(self.notes), "cost": self.cost}
        if problem is not None:
            own["code"] = problem.code
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": self.completed if self.status == "completed" else None,
            "status": self.status,
            "incomplete_details": {"reason": reason} if reason else None,
            "error": error,
            "model": self.agent,
            "output": list(self.items if items is None else items),
            "usage": None if self.usage is None else write_usage(self.usage, "input", "output"),
            **repeated,
            "callboard": own,
        }


def _error_code(problem: Problem) -> str:
    """One of the protocol's own words; ours stands in ``callboard.code``."""
    if problem.status == 429:
        return "rate_limit_exceeded"
    return "server_error" if problem.status >= 500 else "invalid_prompt"


def text_part(text: str) -> dict[str, Any]:
    """The part of a message that has its text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def summary_part(text: str) -> dict[str, Any]:
    """The part of reasoning that has its text."""
    return {"type": "summary_text", "text": text}


def message_item(id: str, text: str, status: str = "completed", phase: str | None = None) -> dict[str, Any]:
    """A message of the agent's, whole."""
    item = {"type": "message", "id": id, "status": status, "role": "assistant", "content": [text_part(text)]}
    return item if phase is None else {**item, "phase": phase}


def reasoning_item(id: str, text: str, status: str = "completed") -> dict[str, Any]:
    """What a model made visible of its reasoning, whole."""
    return {"type": "reasoning", "id": id, "status": status, "summary": [summary_part(text)]}


def call_item(id: str, call: Mapping[str, str], status: str = "completed") -> dict[str, Any]:
    """A call that the client is to make."""
    named = {"call_id": call["id"], "name": call["name"], "arguments": call["arguments"]}
    return {"type": "function_call", "id": id, **named, "status": status}
