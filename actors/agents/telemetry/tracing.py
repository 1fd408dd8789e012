"""Runs as spans, made of their events.

A run's span begins when it was asked for, which its journal knows, and is begun anew by whoever goes on with it: the
same one, since its ids follow from the run's. Only who brings the run to its end ends it, so it is exported once, and
whole. What was under way when an incarnation ended is not told of: it is done, and told of, again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ....providers.messages import Completion, Message, Request
from ...core.base.send_context import SendContext
from ...journal.store import Record
from ...observe import conventions as names
from ...observe.errors import TelemetryError
from ...observe.labels import fitting
from ...observe.spans import PLACE, Place, SpanWriter, nanoseconds, span_id_of, trace_id_of, traceparent
from ...observe.telemetry import Telemetry
from ..events import (
    ApprovalDecided,
    ApprovalRequested,
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
from .content import Redact, answered, asked, by_patterns, messages
from .past import error_of, past

if TYPE_CHECKING:
    from opentelemetry.trace import Span

logger = logging.getLogger("callboard")

TOLD: Final = 10_000
"""Runs of which it is remembered that they were told of: one that is asked for again is not told again."""

CANCELLED: Final = "cancelled"
"""The error of what was under way when its run ended."""


class Tracing:
    """Writes the spans of an agency's runs.

    Args:
        telemetry: what is wanted.
        writer: writes them.
    """

    def __init__(self, telemetry: Telemetry, writer: SpanWriter) -> None:
        self.writer = writer
        self.redact = by_patterns if telemetry.redact is None else _texts_of(telemetry.redact)
        self.content = telemetry.content
        self.resumed: Callable[[RunSpans], object] = _nobody
        """Told of a run that another process has begun: what that did is to be told with `RunSpans.tell_past`."""
        self.over: Callable[[RunRequest, float], object] = _nobody
        """Told of a run that is found to have ended in another process, which may have been killed before it told of
        that; it is to be told with `tell_over`."""
        self._told: dict[str, None] = {}
        """The runs that were told of last, the oldest first."""
        self._runs: dict[str, RunSpans] = {}

    def begin(self, run: RunRequest, baggage: Mapping[str, Any], *, again: bool) -> RunSpans:
        """Begin a run's span, or begin it again where somebody has begun it before.

        Args:
            run: the request.
            baggage: what all that is sent for it carries.
            again: whether this process has begun it before.
        """
        spans = self._runs[run.id] = RunSpans(self, run, baggage, again)
        return spans

    def drop(self, run: str, spans: RunSpans | None = None) -> None:
        """Tell of a run no more: there is none, or somebody else goes on with it and tells of it.

        Args:
            run: its id.
            spans: of the incarnation that ends; None for whichever there is.
        """
        if spans is None or self._runs.get(run) is spans:
            self._runs.pop(run, None)

    def found_over(self, run: RunRequest, seconds: float) -> None:
        """The journal says that a run has ended, for which somebody waits here.

        Args:
            run: as it was asked for here.
            seconds: it took.
        """
        if run.id not in self._told:
            self._tell(run.id)
            self.over(run, seconds)

    def tell_over(self, run: RunRequest, seconds: float, records: Sequence[Record], model: str) -> None:
        """Tell the whole of a run that has ended, under the ids that whoever made it told it under, if they did.

        Args:
            run: as it was asked for here.
            seconds: it took.
            records: of its conversation, from the first on; of one that was let go of meanwhile there are none.
            model: the one that is asked; empty where that is the provider's affair.
        """
        asked = [one.event.run for one in records if type(one.event) is Accepted and one.event.run.id == run.id]
        ended = [one for one in records if type(one.event) is Ended and one.event.run == run.id]
        at = ended[0].at if ended else time.time()
        spans = RunSpans(self, asked[0] if asked else run._replace(asked_at=at - seconds), {}, True)
        spans.tell_past(records, model)
        error = "" if not ended or ended[0].event.error is None else type(ended[0].event.error).__name__
        self.writer.end(spans.place.span, {names.RESUMED: True}, error=error, at=nanoseconds(at))

    def _tell(self, run: str) -> None:
        """A run is told of."""
        self._told[run] = None
        if len(self._told) > TOLD:
            del self._told[next(iter(self._told))]

    @property
    def handlers(self) -> Mapping[type[RunEvent], Callable[[Any], None]]:
        """Who is told of which events."""
        return dict.fromkeys(_TELL, self._take)

    def _take(self, event: RunEvent) -> None:
        spans = self._runs.get(event.run)
        if spans is not None:
            if type(event) is RunFinished:
                del self._runs[event.run]
                self._tell(event.run)
            _TELL[type(event)](spans, event)

    @contextmanager
    def part_of(self, header: str) -> Iterator[None]:
        """Have runs that are asked for within be a part of the span that a ``traceparent`` names, unless one is in
        force already."""
        from opentelemetry import context, trace

        parent = self.writer.remote(header)
        if parent is None or trace.get_current_span().get_span_context().is_valid:
            yield
            return
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
        try:
            yield
        finally:
            context.detach(token)

    def caller(self) -> str:
        """The span in force where a run is asked for, as a ``traceparent``; empty where there is none."""
        from opentelemetry import trace

        context = trace.get_current_span().get_span_context()
        return traceparent(context) if context.is_valid else ""


class RunSpans:
    """The spans of one run, as far as one incarnation makes it.

    Args:
        tracing: the agency's.
        run: the request.
        baggage: what all that is sent for it carries.
        again: whether this process has begun it before.

    Attributes:
        place: of the run itself.
        sent: what is sent along with what the run does that belongs to no step.
    """

    __slots__ = (
        "_again",
        "_chat",
        "_found",
        "_handoffs",
        "_live",
        "_open",
        "_places",
        "_step",
        "_tracing",
        "place",
        "run",
        "sent",
    )

    def __init__(self, tracing: Tracing, run: RunRequest, baggage: Mapping[str, Any], again: bool) -> None:
        self._tracing = tracing
        self._again = again
        self._live: set[int] | None = None
        self.run = run
        writer = tracing.writer
        parent = writer.remote(run.trace) if run.trace else None
        trace = trace_id_of(run.root) if parent is None else parent.trace_id
        told: dict[str, Any] = {
            names.OPERATION: names.INVOKE_AGENT,
            names.AGENT_NAME: run.agent,
            names.RUN: run.id,
            names.ROOT: run.root,
        }
        if not run.once:
            told[names.CONVERSATION_ID] = run.conversation
        now = time.time_ns()
        at = min(now, nanoseconds(run.asked_at)) if run.asked_at else now
        name = f"{names.INVOKE_AGENT} {run.agent}"
        own = span_id_of(run.id, names.INVOKE_AGENT)
        span = writer.begin(name, trace, own, parent, told, at=at)
        self.place = Place(writer, span)
        self.sent = SendContext(None, {**baggage, PLACE: self.place})
        self._step = 0
        self._found = 0
        self._chat: Span | None = None
        self._open: dict[tuple[str, str], Span] = {}
        self._handoffs: dict[tuple[str, str], list[Span]] = {}
        self._places: dict[str, Place] = {}

    def drop(self) -> None:
        """Somebody else goes on with the run, and tells of it."""
        self._tracing.drop(self.run.id, self)

    # -- where something is done ---------------------------------------------------------------------------------------

    def within(self, place: Place) -> SendContext:
        """What is sent along with what is done at a place."""
        return SendContext(None, {**self.sent.baggage, PLACE: place})

    def at(self, call_id: str = "") -> Place:
        """Where a call is carried out, or the completion under way is made."""
        span = self._open.get((names.EXECUTE_TOOL, call_id)) if call_id else self._chat
        if span is None:
            return self.place
        place = self._places.get(call_id)
        if place is None or place.span is not span:
            place = self._places[call_id] = Place(self.place.writer, span)
        return place

    def header(self, call_id: str, target: str) -> str:
        """The parent of a run that another agent makes for this one, as a ``traceparent``.

        Args:
            call_id: the call that it is made for.
            target: whose it is.
        """
        made = self._handoffs.get((call_id, target))
        span = made[-1] if made else self._open.get((names.EXECUTE_TOOL, call_id), self.place.span)
        return traceparent(span.get_span_context())

    # -- what is said --------------------------------------------------------------------------------------------------

    def asked(self, request: Request) -> None:
        """What the model is asked; told where it is wanted."""
        if self._tracing.content and self._chat is not None and self._chat.is_recording():
            self._chat.set_attributes(self._said(partial(asked, request)))

    def answered(self, completion: Completion) -> None:
        """What the model has answered."""
        if self._chat is not None and self._chat.is_recording():
            self._chat.set_attribute(names.FINISH_REASONS, (completion.finish_reason,))
            if completion.request_id:
                self._chat.set_attribute(names.RESPONSE_ID, completion.request_id)
            if self._tracing.content:
                self._chat.set_attributes(self._said(partial(answered, completion)))

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
        if not (self._tracing.content and text):
            return {}
        return self._said(lambda redact: {name: fitting(redact(text), None)})

    # -- spans ---------------------------------------------------------------------------------------------------------

    def _begin(
        self,
        operation: str,
        of: str,
        number: str,
        told: Mapping[str, Any],
        parent: Span | None = None,
        *,
        client: bool = False,
    ) -> Span:
        over = (self.place.span if parent is None else parent).get_span_context()
        name = f"{operation} {of}" if of else operation
        attributes = {names.OPERATION: operation, names.AGENT_NAME: self.run.agent, names.RUN: self.run.id, **told}
        own = span_id_of(self.run.id, operation, number)
        if self._live is not None:
            self._live.add(own)
        return self.place.writer.begin(name, over.trace_id, own, over, attributes, client=client)

    def _end(self, span: Span | None, told: Mapping[str, Any], error: str = "") -> None:
        if span is not None:
            self.place.writer.end(span, told, error=error)

    def _completion_started(self, event: CompletionStarted) -> None:
        if self._chat is not None and event.step == self._step:
            return  # the same one goes on: it is shown less, or asked again
        self._end(self._chat, {}, CANCELLED)
        self._step, self._found = event.step, 0
        told: dict[str, Any] = {names.STEP: event.step}
        if event.model:
            told[names.REQUEST_MODEL] = event.model
        if self.run.stream:
            told[names.REQUEST_STREAM] = True
        if not self.run.once:
            told[names.CONVERSATION_ID] = self.run.conversation
        self._chat = self._begin(names.CHAT, event.model, str(event.step), told, client=True)

    def _completion_finished(self, event: CompletionFinished) -> None:
        usage, span = event.usage, self._chat
        self._step = event.step
        if span is None:
            return
        told: dict[str, Any] = {
            names.PROVIDER: event.provider or None,
            names.RESPONSE_MODEL: event.model or None,
            names.INPUT_TOKENS: usage.input_tokens,
            names.OUTPUT_TOKENS: usage.output_tokens,
            names.CACHE_READ_TOKENS: usage.cache_read_tokens or None,
            names.CACHE_WRITE_TOKENS: usage.cache_write_tokens or None,
            names.REASONING_TOKENS: usage.reasoning_tokens or None,
            names.COST: event.cost,
            names.TIME_TO_FIRST_CHUNK: event.first,
        }
        self._end(span, told)
        self._chat = None

    def _retried(self, event: Retried) -> None:
        if self._chat is not None:
            self._chat.add_event("retry", {"callboard.attempt": event.attempt})

    def _reduced(self, event: ContextReduced) -> None:
        told = {"callboard.tokens.before": event.before, "callboard.tokens.after": event.after}
        self.place.span.add_event("context reduced", told)

    def _tool_started(self, event: ToolStarted) -> None:
        outer = self._open.get((names.EXECUTE_TOOL, outer_of(event.call_id)))
        told: dict[str, Any] = {
            names.TOOL_NAME: event.tool,
            names.TOOL_TYPE: "function",
            names.TOOL_CALL_ID: event.call_id,
            **self._text(names.TOOL_ARGUMENTS, event.arguments),
        }
        key = f"{self._step}|{event.call_id}"
        self._open[names.EXECUTE_TOOL, event.call_id] = self._begin(names.EXECUTE_TOOL, event.tool, key, told, outer)

    def _tool_finished(self, event: ToolFinished) -> None:
        span = self._open.pop((names.EXECUTE_TOOL, event.call_id), None)
        self._places.pop(event.call_id, None)
        self._end(span, self._text(names.TOOL_RESULT, event.content), "tool_error" if event.is_error else "")

    def _handoff_started(self, event: HandoffStarted) -> None:
        told = {names.HANDOFF_TARGET: event.target, names.HANDOFF_KIND: event.kind}
        made = self._handoffs.setdefault((event.call_id, event.target), [])  # one call may ask the same agent twice
        number = f"{self._step}|{event.call_id}|{event.target}|{len(made)}"
        made.append(self._begin(names.HANDOFF, event.target, number, told))

    def _handoff_finished(self, event: HandoffFinished) -> None:
        made = self._handoffs.get((event.call_id, event.target))
        if made:
            self._end(made.pop(0), {}, error_of(event.failed))

    def _guardrail_found(self, event: GuardrailFound) -> None:
        self._found += 1
        told = {
            names.GUARDRAIL_NAME: event.guardrail,
            names.GUARDRAIL_WHERE: event.where,
            names.GUARDRAIL_KIND: event.kind,
            names.GUARDRAIL_COUNT: event.count,
            names.GUARDRAIL_ACTION: event.action,
        }
        parent = self._open.get((names.EXECUTE_TOOL, event.call_id)) or self._chat
        number = f"{self._step}|{event.call_id}|{self._found}"
        self._end(self._begin(names.GUARDRAIL, event.guardrail, number, told, parent), {})

    def _approval_requested(self, event: ApprovalRequested) -> None:
        told = {names.TOOL_NAME: event.tool or None, names.TOOL_CALL_ID: event.call_id or None}
        known = {name: value for name, value in told.items() if value is not None}
        number = f"{self._step}|{event.call_id}"
        self._open[names.APPROVAL, event.call_id] = self._begin(names.APPROVAL, event.tool or "limits", number, known)

    def _approval_decided(self, event: ApprovalDecided) -> None:
        span = self._open.pop((names.APPROVAL, event.call_id), None)
        self._end(span, {names.APPROVED: event.approved})

    def _resumed(self, event: Resumed) -> None:
        self._step = event.steps
        self.place.span.set_attribute(names.RESUMED, True)
        if not self._again:
            self._live = set()
            self._tracing.resumed(self)

    def tell_past(self, records: Iterable[Record], model: str) -> None:
        """Tell what another process did of the run: it may have been killed before it has told of that. What it has
        told is told under the same ids.

        Args:
            records: of the run's conversation, from the first on.
            model: the one that is asked; empty where that is the provider's affair.
        """
        live, self._live = self._live or set(), None
        over, writer = self.place.span.get_span_context(), self.place.writer
        for one in past(self.run, records, model):
            own = span_id_of(self.run.id, one.operation, one.number)
            if own in live:
                continue
            name = f"{one.operation} {one.of}" if one.of else one.operation
            told = {names.OPERATION: one.operation, names.AGENT_NAME: self.run.agent, names.RUN: self.run.id}
            client, began = one.operation == names.CHAT, nanoseconds(one.began)
            span = writer.begin(name, over.trace_id, own, over, told, at=began, client=client)
            more = one.told
            if one.completion is not None:
                more = {**more, names.FINISH_REASONS: (one.completion.finish_reason,)}
                if self._tracing.content:
                    more |= self._said(partial(answered, one.completion))
            writer.end(span, more, error=one.error, at=nanoseconds(one.ended))

    def _finished(self, event: RunFinished) -> None:
        error = "" if event.error is None else type(event.error).__name__
        for span in chain(self._open.values(), *self._handoffs.values()):
            self._end(span, {}, CANCELLED)
        self._end(self._chat, {}, error or CANCELLED)
        told: dict[str, Any] = {}
        if (answer := event.answer) is not None:
            told = {
                names.INPUT_TOKENS: answer.usage.input_tokens,
                names.OUTPUT_TOKENS: answer.usage.output_tokens,
                names.COST: answer.cost,
            }
            if self._tracing.content:
                given, said = self.run.messages, (Message("assistant", answer.text),)
                told |= self._said(lambda redact: {names.INPUT_MESSAGES: messages(given, redact)})
                told |= self._said(lambda redact: {names.OUTPUT_MESSAGES: messages(said, redact)})
        self._end(self.place.span, told, error)


def _texts_of(redact: Redact) -> Redact:
    """A function of the user's, which may give anything, as one that gives texts."""

    def checked(text: str) -> str:
        left: Any = redact(text)
        if not isinstance(left, str):
            raise TelemetryError(f"redact gave {type(left).__name__}, which is no text")
        return left

    return checked


def _nobody(*told: object) -> None:
    """Nobody knows what was done before."""


_TELL: Final[Mapping[type, Callable[[RunSpans, Any], None]]] = {
    CompletionStarted: RunSpans._completion_started,
    CompletionFinished: RunSpans._completion_finished,
    Retried: RunSpans._retried,
    ContextReduced: RunSpans._reduced,
    ToolStarted: RunSpans._tool_started,
    ToolFinished: RunSpans._tool_finished,
    HandoffStarted: RunSpans._handoff_started,
    HandoffFinished: RunSpans._handoff_finished,
    GuardrailFound: RunSpans._guardrail_found,
    ApprovalRequested: RunSpans._approval_requested,
    ApprovalDecided: RunSpans._approval_decided,
    Resumed: RunSpans._resumed,
    RunFinished: RunSpans._finished,
}
