"""Writes spans with OpenTelemetry's SDK, under ids that follow from what the span is of.

A trace's id follows from the id of the run that the caller started, unless the caller said which trace it belongs to; a
span's from its run, what it is of and its number. So whoever tells of the same thing, in another actor, after a
restart, in another process, tells of it under the same id, and knows its parent's without having seen it.

They are hashes, not the ids themselves: samplers that keep a share of all traces go by the last bytes of an id and want
them random, while those of a UUID 7 are half fixed and a caller's own id may be anything.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..core.base.send_context import active
from .errors import MissingTelemetry, TelemetryError
from .labels import LONGEST, fitting

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext

Attributes: TypeAlias = Mapping[str, Any]

logger = logging.getLogger("callboard")

PLACE: Final = "callboard.span"
"""Under this key of the baggage stands the `Place` that what is done there belongs to."""

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NANO: Final = 1_000_000_000


def trace_id_of(root: str) -> int:
    """The id of the trace of all that comes of a run that a caller started."""
    return int.from_bytes(hashlib.sha256(f"trace|{root}".encode(errors="surrogatepass")).digest()[:16], "big") or 1


def span_id_of(run: str, kind: str, number: object = "") -> int:
    """The id of a span.

    Args:
        run: the id of the run that it is of.
        kind: what it is of.
        number: which one of these in the run.
    """
    text = f"{run}|{kind}|{number}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") or 1


def nanoseconds(at: float) -> int:
    """Seconds since 1970 as OpenTelemetry has them."""
    return int(at * _NANO)


class SpanWriter:
    """Begins and ends spans.

    Args:
        provider: the `opentelemetry.sdk.trace.TracerProvider` whose samplers, processors and exporters they go through.
        owned: whether it is shut down with this.

    Raises:
        TelemetryError: it is another kind of provider.
    """

    def __init__(self, provider: Any, *, owned: bool = False) -> None:
        try:
            from opentelemetry.context import Context, attach, detach
            from opentelemetry.sdk.trace.id_generator import IdGenerator
            from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
            from opentelemetry.trace.status import Status, StatusCode
        except ImportError:
            raise MissingTelemetry("writing spans") from None
        tracer: Any = provider.get_tracer("callboard") if hasattr(provider, "get_tracer") else None
        if not hasattr(tracer, "id_generator"):
            raise TelemetryError(
                f"tracer_provider is {type(provider).__module__}.{type(provider).__name__}, which has no generator of "
                "ids; give an opentelemetry.sdk.trace.TracerProvider"
            )

        class Ids(IdGenerator):
            """Gives the ids that are wanted next."""

            trace = span = 0
            lock = threading.Lock()  # a tool may tell of something on a thread of its own

            def generate_trace_id(self) -> int:
                return self.trace

            def generate_span_id(self) -> int:
                return self.span

            def is_trace_id_random(self) -> bool:
                return True

        if type(tracer.id_generator).__qualname__ != Ids.__qualname__:
            tracer.id_generator = Ids()  # of this tracer alone: the provider's other tracers keep theirs
        self._ids: Any = tracer.id_generator  # that of a writer before this one, where the provider has kept its tracer
        self._tracer: Any = tracer
        self._provider = provider
        self.owned = owned
        self._nothing = Context()
        self.attach, self.detach = attach, detach
        self._client, self._internal = SpanKind.CLIENT, SpanKind.INTERNAL
        self.in_context = set_span_in_context
        self._made: Any = (NonRecordingSpan, SpanContext, TraceFlags)
        self._failed: Callable[[str], Any] = partial(Status, StatusCode.ERROR)
        self._failures: set[type[BaseException]] = set()

    def begin(
        self,
        name: str,
        trace: int,
        span: int,
        parent: SpanContext | None,
        attributes: Attributes,
        *,
        at: int | None = None,
        client: bool = False,
    ) -> Span:
        """Begin a span; it is exported once it is ended.

        Args:
            name: of the span.
            trace, span: its ids.
            parent: whose child it is; None for a trace's first.
            attributes: what is known of it by now; samplers see it.
            at: since when, in nanoseconds since 1970; None for now.
            client: whether another system works meanwhile.
        """
        context = self._nothing if parent is None else self.in_context(self._made[0](parent), self._nothing)
        kind = self._client if client else self._internal
        if not name.isascii() or len(name) > LONGEST:  # a model has made it up, and an exporter would lose all it sends
            name, attributes = fitting(name), {each: _fitting(value) for each, value in attributes.items()}
        since = time.time_ns() if at is None else at
        try:
            with self._ids.lock:
                self._ids.trace, self._ids.span = trace, span
                begun: Span = self._tracer.start_span(name, context, kind, dict(attributes), None, since)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of the user's sampler or processor: what is told of must not suffer from it
            self._failing(f"span {name} could not be begun", error)
            unknown: Span = self._made[0](self._made[1](trace, span, False, self._made[2](0)))
            return unknown
        return begun

    def end(self, span: Span, attributes: Attributes, *, error: str = "", at: int | None = None) -> None:
        """End a span.

        Args:
            span: begun before.
            attributes: what has become known of it.
            error: the name of the error that it ended in; empty for none.
            at: when, in nanoseconds since 1970; None for now.
        """
        try:
            if span.is_recording():
                span.set_attributes({name: value for name, value in attributes.items() if value is not None})
                if error:
                    span.set_attribute("error.type", error)
                    span.set_status(self._failed(error))
            ended: Any = span
            ended.end(time.time_ns() if at is None else at)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failing("a span could not be ended", error)

    def _failing(self, what: str, error: BaseException) -> None:
        """Log what fails at its first time: a processor that fails does so at every span."""
        kind = type(error)
        if kind not in self._failures:
            self._failures.add(kind)
            logger.error(
                "%s; the next time that a %s stands in the way is not logged", what, kind.__name__, exc_info=error
            )

    def remote(self, header: str) -> SpanContext | None:
        """The span that a ``traceparent`` names; None where it names none."""
        found = _TRACEPARENT.fullmatch(header.strip().lower())
        if found is None:
            return None
        trace, span = int(found[1], 16), int(found[2], 16)
        if not trace or not span:
            return None
        flags = self._made[2](int(found[3], 16))
        made: SpanContext = self._made[1](trace, span, True, flags)
        return made

    def close(self) -> None:
        """Export what is left, and let go of a provider that was made for this."""
        self._provider.shutdown()


class Place:
    """Where something is done: what is told from there has this span as its parent. It travels in the baggage.

    Args:
        writer: writes its children.
        span: the span.
    """

    __slots__ = ("_children", "span", "writer")

    def __init__(self, writer: SpanWriter, span: Span) -> None:
        self.writer = writer
        self.span = span
        self._children = 0

    def __repr__(self) -> str:
        return f"Place({self.header()!r})"

    def attach(self) -> Token[Context]:
        """Have the span be the current one for whatever else uses OpenTelemetry, also in tasks that are begun from here
        on; until `detach`."""
        writer = self.writer
        token: Token[Context] = writer.attach(writer.in_context(self.span))
        return token

    def detach(self, token: Token[Context]) -> None:
        """Take back what `attach` has put in force."""
        self.writer.detach(token)

    def header(self) -> str:
        """The span as a ``traceparent`` for another process."""
        return traceparent(self.span.get_span_context())

    def tell(self, name: str, seconds: float, attributes: Attributes, *, error: str = "", client: bool = False) -> None:
        """Write a span of what has just ended here.

        Args:
            name: of the span.
            seconds: it took.
            attributes: of it.
            error: the name of the error that it ended in; empty for none.
            client: whether another system worked meanwhile.
        """
        parent = self.span.get_span_context()
        end = time.time_ns()
        start = end - int(max(0.0, seconds) * _NANO)
        self._children += 1
        # The same number may come twice, after a restart, and is of something else then: the time tells them apart.
        own = span_id_of(f"{parent.span_id:016x}", name, f"{self._children}|{start}")
        span = self.writer.begin(name, parent.trace_id, own, parent, attributes, at=start, client=client)
        self.writer.end(span, {}, error=error, at=end)


def _fitting(value: Any) -> Any:
    return fitting(value, None) if isinstance(value, str) else value


def traceparent(context: SpanContext) -> str:
    """A span as W3C's header ``traceparent``."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def place() -> Place | None:
    """Where this code works: None where nobody traces."""
    sent = active.get()
    found = sent.baggage.get(PLACE) if sent is not None else None
    return found if isinstance(found, Place) else None


@contextmanager
def span_here() -> Iterator[None]:
    """Have OpenTelemetry's current span be the one that this code works for: in the handler of an actor of one's own,
    which knows it from the message. Elsewhere, and where no spans are written, nothing happens."""
    at = place()
    if at is None:
        yield
        return
    token = at.attach()
    try:
        yield
    finally:
        at.detach(token)


def trace_headers() -> dict[str, str]:
    """The headers that make what another service does for this code a part of the span at work here."""
    at = place()
    return {} if at is None else {"traceparent": at.header()}
