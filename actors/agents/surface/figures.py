"""What an agency tells of itself."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ...observe.metrics import Family
from ..errors import DefinitionError
from ..runs.runtime.figures import read_figures
from ..runs.runtime.health import AgencyHealth, health_of
from .part import Part


class Observed(Part):
    """The part of an agency that says how it does."""

    def part_of(self, traceparent: str) -> AbstractContextManager[None]:
        """Have the runs that are asked for within be a part of the span that another process has begun: ``with
        agency.part_of(message.headers["traceparent"]):``. Where one is in force here already, that counts; where no
        spans are written, nothing happens.

        Args:
            traceparent: W3C's header of this name; a text that is none names no span.

        Raises:
            DefinitionError: it is no text.
        """
        if not isinstance(traceparent, str):
            raise DefinitionError(f"part_of: traceparent is a text, not {type(traceparent).__name__}")
        tracing = self._runtime.tracing
        return nullcontext() if tracing is None else tracing.writer.part_of(traceparent)

    async def metrics(self) -> tuple[Family, ...]:
        """The figures of its runs, pools, actors and journal, as they are now.

        Raises:
            TelemetryError: it was given no `Telemetry` with metrics, or is not running.
        """
        return await read_figures(self._runtime)

    async def health(self) -> AgencyHealth:
        """How the providers and models of its pools do, its journal, and what the process uses of its machine."""
        return await health_of(self._runtime)
