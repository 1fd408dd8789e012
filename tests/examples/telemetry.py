"""What an agency tells of itself: spans to an exporter of one's own, and figures for Prometheus. Offline."""

import asyncio

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callboard import Agency, Agent, Telemetry, prometheus_text, tool


@tool(risk="safe")
async def price(item: str) -> str:
    """Say what an item costs."""
    return f"{item} costs 3."


async def main() -> None:
    spans = InMemorySpanExporter()  # a BatchSpanProcessor and an OTLPSpanExporter in a service
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    seller = Agent("Seller", "You sell tea.", tools=[price], model="offline")
    async with Agency(seller, telemetry=Telemetry(tracer_provider=provider)) as agency:
        await agency.run("price(item='tea')")
        text, _ = prometheus_text(await agency.metrics())

    for span in spans.get_finished_spans():
        parent = next((one.name for one in spans.get_finished_spans() if one.context == span.parent), "nothing")
        print(f"{span.name} is part of {parent}")
    print(*(line for line in text.decode().splitlines() if line.startswith("callboard_runs_total")), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
