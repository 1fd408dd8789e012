"""Says what is wrong with the shape of an answer that comes from somebody's own code. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, get_args

from ...providers.checks import AMOUNT, SECONDS, TEXT, WHOLE, Wish, made_as, one_of
from ...providers.messages import Message, ToolCall
from ...providers.shapes import TEXTS, said_of, wrong_call, wrong_field, wrong_message, wrong_usage
from .answer import Answer, HandoffKind, HandoffRecord, ReasoningStep, Step, StepCall, Steps

_OF_HANDOFF: Final[Mapping[str, Wish]] = {
    "sender": TEXT,
    "target": TEXT,
    "kind": one_of(*get_args(HandoffKind)),
    "task": TEXT,
    "failed": TEXT,
}
_OF_REASONING: Final[Mapping[str, Wish]] = {"agent": TEXT, "step": WHOLE, "text": TEXT}
_OF_STEP: Final[Mapping[str, Wish]] = {
    **dict.fromkeys(("run", "agent", "model", "provider", "problem"), TEXT),
    **dict.fromkeys(("seconds", "at"), SECONDS),
    "number": WHOLE,
    "cost": AMOUNT.or_none(),
    "notes": TEXTS,
    "confidence": AMOUNT.or_none(),
}
_OF_CALL: Final[Mapping[str, Wish]] = {
    "approved": Wish("True, False or None", lambda value: value is None or isinstance(value, bool)),
    "approval": TEXT,
    "cost": AMOUNT,
    "seconds": SECONDS,
}
_OF_ANSWER: Final[Mapping[str, Wish]] = {
    **dict.fromkeys(("text", "agent", "conversation", "run"), TEXT),
    "cost": AMOUNT,
    "seconds": SECONDS,
    "notes": TEXTS,
    "error": made_as(Exception).or_none(),
}

Looks = Callable[[Any, str], str]


def wrong_answer(answer: Any, before: tuple[Any, ...] = ()) -> str:
    """What is wrong with an answer, without what it says; empty where nothing is. Its value may be anything.

    Args:
        answer: what stands there.
        before: `values_of` an answer that has been looked at: what is still the same is not looked at once more.
    """
    if not isinstance(answer, Answer):
        return f"expected an Answer, not {type(answer).__name__}"
    for index, name in enumerate(_NAMES):
        given = getattr(answer, name)
        if before and given is before[index]:
            continue
        wish = _OF_ANSWER.get(name)
        if wish is not None:
            wrong = "" if wish.takes(given) else f"{name}: expected {wish.text}, not {said_of(given)}"
        else:
            wrong = _PARTS[name](given, name)
        if wrong:
            return wrong
    return ""


def values_of(answer: Answer) -> tuple[Any, ...]:
    """The fields of an answer, in their order."""
    return tuple(getattr(answer, name) for name in _NAMES)


def restore(answer: Answer, values: tuple[Any, ...]) -> None:
    """Give an answer the fields back that it had."""
    for name, value in zip(_NAMES, values, strict=True):
        setattr(answer, name, value)


def _tuple_of(kind: type[Any], looks: Looks) -> Looks:
    def wrong(given: Any, where: str) -> str:
        if not isinstance(given, tuple):
            return f"{where}: expected a tuple of {kind.__name__}, not {said_of(given)}"
        return _each(given, looks, where)

    return wrong


def _each(given: Iterable[Any], looks: Looks, where: str) -> str:
    for index, one in enumerate(given):
        if wrong := looks(one, f"{where}[{index}]"):
            return wrong
    return ""


def _of(kind: type[Any], wishes: Mapping[str, Wish], **parts: Looks) -> Looks:
    def wrong(given: Any, where: str) -> str:
        if not isinstance(given, kind):
            return f"{where}: expected a {kind.__name__}, not {said_of(given)}"
        for name, looks in parts.items():
            if found := looks(getattr(given, name), f"{where}.{name}"):
                return found
        return wrong_field(given, wishes, f"{where}.")

    return wrong


def _wrong_steps(given: Any, where: str) -> str:
    if isinstance(given, Steps):  # made here, and only when somebody looks at them
        return ""
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        return f"{where}: expected several of Step, in a tuple, not {said_of(given)}"
    return _each(given, _wrong_step, where)


def _or_none(looks: Looks) -> Looks:
    return lambda given, where: "" if given is None else looks(given, where)


_wrong_handoff = _of(HandoffRecord, _OF_HANDOFF)
_wrong_step = _of(
    Step,
    _OF_STEP,
    message=wrong_message,
    usage=wrong_usage,
    calls=_tuple_of(
        StepCall,
        _of(
            StepCall,
            _OF_CALL,
            call=wrong_call,
            result=_or_none(wrong_message),
            handoff=_or_none(_wrong_handoff),
            usage=wrong_usage,
            steps=_wrong_steps,
        ),
    ),
)
_PARTS: Final[Mapping[str, Looks]] = {
    "messages": _tuple_of(Message, wrong_message),
    "usage": wrong_usage,
    "steps": _wrong_steps,
    "handoffs": _tuple_of(HandoffRecord, _wrong_handoff),
    "tool_calls": _tuple_of(ToolCall, wrong_call),
    "reasoning": _tuple_of(ReasoningStep, _of(ReasoningStep, _OF_REASONING)),
}
_NAMES: Final = tuple(one.name for one in fields(Answer) if one.name in _OF_ANSWER or one.name in _PARTS)
