"""Writes spans with OpenTelemetry's SDK, under ids that follow from what the span is of.

A trace's id follows from the id of the run that the caller started, unless the caller said which trace it belongs to; a
span's from its run, what it is of and its number. So whoever tells of the same thing, in another actor, after a
restart, in another process, tells of it under the same id, and knows its parent's without having seen it.

They are hashes, not the ids themselves: samplers that keep a share of all traces go by the last bytes of an id and want
them random, while those of a UUID 7 are half fixed and a caller's own id may be anything.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..core.base.log import logger_of
from ..core.base.send_context import SendContext, active
from .conventions import ERROR_TYPE
from .errors import MissingTelemetry, TelemetryError
from .labels import LONGEST, fitting

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext

Attributes: TypeAlias = Mapping[str, Any]

logger = logger_of()

PLACE: Final = "callboard.span"
"""Under this key of the baggage stands the `Place` that what is done there belongs to."""

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NANO: Final = 1_000_000_000


def nanoseconds(at: float) -> int:
    """Seconds since 1970 as OpenTelemetry has them."""
    return int(at * _NANO)


class SpanWriter:
    """What spans are begun with.

    Args:
        provider: the `opentelemetry.sdk.trace.TracerProvider` whose samplers, processors and exporters they go through.
        owned: whether it is shut down with this.

    Raises:
        TelemetryError: it is another kind of provider.
    """

    def __init__(self, provider: Any, *, owned: bool = False) -> None:
        try:
            from opentelemetry.context import Context, attach, detach
            from opentelemetry.trace import (
                NonRecordingSpan,
                SpanContext,
                SpanKind,
                TraceFlags,
                get_current_span,
                set_span_in_context,
            )
            from opentelemetry.trace.status import Status, StatusCode
        except ImportError:
            raise MissingTelemetry("writing spans") from None
        tracer: Any = provider.get_tracer("callboard") if hasattr(provider, "get_tracer") else None
        if not hasattr(tracer, "id_generator"):
            raise TelemetryError(
                f"tracer_provider is {type(provider).__module__}.{type(provider).__name__}, which has no generator of "
                "ids; give an opentelemetry.sdk.trace.TracerProvider"
            )
        if not isinstance(tracer.id_generator, _Ids):
            tracer.id_generator = _Ids()  # of this tracer alone: the provider's other tracers keep theirs
        self.ids: _Ids = tracer.id_generator  # that of a writer before this one, where the provider has kept its tracer
        self.start: Callable[..., Any] = tracer.start_span
        self._provider = provider
        self.owned = owned
        self.nothing = Context()
        self.attach, self.detach = attach, detach
        self.client, self.internal = SpanKind.CLIENT, SpanKind.INTERNAL
        self.current, self.in_context = get_current_span, set_span_in_context
        self._made: Any = (NonRecordingSpan, SpanContext, TraceFlags)
        self.failed: Callable[[str], Any] = partial(Status, StatusCode.ERROR)
        self._failures: set[type[BaseException]] = set()

    def known(self, context: SpanContext) -> Span:
        """A span that somebody else writes."""
        span: Span = self._made[0](context)
        return span

    def unknown(self, trace: int, span: int) -> Span:
        """A span that nobody writes."""
        return self.known(self._made[1](trace, span, False, self._made[2](0)))

    def failing(self, what: str, error: BaseException) -> None:
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

    def caller(self) -> str:
        """The span in force here, as a ``traceparent``; empty where there is none."""
        context = self.current().get_span_context()
        return traceparent(context) if context.is_valid else ""

    @contextmanager
    def part_of(self, header: str) -> Iterator[None]:
        """Have the span that a ``traceparent`` names be the current one, unless one is in force already."""
        parent = self.remote(header)
        if parent is None or self.current().get_span_context().is_valid:
            yield
            return
        token = self.attach(self.in_context(self.known(parent)))
        try:
            yield
        finally:
            self.detach(token)

    def close(self) -> None:
        """Export what is left, and let go of a provider that was made for this."""
        self._provider.shutdown()


class _Ids:
    """Gives OpenTelemetry the ids that are wanted next, the last first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # a tool may tell of something on a thread of its own
        self.wanted: list[int] = []
        self.generate_trace_id = self.generate_span_id = self.wanted.pop
        self.is_trace_id_random = partial(bool, True)
        """They are hashes."""


class Place:
    """A span, and where something is done: what is told from there is its child. It travels in the baggage.

    It is begun as it is made, and exported once it is ended. All times within one run are those of one clock, which
    only goes on: what the system's clock jumps meanwhile makes no span longer, and none ends before it began. None
    begins before its parent, either, whatever a loop's clock says that goes by milliseconds.

    Args:
        writer: writes it and its children.
        name: of the span.
        of: what it is of, from which its id follows: the run's id, the kind of thing, which one of these in the run.
        parent: whose child it is; the id of the run that a caller started for the first of a trace, whose id follows
            from that.
        attributes: what is known of it by now; samplers see it.
        at: since when, in nanoseconds since 1970, but not before its parent; None for now.
        client: whether another system works meanwhile.

    Attributes:
        of: see above.
        began: since when, in nanoseconds since 1970.
        ahead: nanoseconds that the system's clock was ahead of the one that only goes on, as the first was begun.
        sent: what is sent along with what is done here, once somebody has set it.
    """

    __slots__ = ("_children", "_context", "ahead", "began", "id", "of", "sent", "span", "trace", "writer")

    def __init__(
        self,
        writer: SpanWriter,
        name: str,
        of: str,
        parent: Place | SpanContext | str,
        attributes: Attributes,
        *,
        at: int | None = None,
        client: bool = False,
    ) -> None:
        self.writer = writer
        self.of = of
        self.id = own = int.from_bytes(sha256(of.encode(errors="surrogatepass")).digest()[:8], "big") or 1
        self.trace: int
        self.ahead: int
        self.began: int
        self.sent: SendContext | None = None
        self._children = 0
        self._context: Context | None = None
        wanted: tuple[int, ...] = (own,)
        earliest = 0
        if isinstance(parent, Place):
            self.trace, self.ahead, earliest = parent.trace, parent.ahead, parent.began
            context = parent._context
            if context is None:  # in which that is the current span
                context = parent._context = writer.in_context(parent.span, writer.nothing)
        elif isinstance(parent, str):
            self.ahead = time.time_ns() - time.monotonic_ns()
            digest = sha256(f"trace|{parent}".encode(errors="surrogatepass")).digest()
            self.trace = int.from_bytes(digest[:16], "big") or 1
            context = writer.nothing
            wanted = own, self.trace
        else:
            self.ahead = time.time_ns() - time.monotonic_ns()
            self.trace = parent.trace_id
            context = writer.in_context(writer.known(parent), writer.nothing)
        kind = writer.client if client else writer.internal
        if not name.isascii() or len(name) > LONGEST:  # a model has made it up, and an exporter would lose all it sends
            name, attributes = fitting(name), {each: _fitting(value) for each, value in attributes.items()}
        now = time.monotonic_ns() + self.ahead
        self.began = now if at is None else max(earliest, min(at, now))
        ids = writer.ids
        try:
            with ids.lock:
                ids.wanted[:] = wanted
                self.span: Span = writer.start(name, context, kind, attributes, None, self.began)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of the user's sampler or processor: what is told of must not suffer from it
            writer.failing(f"span {name} could not be begun", error)
            self.span = writer.unknown(self.trace, own)

    def __repr__(self) -> str:
        return f"Place({self.header()!r})"

    def end(self, attributes: Attributes, *, error: str = "", at: int | None = None) -> None:
        """End the span.

        Args:
            attributes: what has become known of it; those that are None are not told.
            error: the name of the error that it ended in; empty for none.
            at: when, in nanoseconds since 1970; None for now.
        """
        ended: Any = self.span
        try:
            if ended.is_recording():
                known = {ERROR_TYPE: error} if error else {}
                for name, value in attributes.items():
                    if value is not None:
                        known[name] = value
                if known:
                    ended.set_attributes(known)
                if error:
                    ended.set_status(self.writer.failed(error))
            now = time.monotonic_ns() + self.ahead
            ended.end(now if at is None else max(self.began, min(at, now)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.writer.failing("a span could not be ended", error)

    def attach(self) -> Token[Context]:
        """Have the span be the current one for whatever else uses OpenTelemetry, also in tasks that are begun from here
        on; until `SpanWriter.detach`."""
        writer = self.writer
        token: Token[Context] = writer.attach(writer.in_context(self.span))
        return token

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
        end = time.monotonic_ns() + self.ahead
        start = end - int(max(0.0, seconds) * _NANO)
        self._children += 1
        # The same number may come twice, after a restart, and is of something else then: the time tells them apart.
        of = f"{self.id:016x}|{name}|{self._children}|{start}"
        Place(self.writer, name, of, self, attributes, at=start, client=client).end({}, error=error, at=end)


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
        at.writer.detach(token)


def trace_headers() -> dict[str, str]:
    """The headers that make what another service does for this code a part of the span at work here."""
    at = place()
    return {} if at is None else {"traceparent": at.header()}
