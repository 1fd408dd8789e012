"""A service with everything: tools, a guardrail, keys, limits, budgets, a journal, figures, alerts, a dashboard. Extras
``serve`` and ``telemetry``; ``callboard serve whole_service:app --workers 2``. Run as a program, it asks itself."""

import asyncio
import os

import httpx

from callboard import (
    Agency,
    Agent,
    Alerting,
    ApiKeys,
    Budget,
    Guardrail,
    Limits,
    RequestLimit,
    Telemetry,
    card_numbers,
    pool_from_environment,
    serve,
    tool,
    vendor_keys,
)

JOURNAL = os.environ.get("JOURNAL", "service.db")  # postgresql://… where workers are on several machines
ORDERS = {"A1": "sent on Monday", "B2": "not paid yet"}


@tool(risk="safe", idempotent=True)
def order_status(order: str) -> str:
    """What has become of an order."""
    return ORDERS.get(order, "there is no such order")


@tool(scope="staff", approval="always")
def cancel_order(order: str) -> str:
    """Cancel an order. A person is asked first."""
    return f"{order} is cancelled"


secrets = Guardrail([*vendor_keys(), card_numbers()], on={"input", "output", "tool_result"}, action="redact")
orders = Agent("Orders", "You know of orders.", description="Order status.", tools=[order_status, cancel_order])
desk = Agent(
    "Desk",
    "You hand questions about orders to Orders.",
    handoffs=[orders],
    hooks=[secrets],
    limits=Limits(steps=8, cost=0.50, seconds=60),
)
agency = Agency(
    desk,
    pool=pool_from_environment(budgets=[Budget("tenant", "*", 20.0, "day"), Budget("user", "*", 2.0, "day")]),
    journal=JOURNAL,
    telemetry=Telemetry(alerts=Alerting()),  # endpoint="http://…:4318" sends spans
)
keys = ApiKeys(JOURNAL)  # callboard keys add service.db --user ann --tenant acme
limits = [RequestLimit("user", requests=60), RequestLimit("tenant", concurrent=20)]
app = serve(agency, authenticate=keys, limits=limits, dashboard=True, drain=20)


async def main() -> None:
    key = await keys.add(user="ann", tenant="acme", scopes=["metrics"])
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://here") as http:
        body = {"model": "Desk", "messages": [{"role": "user", "content": "What is the status of order A1?"}]}
        print((await http.post("/v1/chat/completions", json=body)).status_code)
        http.headers["authorization"] = f"Bearer {key}"
        answer = (await http.post("/v1/chat/completions", json=body)).json()
        print(answer["choices"][0]["message"]["content"])
        print(answer["callboard"]["agents"], answer["callboard"]["cost"])
        print((await http.get("/readyz")).status_code, (await http.get("/dashboard/")).status_code)
        figures = (await http.get("/metrics")).text.splitlines()
        print(*sorted(line for line in figures if line.startswith("callboard_runs_total")), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
