"""What a scenario is given while its steps are watched."""

from __future__ import annotations

from typing import Any

from ....core.runtime.parts import MESSAGE_FIELDS
from ...faults.injector import Injector
from ...loop.loop import SimulationLoop
from ...trace.trace import Trace
from ..running.scenario import Simulation
from .footprint import Footprints


class WatchedSimulation(Simulation):
    """A `Simulation` that tells what its steps touch.

    Args:
        loop, injector: as for `Simulation`; the loop's schedule is the `Footprints`.
    """

    def __init__(self, loop: SimulationLoop, injector: Injector) -> None:
        assert isinstance(loop.schedule, Footprints)
        self._footprints = loop.schedule
        self._telling = False
        super().__init__(loop, injector)
        self.on_look = self._footprints.look
        self.on_full = self._footprints.full
        self.on_view = self._footprints.view

    @property
    def trace(self) -> Trace:
        """The trace; who looks at it sees the order of everything."""
        if not self._telling:
            self._footprints.everything()
        return self._trace

    @trace.setter
    def trace(self, trace: Trace) -> None:
        self._trace = trace

    def mark(self, kind: str, **fields: Any) -> None:
        """See `Simulation`."""
        self._footprints.mark()
        super().mark(kind, **fields)

    def event(self, kind: str, **fields: Any) -> None:
        """See `Simulation`."""
        self._footprints.told(kind, fields)
        self._telling = True  # so what is done with the event here is not the scenario's look
        super().event(kind, **fields)
        self._telling = False

    def message(self, kind: str, *values: Any) -> None:
        """See `Simulation`."""
        self._footprints.told(kind, dict(zip(MESSAGE_FIELDS[kind], values, strict=True)))
        super().message(kind, *values)

    def close(self) -> None:
        """See `Simulation`."""
        self._footprints.close()
        super().close()
