"""``python -m benchmarks observe``: what telemetry costs a turn, and what a dashboard costs.

``calls`` counts what one turn of an agent with two completions of a pool and a tool call makes the interpreter do:
calls of Python functions, which no other load on the machine changes; without those that OpenTelemetry's functions
make, which its SDK does for each span whoever writes it. ``whole`` counts these, too. ``cpu`` is the processor's time a
turn, in interleaved rounds, with all of it. ``off`` is an agency without telemetry, ``figures`` one that counts for
Prometheus, ``spans`` one that writes spans to nobody, ``unsampled`` one whose sampler wants none of them, which leaves
of the SDK's work the least; ``both`` is figures and spans.

``closed`` is what a message costs a served agency at whose dashboard nobody looks, in calls: ``off`` has none.
``tree`` is the share of a core that 10,000 actors with messages flowing take more while a real browser shows their
tree, ``paint`` the time from the request of a page to what is first painted, as the browser tells it, ``events`` by how
much memory grows, of the server and of the page, while ten million events happen, ``replayed`` by how much that of a
server grows while ten million are read from the beginning of its journal, which takes 3 GB on the disk meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from callboard import Agency, Agent, ChildSpec, Endpoint, Pool, Telemetry, tool
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Request

from . import dashboard
from .harness import Case, Sample, Suite
from .harness.counting import counting

BASELINE: Final = "off"
REPEATS: Final = 20
TURNS: Final = 200
COUNTED: Final = 50


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` makes a fifth of the turns."""
    turns = TURNS // (5 if quick else 1)
    kinds: dict[str, Callable[[], Telemetry | None]] = {
        "off": lambda: None,
        "figures": lambda: Telemetry(spans=False),
        "spans": lambda: Telemetry(metrics=False, tracer_provider=_provider()),
        "unsampled": lambda: Telemetry(metrics=False, tracer_provider=_provider(0.0)),
        "both": lambda: Telemetry(tracer_provider=_provider()),
    }
    cases = []
    for kind, make in kinds.items():
        cases += [
            Case("calls", kind, partial(_run, make, partial(_counted, own=True))),
            Case("whole", kind, partial(_run, make, partial(_counted, own=False))),
            Case("cpu", kind, partial(_run, make, partial(_timed, turns))),
        ]
    cases += dashboard.cases(quick)
    notes = ["calls, whole: calls of Python functions a turn; cpu: µs of the processor a turn; closed: calls a message"]
    return Suite(BASELINE, cases, repeats=REPEATS, notes=notes)


def _provider(share: float = 1.0) -> Any:
    """One whose spans nobody takes: what an exporter costs is its own."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    return TracerProvider(sampler=ParentBasedTraceIdRatio(share))


@tool(risk="safe")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def _model(request: Request) -> Any:
    return "5" if request.messages[-1].role == "tool" else call("add", "c1", a=2, b=3)


def _run(make: Callable[[], Telemetry | None], measure: Callable[[Agency], Awaitable[Sample]]) -> Sample:
    async def main() -> Sample:
        endpoint = Endpoint("one", ChildSpec(FunctionModel, (_model,), name="one"))
        pool = ChildSpec(Pool, ((endpoint,),), name="pool")
        async with Agency(Agent("A", "You add.", tools=[add]), pool=pool, telemetry=make()) as agency:
            for _ in range(20):
                await agency.run("go")
            return await measure(agency)

    return asyncio.run(main())


async def _counted(agency: Agency, *, own: bool) -> Sample:
    with counting("opentelemetry" if own else "") as counted:
        for _ in range(COUNTED):
            await agency.run("go")
    return Sample(counted[0] / COUNTED, "calls")


async def _timed(turns: int, agency: Agency) -> Sample:
    began = time.process_time()
    for _ in range(turns):
        await agency.run("go")
    return Sample(1e6 * (time.process_time() - began) / turns, "µs")
