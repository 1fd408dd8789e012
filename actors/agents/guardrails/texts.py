"""What there is to read in a message, a call, a result or a handoff, and the same with other texts in it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

from ....providers.messages import Audio, Message, Part, Text, ToolCall
from ..handoffs.handoff import Handoff

T = TypeVar("T")


class Reading(NamedTuple, Generic[T]):
    """The texts of something.

    Args:
        texts: they, in order.
        put: makes the same thing of as many other texts.
        gap: what stands between two of them where they are read as one.
    """

    texts: tuple[str, ...]
    put: Callable[[Sequence[str]], T]
    gap: str = "\n"

    @property
    def whole(self) -> str:
        """All of them as one text."""
        return self.gap.join(self.texts)


def of_content(content: str | tuple[Part, ...], gap: str = "\n") -> Reading[str | tuple[Part, ...]]:
    """What can be read in a content: texts, and what is said in sounds."""
    if isinstance(content, str):
        return Reading((content,), lambda texts: texts[0], gap)
    places = [index for index, part in enumerate(content) if isinstance(part, Text | Audio)]

    def put(texts: Sequence[str]) -> tuple[Part, ...]:
        given = dict(zip(places, texts, strict=True))
        return tuple(_with_text(part, given[index]) if index in given else part for index, part in enumerate(content))

    return Reading(tuple(_text_of(content[index]) for index in places), put, gap)


def _text_of(part: Part) -> str:
    return part.text if isinstance(part, Text) else part.transcript if isinstance(part, Audio) else ""


def _with_text(part: Part, text: str) -> Part:
    if isinstance(part, Text):
        return replace(part, text=text)
    return replace(part, transcript=text) if isinstance(part, Audio) else part


def of_messages(messages: Sequence[Message], wanted: Callable[[Message], bool]) -> Reading[tuple[Message, ...]]:
    """What can be read in the messages that are wanted."""
    readings = [of_content(one.content) if wanted(one) else None for one in messages]

    def put(texts: Sequence[str]) -> tuple[Message, ...]:
        given = iter(texts)
        changed = []
        for message, reading in zip(messages, readings, strict=True):
            if reading is None:
                changed.append(message)
                continue
            own = [next(given) for _ in reading.texts]
            changed.append(message if tuple(own) == reading.texts else replace(message, content=reading.put(own)))
        return tuple(changed)

    return Reading(tuple(text for reading in readings if reading is not None for text in reading.texts), put)


def of_value(value: Any) -> Reading[Any]:
    """What can be read in plain data: keys, texts and numbers, however deep."""
    texts: list[str] = []

    def walk(item: Any) -> None:
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, dict):
            for key, inner in item.items():
                texts.append(str(key))
                walk(inner)
        elif isinstance(item, list | tuple):
            for inner in item:
                walk(inner)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            texts.append(str(item))

    def put(given: Sequence[str]) -> Any:
        left = iter(given)

        def made(item: Any) -> Any:
            if isinstance(item, str):
                return next(left)
            if isinstance(item, dict):
                return {_same(key, next(left)): made(inner) for key, inner in item.items()}
            if isinstance(item, list):
                return [made(inner) for inner in item]
            if type(item) is tuple:
                return tuple(made(inner) for inner in item)
            if isinstance(item, int | float) and not isinstance(item, bool):
                return _same(item, next(left))
            return item

        return made(value)

    walk(value)
    return Reading(tuple(texts), put)


def _same(item: Any, text: str) -> Any:
    """What stood there, where its text is the same; the text otherwise."""
    return item if str(item) == text else text


def of_call(call: ToolCall) -> Reading[ToolCall]:
    """What can be read in a call: what its arguments say, not how JSON writes it."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return Reading((call.arguments,), lambda texts: ToolCall(call.id, call.name, texts[0]))
    inner = of_value(arguments)

    def put(texts: Sequence[str]) -> ToolCall:
        return ToolCall(call.id, call.name, json.dumps(inner.put(texts), ensure_ascii=False))

    return Reading(inner.texts, put)


def of_handoff(handoff: Handoff, messages: Sequence[Message]) -> Reading[tuple[Handoff, tuple[Message, ...]]]:
    """What can be read in a handoff, without its structured input, and in the messages that its target sees."""
    own = (handoff.task, handoff.context, handoff.summary)
    shown = of_messages(messages, lambda message: True)

    def put(texts: Sequence[str]) -> tuple[Handoff, tuple[Message, ...]]:
        task, context, summary = texts[:3]
        changed = (task, context, summary) != own
        other = replace(handoff, task=task, context=context, summary=summary) if changed else handoff
        return other, shown.put(texts[3:])

    return Reading(own + shown.texts, put)


def counted(kinds: Iterable[str]) -> dict[str, int]:
    """How often each kind comes, in the order in which they come first."""
    counts: dict[str, int] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return counts
