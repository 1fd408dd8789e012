"""Hooks: functions that see, and may change, what a run is about to do; guardrails are hooks that may refuse it.

==============  ======================================  ===========================================
event           when                                    what it may change in the context
==============  ======================================  ===========================================
``connection``  a run begins                            ``messages``: what the caller said
``steering``    something is said to the run under way  ``messages``: what was said
``request``     before each completion                  ``model_request``
``chunk``       each piece of a streamed completion     ``chunk``; None leaves it out
``response``    after each completion                   ``completion``
``approval``    it is decided whether a person is       ``why``: for which reason one is
                asked about ``call``
``toolcall``    before each tool call                   ``call``; ``result`` stands for the call
``toolresult``  a tool, or an agent that was handed     ``result``
                a task, has answered ``call``
``handoff``     before each handoff                     ``handoff``; ``messages``: what of the conversation the
                                                        target sees
``memory``      something is about to be remembered     ``text``
``finalize``    the run has its outcome                 ``answer``
==============  ======================================  ===========================================

A handoff that a hook sends to somebody else, or with another task, is held against flows, depth and cycles again. Where
an agent has a guardrail for ``response``, the text of a streamed completion is held back until it has passed, or as far
as the guardrail says that it needs (`Hook.stream`); ``chunk`` hooks see the pieces as they come.

Hooks for ``approval`` are plain functions that depend on nothing but what they are given: they are called whenever the
question comes up, also again after a crash.

Hooks of one event run one after another, higher priority first; of equal ones the agent's own before those of its
skills, each in the order given. Guardrails have priority 100 unless they say another. One that raises is
reported (`HookFailed`, and the log) and passed over, with what it had changed undone; a guardrail that raises ends the
run in `GuardrailTripped`. One that leaves something of a wrong type in the context counts as one that raises. One with
a scope is called only in runs of callers who have it.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args

from ...providers.checks import FLAG, MAYBE_FUNCTION, TEXT
from ...providers.messages import UNLABELLED, Completion, Delta, Labels, Message, Request, ToolCall
from ...providers.shapes import misshapen, wrong_call, wrong_completion, wrong_delta, wrong_message
from ...tools import ToolResult
from ...tools.scopes import ALL, Scopes, as_scopes
from ..core.base.foreign import awaited, is_ours
from ..core.base.log import logger_of
from ..core.base.send_context import active
from .answer import Answer
from .answer_shape import restore, values_of, wrong_answer
from .context import RequestContext
from .errors import DefinitionError, GuardrailTripped, said
from .events import RunEvent
from .handoffs.handoff import Handoff, wrong_handoff
from .wishes import all_are, define

logger = logger_of()

HookEvent: TypeAlias = Literal[
    "connection",
    "steering",
    "request",
    "chunk",
    "response",
    "approval",
    "toolcall",
    "toolresult",
    "handoff",
    "memory",
    "finalize",
]
HOOK_EVENTS: tuple[HookEvent, ...] = get_args(HookEvent)

MEMORY_HOOKS: Final = "callboard.memory_hooks"
"""Under this key of the baggage stands what calls an agent's hooks for ``memory``, where it has any."""


SUMMARY: Final = "summary"
"""Why a model is asked where it is not for the next step: see `HookContext.why`."""


def _nobody(event: type[RunEvent], **fields: Any) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class HookContext:
    """What a hook sees and may change; which fields are set depends on the event.

    Args:
        event: which one it is.
        request: the request context of the run.
        state: kept for the whole run, for hooks to share.
        messages: see the table; on ``finalize``: the run's own, in which it was asked, was steered and has answered.
        why: see the table; on ``request`` and ``response``: ``summary`` where a model is asked for a summary of the
            conversation (`Summarize`), empty where it is asked for the next step.
        error: on ``finalize``: why the run failed, or None.
        hands_off: on ``approval``: whether the call is a handoff.
        emit: tells those who listen to the run: called with a class of `RunEvent` and its own fields.
        labels: on ``request``: of what a hook puts into the request that is not in the conversation; it joins them.
    """

    event: HookEvent
    request: RequestContext
    state: dict[str, Any]
    messages: tuple[Message, ...] = ()
    model_request: Request | None = None
    chunk: Delta | None = None
    completion: Completion | None = None
    call: ToolCall | None = None
    result: ToolResult | None = None
    handoff: Handoff | None = None
    answer: Answer | None = None
    error: Exception | None = None
    why: str = ""
    hands_off: bool = False
    text: str = ""
    emit: Callable[..., None] = _nobody
    labels: Labels = UNLABELLED


class TextStream(Protocol):
    """Judges a text that comes in pieces, and lets through what of it may be shown."""

    async def take(self, piece: str, *, last: bool = False) -> str:
        """Take a further piece.

        Args:
            piece: the text.
            last: nothing comes after it.

        Returns:
            what may be shown now.

        Raises:
            GuardrailTripped: nothing more may be shown.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hook:
    """A function bound to an event.

    Args:
        event: when it is called.
        function: takes the `HookContext` and changes it, or returns another one; may be async. It must be quick where
            it is not.
        priority: higher is called earlier.
        guardrail: raising ends the run.
        name: for reports.
        scope: for whose runs it is called, as one scope or several, of which one suffices; see `Agent`.
        stream: for ``chunk``, and for a guardrail for ``response``: makes what judges one streamed text, given the
            context. The text is then not held back as a whole, but as far as that wants. What it has let through, put
            together, must be what the function makes of the whole text. A hook for ``chunk`` with it is not called with
            the pieces.
    """

    event: HookEvent
    function: Callable[[HookContext], Any]
    priority: int = 0
    guardrail: bool = False
    name: str = field(default="")
    scope: Scopes = ALL
    stream: Callable[[HookContext], TextStream] | None = None

    def __post_init__(self) -> None:
        _check(self.event)
        if not callable(self.function):
            raise DefinitionError(f"a hook is a function, not {self.function!r}")
        if isinstance(self.priority, bool) or not isinstance(self.priority, int):
            raise DefinitionError(f"a hook's priority is a whole number, not {self.priority!r:.80}")
        define(
            f"hook {self.event}",
            guardrail=(self.guardrail, FLAG),
            name=(self.name, TEXT),
            stream=(self.stream, MAYBE_FUNCTION),
        )
        object.__setattr__(self, "scope", as_scopes(self.scope, f"hook {self.event}", DefinitionError))
        if self.event == "approval" and inspect.iscoroutinefunction(self.function):
            raise DefinitionError("a hook for approval is a plain function: whether a person is asked is known at once")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", repr(self.function)))


class HookSource:
    """Something that hooks are made of: it may stand among an agent's hooks itself."""

    __slots__ = ()

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """They."""
        raise NotImplementedError


def hook(event: HookEvent, *, priority: int = 0, scope: Scopes = ALL) -> Callable[[Callable[[HookContext], Any]], Hook]:
    """Make a function a hook: ``@hook("request")``.

    Raises:
        DefinitionError: there is no such event, or the scope is none.
    """
    _check(event)
    return lambda function: Hook(event, function, priority, scope=scope)


def guardrail(
    event: HookEvent, *, priority: int = 100, scope: Scopes = ALL
) -> Callable[[Callable[[HookContext], Any]], Hook]:
    """Make a function a guardrail: if it raises, the run ends in `GuardrailTripped`.

    Raises:
        DefinitionError: there is no such event, or the scope is none.
    """
    _check(event)
    return lambda function: Hook(event, function, priority, guardrail=True, scope=scope)


Hooks: TypeAlias = "Sequence[Hook | HookSource]"
"""Hooks as they are given; once they were looked at, there are only `Hook` among them: see `as_hooks`."""


def as_hooks(given: object, whose: str) -> tuple[Hook, ...]:
    """Several hooks; of what is made of hooks, such as a `Guardrail`, those.

    Raises:
        DefinitionError: they are not several, or one is something else.
    """
    if isinstance(given, Iterable) and not isinstance(given, str):
        given = [one for item in given for one in (item.hooks if isinstance(item, HookSource) else (item,))]
    return all_are(Hook, given, whose, "hooks", "Guardrails, and what @hook and @guardrail make")


def only(hooks: Hooks) -> tuple[Hook, ...]:
    """Hooks that `as_hooks` has looked at."""
    return cast("tuple[Hook, ...]", hooks)


def _check(event: str) -> None:
    if event not in HOOK_EVENTS:
        raise DefinitionError(f"hook event {event!r:.80} is not one of {', '.join(HOOK_EVENTS)}")


def by_event(hooks: Iterable[Hook]) -> Mapping[str, tuple[Hook, ...]]:
    """The hooks of each event that has any, in calling order."""
    sorted_hooks = sorted(hooks, key=lambda item: -item.priority)  # stable: equal priorities stay in order
    return {
        event: tuple(item for item in sorted_hooks if item.event == event)
        for event in HOOK_EVENTS
        if any(item.event == event for item in sorted_hooks)
    }


def _wrong_result(result: ToolResult) -> str:
    return wrong_message(Message("tool", result.content, tool_call_id="", is_error=result.is_error), "result")


_LOOKS: Mapping[str, tuple[type[Any], Callable[[Any], str]]] = {
    "chunk": (Delta, wrong_delta),
    "completion": (Completion, wrong_completion),
    "call": (ToolCall, wrong_call),
    "result": (ToolResult, _wrong_result),
    "handoff": (Handoff, wrong_handoff),
}
"""What may stand in the fields of a context, besides None, and what says what is wrong with it."""


def _check_left(context: HookContext, before: HookContext, answered: tuple[Any, ...]) -> None:
    """Look at what a hook has left, before the run goes on with it: of what it was given, only what it changed.

    Args:
        context: as the hook left it.
        before: as it was given to the hook.
        answered: the fields of the answer that was in it.

    Raises:
        TypeError: something of it is of another type; says which, and what was expected.
    """
    for name, (kind, wrong_in) in _LOOKS.items():
        value = getattr(context, name)
        if value is None or value is getattr(before, name):
            continue
        if not isinstance(value, kind):
            raise _left(value, name, kind)
        if wrong := wrong_in(value):
            raise TypeError(f"it left a wrong {name}; {wrong}")
    asked = context.model_request
    if asked is not None and asked is not before.model_request:
        if not isinstance(asked, Request):
            raise _left(asked, "model_request", Request)
        if wrong := misshapen(asked, before.model_request):
            raise TypeError(f"it left a wrong model_request; {wrong}")
    if context.answer is not None:
        if not isinstance(context.answer, Answer):
            raise _left(context.answer, "answer", Answer)
        if wrong := wrong_answer(context.answer, answered):
            raise TypeError(f"it left a wrong answer; {wrong}")
    for name in ("why", "text"):
        if not isinstance(getattr(context, name), str):
            raise TypeError(f"it left {type(getattr(context, name)).__name__} as {name}; expected a text")
    labels: object = context.labels
    if not isinstance(labels, Labels):
        raise TypeError(f"it left {type(labels).__name__} as labels; expected Labels")
    messages: object = context.messages
    if messages is before.messages:
        return
    if not isinstance(messages, tuple | list) or not all(isinstance(one, Message) for one in messages):
        raise TypeError(f"it left {type(messages).__name__} as messages; expected a tuple of Messages")
    for index, message in enumerate(messages):
        if wrong := wrong_message(message, f"messages[{index}]"):
            raise TypeError(f"it left wrong messages; {wrong}")
    context.messages = tuple(messages)


def _left(value: object, name: str, kind: type[Any]) -> TypeError:
    wanted = f"{_article(kind.__name__)} {kind.__name__}"
    return TypeError(f"it left {type(value).__name__} as {name}; expected {wanted}, or None")


def _article(word: str) -> str:
    return "an" if word[0] in "AEIOU" else "a"


async def run_hooks(
    hooks: Iterable[Hook], context: HookContext, report: Callable[[Hook, BaseException], object]
) -> HookContext:
    """Call the hooks of an event.

    Args:
        hooks: in calling order.
        context: what they see.
        report: told of hooks that failed.

    Returns:
        the context as they left it.

    Raises:
        GuardrailTripped: a guardrail raised.
    """
    task = asyncio.current_task()
    for item in hooks:
        if item.stream is not None and context.event == "chunk":
            continue
        before = copy.copy(context)
        answered = values_of(context.answer) if context.answer is not None else ()
        try:
            changed = await awaited(f"hook {item.name} ({context.event})", item.function, context)
            if isinstance(changed, HookContext):
                context = changed
            _check_left(context, before, answered)
        except BaseException as error:
            if is_ours(error, task):
                raise
            if before.answer is not None:
                restore(before.answer, answered)
            if item.guardrail:
                if isinstance(error, GuardrailTripped):
                    raise
                raise GuardrailTripped(f"guardrail {item.name} refused ({context.event}): {said(error)}") from error
            _log(item, context.event, error)
            report(item, error)
            context = before
    return context


def reason_to_ask(hooks: Iterable[Hook], context: HookContext, report: Callable[[Hook, BaseException], object]) -> str:
    """Why a person is to be asked about a call, by the hooks for ``approval``; empty where none of them wants it. A
    guardrail that raises has a person asked.

    Args:
        hooks: in calling order.
        context: with the call.
        report: told of hooks that failed.
    """
    reasons = []
    for item in hooks:
        context.why = ""
        try:
            left = item.function(context)
            why = left.why if isinstance(left, HookContext) else context.why
            if not isinstance(why, str):
                raise TypeError(f"it left {type(why).__name__} as why; expected a text")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            _log(item, "approval", error)
            report(item, error)
            why = f"{item.name} could not tell whether it may: {type(error).__name__}" if item.guardrail else ""
            if isinstance(error, GuardrailTripped):
                why = said(error)
        if why:
            reasons.append(why)
    return "; ".join(reasons)


def _log(item: Hook, event: str, error: BaseException) -> None:
    if isinstance(error, GuardrailTripped):  # what it was raised from may say what it has looked at
        logger.warning("hook %s failed on %s: %s", item.name, event, error)
    else:
        logger.warning("hook %s failed on %s", item.name, event, exc_info=error)


async def before_remembering(text: str) -> str:
    """Have the ``memory`` hooks of the agent that this code works for look at a text before it is kept.

    Args:
        text: what is about to be remembered.

    Returns:
        what may be; the same where nobody minds, or this works for no agent.

    Raises:
        GuardrailTripped: a guardrail refused it.
    """
    sent = active.get()
    look = sent.baggage.get(MEMORY_HOOKS) if sent is not None else None
    return text if look is None else (await look("memory", text=text)).text
