"""The spans of one run, made of what is told of it while it goes on.

A run's span begins when it was asked for, which its journal knows, and is begun anew by whoever goes on with it: the
same one, since its ids follow from the run's. Only who brings the run to its end ends it, so it is exported once, and
whole. What was under way when an incarnation ended is not told of: it is done, and told of, again, from when it was
first begun.

It is told directly, and not by the bus: an event is an object that is made for those who look on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

from ....providers.messages import Completion, Message, Request, Usage
from ...core.base.log import logger_of
from ...core.base.send_context import SendContext
from ...journal.store import Record
from ...observe import conventions as names
from ...observe.labels import fitting
from ...observe.spans import PLACE, Place, nanoseconds
from ..answer import Answer
from ..errors import AgentError
from ..events import (
    ApprovalDecided,
    CompletionFinished,
    CompletionStarted,
    ContextReduced,
    GuardrailFound,
    HandoffFinished,
    HandoffStarted,
    Resumed,
    Retried,
    RunEvent,
    RunFinished,
    ToolFinished,
    ToolStarted,
)
from ..turns.inner import outer_of
from ..turns.records import Accepted, Ended, RunRequest
from .content import Redact, answered, asked, messages
from .past import error_of, made_by, past
from .tracing import Tracing

logger = logger_of()

CANCELLED: Final = "cancelled"
"""The error of what was under way when its run ended."""

NOTHING_BEFORE: Final[Mapping[str, int]] = MappingProxyType({})


class RunSpans:
    """The spans of one run, as far as one incarnation makes it.

    Args:
        tracing: the agency's.
        run: the request.
        baggage: what all that is sent for it carries.
        again: whether this process has begun it before.
        before: since when, in nanoseconds since 1970, it was at what it had under way then, by what that is of.

    Attributes:
        place: of the run itself.
        sent: what is sent along with what the run does that belongs to no step.
        content: whether what is said is told.
        completion: what the model has answered, as whoever tells of its end sets it.
    """

    __slots__ = (
        "_again",
        "_answered",
        "_baggage",
        "_before",
        "_calls",
        "_chat",
        "_found",
        "_handoffs",
        "_live",
        "_open",
        "_step",
        "_tracing",
        "_writer",
        "completion",
        "content",
        "place",
        "run",
        "sent",
    )

    def __init__(
        self,
        tracing: Tracing,
        run: RunRequest,
        baggage: Mapping[str, Any],
        again: bool,
        before: Mapping[str, int] = NOTHING_BEFORE,
    ) -> None:
        self._tracing = tracing
        self._before = before
        self._calls: Mapping[str, int] = NOTHING_BEFORE  # since when another process had them under way
        self.content = tracing.content
        self._again = again
        self._live: set[str] | None = None
        self.run = run
        writer = self._writer = tracing.writer
        told: dict[str, Any] = {
            names.OPERATION: names.INVOKE_AGENT,
            names.AGENT_NAME: run.agent,
            names.RUN: run.id,
            names.ROOT: run.root,
        }
        if not run.once:
            told[names.CONVERSATION_ID] = run.conversation
        at = int(run.asked_at * 1e9) if run.asked_at else None
        of, parent = f"{run.id}|{names.INVOKE_AGENT}|", writer.remote(run.trace) if run.trace else None
        self.place = Place(writer, f"{names.INVOKE_AGENT} {run.agent}", of, parent or run.root, told, at=at)
        self._baggage = baggage
        self.sent = self.place.sent = SendContext(None, {**baggage, PLACE: self.place})
        self.completion: Completion | None = None
        self._step = 0
        self._found = 0
        self._chat: Place | None = None
        self._open: dict[tuple[str, str], Place] = {}
        self._handoffs: dict[tuple[str, str], list[Place]] = {}
        self._answered: tuple[tuple[str, Place, str, int], ...] = ()

    # -- where something is done ---------------------------------------------------------------------------------------

    def at(self, call_id: str = "") -> Place:
        """Where a call is carried out, or the completion under way is made; with what is sent along from there."""
        begun = self._open.get((names.EXECUTE_TOOL, call_id)) if call_id else self._chat
        place = begun or self.place
        if place.sent is None:
            place.sent = SendContext(None, {**self._baggage, PLACE: place})
        return place

    def header(self, call_id: str, target: str) -> str:
        """The parent of a run that another agent makes for this one, as a ``traceparent``.

        Args:
            call_id: the call that it is made for.
            target: whose it is.
        """
        made = self._handoffs.get((call_id, target))
        place = made[-1] if made else self._open.get((names.EXECUTE_TOOL, call_id), self.place)
        return place.header()

    def under_way(self) -> Mapping[str, int]:
        """Since when, in nanoseconds since 1970, all has been under way that is, by what it is of: for the incarnation
        that goes on with it."""
        places = [*self._open.values(), *chain(*self._handoffs.values()), *([self._chat] if self._chat else ())]
        return {**self._before, **{place.of: place.began for place in places}}

    # -- what is said --------------------------------------------------------------------------------------------------

    def asked(self, request: Request) -> None:
        """What the model is asked, where `content` is wanted."""
        if self._chat is not None and self._chat.span.is_recording():
            self._chat.span.set_attributes(self._said(partial(asked, request)))

    def _said(self, tell: Callable[[Redact], dict[str, Any]]) -> dict[str, Any]:
        try:
            return tell(self._tracing.redact)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of a function of the user's; what it could not look at is not told
            # Nor is what the error says: it may be the very text.
            logger.error("redact raised %s: what it was to look at is not told", type(error).__name__)
            return {}

    def _text(self, name: str, text: str) -> dict[str, Any]:
        return self._said(lambda redact: {name: fitting(redact(text), None)}) if text else {}

    # -- spans ---------------------------------------------------------------------------------------------------------

    def _begin(
        self,
        operation: str,
        of: str,
        number: str,
        told: dict[str, Any],
        parent: Place | None = None,
        *,
        at: int | None = None,
        client: bool = False,
    ) -> Place:
        told |= {names.OPERATION: operation, names.AGENT_NAME: self.run.agent, names.RUN: self.run.id}
        own = f"{self.run.id}|{operation}|{number}"
        if self._live is not None:
            self._live.add(own)
        if at is None and self._before:
            at = self._before.get(own)
        name = f"{operation} {of}" if of else operation
        return Place(self._writer, name, own, parent or self.place, told, at=at, client=client)

    def _completion_started(self, *, step: int, model: str = "", **_: Any) -> None:
        if self._chat is not None:
            if step == self._step:
                return  # the same one goes on: it is shown less, or asked again
            self._chat.end({}, error=CANCELLED)
        self._step, self._found, self._calls = step, 0, NOTHING_BEFORE
        told: dict[str, Any] = {names.STEP: step}
        if model:
            told[names.REQUEST_MODEL] = model
        if self.run.stream:
            told[names.REQUEST_STREAM] = True
        if not self.run.once:
            told[names.CONVERSATION_ID] = self.run.conversation
        self._chat = self._begin(names.CHAT, model, str(step), told, client=True)

    def _completion_finished(
        self,
        *,
        step: int,
        usage: Usage,
        cost: float | None,
        model: str,
        provider: str,
        first: float | None = None,
        **_: Any,
    ) -> None:
        chat, self._chat = self._chat, None
        completion, self.completion = self.completion, None
        self._step = step
        if chat is None:
            return
        told = made_by(model, provider, usage, cost) | {names.TIME_TO_FIRST_CHUNK: first}
        if completion is not None:
            told[names.FINISH_REASONS] = (completion.finish_reason,)
            told[names.RESPONSE_ID] = completion.request_id or None
            if self.content:
                told |= self._said(partial(answered, completion))
        chat.end(told)

    def _retried(self, *, attempt: int, **_: Any) -> None:
        if self._chat is not None:
            self._chat.span.add_event("retry", {"callboard.attempt": attempt})

    def _reduced(self, *, before: int, after: int, **_: Any) -> None:
        told = {"callboard.tokens.before": before, "callboard.tokens.after": after}
        self.place.span.add_event("context reduced", told)

    def _tool_started(self, *, call_id: str, tool: str, arguments: str, **_: Any) -> None:
        outer = self._open.get((names.EXECUTE_TOOL, outer_of(call_id))) if "/" in call_id else None
        told: dict[str, Any] = {names.TOOL_NAME: tool, names.TOOL_TYPE: "function", names.TOOL_CALL_ID: call_id}
        if self.content:
            told |= self._text(names.TOOL_ARGUMENTS, arguments)
        begun = self._begin(
            names.EXECUTE_TOOL, tool, f"{self._step}|{call_id}", told, outer, at=self._calls.get(call_id)
        )
        self._open[names.EXECUTE_TOOL, call_id] = begun

    def _tool_finished(self, *, call_id: str, content: str, is_error: bool, **_: Any) -> None:
        place = self._open.pop((names.EXECUTE_TOOL, call_id), None)
        if place is None:
            return
        told = self._text(names.TOOL_RESULT, content) if self.content else {}
        place.end(told, error="tool_error" if is_error else "")

    def _handoff_started(self, *, call_id: str, target: str, kind: str, **_: Any) -> None:
        told = {names.HANDOFF_TARGET: target, names.HANDOFF_KIND: kind}
        made = self._handoffs.setdefault((call_id, target), [])  # one call may ask the same agent twice
        number = f"{self._step}|{call_id}|{target}|{len(made)}"
        made.append(self._begin(names.HANDOFF, target, number, told, at=self._calls.get(call_id)))

    def _handoff_finished(self, *, call_id: str, target: str, failed: str = "", **_: Any) -> None:
        made = self._handoffs.get((call_id, target))
        if not made:
            return
        place = made.pop(0)
        if self._live is None:
            place.end({}, error=error_of(failed))
        else:  # another process may have begun it: it is told with the past, which may come behind the run's end
            self._answered = (*self._answered, (call_id, place, error_of(failed), time.monotonic_ns() + place.ahead))

    def _guardrail_found(
        self, *, guardrail: str, where: str, kind: str, count: int, action: str, call_id: str, seconds: float
    ) -> None:
        self._found += 1
        told = {
            names.GUARDRAIL_NAME: guardrail,
            names.GUARDRAIL_WHERE: where,
            names.GUARDRAIL_KIND: kind,
            names.GUARDRAIL_COUNT: count,
            names.GUARDRAIL_ACTION: action,
        }
        parent = self._open.get((names.EXECUTE_TOOL, call_id)) or self._chat
        now, number = time.monotonic_ns() + self.place.ahead, f"{self._step}|{call_id}|{self._found}"
        began = now - nanoseconds(seconds)
        self._begin(names.GUARDRAIL, guardrail, number, told, parent, at=began).end({}, at=now)

    def approval_requested(self, call_id: str, tool: str, asked_at: float) -> None:
        """A person is asked, or an earlier incarnation has asked one who has not decided.

        Args:
            call_id, tool: about which call; empty where it is about the run's limits.
            asked_at: when, in seconds since 1970; 0 where the journal does not know.
        """
        told: dict[str, Any] = {names.TOOL_NAME: tool, names.TOOL_CALL_ID: call_id} if call_id else {}
        number = f"{self._step}|{call_id}"
        at = nanoseconds(asked_at) if asked_at else None
        self._open[names.APPROVAL, call_id] = self._begin(names.APPROVAL, tool or "limits", number, told, at=at)

    def _approval_decided(self, *, call_id: str, approved: bool, **_: Any) -> None:
        place = self._open.pop((names.APPROVAL, call_id), None)
        if place is not None:
            place.end({names.APPROVED: approved})

    def _resumed(self, *, steps: int) -> None:
        self._step = steps
        self.place.span.set_attribute(names.RESUMED, True)
        if not self._again:
            self._live = set()
            self._tracing.resumed(self.run, self.tell_past)

    def tell_past(self, records: Iterable[Record], model: str) -> None:
        """Tell what another process did of the run: it may have been killed before it has told of that. What it has
        told is told under the same ids.

        Args:
            records: of the run's conversation, from the first on.
            model: the one that is asked; empty where that is the provider's affair.
        """
        live, self._live = self._live or set(), None
        begun: dict[str, tuple[float, str]] = {}
        since: dict[str, int] = {}
        for one in past(self.run, records, model, begun):
            own, began = f"{self.run.id}|{one.operation}|{one.number}", nanoseconds(one.began)
            if own in live:
                since[own] = began
                continue
            client = one.operation == names.CHAT
            place = self._begin(one.operation, one.of, one.number, {}, at=began, client=client)
            told = one.told
            if one.completion is not None and self.content:
                told |= self._said(partial(answered, one.completion))
            place.end(told, error=one.error, at=nanoseconds(one.ended))
        self._calls = {call_id: nanoseconds(at) for call_id, (at, _) in begun.items()}
        for (call_id, _), made in self._handoffs.items():
            if call_id in begun:
                made[:] = [self._since(place, self._calls[call_id]) for place in made]
        over, self._answered = self._answered, ()  # before the past was known
        for call_id, place, error, at in over:
            began = since.get(place.of, self._calls.get(call_id, place.began))
            self._since(place, began).end({}, error=error, at=at)

    def _since(self, place: Place, at: int) -> Place:
        """A handoff under way, from when it was begun: the other agent's run goes on from then, too."""
        span: Any = place.span  # nobody but this has anything to tell of it, so it is begun anew
        if at >= place.began or not span.is_recording():
            return place
        return Place(self._writer, span.name, place.of, self.place, dict(span.attributes), at=at)

    def _finished(self, *, answer: Answer | None, error: AgentError | None) -> None:
        self._tracing.ended(self.run.id)
        failed = "" if error is None else type(error).__name__
        for place in chain(self._open.values(), *self._handoffs.values()):
            place.end({}, error=CANCELLED)
        if self._chat is not None:
            self._chat.end({}, error=failed or CANCELLED)
        told: dict[str, Any] = {}
        if answer is not None:
            told = {
                names.INPUT_TOKENS: answer.usage.input_tokens,
                names.OUTPUT_TOKENS: answer.usage.output_tokens,
                names.COST: answer.cost,
            }
            if self.content:
                given, said = self.run.messages, (Message("assistant", answer.text),)
                told |= self._said(lambda redact: {names.INPUT_MESSAGES: messages(given, redact)})
                told |= self._said(lambda redact: {names.OUTPUT_MESSAGES: messages(said, redact)})
        self.place.end(told, error=failed)


def tell_over(
    tracing: Tracing, run: RunRequest, seconds: float, error: str, records: Sequence[Record], model: str
) -> None:
    """Tell the whole of a run that has ended, under the ids that whoever made it told it under, if they did.

    Args:
        tracing: the agency's.
        run: as it was asked for here.
        seconds: it took.
        error: the name of the error that it ended in, where the journal does not know.
        records: of its conversation, from the first on; of one that was let go of meanwhile there are none.
        model: the one that is asked; empty where that is the provider's affair.
    """
    asked = [one.event.run for one in records if type(one.event) is Accepted and one.event.run.id == run.id]
    ended = [one for one in records if type(one.event) is Ended and one.event.run == run.id]
    at = ended[0].at if ended else time.time()
    spans = RunSpans(tracing, asked[0] if asked else run._replace(asked_at=at - seconds), {}, True)
    spans.tell_past(records, model)
    if ended and ended[0].event.error is not None:
        error = type(ended[0].event.error).__name__
    spans.place.end({names.RESUMED: True}, error=error, at=nanoseconds(at))


TELLS: Final[Mapping[type[RunEvent], Callable[..., None]]] = {
    CompletionStarted: RunSpans._completion_started,
    CompletionFinished: RunSpans._completion_finished,
    Retried: RunSpans._retried,
    ContextReduced: RunSpans._reduced,
    ToolStarted: RunSpans._tool_started,
    ToolFinished: RunSpans._tool_finished,
    HandoffStarted: RunSpans._handoff_started,
    HandoffFinished: RunSpans._handoff_finished,
    GuardrailFound: RunSpans._guardrail_found,
    ApprovalDecided: RunSpans._approval_decided,
    Resumed: RunSpans._resumed,
    RunFinished: RunSpans._finished,
}
"""What is called with a run's spans, and the fields of the event which are its own, when something happens."""
