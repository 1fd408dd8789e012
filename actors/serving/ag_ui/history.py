"""What of a history that a client has is new to a conversation that is kept. Pure.

A client sends all messages that it has, each with an id. Those that it made are remembered with the run that they came
with, by a digest: not every client gives each message an id of its own. The ids of those that were made here begin with
the id of their run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ....providers.messages import Message
from ...agents.conversations.view import ConversationView
from ..problems import refuse
from .inputs import Input, as_message

ABOUT: Final = "ag_ui"
"""Where in a run's metadata stands what is remembered of its input."""


class New(NamedTuple):
    """What is to be asked.

    Args:
        messages: for the agent.
        marks: digests of those of the client's.
        rewind: the step to which the conversation is to be rewound before; None where it just goes on.
        context: a digest of what the application told.
    """

    messages: tuple[Message, ...]
    marks: tuple[str, ...]
    rewind: int | None
    context: str


def new(asked: Input, kept: ConversationView | None) -> New:
    """What of an input is new.

    Args:
        asked: the input.
        kept: the conversation as it is; None where there is none yet, and all is new.

    Raises:
        Refused: nothing is there to be answered.
    """
    given = asked.messages
    rewind = None
    if kept is not None:
        first, rewind = _first_new(given, kept)
        given = given[first:]
        if rewind is None:
            given = tuple(one for one in given if one["role"] != "assistant")
    messages = [message for one in given if (message := as_message(one)) is not None]
    if not any(message.role in ("user", "tool") for message in messages):
        wanted = "messages: there is nothing new to answer; add a message of the user, or the result of a call"
        raise refuse(400, "nothing_new", wanted, "messages")
    told, before = asked.context, _of_last(kept).get("context", "")
    digest = _digest(told) if told else ""
    if told and digest != before:
        messages.insert(0, Message("system", told))
    return New(tuple(messages), tuple(_mark(one) for one in given), rewind, digest)


def _first_new(given: tuple[Mapping[str, Any], ...], kept: ConversationView) -> tuple[int, int | None]:
    """Where the new messages begin, and the step to rewind to where a question is to be answered anew."""
    made_here = {run.id for run in kept.runs}
    came_with = {
        mark: run.id for run in kept.runs if not run.rewound for mark in run.metadata.get(ABOUT, {}).get("messages", ())
    }
    whose = [came_with.get(_mark(one), "") for one in given]
    known = [bool(run) or one["id"].partition(".")[0] in made_here for run, one in zip(whose, given, strict=True)]
    last = max((index for index, one in enumerate(known) if one), default=-1)
    if last < 0:  # a client that sends what is new only, or the history of somewhere else
        answers = [index for index, one in enumerate(given) if one["role"] == "assistant"]
        return (answers[-1] + 1 if answers else 0), None
    again = whose[last]
    if last + 1 < len(given) or not again:
        return last + 1, None
    first = whose.index(again)
    order = [run.id for run in kept.runs]
    before = {"", *order[: order.index(again)]}
    if not first and len(before) > 1:  # the same words once more, from a client that sends what is new only
        return 0, None
    return first, sum(step.run in before for step in kept.steps)


def _mark(message: Mapping[str, Any]) -> str:
    return _digest(json.dumps([message.get(name) for name in ("id", "role", "content", "toolCallId")]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _of_last(kept: ConversationView | None) -> Mapping[str, Any]:
    for run in reversed(kept.runs if kept is not None else ()):
        if not run.rewound and ABOUT in run.metadata:
            found: Mapping[str, Any] = run.metadata[ABOUT]
            return found
    return {}
